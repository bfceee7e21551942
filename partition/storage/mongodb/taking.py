"""Winning messages: what claims and pops have in common.

Candidates are read first, and then marked by a write whose filter repeats, for each message, everything that made it a
candidate, and that nobody has claimed it since. MongoDB changes a document at once or not at all, so one of any number
of takers wins it, whatever became of the others. What a taker of several did not win it looks for again: whoever won it
has come further, so this ends.

Takers of one process wait for each other (``turns``) and share both round trips; so only processes race.
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
    """Let the takers have the candidates, the first ones first; return whether they got all that was theirs to get.

    ``won`` holds the messages as they were before.
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
    # A number is given to one claim only, so the same one means: not claimed since. None is: never.
    return {
        "_id": {"$in": [document["_id"] for document in share]},
        "queue": share[0]["queue"],
        "until": {"$lte": now} if delayed else {"$gte": -now, "$lte": now},
        "claim": {"$in": list({document.get("claim") for document in share})},
    }
