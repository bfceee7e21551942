"""An ASGI extension: an answer that is there as a whole goes out in one write.

ASGI has two messages for an answer, and uvicorn a write for each: a system call more, and a client that wakes up for a
head whose body is not there yet. Forwarding is mostly that, so the protocol offers ``scope["extensions"][WHOLE]``, a
callable; an application that does not find it uses the two messages.
"""

from __future__ import annotations

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

WHOLE = "marconi.whole"

_BODILESS = frozenset({204, 304})


def respond_whole(
    cycle: RequestResponseCycle, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> bool:
    """Send an answer that has not been started, and complete it; tell whether that was done.

    Not done, so that the two messages are needed, if the client reads slowly (its buffer is full) or if the headers do
    not frame the body. ``headers`` have lower-case names, are valid (from a parser or from ourselves) and name
    neither Connection nor Transfer-Encoding; a Content-Length is that of ``body``, or of what a GET would have got.
    """
    if cycle.disconnected:
        return True
    if cycle.response_started or cycle.flow.write_paused:
        return False
    pieces = [STATUS_LINE[status]]
    for name, value in cycle.default_headers:
        pieces += (name, b": ", value, b"\r\n")
    framed = status in _BODILESS
    for name, value in headers:
        pieces += (name, b": ", value, b"\r\n")
        if name == b"content-length":
            framed = True
    if not framed:
        return False
    pieces.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    if body and cycle.scope["method"] != "HEAD":
        pieces.append(body)
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join(pieces))
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
