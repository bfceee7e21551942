"""Answers that are there as a whole go out in one write: an ASGI extension.

ASGI has two messages for an answer, and uvicorn a write for each: a system call more, and a client that wakes up for a
head whose body is not there yet. Forwarding is mostly that, so the protocol offers ``scope["extensions"][WHOLE]``, a
``Whole``; an application that does not find it uses the two messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

WHOLE = "marconi.whole"

# How long (seconds) a refused client may go on sending. Closing with unread bytes makes the kernel reset the
# connection, and the client loses the answer that says why.
LINGER = 1.0

_BODILESS = frozenset({204, 304})


def serialise(
    status: int,
    defaults: Iterable[tuple[bytes, bytes]],
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    keep: bool,
) -> bytes | None:
    """Return an answer as it goes out, None if its headers do not frame the body. ``keep``: the connection stays."""
    pieces = [STATUS_LINE[status]]
    for name, value in defaults:
        pieces += (name, b": ", value, b"\r\n")
    framed = status in _BODILESS
    for name, value in headers:
        pieces += (name, b": ", value, b"\r\n")
        if name == b"content-length":
            framed = True
    if not framed:
        return None
    pieces.append(b"\r\n" if keep else b"connection: close\r\n\r\n")
    pieces.append(body)
    return b"".join(pieces)


class Whole:
    """The way to answer one request at once."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    @property
    def client_gone(self) -> bool:
        """Whether the client has closed the connection, so that nobody waits for an answer."""
        cycle = self._cycle
        # A broken request behind this one may have closed the connection, of which only the last request is told.
        cycle.disconnected = cycle.disconnected or cycle.transport.is_closing()
        return cycle.disconnected

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send an answer that has not been started, and complete it; tell whether that was done.

        Not done, so that the two messages are needed, if the client reads slowly (its buffer is full) or if the headers
        do not frame the body. ``headers`` have lower-case names, are valid (from a parser or from ourselves) and name
        neither Connection nor Transfer-Encoding; a Content-Length is that of ``body``, or of what a GET would have got.
        A request whose body has not been read to its end is the last one on its connection.
        """
        cycle = self._cycle
        if self.client_gone:
            return True
        if cycle.response_started or cycle.flow.write_paused:
            return False
        keep = cycle.keep_alive and not cycle.more_body
        data = serialise(status, cycle.default_headers, headers, b"" if cycle.scope["method"] == "HEAD" else body, keep)
        if data is None:
            return False
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(data)
        cycle.response_complete = True
        cycle.message_event.set()
        if not keep:
            self._hang_up()
        cycle.on_response()
        return True

    def _hang_up(self) -> None:
        """Close the connection, once the client has had time to read the answer if it is still sending."""
        cycle = self._cycle
        cycle.keep_alive = False
        if cycle.more_body and cycle.transport.can_write_eof():
            cycle.transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER, cycle.transport.close)
        else:
            cycle.transport.close()
