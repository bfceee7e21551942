"""A request that has arrived whole, before ASGI.

ASGI costs a scope, a task and three awaited messages for each request, which is more than forwarding costs. So the
application is offered such a request first: ``application.try_fast_path(request) -> bool``. After True, the application
calls ``respond`` or ``hand_over``, once, at any time; ``start`` runs work that waits. After False, the request goes by
ASGI. An application that has a ``recognise`` (``serving.head_recogniser``) gets its result along with the request,
without the general parser.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, cast

from serving.asgi import Application, AsgiCall, Scope, base_scope
from serving.head_recogniser import METHODS, Request
from serving.request_parser import RequestHead, parse_head
from serving.response_framing import Header, response_of_lines, whole_response

if TYPE_CHECKING:
    from serving.connection import Connection

# PERF: by method, what a response needs of a recognised head. All of them are of HTTP/1.1 and keep the connection.
USUAL_HEADS = {method: RequestHead(method, b"", "1.1", []) for method in METHODS}


class BufferedRequest:
    """A complete request: its ``body``, and of its ASGI ``scope`` what ``base_scope`` has.

    ``recognised``: what the application's ``recognise`` has returned for its head; None if that has doubts.
    ``disconnected``: the client is gone, and no answer is needed. ``half_closed``, ``on_left``: as in ``AsgiCall``.
    """

    __slots__ = ("_connection", "_head", "_received", "_scope", "body", "disconnected", "on_left", "recognised")

    # Read whole; and an answer that was begun is complete, so that the request is not the connection's any more.
    receiving = started = False

    def __init__(
        self,
        connection: Connection,
        head: RequestHead | None,
        body: bytes,
        recognised: Request | None = None,
        received: bytes = b"",
    ) -> None:
        """``head``: None if the head is ``recognised``; then ``received`` begins with it."""
        self._connection = connection
        self._head = head
        self._received = received
        self._scope: Scope | None = None
        self.recognised = recognised
        self.body = body
        self.disconnected = False
        self.on_left: Callable[[bool], None] | None = None

    @property
    def half_closed(self) -> bool:
        return self._connection.half_closed

    @property
    def client(self) -> tuple[str, int] | None:
        """The client's address and port, None if the connection has none."""
        return self._connection.client

    @property
    def scope(self) -> Scope:
        if self._scope is None:
            self._scope = base_scope(self._connection, self._parsed())
        return self._scope

    def _parsed(self) -> RequestHead:
        if self._head is None:
            assert self.recognised is not None
            self._head = parse_head(self._received[: self.recognised[0] - 2])
        return self._head

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work``, which responds in the end, in a task."""
        self._connection.server.start(work)

    def respond(self, status: int, headers: Iterable[Header] | bytes, body: bytes) -> None:
        """Send a complete answer, framed as ``whole_response`` has it, or ``response_of_lines`` if ``headers`` are
        serialised; nothing if the client is gone."""
        connection = self._connection
        self.on_left = None
        if self.body:
            connection.server.release(len(self.body))
        if self.disconnected or connection.transport.is_closing():
            connection.end_call(self, keep_alive=False)
            return
        server = connection.server
        head = self._head or USUAL_HEADS[cast("Request", self.recognised)[1]]
        keep = head.keep_alive and not server.draining
        date = server.date_line()
        if isinstance(headers, bytes):
            response = response_of_lines(head, status, headers, body, date=date, keep_alive=keep)
        else:
            response = whole_response(head, status, headers, body, date=date, keep_alive=keep)
        connection.transport.write(response)
        connection.end_call(self, keep_alive=keep)

    def hand_over(self, application: Application) -> None:
        """Let an ASGI application answer the request."""
        call = AsgiCall(self._connection, self._parsed(), receiving=False, body=self.body)
        self.on_left = None
        if self.disconnected:
            call.hang_up()
        self._connection.replace_call(self, call)
        call.start(application)

    def hang_up(self) -> None:
        """Note that the client is gone."""
        self.disconnected = True
        if self.on_left is not None:
            self.on_left(True)
