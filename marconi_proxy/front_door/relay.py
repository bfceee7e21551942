"""Bodies in, answers out: between ASGI and the upstream exchange."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from marconi_proxy.front_door.refusals import Headers, bad_request
from marconi_proxy.routing.headers import RequestHead, answer_headers
from marconi_proxy.serving.whole import WHOLE
from marconi_proxy.upstream.connection import Answer
from marconi_proxy.upstream.errors import UpstreamError

LOG = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Seconds that a client may take to send a request body.
BODY_TIMEOUT = 60.0


class ClientGone(Exception):
    """The client left before its request was complete: there is nobody to answer."""


async def read_body(head: RequestHead, receive: Receive, max_body: int) -> bytes:
    """Return the request's body, at most ``max_body`` bytes.

    A body that says it is larger is refused before any of it is read. Raises Refused or ClientGone.
    """
    if head.length is None and not head.chunked:
        return b""
    if head.length is not None and head.length > max_body:
        raise _too_large(max_body)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message["body"]
        if len(body) > max_body:
            raise _too_large(max_body)
        return body
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_on(message, receive, max_body)
    except TimeoutError:
        raise bad_request("The request's body took too long to arrive.") from None


async def _read_on(message: MutableMapping[str, Any], receive: Receive, max_body: int) -> bytes:
    pieces = bytearray()
    while True:
        if message["type"] != "http.request":
            raise ClientGone
        pieces += message["body"]
        if len(pieces) > max_body:
            raise _too_large(max_body)
        if not message.get("more_body"):
            return bytes(pieces)
        message = await receive()


def _too_large(max_body: int) -> Exception:
    return bad_request(f"The request's body is larger than {max_body} bytes.")


def relay_whole(answer: Answer, scope: Scope, request_id: bytes) -> bool:
    """Pass a small answer on in one write, if the server offers that; tell whether that was done."""
    if not answer.complete:
        return False
    whole = scope["extensions"].get(WHOLE)
    return whole is not None and whole(answer.status, answer_headers(answer.headers, request_id), answer.body)


async def relay(answer: Answer, send: Send, request_id: bytes) -> None:
    """Pass a partition's answer on to the client, piece by piece as the client takes it.

    If the answer breaks off after its head went out, the client's connection is closed in the middle: there is no other
    way to say so in HTTP/1.1.
    """
    headers = answer_headers(answer.headers, request_id)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.complete:
        await send({"type": "http.response.body", "body": answer.body})
        return
    try:
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        async for piece in answer.rest():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except UpstreamError as error:
        LOG.warning("an answer broke off while it was passed on: %s", error)
        return
    finally:
        answer.abandon()
    await send({"type": "http.response.body", "body": b""})


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send an answer of our own."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
