"""The ASGI application: from a scope to one complete answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from partition.api import routes
from partition.api.answer import JSON, Answer, error
from partition.api.call import Call, Disconnected, NotFound
from partition.api.node import Node
from partition.api.refusals import Faults

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """Serves ``node``. ASGI 3 for HTTP; ``serving.lifespan`` has the lifespan."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._faults = Faults(node.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A header given twice counts as its last.
        call = Call(scope["method"], scope["path"], scope["query_string"], dict(scope["headers"]), receive)
        try:
            answer = await self._answer(call)
        except Disconnected:
            return
        except Exception as fault:
            answer = self._faults.answer(fault, call)
        await send_answer(answer, send)

    async def _answer(self, call: Call) -> Answer:
        match = routes.match(call.path)
        if match is None:
            if call.method == "OPTIONS" and call.path == "*":  # the server as a whole
                return Answer(200, (JSON,))
            raise NotFound
        route = match.route
        if call.method == "OPTIONS":
            return Answer(200, ((b"allow", route.allow.encode()), JSON))
        call.check(self._node, route.dialect, route.kind, match.queue, match.item)
        handler = route.handlers.get(call.method)
        if handler is None:
            return error(405, "405 Method Not Allowed", None, (b"allow", f"{route.allow}, OPTIONS".encode()))
        return await handler(self._node, call)


async def send_answer(answer: Answer, send: Send) -> None:
    """Send it whole."""
    headers = list(answer.headers)
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
