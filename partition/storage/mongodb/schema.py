"""The collections, preparing a new database, and verifying an existing one.

``store``: one document with ``version``, ``tag`` and ``multiplier`` (of identifiers) and ``last``, the last number
issued to a message, claim, queue or subscription.

``queues``: ``_id`` is kind, NUL, project, NUL, name, whose bytes sort as listings do. ``queue`` is a number that is
never used again; ``declared`` is false if only dead letters created it (API section 6.9); ``revision`` counts changes
of ``metadata``, which is JSON text, because its keys may be anything; ``last`` and ``pending`` are explained in
``posting``. ``closed`` and ``shut`` are the marks (``marks``); a queue that was deleted with such marks leaves them
behind in a document that is not ``declared``.

``messages``: ``_id`` is the number that the identifier hides. ``until`` encodes claims and delays: 0 if the message is
free, t > 0 if it is claimed until t, -t < 0 if it is delayed until t; so it can be taken now if ``-now <= until <=
now``, whether or not a sweep has written 0 there since. ``claim`` is the number of its last claim, which reveals a
claim since the last read, and ``lease`` that claim's ttl: a claim consists of its messages, and has no document of its
own. ``claims`` counts claims. Times are milliseconds since 1970, ttls seconds. A document without ``expires`` is no
message, but blocks a position (``posting``).

``subscriptions``: ``scope`` is the ``_id`` of the queue that they belong to, which need not exist.

``dropped``: queues that are being deleted, for the sweep to remove their messages.

``gone``, in messages and subscriptions, is for MongoDB's own removal of expired documents (a TTL index). It depends on
the clock of the machine, not on the clock of decisions, and is SLACK later: no difference of clocks, or clock of a
test, may remove a document early.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from bson.datetime_ms import DatetimeMS
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from partition.errors import WrongStore
from partition.model.clock import system_clock
from partition.model.identifier import MULTIPLIERS, TAGS, Identifiers

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Session, Store

VERSION = 1
# The version of a store with marks: releases that know only VERSION would ignore marks, and refuse it.
FENCED = 2
STORE = "store"

# Milliseconds by which MongoDB's removal is later than ours.
SLACK = 600_000

BY_POSITION = "by_position"
BY_STATE = "by_state"
BY_EXPIRY = "by_expiry"

_TTL = IndexModel("gone", name="gone", expireAfterSeconds=0)

INDEXES = {
    "queues": [
        IndexModel("queue", name="queue", unique=True),
        IndexModel("pending.token", name="pending", sparse=True),
    ],
    "messages": [
        # This index makes positions exclusive, and orders lists that show claimed messages.
        IndexModel([("queue", 1), ("position", 1)], name=BY_POSITION, unique=True),
        # Free messages are one range of it, in order; it also covers the other reasons to hide a message.
        IndexModel([("queue", 1), ("until", 1), ("position", 1), ("expires", 1), ("client", 1)], name=BY_STATE),
        IndexModel([("queue", 1), ("expires", 1)], name=BY_EXPIRY),
        IndexModel("claim", name="claim", sparse=True),
        # For the sweep.
        IndexModel("expires", name="expires", sparse=True),
        IndexModel("until", name="ended", partialFilterExpression={"until": {"$gt": 0}}),
        IndexModel("until", name="due", partialFilterExpression={"until": {"$lt": 0}}),
        _TTL,
    ],
    "subscriptions": [
        IndexModel([("scope", 1), ("subscriber", 1)], name="subscriber", unique=True),
        IndexModel([("scope", 1), ("_id", 1)], name="scope"),
        _TTL,
    ],
    "dropped": [],
}


def gone(expires: int, now: int) -> DatetimeMS:
    """The time at which MongoDB may remove a document that expires at ``expires`` by the clock that reads ``now``."""
    return DatetimeMS(system_clock() + expires - now + SLACK)


async def open_or_prepare(store: Store) -> Identifiers:
    """Prepare the database if it is empty, verify it otherwise; return the identifiers of the store.

    Raises WrongStore.
    """
    async with store.reading() as session:
        hello = await store.database.command("hello", session=session)
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise WrongStore(f"storage {store.where}: a standalone server; make it a replica set of one node or more")
        document = await store.store.find_one({"_id": STORE}, session=session)
        if document is None:
            document = await _prepare(store, session)
    return _identifiers(store, document)


async def verify(store: Store, session: Session) -> None:
    """Raises WrongStore."""
    document = await store.store.find_one({"_id": STORE}, session=session)
    if document is None:
        raise WrongStore(f"storage {store.where}: it is not prepared")
    _identifiers(store, document)


async def _prepare(store: Store, session: Session) -> dict[str, Any]:
    """Create the indexes, then the document: its presence implies theirs. After a crash, the next start completes
    them."""
    found = await _first_document(store, session)
    document = await store.store.find_one({"_id": STORE}, session=session)
    if document is not None:
        return document  # another process was faster
    if found is not None:
        raise WrongStore(f"storage {store.where}: it is a database of something else, with a collection {found!r}")
    for name, indexes in INDEXES.items():
        if indexes:
            await store.database[name].create_indexes(indexes, session=session)
    document = {
        "_id": STORE,
        "version": VERSION,
        "tag": secrets.randbelow(TAGS),
        "multiplier": secrets.randbelow(MULTIPLIERS) | 1,
        "last": 0,
    }
    try:
        await store.store.insert_one(document, session=session)
    except DuplicateKeyError:
        found_since = await store.store.find_one({"_id": STORE}, session=session)
        document = document if found_since is None else found_since
    return document


async def _first_document(store: Store, session: Session) -> str | None:
    for name in await store.database.list_collection_names(session=session):
        if await store.database[name].find_one({}, {"_id": 1}, session=session) is not None:
            return name
    return None


def _identifiers(store: Store, document: dict[str, Any]) -> Identifiers:
    version = document.get("version")
    if version not in (VERSION, FENCED):
        raise WrongStore(
            f"storage {store.where}: it has schema {version}, and this release knows {VERSION} and {FENCED}"
        )
    try:
        return Identifiers(document["tag"], document["multiplier"])
    except (KeyError, TypeError, ValueError) as error:
        raise WrongStore(f"storage {store.where}: its identifiers are damaged ({error})") from error
