"""From options to processes that answer: the listener, gunicorn's master, its workers and their HTTP protocol.

The command line calls ``server``. This package is independent of its applications, which come from a factory.
"""
