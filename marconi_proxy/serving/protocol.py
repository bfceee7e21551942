"""The server's side of HTTP/1.1: uvicorn's httptools protocol, hardened for a front door.

It adds the request target exactly as received; bounds on a request head's bytes and time; refusals in the API's own
format (``{"title", "description"}``; API section 1.8). It refuses bytes that another parser could read as a different
request. It does not interpret requests.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from marconi_proxy.serving.buffered_request import Application, BufferedRequest
from marconi_proxy.serving.buffered_response import BUFFERED_RESPONSE, LINGER, BufferedResponse

# The states of the parser. A chunk of bytes may pass through all of them.
_BETWEEN, _HEAD, _BODY = range(3)

_BAD_REQUEST = "Bad request"
_VERSIONS = ("1.1", "1.0")

# The longest target (bytes) that httptools, and so uvicorn, parses correctly.
_MAX_TARGET = 65535


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """``max_head`` bytes of request line and headers, complete within ``head_timeout`` seconds, on at most
    ``max_connections`` connections per process."""

    max_head: int
    head_timeout: float
    max_connections: int


def _no_fast_path(request: BufferedRequest) -> bool:
    return False


class _HeadError(Exception):
    """Raised inside a parser callback; the parser stops and passes it on as the context of its own error."""


class FrontDoorProtocol(HttpToolsProtocol):
    """One client connection. Every request's scope has ``target``: the bytes between method and version."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._max_head = limits.max_head
        self._phase = _BETWEEN
        # Bytes of the head so far that came in earlier chunks, and how many more of an earlier chunk may be its too.
        self._head_bytes = 0
        self._head_slack = 0
        self._chunk = 0
        # For a request with a complete head: bytes outside of its body, and whether this chunk had part of the body.
        self._beside = 0
        self._bodied = False
        self._ended = False
        self._deaf = False
        self._timer: asyncio.TimerHandle | None = None
        # Whether the application takes requests before ASGI; the part of the body of such a request in this chunk.
        self._try_fast_path: Callable[[BufferedRequest], bool] = getattr(
            config.loaded_app, "try_fast_path", _no_fast_path
        )
        self._pieces: list[bytes] | None = None
        self._method = b""

    # -- the connection -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self._deaf = True
            transport.write(
                self._answer(
                    503,
                    "Too many connections",
                    "This server has reached its limit of connections. The request was not processed; retry later.",
                )
            )
            # No lingering: it would hold connections, which are exhausted.
            transport.close()
            return
        self._timer = self.loop.call_later(self._limits.head_timeout, self._head_timed_out)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        cycle = self.cycle
        if cycle is not None and cycle.response_complete and not cycle.keep_alive:
            # The last answer was sent before its request was complete: no further request is processed, because the
            # client may already send it elsewhere (RFC 9112 section 9.6).
            self._deaf = True
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._chunk = len(data)
        self._ended = False
        self._bodied = False
        try:
            self.parser.feed_data(data)
            if self._pieces is not None:
                self._offer()
        except httptools.HttpParserUpgrade:
            # The request itself was taken and will be answered: a server may ignore Upgrade (RFC 9110 section 7.8). But
            # the parser has lost its place, so nothing after it is read.
            self._deaf = True
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            if self._pieces is not None:
                if self._phase == _BODY:
                    self._pieces = None
                else:
                    # The bytes after it are broken.
                    self.answer_by_asgi(self._direct(), self.app)
            cause = error.__context__
            self._refuse(str(cause) if isinstance(cause, _HeadError) else "This is not a valid HTTP/1.1 request.")
        else:
            if self._phase == _BODY and not self._bodied:
                # Trailers or chunk extensions, which are discarded: bounded like a head.
                self._beside += len(data)
                if self._beside > self._max_head:
                    self._refuse(f"The request has more than {self._max_head} bytes beside its body.")
            elif self._phase == _HEAD or (self._phase == _BETWEEN and not self._ended):
                self._head_unfinished()

    # -- the parser's callbacks ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._pieces is not None:
            # Another request in the same chunk. uvicorn answers them in order.
            self.answer_by_asgi(self._direct(), self.app)
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._phase = _HEAD
        self._head_bytes = 0
        self._beside = 0
        self._head_slack = self._chunk if self._ended else 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase == _BODY:
            # A trailer. uvicorn would treat it as a header: it could set the project after all checks of the headers
            # (RFC 9110 section 6.5.1: a recipient may ignore trailers).
            self._beside += len(name) + len(value)
            if self._beside > self._max_head:
                raise _HeadError(f"The request has more than {self._max_head} bytes of trailers.")
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._bodied = True
        if self._pieces is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_headers_complete(self) -> None:
        # PERF: the sum is an upper bound that nearly every request passes; the exact sum is computed only above it.
        if self._head_bytes + self._head_slack + self._chunk > self._max_head and self._head_size() > self._max_head:
            raise _HeadError(f"The request line and headers are larger than {self._max_head} bytes.")
        target = self.url
        # RFC 9112 section 3.2: absolute-form and authority-form are for proxies that a client was configured with.
        if target[:1] != b"/" and target != b"*":
            raise _HeadError("The request target must be a path that begins with a slash.")
        if len(target) > _MAX_TARGET:
            raise _HeadError(f"The request target is longer than {_MAX_TARGET} bytes.")
        if self.parser.get_http_version() not in _VERSIONS:
            raise _HeadError("The version must be HTTP/1.1 or HTTP/1.0.")
        if self.parser.should_upgrade() and any(
            (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
            for name, value in self.headers
        ):
            # The parser skips the body of such a request and would read it as the next request.
            raise _HeadError("A request with a body cannot ask for an upgrade.")
        self._phase = _BODY
        if self._timer is not None:
            self._stop_timer()
        self._method = self.parser.get_method()
        cycle = self.cycle
        if (
            self._try_fast_path is not _no_fast_path
            and not self.expect_100_continue
            and (cycle is None or cycle.response_complete)
            # uvicorn parses any path with this beginning without an error.
            and target.startswith(b"/v")
            and target.isascii()
            and self._plain()
        ):
            self._pieces = []
        else:
            self._begin_asgi()

    def on_message_complete(self) -> None:
        if self._pieces is None:
            super().on_message_complete()
        self._phase = _BETWEEN
        self._ended = True
        self._head_bytes = 0

    # -- requests for the application --------------------------------------------------------------------------------

    def _plain(self) -> bool:
        """Whether the request is of HTTP/1.1 without an upgrade of its connection."""
        parser = self.parser
        return parser.get_http_version() == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()

    def _offer(self) -> None:
        """Offer the application the request that this chunk began, if the chunk also ended it."""
        if self._phase != _BETWEEN:
            self._begin_asgi()
            return
        request = self._direct()
        try:
            taken = self._try_fast_path(request)
        except Exception:
            self.logger.exception("a request could not be taken")
            taken = False
        if not taken:
            self.answer_by_asgi(request, self.app)

    def _direct(self) -> BufferedRequest:
        """Make the arrived request the current one."""
        scope = {
            "type": "http",
            "method": self._method.decode("ascii"),
            "target": self.url,
            "headers": self.headers,
            "client": self.client,
            "scheme": self.scheme,
        }
        request = BufferedRequest(self, scope, b"".join(self._pieces or ()))
        self._pieces = None
        self.cycle = request  # type: ignore[assignment]
        return request

    def _begin_asgi(self) -> None:
        """Let uvicorn begin the request with the complete head."""
        target, headers, expecting = self.url, self.headers, self.expect_100_continue
        # Makes the scope, and empties all three; the scope has the new list.
        super().on_message_begin()
        self.url, self.expect_100_continue = target, expecting
        self.headers += headers
        super().on_headers_complete()
        self.scope["target"] = target  # type: ignore[typeddict-unknown-key]
        self.scope["extensions"] = {BUFFERED_RESPONSE: BufferedResponse(self.cycle)}  # type: ignore[dict-item]
        for piece in self._pieces or ():
            super().on_body(piece)
        self._pieces = None

    def answer_by_asgi(self, request: BufferedRequest, application: Application) -> None:
        """Let an application answer an offered request. Others may have arrived behind it meanwhile."""
        url = httptools.parse_url(request.scope["target"])
        scope = request.scope | {
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "root_path": self.root_path,
            "path": self.root_path + unquote(url.path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + url.path,
            "query_string": url.query or b"",
            "state": self.app_state.copy(),
        }
        cycle = RequestResponseCycle(
            scope=scope,  # type: ignore[arg-type]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=request.keep_alive,
            on_response=self.on_response_complete,
        )
        scope["extensions"] = {BUFFERED_RESPONSE: BufferedResponse(cycle)}
        cycle.disconnected = request.disconnected or self.transport.is_closing()
        cycle.body += request.body
        cycle.more_body = False
        cycle.message_event.set()
        if self.cycle is request:  # type: ignore[comparison-overlap]
            self.cycle = cycle
        task = self.loop.create_task(cycle.run_asgi(application))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def let_go(self, request: BufferedRequest) -> None:
        """Release a finished request: its body may be large, and its connection idle for long."""
        if self.cycle is request:  # type: ignore[comparison-overlap]
            self.cycle = None  # type: ignore[assignment]

    # -- bounds -------------------------------------------------------------------------------------------------

    def _head_size(self) -> int:
        """The bytes of the complete head: ``METHOD SP target SP HTTP/1.1 CRLF (name ": " value CRLF)* CRLF``."""
        line = len(self.parser.get_method()) + len(self.url) + 12
        return line + sum(len(name) + len(value) + 4 for name, value in self.headers) + 2

    def _head_unfinished(self) -> None:
        """Account for a chunk that ended within a head, or was nothing but line ends before one."""
        if not self._ended:
            self._head_bytes += self._chunk
            if self._head_bytes > self._max_head:
                self._refuse(f"The request line and headers are larger than {self._max_head} bytes.")
                return
        # Otherwise the chunk held the end of another message too; on_message_begin recorded it as slack.
        if self._timer is None:
            self._timer = self.loop.call_later(self._limits.head_timeout, self._head_timed_out)

    def _head_timed_out(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # An earlier request of a pipeline is still being answered, and reading may be paused for it: our delay.
            self._timer = self.loop.call_later(self._limits.head_timeout, self._head_timed_out)
        elif self._head_bytes or self._head_slack or self._phase == _HEAD:
            self._refuse(f"The request line and headers did not arrive within {self._limits.head_timeout:g} seconds.")
        else:
            # Connected without sending a byte, as browsers do: no client waits for an answer.
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- refusing -----------------------------------------------------------------------------------------------

    def _refuse(self, description: str) -> None:
        """Answer 400 after all earlier answers of this connection, read no more, and close it."""
        self.logger.debug("refused a request of %s: %s", self.client, description)
        self._deaf = True
        self._stop_timer()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self._phase != _BODY:
                # Earlier requests get their answers; then the connection closes, which refuses this one.
                cycle.keep_alive = False
                return
            if self.pipeline:
                # The broken request is the newest of the pipeline. Earlier ones get their answers first, then this one.
                cycle.keep_alive = False
                self.pipeline[0] = (cycle, partial(self._refuse_by_asgi, description))
                return
            # The body of the current request is broken: for the application, its client has disconnected.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        self.transport.write(self._answer(400, _BAD_REQUEST, description))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER, self.transport.close)

    async def _refuse_by_asgi(self, description: str, scope: Any, receive: Any, send: Any) -> None:
        """The same as an ASGI application; what follows is not read, so that the connection ends with it."""
        headers, body = _refusal(400, _BAD_REQUEST, description)
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, status: int, title: str, description: str) -> bytes:
        headers, body = _refusal(status, title, description)
        lines = (b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *headers))
        return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])


def _refusal(status: int, title: str, description: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = json.dumps({"title": title, "description": description}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    return headers, body
