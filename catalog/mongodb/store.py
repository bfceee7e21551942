"""The connection to MongoDB, and the rules that every conversation with it keeps.

*Writes* are acknowledged by a majority and retried by the driver under one transaction number, so that a primary that
is lost between a write and its reply costs an election, not a doubt: the new primary knows whether it was done.

*Reads* go to the primary with read concern ``majority``, in a causally consistent session whose operation time is the
newest this process has seen: from its own writes, from earlier reads, and from the change feed. So:

* what is read can never be rolled back (``local`` could show a write that an election undoes);
* a write acknowledged by the same primary is seen, whichever process wrote it: a majority write returns after the
  primary's majority snapshot has passed it;
* a process never reads from before what its feed has shown, whichever node answers. A primary that was deposed, or was
  just elected and does not know yet how far its predecessor's writes were committed, makes such a read wait.

What remains: until an election's outcome has reached this process, it may read what was true when the election began,
if nothing told it of later writes. ``linearizable`` reads would close that gap too, but each is a write to the oplog;
measured on one node they take 100 ms instead of 0.5. It does no harm: a worker in that position cannot renew its
lease, and whoever moves a queue waits for its acknowledgement, which it gives by the feed.
"""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
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

# What pymongo raises for a URI; InvalidURI and InvalidName are among these, OSError is for files of TLS.
_REFUSALS = (PyMongoError, ValueError, TypeError, OSError, Warning)

# Seconds for one verb of the catalog, all its steps and the driver's retries together.
VERB_TIMEOUT = 5.0
# Seconds for one batch of a backup, read or written. Nobody waits for it but an operator, to whom a store that is busy
# for a while is nothing, and the end of an import is a catalog that cannot be served.
BATCH_TIMEOUT = 60.0
# Milliseconds to find a primary: shorter, so that the clearer message wins.
_SELECTION_TIMEOUT_MS = 3000


def _fault(uri: str, error: Exception) -> str:
    """Say what is wrong with a URI that pymongo refused with ``error``: of an option its name, and no secret."""
    options = uri.partition("?")[2]
    # With an "@" in it, this may begin inside a password whose reserved characters were not escaped.
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
    """One client, one database. ``where`` names the hosts and the database, never a user or password."""

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
                # Given here, so that options in the URI (w=1, readPreference=secondary) cannot weaken what is promised.
                self.database = self._client.get_default_database(
                    read_preference=ReadPreference.PRIMARY,
                    read_concern=ReadConcern("majority"),
                    write_concern=WriteConcern("majority"),
                )
            except _REFUSALS as error:
                raise BadCatalogURI(_fault(uri, error)) from None  # the error chain may hold a secret
        if "." in split(uri).path:  # pymongo takes the rest for the name of a collection
            raise BadCatalogURI("the name of a MongoDB database has no dot in it")
        seeds = split(uri).authority.rpartition("@")[2]
        self.where = f"MongoDB catalog {seeds}/{self.database.name}"
        self._newest: Timestamp | None = None
        self._unfinished: set[asyncio.Task[Any]] = set()
        self._abandoned: set[asyncio.Task[Any]] = set()
        self._closed = False

    def unavailable(self, reason: str) -> CatalogUnavailable:
        """Make the error that names the store."""
        return CatalogUnavailable(f"{self.where}: {reason}")

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise CatalogUnavailable in place of what pymongo raises."""
        try:
            yield
        except (PyMongoError, BSONError) as error:
            # The topology that pymongo appends to many messages is long, and repeats ``where``.
            reason = str(error).partition(", Timeout:")[0].partition(", Topology Description:")[0]
            raise self.unavailable(f"{type(error).__name__}: {reason}") from error

    @asynccontextmanager
    async def conversation(self, seconds: float | None = None) -> AsyncIterator[Session]:
        """Have a causally consistent session for one verb, all of which is over within ``seconds`` (VERB_TIMEOUT)."""
        with self.translated(), pymongo.timeout(seconds or VERB_TIMEOUT):
            async with self._client.start_session(causal_consistency=True) as session:
                if self._newest is not None:
                    session.advance_operation_time(self._newest)
                try:
                    yield session
                finally:
                    if session.operation_time is not None:
                        self.seen(session.operation_time)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """Have a session whose reads all show the instant of the first one (committed by a majority)."""
        async with self._client.start_session(snapshot=True) as session:
            yield session

    def seen(self, time: Timestamp) -> None:
        """Let no later read be answered from before ``time``."""
        if self._newest is None or time > self._newest:
            self._newest = time

    async def finish(self, steps: Coroutine[Any, Any, T]) -> T:
        """Run a verb of several steps to its end, also if the caller is cancelled: half of one is worse than none."""
        task = asyncio.ensure_future(steps)
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def abandon(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task whose end nobody wants to wait for, not even ``close``, which makes it end."""
        self._abandoned.add(task)
        task.add_done_callback(self._finished)
        task.cancel()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._unfinished.discard(task)
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may be gone; asyncio would complain that nobody looked

    async def close(self) -> None:
        """Let verbs that were begun end (each is bounded by its timeout), then disconnect. Idempotent."""
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
    """Have a verb of several steps run to its end, as ``CatalogDatabase.finish``."""

    @wraps(verb)
    async def whole(noun: N, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await noun._store.finish(verb(noun, *args, **kwargs))

    return whole
