"""Tags: which segment of a queue's chain an id, a claim id or a marker is from.

What segment ``n`` gave out leaves as ``s<n>-<text>``, except that what the segment ``base`` gave out leaves as it is.
So what a client holds from before the queue was moved goes on meaning what it meant. A text of the base that itself
looks tagged is tagged too. Ids admit only ``[A-Za-z0-9_-]`` (API section 6.1), which the tag keeps to.

Numbers are never reused and the last segment is never retired; so a number below the last one's that is not in the
chain is that of a retired segment, and one above it is news that has not come here yet. Unless it is below the
placement's floor: then it may be from a catalog that was lost, and nothing of its segment is known.
"""

from __future__ import annotations

import re

from catalog.model import Placement, Segment

# As we write them, and nothing else: no leading zeros, no number that no chain reaches.
_TAG = re.compile(r"s(0|[1-9][0-9]{0,8})-")


def explicit(text: str, n: int) -> str:
    """Return ``text`` of segment ``n`` with its tag, whichever segment is the base.

    No store knows an id that looks so: it is how an id of one segment is named to another, for which there is none.
    """
    return f"s{n}-{text}"


def tagged(text: str, n: int, base: int) -> str:
    """Return how the client is to see what segment ``n`` calls ``text``."""
    return text if n == base and _TAG.match(text) is None else explicit(text, n)


def untagged(text: str, base: int) -> tuple[int, str]:
    """Return (number of the segment that a client's text is from, what it is called there). Undoes ``tagged``."""
    found = _TAG.match(text)
    return (base, text) if found is None else (int(found[1]), text[found.end() :])


def is_news(placement: Placement, text: str) -> bool:
    """Tell whether a client's text is from a segment that ``placement`` does not have yet."""
    return untagged(text, placement.base)[0] >= placement.next_n


def known(placement: Placement, text: str) -> tuple[int, str]:
    """As ``untagged``, for a placement that is known to be as new as the text.

    A tag that this queue never had is none: whoever has such an id got it from the base, before the first move.
    """
    return (placement.base, text) if is_news(placement, text) else untagged(text, placement.base)


def owner(placement: Placement, text: str) -> Segment | None:
    """Return the segment that a client's text is from, None if it was retired: then nothing of it is left."""
    n, _ = known(placement, text)
    return next((segment for segment in placement.segments if segment.n == n), None)


def resume(placement: Placement, marker: str) -> tuple[tuple[Segment, ...], str | None]:
    """Return (the segments that are after or at a client's marker, what the first of them calls the marker).

    None: from its start. The marker of a retired segment stands at the start of the next one: it was empty for good,
    so there is nothing between that this reader has not passed. One from a catalog that was lost stands at the start of
    the last segment: the backup does not say how far this reader had come there.
    """
    n, text = known(placement, marker)
    rest = tuple(segment for segment in placement.segments if segment.n >= n) or placement.segments[-1:]
    return rest, text if rest[0].n == n else None
