"""The connection to MongoDB, and the rules of every conversation with it.

*Writes* are acknowledged by a majority and retried by the driver under one transaction number, so that the loss
of a primary between a write and its reply costs an election only: the new primary knows whether the write was done.

*Reads* go to the primary with read concern ``majority``, in a causally consistent session. Its operation time is the
newest this process has seen: from its own writes, from earlier reads, and from the change feed. So:

* a read never returns data that can be rolled back (``local`` could return a write that an election undoes);
* a read sees every write that the same primary acknowledged to any process: a majority write returns after the
  primary's majority snapshot contains it;
* a read sees all that the feed of its process has shown, from any node. A primary that was deposed, or was just
  elected and does not know the commit point of its predecessor yet, makes such a read wait.

One gap remains: until a process learns of an election, it may read the state at the beginning of the election, unless
its feed or its own calls have shown later writes. ``linearizable`` reads would close this gap, but each is a write to
the oplog: on one node they take 100 ms instead of 0.5. The gap does no harm. A worker in this situation cannot renew
its lease, and a mover waits for the acknowledgement of the worker, which follows the feed.
"""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

import pymongo
from bson import Timestamp
from bson.errors import BSONError
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import split_options

from catalog.errors import BadCatalogURI, CatalogUnavailable
from catalog.uri import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.asynchronous.client_session import AsyncClientSession
    from pymongo.asynchronous.collection import AsyncCollection

    Session = AsyncClientSession
    Collection = AsyncCollection[dict[str, Any]]

P = ParamSpec("P")
T = TypeVar("T")

# The errors of pymongo for a URI: these include InvalidURI and InvalidName; OSError is for files of TLS.
_REFUSALS = (PyMongoError, ValueError, TypeError, OSError, Warning)

# Seconds for one verb of the catalog, all its steps and the driver's retries together.
VERB_TIMEOUT = 5.0
# Seconds for one batch of a backup, read or written. Only an operator waits for it, and can wait for a busy store; a
# failed import leaves a catalog that cannot be served.
BATCH_TIMEOUT = 60.0
# Milliseconds to find a primary: shorter than VERB_TIMEOUT, for the clearer message.
_SELECTION_TIMEOUT_MS = 3000


