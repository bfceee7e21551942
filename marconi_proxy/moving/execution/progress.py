"""The progress of a move, and the reason why it is not done, in one sentence. Pure.

Times are seconds since 1970 by the clock of the mover that looked.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from catalog.model import MoveMeasurements
from marconi_proxy.partition_client.outcome import Look

# The least seconds between two records of the results of looks.
_QUIET = 5.0
_NOTICEABLE = 0.1


def left(looks: Iterable[Look]) -> int:
    """Return the number of messages left in the segments that could be looked at."""
    return sum(max(look.total, int(look.listed)) for look in looks)


def why(looks: Iterable[Look]) -> str:
    """Return the reason why the older segments of a queue are not empty; an empty string if all are."""
    looks = list(looks)
    unseen = [look for look in looks if look.problem is not None]
    if unseen:
        return f"partition {unseen[0].partition} cannot be looked at: {unseen[0].problem}"
    free = sum(max(look.free, 0) for look in looks)
    claimed = sum(max(look.claimed, 0) for look in looks)
    if not free and not claimed:
        return "" if all(look.empty for look in looks) else "the last messages are on their way"
    words = []
    if free:
        words.append(f"{free} free")
    if claimed:
        until = max((look.claimed_until for look in looks if look.claimed_until is not None), default=None)
        words.append(f"{claimed} claimed" + ("" if until is None else f" until at most {moment(until)}"))
    expires = min((look.oldest_expires for look in looks if look.oldest_expires is not None), default=None)
    if expires is not None:
        words.append(f"the oldest expires at {moment(expires)}")
    return ", ".join(words)


def moment(at: float) -> str:
    """Format a time, in seconds since 1970, in UTC to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def worth_noting(before: MoveMeasurements, found: MoveMeasurements, stood: float) -> bool:
    """Return whether to record what a look has ``found``, if the record has stood unchanged for ``stood`` seconds.

    The record is for operators, and each write of it goes to every process. So only a change of the reason, or of the
    number by a tenth, is written, and not too often.
    """
    if before.left is None or found.left is None or before.waits is None:
        return True
    if stood < _QUIET:
        return False
    return before.waits != found.waits or abs(before.left - found.left) > before.left * _NOTICEABLE
