"""Backups of a catalog as JSON Lines: a header, a line for each value, and a trailer that proves that all is there.

``lines`` says what a line is, and ``shapes`` what a value is in it; ``reader`` takes a backup apart and refuses what
is none; ``exporter`` and ``importer`` are the ways between a catalog and a stream of bytes. Nothing here knows a
store.
"""
