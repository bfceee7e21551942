"""The pool as a transport of httpx, for calls with domain logic: same connections and rules, a friendlier interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx

from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import ConnectFailed, ConnectTimedOut, DeadlineExceeded, Unanswered, UpstreamError
from marconi_proxy.upstream.pool import Origin, Pool

# httpx knows calls without a timeout; nothing here waits for ever (seconds).
_NO_TIMEOUT = 3600.0
# These may be retried, so they may use a connection that the host might be closing. Not DELETE: a pop is one.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
# The transport sets these: host, framing, and the persistence of the connection.
_OURS = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding"})


class UpstreamTransport(httpx.AsyncBaseTransport):
    """Sends requests over ``pool``, which it does not own: closing the transport leaves the pool open.

    Of the timeouts of a request, ``connect`` bounds the connecting and ``read`` both the wait for the answer's head and
    every pause of its body. ``max_idle``: seconds that a kept connection may have been idle.
    """

    def __init__(self, pool: Pool, *, max_idle: float) -> None:
        self._pool = pool
        self._max_idle = max_idle
        self._loop = asyncio.get_running_loop()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer as soon as its head is there. Raises httpx.TransportError."""
        origin = Origin.of(f"{request.url.scheme}://{request.url.netloc.decode('ascii')}")
        message = _serialise(request, await request.aread(), origin)
        with _translated(request):
            answer = await self._send(request, origin, message)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, request),
            extensions={"http_version": b"HTTP/1.1"},
            request=request,
        )

    async def _send(self, request: httpx.Request, origin: Origin, message: bytes) -> UpstreamAnswer:
        timeouts = request.extensions.get("timeout", {})
        read = timeouts.get("read") or _NO_TIMEOUT
        kept = self._pool.take(origin, self._max_idle) if request.method in _REPEATABLE else None
        while True:
            connecting = self._loop.time() + (timeouts.get("connect") or _NO_TIMEOUT)
            connection = kept or await self._pool.connect(origin, connecting)
            try:
                return await connection.exchange(
                    message, head_only=request.method == "HEAD", deadline=self._loop.time() + read, stall=read
                )
            except DeadlineExceeded:
                raise
            except Unanswered:
                # The host may merely have closed a kept connection: retry once, on a new one.
                if kept is None:
                    raise
                kept = None


class _Body(httpx.AsyncByteStream):
    """The body of an answer, taken from the connection as it is read. Closed early, it closes the connection."""

    def __init__(self, answer: UpstreamAnswer, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._answer.body:
            yield self._answer.body
        with _translated(self._request):
            async for chunk in self._answer.rest():
                yield chunk

    async def aclose(self) -> None:
        self._answer.abandon()


def _serialise(request: httpx.Request, body: bytes, origin: Origin) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % pair for pair in request.headers.raw if pair[0].lower() not in _OURS)
    # Partitions ignore chunked bodies, silently where a body is optional (API section 1.5).
    if body or request.method in ("POST", "PUT", "PATCH"):
        lines += b"content-length: %d\r\n" % len(body)
    head = (request.method.encode("ascii"), request.url.raw_path, origin.authority, lines)
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % head + body


@contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    """Translate errors of this package into those of httpx."""
    try:
        yield
    except ConnectTimedOut as error:
        raise httpx.ConnectTimeout(str(error), request=request) from error
    except ConnectFailed as error:
        raise httpx.ConnectError(str(error), request=request) from error
    except DeadlineExceeded as error:
        raise httpx.ReadTimeout(str(error), request=request) from error
    except UpstreamError as error:
        raise httpx.RemoteProtocolError(str(error), request=request) from error
