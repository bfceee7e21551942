"""Requests that an application may take before ASGI.

For each request ASGI costs a scope, a task, an event and three awaited messages, which is more than forwarding costs.
So a request that is there as a whole, on a connection with nothing else under way, is offered to the application first:
``application.take(request: Direct) -> bool``. True: the application sees to its answer. False, or no ``take``: it comes
as ASGI has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from marconi_proxy.serving.whole import serialise

if TYPE_CHECKING:
    from marconi_proxy.serving.protocol import FrontDoorProtocol

Application = Callable[..., Awaitable[None]]


class _NobodyWaits:
    def set(self) -> None:
        pass


class Direct:
    """A whole request: its ``body``, and of its ASGI ``scope`` type, method, target, headers, client and scheme.

    Besides, it is what uvicorn calls a cycle, as far as uvicorn asks about the request in hand.
    """

    __slots__ = ("_protocol", "body", "disconnected", "keep_alive", "scope")

    # Once answered it is in hand no more.
    response_started = response_complete = False
    message_event = _NobodyWaits()

    def __init__(self, protocol: FrontDoorProtocol, scope: dict[str, Any], body: bytes) -> None:
        self.scope = scope
        self.body = body
        self.keep_alive = True
        self.disconnected = False
        self._protocol = protocol

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """As ``Whole.respond``. If not done, the request is to be handed over."""
        protocol = self._protocol
        # A broken request behind this one may have closed the connection, of which only the last request is told.
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
        """Have an ASGI application answer it, which gets the request as if it had not been taken."""
        self._protocol.answer_by_asgi(self, application)
