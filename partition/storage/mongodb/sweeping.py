"""Removing expired messages, and bringing the index in line with the clock, part by part.

No answer depends on it. MongoDB itself removes expired messages (``schema.gone``), but late; until then they would slow
the search for free messages. Messages with ended claims and passed delays must be sorted; the sweep keeps them few by
moving them to the range of free messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Session, Store

# Messages that one round deletes, or frees, of each kind.
_AT_A_TIME = 1000


async def sweep_expired(store: Store, now: int, session: Session) -> bool:
    """Delete some expired messages; return whether there may be more."""
    expired = {"expires": {"$lte": now}}
    numbers = await _first(store, expired, "expires", session)
    if numbers:
        # A claim may have extended a life by a slower clock.
        await store.messages.delete_many({"_id": {"$in": numbers}, **expired}, session=session)
    return len(numbers) == _AT_A_TIME


async def sweep_held(store: Store, now: int, session: Session) -> bool:
    """Free some messages with an ended claim or a passed delay; return whether there may be more."""
    more = False
    for index, held in (("ended", {"$gt": 0, "$lte": now}), ("due", {"$lt": 0, "$gte": -now})):
        numbers = await _first(store, {"until": held}, index, session)
        if numbers:
            # Messages that were claimed again are held until later. ``claim`` stays: it identifies the last claim.
            wanted = {"_id": {"$in": numbers}, "until": held}
            await store.messages.update_many(wanted, {"$set": {"until": 0}}, session=session)
        more |= len(numbers) == _AT_A_TIME
    return more


async def _first(store: Store, condition: dict[str, Any], index: str, session: Session) -> list[int]:
    found = store.messages.find(condition, {"_id": 1}, limit=_AT_A_TIME, hint=index, session=session)
    return [document["_id"] for document in await found.to_list()]
