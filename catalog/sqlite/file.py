"""The file of a catalog, and its verbs: each is one transaction on one of a few connection threads."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from catalog.sqlite.connection_thread import ConnectionThread
from catalog.sqlite.touches import touch

P = ParamSpec("P")
T = TypeVar("T")


class CatalogFile:
    """The file ``path``, used by any number of processes at once.

    Writes are serialized on one thread, and by ``BEGIN IMMEDIATE`` across processes. Reads have another one and never
    wait for a writer (write-ahead log). Long reads of an index, such as counts, have a third, so that other reads need
    not wait for them. ``feeds`` have a thread each, and so have ``snapshots``.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.writing = ConnectionThread(
            self.path, "write", begin="BEGIN IMMEDIATE", committed=partial(touch, self.path)
        )
        # The members are processes of this machine: a power cut ends them, too.
        self.registering = ConnectionThread(self.path, "members", begin="BEGIN IMMEDIATE", durable=False)
        self.reading = ConnectionThread(self.path, "read", begin="BEGIN")
        self.counting = ConnectionThread(self.path, "count", begin="BEGIN")
        self.feeds: set[ConnectionThread] = set()
        self.snapshots: set[ConnectionThread] = set()

    async def write(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function(connection, ...)`` as a writing transaction (``ConnectionThread.transact``)."""
        return await self.writing.transact(function, *args, **kwargs)

    async def close(self) -> None:
        """Close all threads. Idempotent."""
        threads = (self.writing, self.registering, self.reading, self.counting)
        for thread in (*threads, *self.feeds, *self.snapshots):
            await thread.close()


class Noun:
    """The part of a file that one noun's verbs use."""

    def __init__(self, file: CatalogFile) -> None:
        self._file = file
        self._path = file.path


N = TypeVar("N", bound=Noun)
Inside = Callable[Concatenate[N, sqlite3.Connection, P], T]
Verb = Callable[Concatenate[N, P], Coroutine[Any, Any, T]]


def writing(inside: Inside[N, P, T]) -> Verb[N, P, T]:
    """Return the verb that runs ``inside`` in a writing transaction."""

    @wraps(inside)
    async def verb(noun: N, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await noun._file.write(lambda connection: inside(noun, connection, *args, **kwargs))

    return verb


def registering(inside: Inside[N, P, T]) -> Verb[N, P, T]:
    """Return the verb that runs ``inside`` in a writing transaction that need not survive a power cut."""

    @wraps(inside)
    async def verb(noun: N, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await noun._file.registering.transact(lambda connection: inside(noun, connection, *args, **kwargs))

    return verb


def reading(inside: Inside[N, P, T]) -> Verb[N, P, T]:
    """Return the verb that runs ``inside`` in a reading transaction."""

    @wraps(inside)
    async def verb(noun: N, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await noun._file.reading.transact(lambda connection: inside(noun, connection, *args, **kwargs))

    return verb


def counting(inside: Inside[N, P, T]) -> Verb[N, P, T]:
    """Return the verb that runs ``inside`` in a long reading transaction."""

    @wraps(inside)
    async def verb(noun: N, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await noun._file.counting.transact(lambda connection: inside(noun, connection, *args, **kwargs))

    return verb