def _fault(uri: str, error: Exception) -> str:
    """Return the fault of a URI that pymongo refused with ``error``: with the name of a bad option, without secrets."""
    options = uri.partition("?")[2]
    # With an "@" in it, this may begin inside a password with unescaped reserved characters.
    if options and "@" not in options and (wrong := _wrong_option(re.split("[&;]", options))):
        return (
            f"the MongoDB URI has a bad option, {wrong}: it is unknown or deprecated, its value is not accepted,"
            " or it contradicts an option before it"
        )
    words = (
        "the MongoDB URI is malformed, or its options do not fit its hosts, its user or the files that they name;"
        " reserved characters in user and password must be %-escaped"
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


class CatalogDatabase:
    """One client, one database. ``where`` has the hosts and the database, never a user or password."""

    def __init__(self, uri: str) -> None:
        """Parse ``uri``; connect later. Raises BadCatalogURI."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pymongo only warns of a misspelt option (of TLS, say)
            try:
                self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                    uri,
                    appname="marconi-proxy",
                    retryWrites=True,
                    retryReads=True,
                    serverSelectionTimeoutMS=_SELECTION_TIMEOUT_MS,
                    connectTimeoutMS=_SELECTION_TIMEOUT_MS,
                )
                # Set here, so that options in the URI (w=1, readPreference=secondary) cannot weaken these guarantees.
                self.database = self._client.get_default_database(
                    read_preference=ReadPreference.PRIMARY,
                    read_concern=ReadConcern("majority"),
                    write_concern=WriteConcern("majority"),
                )
            except _REFUSALS as error:
                raise BadCatalogURI(_fault(uri, error)) from None  # the error chain may contain a secret
        if "." in split(uri).path:  # pymongo takes the rest for the name of a collection
            raise BadCatalogURI("the name of a MongoDB database has no dot in it")
        seeds = split(uri).authority.rpartition("@")[2]
        self.where = f"MongoDB catalog {seeds}/{self.database.name}"
        self._newest: Timestamp | None = None
        self._unfinished: set[asyncio.Task[Any]] = set()
        self._abandoned: set[asyncio.Task[Any]] = set()
        self._closed = False

    def unavailable(self, reason: str) -> CatalogUnavailable:
        """Return the error with the name of the store."""
        return CatalogUnavailable(f"{self.where}: {reason}")

    def read(self, collection: str, reader: Callable[[Mapping[str, Any]], T], document: Mapping[str, Any]) -> T:
        """Return the value in a document. Raises CatalogUnavailable with the id of a damaged one."""
        try:
            return reader(document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"{collection}: the document {document.get('_id')!r} is damaged ({error})"
            raise self.unavailable(reason) from error

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise CatalogUnavailable in place of the errors of pymongo."""
        try:
            yield
        except (PyMongoError, BSONError) as error:
            # The topology that pymongo appends to many messages is long, and repeats ``where``.
            reason = str(error).partition(", Timeout:")[0].partition(", Topology Description:")[0]
            raise self.unavailable(f"{type(error).__name__}: {reason}") from error

    @asynccontextmanager
    async def conversation(self, seconds: float | None = None) -> AsyncIterator[Session]:
        """Open a causally consistent session for one verb, which as a whole ends within ``seconds`` (VERB_TIMEOUT)."""
        with self.translated(), pymongo.timeout(seconds or VERB_TIMEOUT):
            async with self._client.start_session(causal_consistency=True) as session:
                if self._newest is not None:
                    session.advance_operation_time(self._newest)
                try:
                    yield session
                finally:
                    if session.operation_time is not None:
                        self.seen(session.operation_time)

    async def page(
        self, collection: Collection, condition: dict[str, Any], limit: int, *, by: str = "_id", hint: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the first ``limit`` documents in the order of the field ``by``; ``hint``: the index to use, if any."""
        if limit < 1:
            return []  # MongoDB takes 0 for "no limit"
        async with self.conversation() as session:
            return await collection.find(condition, sort=[(by, 1)], limit=limit, hint=hint, session=session).to_list()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """Open a snapshot session: all its reads see the instant of the first one, committed by a majority."""
        async with self._client.start_session(snapshot=True) as session:
            yield session

    def seen(self, time: Timestamp) -> None:
        """Make all later reads see at least the writes up to ``time``."""
        if self._newest is None or time > self._newest:
            self._newest = time

    async def finish(self, steps: Coroutine[Any, Any, T]) -> T:
        """Run a verb of several steps to its end, also if the caller is cancelled, so that none ends half done."""
        task = asyncio.ensure_future(steps)
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def abandon(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task without waiting for its end; ``close`` waits a second at most."""
        self._abandoned.add(task)
        task.add_done_callback(self._finished)
        task.cancel()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._unfinished.discard(task)
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may be gone, and asyncio warns of exceptions that are never retrieved

    async def close(self) -> None:
        """Wait for the end of verbs in progress (each has a timeout), then disconnect. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._unfinished:
            await asyncio.wait(set(self._unfinished))
        await self._client.close()
        if self._abandoned:  # they have no connections any more
            await asyncio.wait(set(self._abandoned), timeout=1.0)


class _Noun(Protocol):
    _store: CatalogDatabase


N = TypeVar("N", bound=_Noun)
Verb = Callable[Concatenate[N, P], Coroutine[Any, Any, T]]


def finished(verb: Verb[N, P, T]) -> Verb[N, P, T]:
    """Decorate a verb of several steps so that it runs to its end (``CatalogDatabase.finish``)."""

    @wraps(verb)
    async def whole(noun: N, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await noun._store.finish(verb(noun, *args, **kwargs))

    return whole
