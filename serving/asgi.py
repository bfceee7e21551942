"""ASGI 3 for one request, and for the life of an application (ASGI specification: HTTP, Lifespan).

A start and the only piece of its body are sent in one write. An application that has a complete answer can
send it without the two messages: ``scope["extensions"][CALL]`` is the ``AsgiCall``, with ``respond``, ``gone`` and
``draining``.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from serving.response_framing import Header, ResponseMisframed, StreamedResponse, whole_response

if TYPE_CHECKING:
    from serving.connection import Connection
    from serving.request_parser import RequestHead

LOG = logging.getLogger(__name__)

Scope = dict[str, Any]
Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]

CALL = "marconi.call"
_ASGI = {"version": "3.0", "spec_version": "2.4"}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_DISCONNECT = {"type": "http.disconnect"}
_INTERNAL_ERROR = json.dumps(
    {"title": "Internal server error", "description": "The server failed. The request may have been processed."}
).encode()
_INTERNAL_ERROR_HEADERS = ((b"content-type", b"application/json"),)


def base_scope(connection: Connection, head: RequestHead) -> Scope:
    """Return what every scope has: besides ASGI's own items ``target``, the request target as received."""
    return {
        "type": "http",
        "http_version": head.version,
        "method": head.method.decode("ascii"),
        "target": head.target,
        "headers": head.headers,
        "client": connection.client,
        "server": connection.sockname,
        "scheme": "http",
    }


def path_and_query(target: bytes) -> tuple[str, bytes]:
    """Split a request target into the decoded path and the raw query."""
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return unquote(path.decode("ascii")), query


