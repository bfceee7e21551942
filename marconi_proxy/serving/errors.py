"""Why a listener did not start."""

from __future__ import annotations


class StartError(Exception):
    """The operator can mend it: the message says what is wrong and what to do. Never holds a password."""
