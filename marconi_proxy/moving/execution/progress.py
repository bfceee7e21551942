"""How far a move has come, and why it is not done, in one sentence. Pure.

Times are seconds since 1970 by the clock of the mover that looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from marconi_proxy.partition_client.outcome import Look

# Seconds: what a look has found is not written down more often than this.
_QUIET = 5.0
_NOTICEABLE = 0.1


def left(looks: Iterable[Look]) -> int:
    """How many messages are left, as far as it could be seen."""
    return sum(max(look.total, int(look.listed)) for look in looks)


def why(looks: Iterable[Look]) -> str:
    """Say what the older segments of a queue wait for; empty if for nothing."""
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
    """Spell a time in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def worth_noting(facts: Mapping[str, Any], remaining: int, waits: str, stood: float) -> bool:
    """Return whether the result of a look is to be written into a record with these ``facts``, which has ``stood`` so
    for some seconds.

    The record is for people and its writing costs everybody: a change in wording or by a tenth, and not all the time.
    """
    before = facts.get("left")
    if before is None or "waits" not in facts:
        return True
    if stood < _QUIET:
        return False
    return bool(facts["waits"] != waits or abs(before - remaining) > before * _NOTICEABLE)
