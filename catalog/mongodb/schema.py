"""Indexes and the schema version."""

from __future__ import annotations

from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError, OperationFailure

from catalog.errors import NotInitialised, WrongSchema
from catalog.interface import SCHEMA_VERSION
from catalog.model import KINDS, RARE_STATES
from catalog.mongodb import mark
from catalog.mongodb.partitions import claim_addresses

if TYPE_CHECKING:
    from catalog.mongodb.plans import MongoDBPlans
    from catalog.mongodb.store import CatalogDatabase, Session

_ID = "schema"
_IDENTITY = "identity"
_EARLIER = list(range(1, SCHEMA_VERSION))
# Seconds for an index: over many documents it takes long, and other servers go on meanwhile.
_INDEX_TIMEOUT = 3600.0
# That of MongoDB 6.0, the first with $in in the condition of a partial index.
_WIRE_VERSION = 17
_NAMESPACE_EXISTS = 48

# Indexes of placements, by name.
BY_KEY = "_id_"
BY_PARTITION = "partition"
BY_RARE_STATE = "rare_state"
BY_RARE_STATE_AND_PARTITION = "rare_state_and_partition"
_RARE = {"state": {"$in": sorted(state.value for state in RARE_STATES)}}
# All are created here: a snapshot cannot be older than a collection that it reads.
_COLLECTIONS = ("catalog", "members", "held_writes", *(f"{kind}s" for kind in KINDS))
# The unique index ``unfinished`` limits a queue to one unfinished move.
_INDEXES = {
    "placements": [
        IndexModel([("segments.partition", 1), ("_id", 1)], name=BY_PARTITION),
        IndexModel([("state", 1), ("_id", 1)], name=BY_RARE_STATE, partialFilterExpression=_RARE),
        IndexModel(
            [("state", 1), ("segments.partition", 1), ("_id", 1)],
            name=BY_RARE_STATE_AND_PARTITION,
            partialFilterExpression=_RARE,
        ),
    ],
    "partitions": [
        IndexModel(
            [("addresses", 1)],
            name="address",
            unique=True,
            partialFilterExpression={"addresses": {"$exists": True}},
        ),
    ],
    "moves": [
        IndexModel(
            [("project", 1), ("queue", 1)],
            name="unfinished",
            unique=True,
            partialFilterExpression={"unfinished": True},
        ),
        IndexModel([("project", 1), ("queue", 1), ("_id", 1)], name="queue"),
        IndexModel([("partitions", 1), ("_id", 1)], name="partition"),
        IndexModel([("state", 1), ("_id", 1)], name="state"),
        IndexModel([("plan", 1), ("_id", 1)], name="plan"),
        IndexModel([("ended", 1), ("_id", 1)], name="ended", partialFilterExpression={"unfinished": False}),
        *(
            IndexModel(
                [(field, 1) for field in ("unfinished", *fields, "_id")],
                name="_".join(["unfinished_moves", *fields]),
                partialFilterExpression={"unfinished": True},
            )
            for fields in ([], ["partitions"], ["project"], ["plan"])
        ),
        IndexModel([("plan", 1), ("state", 1), ("_id", 1)], name="plan_and_state"),
    ],
    "plans": [IndexModel([("active", 1), ("_id", 1)], name="active")],
    "planned_moves": [
        IndexModel([("plan", 1), ("number", 1)], name="number"),
        IndexModel([("plan", 1), ("outcome", 1), ("number", 1)], name="outcome"),
        IndexModel([("plan", 1), ("project", 1), ("queue", 1)], name="queue", unique=True),
    ],
    "tenants": [
        IndexModel([("pinned", 1), ("_id", 1)], name="pinned"),
        IndexModel([("spread", 1), ("_id", 1)], name="spread"),
    ],
}


async def _version(store: CatalogDatabase, session: Session) -> object:
    document = await store.database["catalog"].find_one({"_id": _ID}, session=session)
    return None if document is None else document.get("version")


def _refuse_others(store: CatalogDatabase, version: object) -> None:
    if version != SCHEMA_VERSION:
        raise _wrong(store, version)


def _wrong(store: CatalogDatabase, version: object) -> WrongSchema:
    return WrongSchema(f"{store.where} has schema version {version}, this release works with {SCHEMA_VERSION}")


async def _require_fit_server(store: CatalogDatabase, session: Session) -> None:
    hello = await store.database.command("hello", session=session)
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise store.unavailable("a standalone server has no change streams; make it a replica set of one node or more")
    if hello.get("maxWireVersion", 0) < _WIRE_VERSION:
        raise store.unavailable("the server is older than MongoDB 6.0")


async def check(store: CatalogDatabase) -> None:
    """Raise NotInitialised, WrongSchema or LoadUnfinished unless this release can work with the database."""
    async with store.conversation() as session:
        await _require_fit_server(store, session)
        version = await _version(store, session)
        if version == SCHEMA_VERSION:
            await mark.refuse_half(store, session)
    if version is None:
        raise NotInitialised(f"{store.where} was never initialised")
    if version in _EARLIER:
        raise WrongSchema(f"{_wrong(store, version)}; marconi-proxy catalog init upgrades it")
    _refuse_others(store, version)


async def identity(store: CatalogDatabase) -> str:
    """Return the catalog's token. Raises CatalogUnavailable if it has none, as in earlier releases."""
    async with store.conversation() as session:
        document = await store.database["catalog"].find_one({"_id": _IDENTITY}, session=session)
    if document is None:
        raise store.unavailable("it has no identity yet: marconi-proxy catalog init gives it one")
    return str(document["token"])


async def init(store: CatalogDatabase, plans: MongoDBPlans) -> None:
    """Create collections, indexes and the schema version, in this order: the version comes last.

    A crash leaves some of them; the next ``init`` creates the rest. Documents of an earlier version stay, except plans,
    which are converted. Raises WrongSchema before any change.
    """
    async with store.conversation() as session:
        await _require_fit_server(store, session)
        version = await _version(store, session)
    if version is None or version in _EARLIER:
        await _bring_up_to_date(store, plans)
    async with store.conversation() as session:
        version = await _version(store, session)
        if version == SCHEMA_VERSION:
            await mark.forget_idle_mark(store, session)
    _refuse_others(store, version)


async def _bring_up_to_date(store: CatalogDatabase, plans: MongoDBPlans) -> None:
    async with store.conversation(_INDEX_TIMEOUT) as session:
        for collection in _COLLECTIONS:
            await _create(store, collection, session)
        for collection, indexes in _INDEXES.items():
            await store.database[collection].create_indexes(indexes, session=session)
        await claim_addresses(store, session)
        with suppress(DuplicateKeyError):
            await store.database["catalog"].insert_one({"_id": _IDENTITY, "token": token_hex(8)}, session=session)
        await plans.carry_over()
        with suppress(DuplicateKeyError):  # another init was faster
            # Updates the document of an earlier version, or inserts one.
            await store.database["catalog"].update_one(
                {"_id": _ID, "version": {"$in": _EARLIER}},
                {"$set": {"version": SCHEMA_VERSION}},
                upsert=True,
                session=session,
            )


async def _create(store: CatalogDatabase, collection: str, session: Session) -> None:
    try:
        await store.database.create_collection(collection, check_exists=False, session=session)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise


async def ping(store: CatalogDatabase) -> None:
    """Write a document that is never read, which needs a primary and a majority."""
    now = {"$currentDate": {"at": True}}
    async with store.conversation() as session:
        await store.database["catalog"].update_one({"_id": "ping"}, now, upsert=True, session=session)
