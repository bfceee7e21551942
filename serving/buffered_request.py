"""A request that has arrived whole, before ASGI.

ASGI costs a scope, a task and three awaited messages for each request, which is more than forwarding costs. So the
application is offered such a request first: ``application.try_fast_path(request) -> bool``. After True, the application
calls ``respond`` or ``hand_over``, once, at any time. After False, the request goes by ASGI.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from serving.asgi import Application, AsgiCall, Scope, base_scope
from serving.response_framing import Header, whole_response

if TYPE_CHECKING:
    from serving.connection import Connection
    from serving.request_parser import RequestHead


class BufferedRequest:
    """A complete request: its ``body``, and of its ASGI ``scope`` what ``base_scope`` has.

    ``disconnected``: the client is gone, and no answer is needed.
    """

    __slots__ = ("_connection", "_head", "body", "disconnected", "scope")

    # Read whole; and an answer that was begun is complete, so that the request is not the connection's any more.
    receiving = started = False

    def __init__(self, connection: Connection, head: RequestHead, body: bytes) -> None:
        self._connection = connection
        self._head = head
        self.body = body
        self.disconnected = False
        self.scope: Scope = base_scope(connection, head)

    def respond(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a complete answer, framed as ``whole_response`` has it; nothing if the client is gone."""
        connection = self._connection
        if self.body:
            connection.server.release(len(self.body))
        if self.disconnected or connection.transport.is_closing():
            connection.end_call(self, keep_alive=False)
            return
        keep = self._head.keep_alive and connection.may_keep
        date = connection.server.date_line()
        connection.transport.write(whole_response(self._head, status, headers, body, date=date, keep_alive=keep))
        connection.end_call(self, keep_alive=keep)

    def hand_over(self, application: Application) -> None:
        """Let an ASGI application answer the request."""
        call = AsgiCall(self._connection, self._head, receiving=False, body=self.body)
        if self.disconnected:
            call.hang_up()
        self._connection.replace_call(self, call)
        call.start(application)

    def hang_up(self) -> None:
        """Note that the client is gone."""
        self.disconnected = True
