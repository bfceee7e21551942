"""Why the server did not start."""

from __future__ import annotations


class StartError(Exception):
    """The operator can mend it: the message says what is wrong. Never holds a password."""
