"""Complete answers are sent in one write: an ASGI extension.

ASGI has two messages for an answer, and uvicorn a write for each: an additional system call, and a client that wakes up
for a head without its body. Forwarding consists mostly of this, so the protocol offers a ``BufferedResponse`` as
``scope["extensions"][BUFFERED_RESPONSE]``; an application that does not find it uses the two messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

BUFFERED_RESPONSE = "marconi.whole"

# Seconds for which a refused client may continue sending. Closing with unread bytes makes the kernel reset the
# connection, and the client loses the answer with the reason.
LINGER = 1.0

_BODILESS = frozenset({204, 304})


def serialise(
    status: int,
    defaults: Iterable[tuple[bytes, bytes]],
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    keep: bool,
) -> bytes | None:
    """Return the bytes of an answer, None if its headers do not frame the body. ``keep``: the connection stays."""
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


class BufferedResponse:
    """The way to answer one request at once."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    @property
    def client_gone(self) -> bool:
        """Whether the client has closed the connection, so that no answer is needed."""
        cycle = self._cycle
        # A broken request behind this one may have closed the connection, and only the last request is notified.
        cycle.disconnected = cycle.disconnected or cycle.transport.is_closing()
        return cycle.disconnected

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a complete answer, if none was started; return whether it was sent.

        False, so that the two messages are needed, if the client reads slowly (its buffer is full) or if the headers do
        not frame the body. ``headers`` have lower-case names, are valid (from a parser or from ourselves) and name
        neither Connection nor Transfer-Encoding; a Content-Length is that of ``body``, or of the answer to a GET. A
        request with an unread rest of its body is the last one on its connection.
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
