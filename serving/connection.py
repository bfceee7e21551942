"""One client connection: an asyncio protocol around the parser, one request in flight at a time.

The states, and the attribute that each is recognised by:

=============  =====================================  ==============================================================
state          recognised by                          leaves it
=============  =====================================  ==============================================================
waiting        ``_call is None``                      a complete head begins a call; end of input, a timeout or a
                                                      drain close the connection; bad bytes are refused
receiving      ``_call`` and receiving                the end of the body; bad bytes, a timeout or an aborted
                                                      connection end the call
answering      ``_call`` and not receiving            the answer, and then: waiting, or closing
closing        ``_deaf``                              input is discarded until the client has ended, or ``LINGER``
=============  =====================================  ==============================================================

The end of a client's input is no reason to drop its request: a half-closed connection gets its answers (RFC 9112
section 9.6). Only a connection that is aborted, or an incomplete request, has no client any more.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from serving.asgi import AsgiCall
from serving.buffered_request import BufferedRequest
from serving.request_parser import END, BadRequest, RequestHead, RequestParser
from serving.response_framing import closing_response

if TYPE_CHECKING:
    from serving.server import Server

LOG = logging.getLogger(__name__)

# Bytes of a body, or of the requests behind the current one, that are read ahead of their turn.
READ_AHEAD = 65536


class Connection(asyncio.Protocol):
    """A connection of ``server``. Methods besides those of asyncio.Protocol are for the server and the current call."""

    __slots__ = (
        *("_address", "_beginning", "_call", "_deaf", "_drained", "_eof", "_parser", "_parsing", "_reading_paused"),
        *("_stuck_with", "client", "server", "sockname", "transport", "write_paused"),
    )

    def __init__(self, server: Server) -> None:
        self.server = server
        self._parser = RequestParser(server.limits.max_head)
        # Whether the parser has bytes of this request or of those behind it.
        self._parsing = False
        self._call: AsgiCall | BufferedRequest | None = None
        self.transport = cast("asyncio.Transport", None)
        self._beginning = False
        self._deaf = False
        self._eof = False
        self._reading_paused = False
        self.write_paused = False
        self._drained: asyncio.Future[None] | None = None
        # Bytes that the client had not read at the last look.
        self._stuck_with = 0

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it for want of room."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.client: tuple[str, int] | None = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self._address = self.client[0] if self.client else ""
        name = transport.get_extra_info("sockname")
        self.sockname = (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
        full = self.server.admit(self, self._address)
        if full is None:
            self.server.heads.add(self, self.server.loop.time())
            return
        self._deaf = True
        # No lingering, which would hold what there is too much of.
        self._write_closing(503, "Too many connections", f"{full} The request was not processed; retry later.")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the current call: its client is gone."""
        self._deaf = True
        self.server.forget(self, self._address)
        self._hang_up_on_call()
        self._wake_sender()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._call is None and not self._parsing and self._begin_recognised(data):
            return
        self._parser.feed(data)
        self._parsing = True
        if self._call is None:
            self._begin_requests()
        else:
            self._go_on_receiving()
        if self._parser.buffered > READ_AHEAD:
            self._pause_reading()

    def eof_received(self) -> bool:
        """Keep the connection open for the answers that are due; close it if there are none."""
        self._eof = True
        if self._call is None:
            # All that could begin has begun, so what is left is no whole request. The last answer is still sent.
            ended = self._deaf or not self.write_paused
        else:
            ended = self._call.receiving
            if not ended and self._call.on_left is not None:
                self._call.on_left(False)
        if ended:
            self._hang_up_on_call()
            self.drop()
        return True

    @property
    def half_closed(self) -> bool:
        """Whether the client has closed its side."""
        return self._eof

    def pause_writing(self) -> None:
        self.write_paused = True
        self._watch_reader()

    def resume_writing(self) -> None:
        self.write_paused = False
        if not self.transport.is_closing():
            self.server.stuck.discard(self)
        self._wake_sender()
        if self._call is None and not self._deaf:
            self._begin_requests()
            self.read_on()

    # -- requests ------------------------------------------------------------------------------------------------------

    @property
    def waits_for_request(self) -> bool:
        """Whether no byte of a request is there that has no answer."""
        return self._call is None and self._parser.between_requests

    def _begin_requests(self) -> None:
        """Begin the next request, and each further one while its predecessor has been answered at once."""
        if self._beginning:
            return  # called from within the loop below
        self._beginning = True
        try:
            # A client that does not read its answers gets no more of them.
            while self._call is None and not self._deaf and not self.write_paused:
                head = self._parser.next_event()
                if head is None:
                    self._wait_for_head()
                    return
                assert isinstance(head, RequestHead)
                self._begin(head)
        except BadRequest as error:
            self.refuse(error)
        finally:
            self._beginning = False

    def _begin_recognised(self, data: bytes) -> bool:
        """Begin the request that the bytes begin with, if its head is recognised and its body is there; return whether
        that is so. If not, nothing was done.

        PERF: this is ``_begin_requests`` without the general parser, which does not see the request.
        """
        server = self.server
        recognised = server.recognise(data)
        if recognised is None:
            return False
        size = recognised[0]
        end = size + (recognised[4] or 0)
        if end > len(data) or size > server.limits.max_head or self.write_paused:
            return False
        body = data[size:end]
        if body and not server.reserve(len(body)):
            return False
        server.idle.discard(self)
        server.heads.discard(self)
        if end < len(data):
            self._parser.feed(data[end:])
            self._parsing = True
            if self._parser.buffered > READ_AHEAD:
                self._pause_reading()
            data = data[:size]
        self._offer(BufferedRequest(self, None, body, recognised, data))
        return True

    def _begin(self, head: RequestHead) -> None:
        server = self.server
        server.idle.discard(self)
        server.heads.discard(self)
        body = self._parser.whole_body()
        if body is None:
            self._begin_asgi(head)
            return
        if body and not server.reserve(len(body)):
            self._parser.next_request()
            self.refuse_for_bodies()
            return
        self._offer(BufferedRequest(self, head, body))

    def _offer(self, request: BufferedRequest) -> None:
        self._call = request
        try:
            taken = self.server.try_fast_path(request)
        except Exception:
            LOG.exception("the application failed to take a request")
            taken = False
        if not taken:
            request.hand_over(self.server.application)

    def _begin_asgi(self, head: RequestHead) -> None:
        """Begin a request before its body has arrived."""
        self.server.bodies.add(self, self.server.loop.time())
        call = AsgiCall(self, head, receiving=True)
        self._call = call
        self._go_on_receiving()
        if self.has(call):
            call.start(self.server.application)
        else:  # what has arrived of its body is no body
            call.release()

    def _go_on_receiving(self) -> None:
        """Pass on what has arrived of the current request's body; keep what is behind it."""
        call = self._call
        try:
            while isinstance(call, AsgiCall) and call.receiving:
                event = self._parser.next_event()
                if event is None:
                    if self._eof:  # it had ended before the turn of this request
                        self._hang_up_on_call()
                        self.drop()
                    break
                if event is END:
                    self.server.bodies.discard(self)
                    call.body_ended()
                elif not call.take_body(cast("bytes", event)):
                    self.refuse_for_bodies()
                    return
        except BadRequest as error:
            self.refuse(error)
            return
        if isinstance(call, AsgiCall) and call.unread > READ_AHEAD:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._eof and not self._deaf:
            self._reading_paused = True
            self.transport.pause_reading()

    def read_on(self) -> None:
        """Go on reading, if that was paused and what was read ahead is used up."""
        if self._reading_paused and (self._deaf or self._parser.buffered <= READ_AHEAD):
            self._reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def _wait_for_head(self) -> None:
        server = self.server
        if self._eof:
            self.drop()
        elif self._parsing and not self._parser.between_requests:
            server.idle.discard(self)
            if self not in server.heads:
                server.heads.add(self, server.loop.time())
        else:
            self._parsing = False
            if self not in server.heads:
                server.idle.add(self, server.loop.time())

    # -- answers -------------------------------------------------------------------------------------------------------

    @property
    def may_keep(self) -> bool:
        """Whether the connection may outlive the current call: its request was read whole, and no drain has begun."""
        return not self.server.draining and not (self._call is not None and self._call.receiving)

    def has(self, call: AsgiCall | BufferedRequest) -> bool:
        """Whether this is the current call: its answer is due."""
        return self._call is call

    def replace_call(self, request: BufferedRequest, call: AsgiCall) -> None:
        """Let an ASGI call answer the current request."""
        if self._call is request:
            self._call = call

    def end_call(self, call: AsgiCall | BufferedRequest, *, keep_alive: bool) -> None:
        """Go on after the last byte of the current call's answer was written."""
        if self._call is not call:
            return
        self._call = None
        if not keep_alive:
            self._close(unread=call.receiving or self._parser.buffered > 0)
            return
        if self._parsing:
            self._parser.next_request()
            self._begin_requests()
            self.read_on()
        elif not self.write_paused:
            self._wait_for_head()

    async def drained(self) -> None:
        """Wait until the client has read enough for more to be written, or is gone."""
        if self.write_paused and not self.transport.is_closing():
            self._drained = self.server.loop.create_future()
            await self._drained

    def _wake_sender(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # -- the end -------------------------------------------------------------------------------------------------------

    def refuse(self, error: BadRequest) -> None:
        """Answer bytes that are no request, or a call that can not go on, and end the connection."""
        LOG.debug("refused a request of %s: %s", self._address, error)
        call = self._call
        self._deaf = True
        if call is not None and call.started:
            self.abort()
            return
        self._hang_up_on_call()
        self._write_closing(error.status, error.title, str(error))
        self._close(unread=True)

    def refuse_for_bodies(self) -> None:
        """Refuse the current call: too many bytes of bodies are in flight."""
        self.refuse(
            BadRequest(
                "This server has too many requests in flight. The request was not processed; retry later.",
                503,
                "Service temporarily unavailable",
            )
        )

    def head_timed_out(self) -> None:
        """Refuse a head that is late; close a connection that never sent a byte, as browsers open them, silently."""
        if self._deaf:
            return
        if self._parser.between_requests:
            self.drop()
        else:
            seconds = self.server.limits.head_timeout
            self.refuse(BadRequest(f"The request line and headers did not arrive within {seconds:g} seconds."))

    def body_timed_out(self) -> None:
        """Refuse a body that is late. A body that the application does not read is not the client's delay."""
        if self._deaf:
            return
        if self._reading_paused:
            self.server.bodies.add(self, self.server.loop.time())
            return
        seconds = self.server.limits.body_timeout
        self.refuse(
            BadRequest(f"The request's body did not arrive within {seconds:g} seconds. The request was not processed.")
        )

    def send_timed_out(self, now: float, least: float) -> None:
        """Abort the connection of a client that has read less than ``least`` bytes since the last look."""
        left = self.transport.get_write_buffer_size()
        if self._stuck_with - left < least:
            LOG.debug("%s does not read its answers", self._address)
            self.abort()
            return
        self._stuck_with = left
        self.server.stuck.add(self, now)

    def drop(self) -> None:
        """Close the connection when what was written has been sent, or the client does not read it."""
        self._deaf = True
        self.server.idle.discard(self)
        self.server.heads.discard(self)
        if self.transport.get_write_buffer_size() and self not in self.server.stuck:
            self._watch_reader()
        self.transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._deaf = True
        self.transport.abort()

    def _write_closing(self, status: int, title: str, description: str) -> None:
        self.transport.write(closing_response(status, title, description, date=self.server.date_line()))

    def _close(self, *, unread: bool) -> None:
        """End the connection after an answer; if the client may still be sending, let it read the answer first."""
        self._deaf = True
        if unread and not self._eof and self.transport.can_write_eof():
            self.transport.write_eof()
            self.read_on()
            self.server.lingering.add(self, self.server.loop.time())
        else:
            self.drop()

    def _watch_reader(self) -> None:
        """Have ``send_timed_out`` called, if the client does not read on."""
        self._stuck_with = self.transport.get_write_buffer_size()
        self.server.stuck.add(self, self.server.loop.time())

    def _hang_up_on_call(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.hang_up()
