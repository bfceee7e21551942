"""The connection to MongoDB, and the rules for every session.

*Writes* are acknowledged by a majority, and those of one document are retried by the driver under one transaction
number: a primary that is lost between a write and its reply costs an election, not a doubt. Those of several documents
are written so that they can be repeated (``Store.repeated``).

*Reads* go to the primary with read concern ``majority``, so returned data can never be rolled back, in a causally
consistent session that starts at the newest time this process has seen: on a new primary, such a read waits until the
commit point of its predecessor is known.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pymongo
from bson import Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.errors import AutoReconnect, PyMongoError, ServerSelectionTimeoutError, WaitQueueTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import split_options

from partition.errors import BadStorageURI, StorageUnavailable
from partition.storage.uri import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.asynchronous.client_session import AsyncClientSession
    from pymongo.asynchronous.collection import AsyncCollection

    Session = AsyncClientSession
    Collection = AsyncCollection[dict[str, Any]]

T = TypeVar("T")

# The exceptions of pymongo for a URI; InvalidURI and InvalidName are among these, OSError is for files of TLS.
_REFUSALS = (PyMongoError, ValueError, TypeError, OSError, Warning)

# Seconds for one call of the storage, all its steps and repetitions together.
CALL_TIMEOUT = 10.0
# Milliseconds to find a primary: shorter, so that the clearer message wins.
_SELECTION_TIMEOUT_MS = 3000
# How often a write of several documents is repeated when the primary is lost.
_REPETITIONS = 5

# With these, nothing was sent: the driver raises them only for its first attempt.
_NOT_SENT = (ServerSelectionTimeoutError, WaitQueueTimeoutError)

_GOOD = "a good one is mongodb://host1,host2/database?replicaSet=name"


def reason(error: Exception) -> str:
    """The message of an error, on one line."""
    text = str(error)
    # The part that pymongo appends to many messages is long, and its topology repeats ``where``.
    for appendix in (", Timeout:", ", Topology Description:", ", full error:"):
        text = text.partition(appendix)[0]
    return f"{type(error).__name__}: {text}"


def _fault(uri: str, error: Exception) -> str:
    """Describe the fault of a URI that pymongo refused with ``error``: it names an option, and contains no secret."""
    options = uri.partition("?")[2]
    # With an "@" in it, this may begin inside a password whose reserved characters were not escaped.
    if options and "@" not in options and (wrong := _wrong_option(re.split("[&;]", options))):
        return (
            f"the MongoDB URI has a bad option, {wrong}: it is unknown or deprecated, its value is not accepted,"
            f" or it contradicts an option before it; {_GOOD}"
        )
    words = (
        "the MongoDB URI is malformed, or its options do not fit its hosts, its user or the files that they name;"
        f" reserved characters in user and password must be %-escaped; {_GOOD}"
    )
    return words if "@" in uri else f"{words}: {error}"


def _wrong_option(options: list[str]) -> str | None:
    """Return the first of these options that pymongo refuses after those before it, None if there is none."""
    for number, option in enumerate(options, 1):
        try:
            split_options("&".join(options[:number]))
        except _REFUSALS:
            name, equals, _ = option.partition("=")
            return name if name and equals else f"number {number}"
    return None


class Store:
    """One client, one database. ``where`` names the hosts and the database, never a user or password."""

    def __init__(self, uri: str) -> None:
        """Parse ``uri``; connect later. Raises BadStorageURI."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pymongo only warns of a misspelt option (of TLS, say)
            try:
                self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                    uri,
                    appname="marconi-partition",
                    retryWrites=True,
                    retryReads=True,
                    serverSelectionTimeoutMS=_SELECTION_TIMEOUT_MS,
                    connectTimeoutMS=_SELECTION_TIMEOUT_MS,
                )
                # Given here, so that options in the URI (w=1, readPreference=secondary) cannot weaken the guarantees.
                self.database = self._client.get_default_database(
                    codec_options=CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS),
                    read_preference=ReadPreference.PRIMARY,
                    read_concern=ReadConcern("majority"),
                    write_concern=WriteConcern("majority"),
                )
            except _REFUSALS as error:
                raise BadStorageURI(_fault(uri, error)) from None  # the error chain may hold a secret
        if "." in split(uri).path:  # pymongo takes the rest for the name of a collection
            raise BadStorageURI("the name of a MongoDB database has no dot in it")
        seeds = split(uri).authority.rpartition("@")[2]
        self.where = f"MongoDB {seeds}/{self.database.name}"
        self.queues: Collection = self.database["queues"]
        self.messages: Collection = self.database["messages"]
        self.subscriptions: Collection = self.database["subscriptions"]
        self.dropped: Collection = self.database["dropped"]
        self.store: Collection = self.database["store"]
        # For reads that a conditional write verifies: they may return data that a majority does not have yet.
        self.unsettled: Collection = self.queues.with_options(read_concern=ReadConcern("local"))
        self._newest: Timestamp | None = None

    def unavailable(self, reason: str, *, maybe_done: bool = False) -> StorageUnavailable:
        """Make the error that names the store."""
        return StorageUnavailable(f"storage {self.where}: {reason}", maybe_done=maybe_done)

    @contextmanager
    def translated(self, *, writing: bool, begun: bool = False) -> Iterator[None]:
        """Raise StorageUnavailable in place of what pymongo raises.

        ``maybe_done`` is exact: always true with ``begun``, never without ``writing``, otherwise true if in doubt.
        """
        try:
            yield
        except (PyMongoError, BSONError) as error:
            maybe_done = begun or (writing and not isinstance(error, (*_NOT_SENT, BSONError)))
            raise self.unavailable(reason(error), maybe_done=maybe_done) from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """Open a session for one call that writes nothing, or nothing of importance."""
        with self.translated(writing=False), pymongo.timeout(CALL_TIMEOUT):
            async with self._session() as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Session]:
        """Open a session for one call. A failed call may have been done."""
        with self.translated(writing=True), pymongo.timeout(CALL_TIMEOUT):
            async with self._session() as session:
                yield session

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        async with self._client.start_session(causal_consistency=True) as session:
            if self._newest is not None:
                session.advance_operation_time(self._newest)
            try:
                yield session
            finally:
                seen = session.operation_time
                if seen is not None and (self._newest is None or seen > self._newest):
                    self._newest = seen

    async def repeated(self, step: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return what ``step`` returned, and whether it took more than one attempt.

        For writes of several documents, which the driver does not repeat when the primary is lost. ``step`` must be
        idempotent.
        """
        for attempt in range(_REPETITIONS):
            try:
                return await step(), attempt > 0
            except AutoReconnect as error:
                if isinstance(error, _NOT_SENT):
                    raise self.unavailable(reason(error), maybe_done=attempt > 0) from error
        return await step(), True

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        await self._client.close()
