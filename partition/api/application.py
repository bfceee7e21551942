"""From a request to one complete answer: by ASGI, and without it for a request that has arrived whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from partition.api import routes
from partition.api.answer import JSON, Answer, error
from partition.api.call import Call, Disconnected, NotFound
from partition.api.node import Node
from partition.api.refusals import Faults
from serving.asgi import path_and_query
from serving.buffered_request import BufferedRequest

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """Serves ``node``. ASGI 3 for HTTP; ``serving.lifespan`` has the lifespan."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._faults = Faults(node.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(asgi_call(scope, receive))
        if answer is not None:
            await send_answer(answer, send)

    def try_fast_path(self, request: BufferedRequest) -> bool:
        """Answer the request without ASGI. Always returns True.

        PERF: without a call of ASGI, its scope, and three awaited messages.
        """
        request.start(self._respond(request))
        return True

    async def _respond(self, request: BufferedRequest) -> None:
        async def read() -> bytes:
            return request.body

        scope = request.scope
        path, query = path_and_query(scope["target"])
        answer = await self._answer(Call(scope["method"], path, query, dict(scope["headers"]), read))
        if answer is not None:
            request.respond(*answer)

    async def _answer(self, call: Call) -> Answer | None:
        """Return the answer; None if the client is gone."""
        try:
            return await self._handle(call)
        except Disconnected:
            return None
        except Exception as fault:
            return self._faults.answer(fault, call)

    async def _handle(self, call: Call) -> Answer:
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


def asgi_call(scope: Scope, receive: Receive) -> Call:
    """Return the call of an ASGI request. A header given twice counts as its last."""

    async def read() -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise Disconnected
        return body

    return Call(scope["method"], scope["path"], scope["query_string"], dict(scope["headers"]), read)


async def send_answer(answer: Answer, send: Send) -> None:
    """Send it whole."""
    headers = list(answer.headers)
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
