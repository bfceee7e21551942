"""The error that ends a tour."""

from __future__ import annotations


class TourError(Exception):
    """A step did not hold. The message has the expectation and the actual result."""
