"""What ends a tour."""

from __future__ import annotations


class TourError(Exception):
    """A step did not hold. The message says which, and what came instead."""
