"""Markers of message lists (API section 6.3): a position in one queue, in decimal."""

from __future__ import annotations

_LARGEST = 2**63 - 1


def position(marker: str | None) -> int | None:
    """The position after which a page starts: 0 without a marker, None for one that no store issued."""
    if marker is None:
        return 0
    if not (marker.isascii() and marker.isdigit()) or len(marker) > 19 or int(marker) > _LARGEST:
        return None
    return int(marker)
