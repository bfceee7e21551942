"""Connecting to hosts with names: several addresses, addresses that change, names that cannot be resolved."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator

import pytest

from marconi_proxy.upstream.errors import ConnectFailed, ConnectTimedOut
from marconi_proxy.upstream.pool import Origin, Pool
from marconi_proxy.upstream.resolver import Addresses, Resolver
from tests.faults.conftest import MAX_HEAD
from tests.faults.evil_host import OK, READ, STALL, EvilHost, ever, say, settled

GET = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"
SOON = 0.2


class Named(Pool):
    """A pool with a name server of its own; a name in ``stuck`` is not answered."""

    def __init__(self, connect_timeout: float = 30.0) -> None:
        super().__init__(connect_timeout=connect_timeout, idle_timeout=60.0, max_head=MAX_HEAD)
        self.names: dict[str, Addresses] = {}
        self.stuck: dict[str, threading.Event] = {}
        self.resolver = Resolver(0.0, self._moved, self._look_up)

    def _look_up(self, name: str) -> Addresses:
        if name in self.stuck:
            self.stuck[name].wait()
        if name not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.names[name]

    async def call(self, name: str, host: EvilHost) -> bytes:
        """Call a host by name, over a kept connection if there is one."""
        origin = origin_of(name, host)
        loop = asyncio.get_running_loop()
        connection = self.take(origin, 60.0) or await self.connect(origin, loop.time() + 30.0)
        answer = await connection.exchange(GET, head_only=False, deadline=loop.time() + 30.0, stall=30.0)
        return await answer.read()


def origin_of(name: str, host: EvilHost) -> Origin:
    return Origin.of(f"http://{name}:{host.port}")


@pytest.fixture
async def pool() -> AsyncIterator[Named]:
    pool = Named()
    yield pool
    for event in pool.stuck.values():
        event.set()
    pool.close()
    await settled(lambda: not pool._all)


async def test_the_next_address_is_tried_and_remembered(pool: Named) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        pool.names["h"] = ("127.0.0.77", "127.0.0.1")
        assert await pool.call("h", host) == b"ok"
        assert (await pool.resolver.addresses("h"))[0] == "127.0.0.1"


async def test_no_address_that_accepts(pool: Named) -> None:
    async with EvilHost([STALL]) as host:
        pool.names["h"] = ("127.0.0.77", "127.0.0.78")
        with pytest.raises(ConnectFailed, match="cannot be reached"):
            await pool.call("h", host)


async def test_a_name_that_does_not_exist(pool: Named) -> None:
    async with EvilHost([STALL]) as host:
        with pytest.raises(ConnectFailed, match="cannot be resolved"):
            await pool.call("h", host)


async def test_a_name_that_is_not_answered_takes_no_longer_than_to_connect_and_holds_up_no_other() -> None:
    pool = Named(connect_timeout=SOON)
    pool.stuck["dead"] = threading.Event()
    pool.names["h"] = ("127.0.0.1",)
    async with EvilHost([ever(READ, say(OK))]) as host:
        dead = [asyncio.create_task(pool.call("dead", host)) for _ in range(100)]
        assert await pool.call("h", host) == b"ok"
        assert {type(r) for r in await asyncio.gather(*dead, return_exceptions=True)} == {ConnectTimedOut}
        pool.stuck["dead"].set()
        pool.close()
        await settled(lambda: not pool._all)


async def test_connections_to_an_old_address_are_not_kept(pool: Named) -> None:
    gate = asyncio.Event()

    async def slowly(peer: object) -> None:
        await gate.wait()

    async with EvilHost([READ, say(OK), STALL], [READ, slowly, say(OK), STALL], [ever(READ, say(OK))]) as host:
        pool.names["h"] = ("127.0.0.1",)
        assert await pool.call("h", host) == b"ok"
        kept = pool.take(origin_of("h", host), 60.0)
        assert kept is not None
        busy = asyncio.create_task(pool.call("h", host))
        await settled(lambda: len(host.requests) == 2)
        pool._idle[origin_of("h", host)].append(kept)
        pool._moved("another", ("127.0.0.9",))
        assert kept.usable
        pool._moved("h", ("127.0.0.9",))
        assert not kept.usable
        gate.set()
        assert await busy == b"ok"
        assert pool.take(origin_of("h", host), 60.0) is None
        assert await pool.call("h", host) == b"ok"
        assert host.connections == 3
