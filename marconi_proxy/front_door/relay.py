"""Request bodies in and answers out, between ASGI and the upstream exchange.

Answers pass unchanged, except home documents: they lose the routes that the front door does not serve.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from marconi_proxy.front_door.refusals import ClientGone, Headers, bad_request
from marconi_proxy.routing.headers import RequestHead, answer_headers
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import UpstreamError
from serving.asgi import CALL

LOG = logging.getLogger(__name__)

# The relations of a partition in admin mode (API section 1.11, last row).
_OPERATORS = frozenset({"rel/pools", "rel/pool", "rel/flavors", "rel/flavor", "rel/health"})

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Asgi(NamedTuple):
    """The three arguments of an ASGI application, for the call that it answers."""

    scope: Scope
    receive: Receive
    send: Send


async def read_body(head: RequestHead, receive: Receive, max_body: int) -> bytes:
    """Return the request's body: at most ``max_body`` bytes. The server sees to it that it arrives in time.

    A body with a larger Content-Length is refused before any of it is read. Raises RequestRefused or ClientGone.
    """
    if head.length is None and not head.chunked:
        return b""
    if head.length is not None and head.length > max_body:
        raise _too_large(max_body)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        body += message["body"]
        if len(body) > max_body:
            raise _too_large(max_body)
        if not message.get("more_body"):
            return bytes(body)


def _too_large(max_body: int) -> Exception:
    return bad_request(f"The request's body is larger than {max_body} bytes. The request was not processed.")


def client_waits(scope: Scope) -> bool:
    """Return whether the client still waits, as far as the server knows."""
    return not scope["extensions"][CALL].gone


async def relay(answer: UpstreamAnswer, asgi: Asgi, request_id: bytes, patience: float) -> None:
    """Pass a partition's answer on to the client, piece by piece as the client takes it.

    A client that takes nothing for ``patience`` seconds, or has left, does not get the rest. If the answer breaks off
    after its head was sent, the client's connection is closed in the middle: HTTP/1.1 has no other sign of that.
    """
    start = {
        "type": "http.response.start",
        "status": answer.status,
        "headers": answer_headers(answer.headers, request_id),
    }
    send = asgi.send
    try:
        await _send_patiently(send, start, patience)
        await _send_patiently(send, _piece(answer.body, more=not answer.complete), patience)
        if answer.complete:
            return
        async for piece in answer.rest():
            if not client_waits(asgi.scope):
                return
            await _send_patiently(send, _piece(piece, more=True), patience)
    except (UpstreamError, TimeoutError) as error:
        LOG.warning("an answer broke off while it was relayed: %s", error or "the client does not take it")
        return
    finally:
        answer.abandon()
    await send(_piece(b"", more=False))


def _piece(body: bytes, *, more: bool) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _send_patiently(send: Send, message: MutableMapping[str, Any], patience: float) -> None:
    async with asyncio.timeout(patience):
        await send(message)


def respond(scope: Scope, status: int, headers: Headers, body: bytes) -> None:
    """Send a complete answer. If the request was not read to its end, the connection is closed after it."""
    scope["extensions"][CALL].respond(status, headers, body)


def without_operator_routes(document: bytes) -> bytes:
    """Return a home document without pools, flavors and health report; byte for byte the same if it has none of them.

    Raises ValueError if it is no home document.
    """
    home: Any = json.loads(document)
    if not isinstance(home, dict) or not isinstance(home.get("resources"), dict):
        raise ValueError("not a home document")
    if not _OPERATORS & home["resources"].keys():
        return document
    home["resources"] = {rel: entry for rel, entry in home["resources"].items() if rel not in _OPERATORS}
    return json.dumps(home, indent=4).encode()
