"""One HTTP/1.1 connection to a partition host: one exchange at a time, answers streamed with back-pressure.

Made for the fast path: a small answer arrives whole in one read, and its head is recognised. All others are parsed by
httptools (llhttp); this module relies on its strict framing and bounds the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import cast

import httptools

from marconi_proxy.upstream.errors import Abandoned, BadAnswer, DeadlineExceeded, Unanswered, UpstreamError
from serving.head_recogniser import ResponseRecogniser

# An answer's body is read ahead of its consumer by at most this much (bytes); a smaller body is delivered whole.
READ_AHEAD = 65536
# The largest body (bytes) that ``read`` returns.
MAX_READ = 4194304


class UpstreamAnswer:
    """An answer with a complete head. ``headers`` have lower-case names, in the order received.

    ``body`` is the part of the body that has arrived, and ``complete`` whether that is all of it. If not, iterate
    ``rest()`` to its end or call ``abandon()``; otherwise the pool loses the connection.

    An answer with a recognised head has serialised ``lines`` in place of ``headers``, and its ``request_id``.
    """

    __slots__ = ("_connection", "body", "complete", "headers", "lines", "on_end", "request_id", "status")

    def __init__(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, connection: Connection | None
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.complete = connection is None
        self.lines: bytes | None = None
        self.request_id: bytes | None = None
        # Called once when an answer that was not complete is read to its end or given up.
        self.on_end: Callable[[], None] | None = None
        self._connection = connection

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield what follows ``body``. Raises BadAnswer if the answer breaks off, DeadlineExceeded if it stalls."""
        while self._connection is not None:
            try:
                chunk, done = await self._connection.read_more()
            except BaseException:
                self.abandon()
                raise
            if done:
                self._end()
            if chunk:
                yield chunk

    def _end(self) -> None:
        self._connection = None
        if self.on_end is not None:
            self.on_end()

    async def read(self, most: int = MAX_READ) -> bytes:
        """Return the whole body, at most ``most`` bytes. Raises as ``rest``."""
        if self._connection is not None:
            pieces = bytearray(self.body)
            async for piece in self.rest():
                pieces += piece
                if len(pieces) > most:
                    self.abandon()
                    raise BadAnswer(f"an answer is larger than {most} bytes")
            self.body = bytes(pieces)
            self.complete = True
        return self.body

    def abandon(self) -> None:
        """Give up an unfinished answer. Closes its connection. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._end()


class HostUnavailable(UpstreamError):
    """The host answered that it is unavailable; ``answer`` is to be passed on if no other host has a better one."""

    def __init__(self, message: str, answer: UpstreamAnswer) -> None:
        super().__init__(message)
        self.answer = answer


def _end_wait(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # otherwise the waiting task has been cancelled
        waiter.set_result(None)


class Connection(asyncio.Protocol):
    """A connection to ``name``. ``used`` counts exchanges begun; ``idle_since`` is loop time when it was last kept.

    ``max_head`` bounds the bytes of an answer's head. When an exchange ends well, ``on_idle(connection)`` is called and
    another may begin; ``on_lost(connection)`` is called once, when the connection is lost.
    """

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        max_head: int,
        on_idle: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self.name = name
        self.used = 0
        self.idle_since = 0.0
        # The name or address of the host, and the address connected to.
        self.peer = ("", "")
        self._loop = loop
        self._max_head = max_head
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._transport = cast("asyncio.Transport", None)
        self._closed = False
        # PERF: keeps ticking from one exchange to the next, since nearly none needs it; see _expect.
        self._timer: asyncio.Handle | None = None
        # Loop time of its next tick. uvloop's handle cannot return it in the last half millisecond.
        self._ticks_at = 0.0
        # Whether an exchange is under way; its parser, from its first byte on unless the answer is recognised.
        self._busy = False
        self._parser: httptools.HttpResponseParser | None = None
        self._recognise: ResponseRecogniser | None = None
        self._recognised: UpstreamAnswer | None = None
        # Called once, when there is an answer to deliver, or an error; never from within the parser.
        self._ready: Callable[[], None] | None = None
        self._due = 0.0
        self._head_only = False
        self._stall = 0.0
        self._error: UpstreamError | None = None
        self._head_bytes = 0
        self._whole = False  # the answer is complete
        self._paused = False
        self._until_eof = False  # the answer ends with the connection

    def _start_parser(self) -> httptools.HttpResponseParser:
        """Parse the answer of this exchange from its first byte on."""
        self._heading = True  # the final head is not complete yet
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._surplus = False  # bytes followed it
        self._keep = False  # the host keeps the connection
        self._streaming = False  # its first part was delivered
        self._parser = httptools.HttpResponseParser(self)
        return self._parser

    @property
    def usable(self) -> bool:
        """Return whether another exchange may begin: the connection is open and idle, and nothing unexpected has
        arrived."""
        return not self._busy and not self._closed and not self._transport.is_closing()

    def retire(self) -> None:
        """Close it as soon as it is idle."""
        if self.usable:
            self.close()
        else:
            self._on_idle = Connection.close

    def close(self) -> None:
        """Close it at once, even during an exchange. Idempotent."""
        self._busy = False
        self._parser = None
        if not self._closed:
            self._closed = True
            self._transport.abort()
        # A waiting task must not wait for its deadline.
        self._fail(Unanswered(f"the connection to {self.name} was closed here"))

    def give_up(self) -> None:
        """End the exchange under way without its answer: ``ready`` is called, and ``result`` raises Abandoned."""
        if self._ready is not None:
            self._fail(Abandoned(f"the call at {self.name} was given up"))

    async def exchange(self, request: bytes, *, head_only: bool, deadline: float, stall: float) -> UpstreamAnswer:
        """Run ``begin`` and return ``result`` once it is ready. Raises as ``result``, also if the connection is closed
        already; then, and when cancelled, closes the connection."""
        waiter = self._loop.create_future()
        if self._closed:
            raise Unanswered(f"{self.name} closed the connection", on_kept_connection=self.used > 0)
        self.begin(request, head_only=head_only, deadline=deadline, stall=stall, ready=partial(_end_wait, waiter))
        try:
            await waiter
        except BaseException:
            self._ready = None
            self.close()
            raise
        return self.result()

    def begin(
        self,
        request: bytes,
        *,
        head_only: bool,
        deadline: float,
        stall: float,
        ready: Callable[[], None],
        recognise: ResponseRecogniser | None = None,
    ) -> None:
        """Send a serialised request; call ``ready`` once the answer is whole, has READ_AHEAD bytes of its body, or has
        failed. Then call ``result``, once.

        Requires ``usable``. ``head_only``: the method was HEAD, so no body follows. ``deadline``: loop time by which
        ``ready`` is called. ``stall``: seconds that the rest of a long body may pause. An answer that arrives whole in
        one read, with a head that ``recognise`` does not doubt, is not parsed further.
        """
        self.used += 1
        self._busy = True
        self._head_only = head_only
        self._stall = stall
        self._error = None
        self._head_bytes = 0
        self._whole = self._paused = self._until_eof = False
        self._recognise = None if head_only else recognise
        self._expect(ready, deadline)
        self._transport.write(request)

    def result(self) -> UpstreamAnswer:
        """Return the answer of the exchange that is ready. Raises Unanswered, DeadlineExceeded or BadAnswer, and then
        closes the connection."""
        if self._error is not None:
            self.close()
            if isinstance(self._error, Unanswered):
                self._error.on_kept_connection = self.used > 1
            raise self._error
        recognised = self._recognised
        if recognised is not None:
            self._recognised = None
            self._finish(keep=True)
            return recognised
        body = self._take()
        if self._whole:
            self._finish(keep=self._keep and not self._surplus)
            return UpstreamAnswer(self._status, self._headers, body, None)
        self._streaming = True
        return UpstreamAnswer(self._status, self._headers, body, self)

    async def read_more(self) -> tuple[bytes, bool]:
        """Return (more of the body, whether that is the end). Raises BadAnswer, or DeadlineExceeded after ``stall``."""
        if not (self._chunks or self._whole or self._error):
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            await self._wait(self._loop.time() + self._stall)
        if self._error is not None:
            raise self._error
        body = self._take()
        if self._whole:
            self._finish(keep=self._keep and not self._surplus)
        return body, self._whole

    async def _wait(self, deadline: float) -> None:
        """Wait until there is data to deliver, or an error."""
        waiter = self._loop.create_future()
        self._expect(partial(_end_wait, waiter), deadline)
        try:
            await waiter
        finally:
            self._ready = None

    def _take(self) -> bytes:
        chunks = self._chunks
        self._chunks = []
        self._buffered = 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _finish(self, *, keep: bool) -> None:
        """Take in the end of the answer: keep the connection if both sides are done with it and in step."""
        self._busy = False
        self._parser = None
        # A host that answered before it had read the request may read the rest as the next request.
        if keep and not self._closed and not self._transport.get_write_buffer_size():
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            self.idle_since = self._loop.time()
            self._on_idle(self)
        else:
            self.close()

    def _wake(self) -> None:
        ready = self._ready
        if ready is not None:
            self._ready = None
            ready()

    def _expect(self, ready: Callable[[], None], due: float) -> None:
        """Have ``ready`` called when there is data to deliver, or at loop time ``due``."""
        self._ready = ready
        self._due = due
        if self._timer is not None and self._ticks_at > due:
            self._stop_timer()
        if self._timer is None:
            self._start_timer()

    def _tick(self) -> None:
        self._timer = None
        if self._ready is None:
            return
        if self._loop.time() < self._due:
            self._start_timer()
        else:
            self._fail(DeadlineExceeded(f"{self.name} did not answer in time"))

    def _start_timer(self) -> None:
        self._ticks_at = self._due
        self._timer = self._loop.call_at(self._due, self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None:
            self._error = error
        self._wake()

    # -- called by the transport -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._busy or self._recognised is not None:
            # Unsolicited: the 408 of an impatient host, or a second answer.
            self.close()
            return
        parser = self._parser
        if parser is None:
            if self._recognise is not None and self._take_recognised(data):
                return
            parser = self._start_parser()
        self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._whole:
                self._fail(BadAnswer(f"{self.name} answered what is not HTTP/1.1: {error}"))
                return
            self._surplus = True
        if self._whole or self._error is not None:
            self._wake()
        elif self._heading:
            if self._head_bytes > self._max_head:
                self._fail(BadAnswer(f"{self.name} answered with more than {self._max_head} bytes of headers"))
        elif self._buffered >= READ_AHEAD:
            if not self._paused:
                self._paused = True
                self._transport.pause_reading()
            self._wake()
        elif self._streaming:
            self._wake()

    def _take_recognised(self, data: bytes) -> bool:
        """Take the answer that the bytes are; return False, and do nothing, if they are not one whole usual answer."""
        assert self._recognise is not None
        recognised = self._recognise(data)
        if recognised is None or recognised[0] > self._max_head or recognised[0] + recognised[3] != len(data):
            return False
        end, status, lines, _, (request_id,) = recognised
        self._recognised = answer = UpstreamAnswer(status, [], data[end:], None)
        answer.lines = lines
        answer.request_id = request_id
        self._whole = True
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._stop_timer()
        self._on_lost(self)
        if not self._busy or self._whole:
            return
        if self._until_eof and exc is None:
            self._whole = True
            self._wake()
        elif self._head_bytes:
            self._fail(BadAnswer(f"{self.name} broke off its answer"))
        else:
            self._fail(Unanswered(f"{self.name} closed the connection without an answer"))

    # -- called by the parser ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._whole:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._heading:  # otherwise it is a trailer, which ends here (RFC 9110 section 6.5.1)
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser is None or self._whole:
            return
        status = parser.get_status_code()
        if not 100 <= status <= 599:  # RFC 9110 section 15: a client that gets another one treats it as a failure
            self._error = self._error or BadAnswer(f"{self.name} answered with status {status}")
            return
        if status < 200:  # 100, 103: only the final answer counts (RFC 9110 section 15.2); 101 ends in ParserUpgrade
            self._headers = []
            return
        self._status = status
        self._heading = False
        self._keep = parser.should_keep_alive()
        if self._head_only:
            self._whole = True
        elif not self._keep and status not in (204, 304):
            names = {name for name, _ in self._headers}
            self._until_eof = b"content-length" not in names and b"transfer-encoding" not in names

    def on_body(self, body: bytes) -> None:
        if self._whole:  # after the answer to HEAD, or of a second answer
            self._surplus = True
        else:
            self._chunks.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        if not self._heading:
            self._whole = True
