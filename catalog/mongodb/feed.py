"""The change feed: a change stream on the database.

Positions are cluster times, which order all writes of a replica set: ``(seconds << 32) | increment``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pymongo
from bson import Timestamp
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import PyMongoError

from catalog.model import Change, ChangeSubject, PlacementState, Synced
from catalog.mongodb.documents import placement_key
from catalog.mongodb.store import VERB_TIMEOUT

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase

_SUBJECTS = {
    "placements": ChangeSubject.PLACEMENT,
    "partitions": ChangeSubject.PARTITION,
    "tenants": ChangeSubject.TENANT,
    "moves": ChangeSubject.MOVE,
    "plans": ChangeSubject.PLAN,
}
_SHOWN = ("epoch", "born", "state", "version", "move", "segments.n")
_OPEN = PlacementState.OPEN.value
_SEALING = PlacementState.SEALING.value
_WRITES = ("insert", "update", "replace", "delete")
# Updates of moves without a new version are those of their locks, and are filtered out.
_PIPELINE: list[dict[str, Any]] = [
    {
        "$match": {
            "$or": [
                {"ns.coll": {"$ne": "moves"}},
                {"operationType": {"$ne": "update"}},
                {"updateDescription.updatedFields.version": {"$exists": True}},
            ]
        }
    },
    {
        "$project": {
            "operationType": 1,
            "ns": 1,
            "documentKey": 1,
            "clusterTime": 1,
            **{f"fullDocument.{field}": 1 for field in _SHOWN},
            **{f"updateDescription.updatedFields.{field}": 1 for field in _SHOWN},
        }
    },
]
# Milliseconds after which the server answers without an event; the interface promises a heartbeat every second.
_AWAIT_MS = 400
# Seconds, longer than the search for a new primary: one resume fits into it.
_SILENCE_TIMEOUT = 2 * VERB_TIMEOUT
_CLOSE_TIMEOUT = 1.0


def position_of(time: Timestamp) -> int:
    """Return a cluster time as a position."""
    return (time.time << 32) | time.inc


def token_position(token: Mapping[str, Any] | None) -> int:
    """Return the cluster time inside a resume token, 0 if it is not readable.

    A token's ``_data`` is a KeyString in hexadecimal: type 0x82 (timestamp), then the 64 bits, high end first; all
    servers since 4.0 write it so. Only tokens have the position of a stream without events: the operation time of its
    replies may be ahead of the part of the oplog that it has read.
    """
    data = token.get("_data") if token else None
    if not isinstance(data, str) or not data.startswith("82"):
        return 0
    try:
        return int(data[2:18], 16)
    except ValueError:
        return 0


def _pipeline(subjects: Collection[ChangeSubject]) -> list[dict[str, Any]]:
    # Drops and renames of these collections pass, so that they end the feed: a drop has no events for the documents.
    collections = [name for name, subject in _SUBJECTS.items() if subject in subjects]
    return [{"$match": {"$or": [{"ns.coll": {"$in": collections}}, {"operationType": "invalidate"}]}}, *_PIPELINE]


def change_of(event: Mapping[str, Any]) -> Change:
    """Return the change of an event of one of our collections.

    Raises ValueError, KeyError or TypeError if it is none, for example a drop or rename of a collection.
    """
    operation = event["operationType"]
    if operation not in _WRITES:
        raise ValueError(f"the collection was changed as a whole ({operation})")
    subject = _SUBJECTS[event["ns"]["coll"]]
    id_ = event["documentKey"]["_id"]
    position = position_of(event["clusterTime"])
    # The epoch of this very write: each of our writes has the whole document, or the whole move. (An ``updateLookup``
    # could return a later one.) Only operators make other updates, by hand.
    document = event.get("fullDocument") or event.get("updateDescription", {}).get("updatedFields", {})
    if subject is ChangeSubject.PLACEMENT:
        # A change by hand may have changed the state: one acknowledgement too many does no harm.
        removed = operation == "delete"
        state = document.get("state", _SEALING)
        sealing = not removed and state == _SEALING
        preparing = state == _OPEN and document.get("move") is not None and len(document.get("segments", ())) == 1
        key = placement_key(id_)
        return Change(position, subject, key, document.get("epoch"), document.get("born"), sealing, preparing)
    if subject in (ChangeSubject.MOVE, ChangeSubject.PLAN):
        return Change(position, subject, (id_,), document.get("version"))
    return Change(position, subject, (id_,))


async def _committed(store: CatalogDatabase) -> Timestamp:
    # The operation time of a read with majority is its snapshot: all earlier writes are committed, and every later read
    # sees them. The operation time of another command may lie after writes that are not committed yet: neither a
    # stream from there nor a read right after it would have them.
    async with store.conversation() as session:
        await store.database["catalog"].find_one({}, session=session)
        time = session.operation_time
    if time is None:
        raise store.unavailable("the server sends no operation time; it must be a replica set")
    return time


class _Stream:
    """An open change stream with deadlines for its events, which can be closed at any time."""

    def __init__(self, store: CatalogDatabase, stream: AsyncChangeStream[dict[str, Any]]) -> None:
        self._store = store
        self._stream = stream
        self._asking: asyncio.Task[dict[str, Any] | None] | None = None

    @classmethod
    async def open(cls, store: CatalogDatabase, start: Timestamp, subjects: Collection[ChangeSubject]) -> _Stream:
        """Open a stream of the events of ``subjects`` at ``start`` or later."""
        with store.translated():
            try:
                async with asyncio.timeout(VERB_TIMEOUT):
                    stream = await store.database.watch(
                        _pipeline(subjects), start_at_operation_time=start, max_await_time_ms=_AWAIT_MS
                    )
            except TimeoutError:
                raise store.unavailable("the change stream did not open in time") from None
        return cls(store, stream)

    @property
    def position(self) -> int:
        """The last known position of the stream."""
        return token_position(self._stream.resume_token)

    async def next(self) -> Mapping[str, Any] | None:
        """Return the next event, or None if the server answered without one."""
        # In a task of its own: pymongo would use its own deadline as the time that the server may wait, and a cancelled
        # ``try_next`` closes the cursor first, which takes long if the server does not answer.
        self._asking = asyncio.ensure_future(self._stream.try_next())
        await asyncio.wait({self._asking}, timeout=_SILENCE_TIMEOUT)
        if not self._asking.done():
            raise self._store.unavailable("the change stream fell silent")
        with self._store.translated():
            event = self._asking.result()
        if event is None and not self._stream.alive:
            raise self._store.unavailable("the change stream was closed by the server")
        return event

    async def close(self) -> None:
        """Close the stream without waiting for a server that may be gone: an unused cursor ends by itself."""
        if self._asking is not None and not self._asking.done():
            self._store.abandon(self._asking)  # it closes the stream when it is cancelled
            return
        with suppress(PyMongoError), pymongo.timeout(_CLOSE_TIMEOUT):
            await self._stream.close()


async def watch(store: CatalogDatabase, subjects: Collection[ChangeSubject]) -> AsyncGenerator[Change | Synced, None]:
    """Implement ``Catalog.watch``."""
    start = await _committed(store)
    stream = await _Stream.open(store, start, subjects)
    try:
        first = position = position_of(start)
        yield Synced(position, fresh=True)
        while True:
            event = await stream.next()
            if event is None:
                position = max(position, stream.position)
                item: Change | Synced = Synced(position, fresh=False)
            else:
                try:
                    item = change_of(event)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise store.unavailable(f"the change stream broke off: {error}") from error
                if item.position <= first:
                    continue  # the one at ``start`` itself, which every reader has seen
                position = item.position
            # Later reads must see at least the writes that the feed has shown.
            store.seen(Timestamp(position >> 32, position & 0xFFFFFFFF))
            yield item
    finally:
        await stream.close()
