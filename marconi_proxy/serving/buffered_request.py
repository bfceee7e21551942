"""Requests that an application may answer before ASGI.

For each request ASGI costs a scope, a task, an event and three awaited messages, which is more than forwarding costs.
So a request that has arrived completely, on a connection with no other request in flight, is offered to the application
first: ``application.try_fast_path(request: BufferedRequest) -> bool``. True: the application answers it. False, or no
``try_fast_path``: it is passed on by ASGI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from marconi_proxy.serving.buffered_response import serialise

if TYPE_CHECKING:
    from marconi_proxy.serving.protocol import FrontDoorProtocol

Application = Callable[..., Awaitable[None]]


class _NobodyWaits:
    def set(self) -> None:
        pass


class BufferedRequest:
    """A complete request: its ``body``, and of its ASGI ``scope`` type, method, target, headers, client and scheme.

    It also acts as uvicorn's cycle, as far as uvicorn uses the cycle of the current request.
    """

    __slots__ = ("_protocol", "body", "disconnected", "keep_alive", "scope")

    # An answered request is no longer the current one.
    response_started = response_complete = False
    message_event = _NobodyWaits()

    def __init__(self, protocol: FrontDoorProtocol, scope: dict[str, Any], body: bytes) -> None:
        self.scope = scope
        self.body = body
        self.keep_alive = True
        self.disconnected = False
        self._protocol = protocol

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """As ``BufferedResponse.respond``. If it returns False, hand the request over."""
        protocol = self._protocol
        # A broken request behind this one may have closed the connection, and only the last request is notified.
        if self.disconnected or protocol.transport.is_closing():
            protocol.let_go(self)
            return True
        if protocol.flow.write_paused:
            return False
        defaults = protocol.server_state.default_headers
        data = serialise(status, defaults, headers, b"" if self.scope["method"] == "HEAD" else body, self.keep_alive)
        if data is None:
            return False
        protocol.let_go(self)
        protocol.transport.write(data)
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()
        return True

    def hand_over(self, application: Application) -> None:
        """Let an ASGI application answer it, as if the request had not been taken."""
        self._protocol.answer_by_asgi(self, application)
