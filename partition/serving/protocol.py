"""The server's side of HTTP/1.1: uvicorn's httptools protocol, which has no bounds of its own for slow or large peers.

This module adds timeouts for complete requests and for reading answers, and a limit for heads. It ignores trailers, and
refuses unparsable requests in the API's own format (API section 1.8). It does not interpret requests.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True)
class Bounds:
    """``seconds`` for a complete request to arrive, and for a client to continue reading; ``max_head`` bytes of the
    largest request line and headers together."""

    seconds: float
    max_head: int


class _HeadTooLarge(Exception):
    """Raised inside a parser callback: the parser stops with an error of its own, which is answered 400."""


class PartitionProtocol(HttpToolsProtocol):
    """One client connection. It is closed when the client is too slow, because an incomplete request has no answer."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        bounds: Bounds,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = bounds
        # PERF: since when the client is waited for, None while it is not; looked at once in a while by one timer, so
        # that a request costs no timer of its own.
        self._since: float | None = None
        self._stuck_since: float | None = None
        self._in_head = False
        self._head = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self._bounds.seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._since is None:
            # Even if it is no request, but a line end that stops uvicorn's timer for idle connections.
            self._since = self.loop.time()
        super().data_received(data)
        if self._in_head:
            self._head += len(data)
            if self._head > self._bounds.max_head and not self.transport.is_closing():
                self.send_400_response(f"The request line and headers are larger than {self._bounds.max_head} bytes.")

    def send_400_response(self, msg: str) -> None:
        """Answer an unparsable request, and close the connection: the start of the next request is unknown."""
        if self.cycle is not None and not self.cycle.response_complete:
            # The client would take it for the answer to the previous request, which may have been processed.
            self.transport.close()
            return
        body = json.dumps({"title": "Bad request", "description": msg}).encode()
        headers = (
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        )
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"".join((STATUS_LINE[400], lines, b"\r\n", body)))
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head = 0
        if self._since is None:
            self._since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        # uvicorn would treat a trailer as a header: it could set the project after a service in front has checked the
        # headers (RFC 9110 section 6.5.1: a recipient may ignore trailers).
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self._bounds.max_head:
            raise _HeadTooLarge
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._since = None

    def pause_writing(self) -> None:
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stuck_since = None
        super().resume_writing()

    def _look(self) -> None:
        """Close the connection if it is waited for since too long, or look again when that may be so."""
        if self.transport.is_closing() and self._stuck_since is None:
            return
        now = self.loop.time()
        if self._since is not None and (self.pipeline or self._answering()):
            # Reading may be paused for an earlier request of a pipeline: our delay, and not the client's.
            self._since = now
        begun = [since for since in (self._since, self._stuck_since) if since is not None]
        left = min(begun, default=now) + self._bounds.seconds - now
        if left <= 0:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(left, self._look)

    def _answering(self) -> bool:
        """Whether a request is being answered that has arrived whole."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body
