"""Members that only acknowledge seals, as cheap for the machine as possible.

The members of a deployment run on machines of their own. Here they share the processors with the parts that are
measured, so only their cost to the store must be real. One process follows the feed for all of them, and one of its
threads makes their writes, without a driver: to MongoDB the bytes of the driver's command, on a connection for each
member; in SQLite the statement of the catalog, in a transaction for each.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import multiprocessing
import random
import socket
import sqlite3
import struct
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, aclosing, contextmanager, suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

import bson

from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import Change, ChangeSubject, Member, QueueKey, Seal
from catalog.sqlite.file import CatalogFile
from catalog.sqlite.members import SQLiteMembers
from marconi_proxy.front_door.membership import CAPABILITIES, LEISURE

# The renewals of a member within its lease.
_RENEWALS = 15
# Shares of the members that acknowledge a preparation one after the other, spread over the time that they may take.
_SHARES = 10


@contextmanager
def running(uri: str, members: int, lease: float) -> Iterator[None]:
    """Run a process with so many members of the catalog until the block ends."""
    if not members:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=_attend, args=(uri, members, lease))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _attend(uri: str, members: int, lease: float) -> None:
    asyncio.run(Crowd(members, lease).attend(uri))


class _Renewals(Protocol):
    def renew(self, members: Iterable[Member]) -> None:
        """Store each member by a write of its own, in parallel as far as the store can."""


class Crowd:
    """So many members. ``lease``: the seconds that each promises."""

    def __init__(self, members: int, lease: float) -> None:
        self._members = {f"crowd/{number}/0": itertools.count(1) for number in range(members)}
        self._lease = lease
        self._applied = 0
        # Seals and preparations in force: none of these members uses a queue.
        self._seals: dict[QueueKey, Seal] = {}
        self._prepared: dict[QueueKey, Seal] = {}
        self._sent: dict[str, frozenset[Seal]] = dict.fromkeys(self._members, frozenset())
        self._shown = asyncio.Event()

    async def attend(self, uri: str) -> None:
        """Register the members, renew them and acknowledge seals, until cancelled."""
        catalog = await open_catalog(uri)
        try:
            for id_ in self._members:
                await catalog.members.register(self._member(id_))
            with _InMongoDB(uri, self._members) if uri.startswith("mongodb:") else _InSQLite(uri) as renewals:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow(catalog))
                    group.create_task(self._renew(renewals))
        finally:
            await catalog.close()

    def _member(self, id_: str) -> Member:
        acks = self._sent[id_] = self._acks()
        return Member(id_, next(self._members[id_]), self._applied, True, acks, CAPABILITIES, self._lease)

    def _acks(self) -> frozenset[Seal]:
        return frozenset([*self._seals.values(), *self._prepared.values()])

    async def _follow(self, catalog: Catalog) -> None:
        async with aclosing(catalog.watch({ChangeSubject.PLACEMENT})) as feed:
            async for event in feed:
                self._applied = event.position
                if isinstance(event, Change):
                    key = QueueKey(*event.name)
                    self._seals.pop(key, None)
                    self._prepared.pop(key, None)
                    if event.seal is not None:
                        self._seals[key] = event.seal
                        self._shown.set()
                    if event.preparation is not None:
                        self._prepared[key] = event.preparation
                        self._shown.set()

    async def _renew(self, renewals: _Renewals) -> None:
        """After a seal, renew all members that did not acknowledge its preparation; after a preparation, one share of
        them after the other; else one member after the other."""
        order = itertools.cycle(random.sample(list(self._members), len(self._members)))
        while True:
            waiting = [id_ for id_, sent in self._sent.items() if not sent.issuperset(self._prepared.values())]
            often = LEISURE / _SHARES if waiting else self._lease / _RENEWALS / len(self._members)
            with suppress(TimeoutError):
                async with asyncio.timeout(often):
                    await self._shown.wait()
                    self._shown.clear()
            due = [
                id_
                for id_, sent in self._sent.items()
                if any(sent.isdisjoint((seal, seal.preparation)) for seal in self._seals.values())
            ]
            due = due or waiting[: len(self._members) // _SHARES + 1] or [next(order)]
            renewing = asyncio.ensure_future(asyncio.to_thread(renewals.renew, [self._member(id_) for id_ in due]))
            try:
                await asyncio.shield(renewing)
            finally:
                await renewing  # a cancellation does not stop the thread, and its connections are closed next


class _InMongoDB(ExitStack):
    """OP_MSG (the MongoDB wire protocol), with the majority-acknowledged update of the driver."""

    def __init__(self, uri: str, ids: Iterable[str]) -> None:
        super().__init__()
        parts = urlsplit(uri)
        self._database = parts.path.lstrip("/")
        address = (parts.hostname, parts.port)
        self._connections = {
            id_: (self.enter_context(socket.create_connection(address, 30.0)), uuid.uuid4()) for id_ in ids
        }

    def renew(self, members: Iterable[Member]) -> None:
        sent = []
        for member in members:
            connection, session = self._connections[member.id]
            connection.sendall(self._message(self._command(member, session)))
            sent.append(connection)
        for connection in sent:
            reply = self._reply(connection)
            if reply.get("n") != 1:
                raise RuntimeError(f"a member was not renewed: {reply}")

    def _command(self, member: Member, session: uuid.UUID) -> dict[str, Any]:
        document = {name: value for name, value in member.to_json().items() if name != "id"}
        earlier = {"_id": member.id, "beat": {"$not": {"$gte": member.beat}}}
        return {
            "update": "members",
            "ordered": True,
            "updates": [{"q": earlier, "u": {"$set": document, "$currentDate": {"renewed": True}}, "multi": True}],
            "writeConcern": {"w": "majority"},
            "lsid": {"id": bson.Binary.from_uuid(session)},
            "$db": self._database,
        }

    @staticmethod
    def _message(command: dict[str, Any]) -> bytes:
        body = b"\0\0\0\0\0" + bson.encode(command)
        return struct.pack("<iiii", 16 + len(body), 0, 0, 2013) + body

    @staticmethod
    def _reply(connection: socket.socket) -> dict[str, Any]:
        received = connection.recv(65536)
        while len(received) < 4 or len(received) < struct.unpack_from("<i", received)[0]:
            more = connection.recv(65536)
            if not more:
                raise RuntimeError("the store has closed the connection of a member")
            received += more
        return bson.decode(received[21:])


class _InSQLite(ExitStack):
    def __init__(self, uri: str) -> None:
        super().__init__()
        path = uri.removeprefix("sqlite:///")
        self._members = SQLiteMembers(CatalogFile(path))
        self._connection = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        self.callback(self._connection.close)
        self._connection.execute("PRAGMA synchronous=NORMAL")

    def renew(self, members: Iterable[Member]) -> None:
        for member in members:
            self._connection.execute("BEGIN IMMEDIATE")
            inspect.unwrap(SQLiteMembers.renew)(self._members, self._connection, member)
            self._connection.execute("COMMIT")
