"""The state that connections share: the date, room, and the end of it all."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from serving.server import LINGER
from tests.unit.serving.stage import CHUNKED, LIMITS, POST, Application, Client, head, pass_time, serve, settle


@pytest.fixture
async def application() -> Application:
    return Application()


async def test_the_date_is_made_once_a_second(application, monkeypatch):
    server = serve(application)
    wall = 1_700_000_000.25
    monkeypatch.setattr(time, "time", lambda: wall)
    first = server.date_line()
    assert first == b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
    wall += 0.5
    server.loop.now += 0.5
    assert server.date_line() is first
    wall += 0.25
    server.loop.now += 0.25
    assert server.date_line() == b"date: Tue, 14 Nov 2023 22:13:21 GMT\r\n"


async def test_the_room_for_bodies(application):
    server = serve(application, max_bodies=10)
    assert server.reserve(10)
    assert not server.reserve(1)
    server.release(1)
    assert server.reserve(1)


async def test_the_end_closes_idle_connections_and_waits_for_answers(application):
    server = serve(application)
    idle, silent, busy, late = (Client(server) for _ in range(4))
    await idle.send(head())
    application.go.clear()
    await busy.send(POST)
    await late.send(head()[:-1])
    closing = asyncio.create_task(server.close(60.0))
    await settle()
    assert [client.closed for client in (idle, silent, busy, late)] == [True, True, False, False]
    application.go.set()
    await settle()
    await late.send(b"\n")
    await closing
    assert [client.answers[-1][1][b"connection"] for client in (busy, late)] == [b"close", b"close"]
    assert server.connections == set()


async def test_requests_that_do_not_end_are_cut_off(application):
    server = serve(application)
    application.go.clear()
    client = Client(server)
    await client.send(POST)
    await server.close(0.0)
    assert client.transport.aborted
    assert client.statuses == []
    assert server.tasks == set()


async def test_a_server_without_connections_ends_at_once(application):
    await serve(application).close(60.0)


async def test_timeouts_are_enforced_until_cancelled(application, monkeypatch):
    server = serve(application, head_timeout=0.0)
    client = Client(server)
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await server.watch()
    assert client.closed


SENT = [
    head(),
    head() * 3,
    POST,
    POST[:-1],
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"z\r\n",
    b"\x00",
    b"GET",
    b"",
]


async def test_ten_thousand_connections_leave_nothing(application):
    """No task, no object, no room taken: however each ended."""
    server = serve(application)
    tasks = len(asyncio.all_tasks())

    async def hundreds(count: int) -> int:
        for _ in range(count):
            clients = [Client(server) for _ in range(100)]
            for number, client in enumerate(clients):
                client.connection.data_received(SENT[number % len(SENT)])
            await settle()
            for number, client in enumerate(clients):
                if number % 3 == 0:
                    client.transport.abort()
                elif not client.closed and not client.connection.eof_received():
                    client.transport.close()
            await pass_time(server, LINGER)
        gc.collect()
        return len(gc.get_objects())

    objects = await hundreds(2)
    assert await hundreds(100) - objects < 100
    assert (len(asyncio.all_tasks()), server.tasks, server.connections) == (tasks, set(), set())
    assert [len(each) for each in (server.heads, server.bodies, server.idle, server.stuck, server.lingering)] == [0] * 5
    assert server.reserve(LIMITS.max_bodies)
