"""Winning messages, for claims and pops.

Candidates are read first, and then marked by a write. Its filter repeats, for each message, all conditions of a
candidate, and that it was not claimed since. MongoDB changes a document atomically, so one of any number of takers wins
it, regardless of the others. A taker searches again for messages that it did not win: another taker has made progress
then, so this terminates.

Takers of one process are coalesced (``coalescer``) and share both round trips; so only processes race.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo import UpdateMany

from partition.storage.mongodb.documents import Document

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Session, Store


@dataclass(slots=True)
class Take:
    """One taker: at most ``limit`` messages are to get the claim ``number``, by the stages ``change``."""

    number: int
    limit: int
    change: list[dict[str, Any]]
    won: list[Document] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        return self.limit - len(self.won)


async def take(
    store: Store, takes: Iterable[Take], candidates: list[Document], now: int, session: Session, *, delayed: bool
) -> bool:
    """Assign the candidates to the takers, in order; return whether each got all that it could.

    ``won`` holds the messages in their previous state.
    """
    left = iter(candidates)
    shares: list[tuple[Take, list[Document]]] = []
    for one in takes:
        share = [document for _, document in zip(range(one.wanted), left, strict=False)]
        if share:
            shares.append((one, share))
    writes = [UpdateMany(_still(share, now, delayed=delayed), one.change) for one, share in shares]
    result, again = await store.repeated(lambda: store.messages.bulk_write(writes, ordered=False, session=session))
    if not again and result.matched_count == sum(len(share) for _, share in shares):
        for one, share in shares:
            one.won += share
        return True
    numbers = [one.number for one, _ in shares]
    held = await store.messages.find({"claim": {"$in": numbers}}, {"claim": 1}, session=session).to_list()
    holder = {document["_id"]: document["claim"] for document in held}
    for one, share in shares:
        one.won += [document for document in share if holder.get(document["_id"]) == one.number]
    return False


def _still(share: list[Document], now: int, *, delayed: bool) -> dict[str, Any]:
    # A number is issued to one claim only, so an equal number means: not claimed since. None means: never claimed.
    return {
        "_id": {"$in": [document["_id"] for document in share]},
        "queue": share[0]["queue"],
        "until": {"$lte": now} if delayed else {"$gte": -now, "$lte": now},
        "claim": {"$in": list({document.get("claim") for document in share})},
    }
