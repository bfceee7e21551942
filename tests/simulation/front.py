"""Workers of the front door as processes of the simulated world, and how clients reach them.

The worker is production's ``FrontDoor``. A request comes to it as from its server: first to
``try_fast_path``, else by ASGI.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from marconi_proxy.front_door.application import FrontDoor
from serving.asgi import CALL
from tests.simulation.virtual_loop import Actor, VirtualLoop


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Exchange:
    """A request under way, as the server shows it to the application: a BufferedRequest, and an AsgiCall."""

    def __init__(self, loop: VirtualLoop, scope: dict[str, Any], body: bytes) -> None:
        self.scope = scope
        self.body = body
        self.client = scope["client"]
        lines = b"".join(b"%b: %b\r\n" % pair for pair in [(b"host", b"door"), *scope["headers"]])
        self.recognised = FrontDoor.recognise(
            b"%b %b HTTP/1.1\r\n%b\r\n" % (scope["method"].encode(), scope["target"], lines)
        )
        self.answer: asyncio.Future[Answer | None] = loop.create_future()
        self.gone = self.half_closed = False
        self.on_left: Callable[[bool], None] | None = None
        self._loop = loop
        self._gone: asyncio.Future[None] | None = None
        self._read = False
        self._start: tuple[int, dict[bytes, bytes]] = (0, {})
        self._pieces: list[bytes] = []

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]] | bytes, body: bytes) -> None:
        if isinstance(headers, bytes):
            headers = [(name, value) for line in headers.splitlines() for name, _, value in [line.partition(b": ")]]
        self._end(Answer(status, dict(headers), body))

    def _end(self, answer: Answer | None) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def hand_over(self, application: Callable[..., Any]) -> None:
        scope = {**self.scope, "extensions": {CALL: self}}
        task = self._loop.create_task(application(scope, self._receive, self._send))
        task.add_done_callback(lambda _: self._end(None))

    def leave(self) -> None:
        """Let the client give up; its worker sees that at its next look."""
        self.gone = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if self.on_left is not None and not self.answer.done():
            self.on_left(True)

    async def _receive(self) -> dict[str, Any]:
        if not self._read:
            self._read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        if self._gone is None:
            self._gone = self._loop.create_future()
        if not self.gone:
            await asyncio.shield(self._gone)
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start = message["status"], dict(message["headers"])
            return
        self._pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            status, headers = self._start
            self._end(Answer(status, headers, b"".join(self._pieces)))


class Unreachable(Exception):
    """No process listens: nothing was done."""


class Worker:
    """One life of a worker process: ``start`` it, then ``ask``. ``alive`` until it is killed."""

    def __init__(self, name: str, loop: VirtualLoop, make: Callable[[], FrontDoor]) -> None:
        self.actor = Actor(name)
        self.alive = True
        self.serves = False
        self.door: FrontDoor | None = None
        self._loop = loop
        self._make = make
        self._open: dict[Exchange, None] = {}
        self._starting = loop.spawn(self.actor, self._start())

    async def _start(self) -> None:
        self.door = self._make()
        await self.door.worker.start()
        self.serves = True

    async def ask(
        self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes | None, patience: float
    ) -> Answer | None:
        """Ask; return None if no answer came in time, or the worker died. Raises Unreachable."""
        if not self.alive or not self.serves:
            raise Unreachable(self.actor.name)
        if body is not None:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        scope = {
            "type": "http",
            "method": method,
            "target": target.encode(),
            "headers": headers,
            "client": ("192.0.2.1", 12345),
            "http_version": "1.1",
            "scheme": "http",
            "extensions": {},
        }
        exchange = Exchange(self._loop, scope, body or b"")
        self._open[exchange] = None
        self._loop.call_soon(self._accept, exchange, context=self.actor.context)
        try:
            async with asyncio.timeout(patience):
                return await exchange.answer
        except TimeoutError:
            return None
        finally:
            del self._open[exchange]
            self._loop.call_soon(exchange.leave, context=self.actor.context)

    def _accept(self, exchange: Exchange) -> None:
        assert self.door is not None
        if not self.door.try_fast_path(exchange):  # type: ignore[arg-type]
            exchange.hand_over(self.door)

    def fall(self) -> None:
        """Take note that the process was killed: calls in flight get no answer."""
        self.alive = self.serves = False
        for exchange in list(self._open):
            exchange._end(None)