class AsgiCall:
    """One request on its way through an ASGI application.

    ``receiving``: the rest of its body is to come. ``started``: its answer was begun. ``gone``: no answer is needed,
    because the client has aborted the connection or the server has refused the request. ``unread``: bytes of the body
    that the application has not received. ``half_closed``: the client sends nothing more, and may have left.

    ``on_left``, if the application has set it, is called with False when the client closes its side, and with True when
    it is gone; never after the answer.
    """

    __slots__ = (
        *("_body", "_connection", "_delivered", "_expects_continue", "_head", "_reserved", "_response", "_start"),
        *("_waiter", "gone", "on_left", "receiving", "started"),
    )

    def __init__(self, connection: Connection, head: RequestHead, *, receiving: bool, body: bytes = b"") -> None:
        self._connection = connection
        self._head = head
        self._body = bytearray(body)
        # Bytes of the body that the server counts as in flight: those that have arrived. A client that only announces a
        # body takes no room from others.
        self._reserved = len(body)
        self._delivered = False
        self._expects_continue = head.expects_continue
        self._waiter: asyncio.Future[None] | None = None
        self._start: tuple[int, Iterable[Header]] | None = None
        self._response: StreamedResponse | None = None
        self.receiving = receiving
        self.started = False
        self.gone = False
        self.on_left: Callable[[bool], None] | None = None

    @property
    def half_closed(self) -> bool:
        return self._connection.half_closed

    @property
    def unread(self) -> int:
        return len(self._body)

    @property
    def draining(self) -> bool:
        """Whether the server has begun to stop."""
        return self._connection.server.draining

    def start(self, application: Application) -> None:
        """Run the application in a task."""
        self._connection.server.start(self._run(application))

    async def _run(self, application: Application) -> None:
        connection, head = self._connection, self._head
        path, query = path_and_query(head.target)
        scope = base_scope(connection, head)
        scope |= {
            "asgi": _ASGI,
            "root_path": "",
            "path": path,
            "raw_path": head.target.partition(b"#")[0].partition(b"?")[0],
            "query_string": query,
            "extensions": {CALL: self},
        }
        try:
            await application(scope, self.receive, self.send)
            if not self.started and self._is_wanted:
                LOG.error("%s %s: the application gave no answer", scope["method"], scope["path"])
        except ResponseMisframed as error:
            LOG.error("%s %s: the answer was cut off: %s", scope["method"], scope["path"], error)
        except Exception:
            LOG.exception("the application failed")
        finally:
            if not self.started:
                self.respond(500, _INTERNAL_ERROR_HEADERS, _INTERNAL_ERROR)
            elif not self.gone and connection.has(self):
                # The answer breaks off, on purpose or not. HTTP/1.1 has no other sign of that.
                connection.abort()
            self.release()

    # -- the body ------------------------------------------------------------------------------------------------------

    def take_body(self, piece: bytes) -> bool:
        """Take a piece of the body; return False if the server has no room for it."""
        if not self._connection.server.reserve(len(piece)):
            return False
        self._reserved += len(piece)
        self._body += piece
        self._wake()
        return True

    def body_ended(self) -> None:
        """Note that the body is complete."""
        self.receiving = False
        self._wake()

    def hang_up(self) -> None:
        """Note that there will be no more of the body, and no answer."""
        self.gone = True
        self.receiving = False
        self._wake()
        if self.on_left is not None:
            self.on_left(True)

    def release(self) -> None:
        """Count the body as in flight no longer."""
        self._connection.server.release(self._reserved)

    async def receive(self) -> Message:
        """Return the next message: the body as far as it has arrived, or the disconnect of a client that is gone or
        has its answer."""
        connection = self._connection
        if self._expects_continue:
            self._expects_continue = False
            if self.receiving and not self.started and not self._body:
                connection.transport.write(_CONTINUE)
        while connection.has(self) and (self._delivered or (self.receiving and not self._body)):
            self._waiter = connection.server.loop.create_future()
            await self._waiter
        if self._delivered or not connection.has(self):
            return _DISCONNECT
        body = bytes(self._body)
        self._body.clear()
        self._delivered = not self.receiving
        connection.read_on()
        return {"type": "http.request", "body": body, "more_body": self.receiving}

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None

    # -- the answer ----------------------------------------------------------------------------------------------------

    @property
    def _is_wanted(self) -> bool:
        """Whether the answer is due, and can be sent. A connection that was reset is closing before it is lost."""
        return self._connection.has(self) and not self._connection.transport.is_closing()

    def respond(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a complete answer, framed as ``whole_response`` has it; nothing if the client is gone.

        An answer before the request has been read whole is the last one of its connection.
        """
        connection = self._connection
        if not self._is_wanted:
            return
        if self.started:  # it breaks off
            connection.abort()
            return
        self.started = True
        keep = self._head.keep_alive and connection.may_keep
        date = connection.server.date_line()
        connection.transport.write(whole_response(self._head, status, headers, body, date=date, keep_alive=keep))
        connection.end_call(self, keep_alive=keep)
        self._wake()

    async def send(self, message: Message) -> None:
        """Send a message, when the client has read enough of what was sent before; nothing after the answer's end.

        Raises ResponseMisframed.
        """
        connection = self._connection
        if not self._is_wanted:
            return
        if message["type"] == "http.response.start":
            self._start = (message["status"], message.get("headers", ()))
            return
        assert self._start is not None, "a body before the start of its answer"
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._response is None and not more:
            self.respond(*self._start, body)
        else:
            data = b""
            if self._response is None:
                keep = self._head.keep_alive and connection.may_keep
                date = connection.server.date_line()
                self._response = StreamedResponse(self._head, *self._start, date=date, keep_alive=keep)
                self.started = True
                data = self._response.head
            data += self._response.piece(body)
            if more:
                connection.transport.write(data)
            else:
                connection.transport.write(data + self._response.end())
                connection.end_call(self, keep_alive=self._response.keep_alive and connection.may_keep)
                self._wake()
        await connection.drained()


class Lifespan:
    """The life of an ASGI application: ``start`` it before it serves, ``stop`` it after."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> bool:
        """Return whether the application has started; if not, it has logged why."""
        self._task = asyncio.create_task(self._run())
        return await self._ask("startup")

    async def stop(self) -> None:
        """Let the application end what it has started."""
        assert self._task is not None
        if not self._task.done():
            await self._ask("shutdown")
        await self._task

    async def _ask(self, phase: str) -> bool:
        await self._messages.put({"type": f"lifespan.{phase}"})
        answer = await self._answers.get()
        return bool(answer["type"] == f"lifespan.{phase}.complete")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": _ASGI, "state": {}}
        try:
            await self._application(scope, self._messages.get, self._answers.put)
        except Exception:
            LOG.exception("the application failed outside of any request")
        finally:
            await self._answers.put({"type": "lifespan.ended"})
