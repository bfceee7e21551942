"""gunicorn's worker without a master: its heartbeat, its drain, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from serving.worker import ServingWorker
from tests.unit.serving.stage import LIMITS

# Seconds that no test waits for.
LONG = 600.0


class Life:
    """An application that notes the phases of its life, and answers 204 when ``go`` is set."""

    def __init__(self, outcome: str = "complete") -> None:
        self.phases: list[str] = []
        self._outcome = outcome
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope, receive, send) -> None:
        while scope["type"] == "lifespan":
            phase = (await receive())["type"].removeprefix("lifespan.")
            self.phases.append(phase)
            await send({"type": f"lifespan.{phase}.{self._outcome}"})
            self.started.set()
            if phase == "shutdown" or self._outcome == "failed":
                return
        await self.go.wait()
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})


class Listening:
    """gunicorn's wrapper of a socket."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.address = self.sock.getsockname()

    def close(self) -> None:
        self.sock.close()


def make_worker(application: Life, listening: Listening, drain_time: float = LONG) -> ServingWorker:
    worker = ServingWorker.__new__(ServingWorker)
    worker.wsgi = application
    worker.app = SimpleNamespace(limits=LIMITS, drain_time=drain_time, graceful_timeout=LONG)
    worker.cfg = Config()
    worker.sockets = [listening]
    worker.ppid = os.getppid()
    worker.beats = []
    worker.notify = lambda: worker.beats.append(1)
    return worker


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return await reader.readuntil(b"\r\n\r\n")


@pytest.fixture
def listening():
    listening = Listening()
    yield listening
    listening.close()


async def test_a_worker_drains_before_it_ends(listening):
    application = Life()
    worker = make_worker(application, listening)
    serving = asyncio.create_task(worker._serve())
    await application.started.wait()
    kept = await asyncio.open_connection(*listening.address)
    assert b"connection:" not in await ask(*kept)
    os.kill(os.getpid(), signal.SIGTERM)
    await worker._stopping.wait()
    # The load balancer has not noticed yet: it sends requests on both old and new connections.
    new = await asyncio.open_connection(*listening.address)
    assert b"connection: close\r\n" in await ask(*kept)
    assert b"connection: close\r\n" in await ask(*new)
    assert await kept[0].read() == b""
    os.kill(os.getpid(), signal.SIGTERM)  # from the master, after that of a service manager: not the end of the drain
    again = await asyncio.open_connection(*listening.address)
    assert b"connection: close\r\n" in await ask(*again)
    os.kill(os.getpid(), signal.SIGINT)
    assert await serving is True
    assert application.phases == ["startup", "shutdown"]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*listening.address)
    for _, writer in (kept, new, again):
        writer.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
async def test_an_interrupt_ends_the_worker_without_a_drain(listening, number):
    application = Life()
    serving = asyncio.create_task(make_worker(application, listening)._serve())
    await application.started.wait()
    _, writer = await asyncio.open_connection(*listening.address)
    os.kill(os.getpid(), number)
    assert await serving is True
    writer.close()


async def test_a_drain_ends_by_itself(listening):
    application = Life()
    worker = make_worker(application, listening, drain_time=0.0)
    serving = asyncio.create_task(worker._serve())
    await application.started.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await serving is True


async def test_a_worker_whose_application_cannot_start_serves_nothing(listening):
    application = Life("failed")
    assert await make_worker(application, listening)._serve() is False
    assert application.phases == ["startup"]


async def test_a_worker_without_its_master_ends(listening, monkeypatch):
    application = Life()
    worker = make_worker(application, listening, drain_time=0.0)
    monkeypatch.setattr(os, "getppid", lambda: worker.ppid + 1)
    assert await worker._serve() is True
    assert worker.beats


async def test_the_heart_beats_by_no_wall_clock(listening, monkeypatch):
    worker = make_worker(Life(), listening)
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await worker._beat()
    assert (len(worker.beats), set(slept)) == (3, {1.0})
