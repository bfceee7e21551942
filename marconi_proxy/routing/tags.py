"""Tags: the segment of a queue's chain that an id, a claim id or a marker is from.

A text of segment ``n`` leaves as ``s<n>-<text>``; one of the segment ``base`` leaves unchanged. So the ids that clients
hold from before the first move keep their meaning. A text of the base that itself looks tagged is tagged too. Ids admit
only ``[A-Za-z0-9_-]`` (API section 6.1), which the tag keeps to.

Numbers are never reused and the last segment is never retired. So a number below the last one's that is not in the
chain is that of a retired segment, and one above it is from a switch that this worker has not seen yet. A number below
the placement's floor may be from a lost catalog: nothing of its segment is known.
"""

from __future__ import annotations

import re

from catalog.model import Placement, Segment

# Exactly as we write them: no leading zeros, no number that no chain reaches.
_TAG = re.compile(r"s(0|[1-9][0-9]{0,8})-")


def explicit(text: str, n: int) -> str:
    """Return ``text`` of segment ``n`` with its tag, whichever segment is the base.

    No store has an id of this form: so it names an id of one segment to another, which must not find it.
    """
    return f"s{n}-{text}"


def tagged(text: str, n: int, base: int) -> str:
    """Return the client's form of ``text`` of segment ``n``."""
    return text if n == base and _TAG.match(text) is None else explicit(text, n)


def untagged(text: str, base: int) -> tuple[int, str]:
    """Return (number of the segment that a client's text is from, its form there). The inverse of ``tagged``."""
    found = _TAG.match(text)
    return (base, text) if found is None else (int(found[1]), text[found.end() :])


def is_news(placement: Placement, text: str) -> bool:
    """Return whether a client's text is from a segment that ``placement`` does not have yet."""
    return untagged(text, placement.base)[0] >= placement.next_n


def known(placement: Placement, text: str) -> tuple[int, str]:
    """As ``untagged``, for a placement that is known to be as new as the text.

    A tag that this queue never had is none: such an id came from the base, before the first move.
    """
    return (placement.base, text) if is_news(placement, text) else untagged(text, placement.base)


def owner(placement: Placement, text: str) -> Segment | None:
    """Return the segment that a client's text is from, None if it was retired: then its messages are gone."""
    n, _ = known(placement, text)
    return next((segment for segment in placement.segments if segment.n == n), None)


def resume(placement: Placement, marker: str) -> tuple[tuple[Segment, ...], str | None]:
    """Return (the segments at or after a client's marker, the marker as the first of them knows it).

    None: from its start. The marker of a retired segment stands at the start of the next one: the retired segment was
    empty for good, so this reader has passed all before it. A marker from a lost catalog stands at the start of the
    last segment: the backup does not have the reader's position.
    """
    n, text = known(placement, marker)
    rest = tuple(segment for segment in placement.segments if segment.n >= n) or placement.segments[-1:]
    return rest, text if rest[0].n == n else None
