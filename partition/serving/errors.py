"""The reason for a failed start."""

from __future__ import annotations


class StartError(Exception):
    """A fault that the operator can fix, with a message that names it and never contains a password."""
