"""Bytes that no honest client sends, as data, and the client that sends them."""
