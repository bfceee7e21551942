"""The reason for a failed start of a listener."""

from __future__ import annotations


class StartError(Exception):
    """A fault that the operator can fix, with a message that has the cause and the remedy, and never a password."""
