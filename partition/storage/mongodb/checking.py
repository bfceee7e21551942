"""The operator's check: missing indexes, and documents that contradict one another. Slow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from partition.storage.mongodb.schema import INDEXES

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Session, Store

# The most documents that are named of each kind.
_NAMED = 20

_SHAPE = {
    "queue": ("int", "long"),
    "position": ("int", "long"),
    "until": ("int", "long"),
    "expires": ("int", "long"),
    "created": ("int", "long"),
    "ttl": ("int", "long"),
    "claims": ("int", "long"),
    "body": ("string",),
    "client": ("binData",),
    "gone": ("date",),
}
_MESSAGE: dict[str, Any] = {"expires": {"$exists": True}}
# Of documents that only block a position (``posting``).
_BLOCK: dict[str, Any] = {"expires": {"$exists": False}}

_RULES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "message with a field that is missing, or of the wrong type",
        {**_MESSAGE, "$or": [{field: {"$not": {"$type": list(types)}}} for field, types in _SHAPE.items()]},
    ),
    ("message without an expiry", {**_BLOCK, "body": {"$exists": True}}),
    ("message that is held by no claim", {"until": {"$gt": 0}, "claim": {"$exists": False}}),
    (
        "message that ends before its claim",
        {"until": {"$gt": 0}, "lease": {"$exists": True}, "$expr": {"$gt": ["$until", "$expires"]}},
    ),
)


async def faults(store: Store, session: Session) -> list[str]:
    """Return the faults, a sentence each."""
    found = await _missing_indexes(store, session)
    for what, condition in _RULES:
        async for document in store.messages.find(condition, {"queue": 1}, limit=_NAMED, session=session):
            found.append(f"queue {document.get('queue')}: {what} ({document['_id']})")
    return found + await _of_queues(store, session)


async def _missing_indexes(store: Store, session: Session) -> list[str]:
    found = []
    for name, indexes in INDEXES.items():
        there = await store.database[name].index_information(session=session)
        found += [
            f"collection {name}: index {index.document['name']} is missing"
            for index in indexes
            if index.document["name"] not in there
        ]
    return found


async def _of_queues(store: Store, session: Session) -> list[str]:
    # In this order: later messages belong to later queues, or lie beyond the earlier ``last``.
    by_queue: list[dict[str, Any]] = [
        {"$match": {"queue": {"$exists": True}}},
        {"$group": {"_id": "$queue", "newest": {"$max": "$position"}}},
    ]
    cursor = await store.messages.aggregate(by_queue, session=session)
    newest = {document["_id"]: document["newest"] async for document in cursor}
    dropped = {document["_id"] async for document in store.dropped.find({}, session=session)}
    found = []
    async for queue in store.queues.find({}, session=session):
        number = queue.get("queue")
        if newest.pop(number, 0) > queue.get("last", 0):
            found.append(f"queue {number}: message beyond its last position")
        try:
            if not isinstance(json.loads(queue["metadata"]), dict):
                raise ValueError("no object")
        except (KeyError, TypeError, ValueError) as error:
            found.append(f"queue {number}: metadata is damaged ({error})")
    # A queue that was deleted during the check may have been swept too.
    for number in newest.keys() - dropped:
        if await store.messages.find_one({"queue": number}, {"_id": 1}, session=session) is not None:
            found.append(f"queue {number}: message of a queue that does not exist")
    return found
