"""The server's side of writing HTTP/1.1: parts of a response in, bytes out, no sockets (RFC 9112 section 6).

``whole_response`` frames a response with a known body, ``StreamedResponse`` one with a body that comes in pieces.
"""

from __future__ import annotations

import http
import json
from collections.abc import Iterable

from serving.request_parser import BadRequest, RequestHead
from serving.retry_after import retry_after

Header = tuple[bytes, bytes]

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}
# RFC 9110 sections 15.3.5 and 15.4.5.
_BODILESS = frozenset({204, 304})
# The connection's own; those of an application are dropped.
_OURS = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})


class ResponseMisframed(Exception):
    """The application sent more or less of a body than its Content-Length. The connection has to end."""


def whole_response(
    request: RequestHead, status: int, headers: Iterable[Header], body: bytes, *, date: bytes, keep_alive: bool
) -> bytes:
    """Return all bytes of a response to ``request``.

    ``headers`` have lower-case names. A Content-Length among them is that of the body or, where none is sent (HEAD,
    304), of the body of a GET; without one, that of ``body`` is added. ``date`` is the line of the Date header.
    ``keep_alive``: the connection stays.
    """
    pieces = [_status_line(status), date]
    framed = status in _BODILESS
    for name, value in headers:
        if name in _OURS:
            continue
        if name == b"content-length":
            if status == 204:  # RFC 9110 section 8.6
                continue
            framed = True
        pieces += (name, b": ", value, b"\r\n")
    if not framed:
        pieces.append(b"content-length: %d\r\n" % len(body))
    pieces.append(_last_lines(request, keep_alive))
    if status not in _BODILESS and request.method != b"HEAD":
        pieces.append(body)
    return b"".join(pieces)


def response_of_lines(
    request: RequestHead, status: int, lines: bytes, body: bytes, *, date: bytes, keep_alive: bool
) -> bytes:
    """Return all bytes of a response to ``request`` as ``whole_response`` does, with serialised header lines.

    PERF: ``lines`` end with CR LF, and are without Content-Length, Date, and the headers of the connection.
    """
    last = _last_lines(request, keep_alive)
    if status in _BODILESS:
        return _status_line(status) + date + lines + last
    if request.method == b"HEAD":
        return b"%b%b%bcontent-length: %d\r\n%b" % (_status_line(status), date, lines, len(body), last)
    return b"%b%b%bcontent-length: %d\r\n%b%b" % (_status_line(status), date, lines, len(body), last, body)


class StreamedResponse:
    """A response with a body in pieces. ``head`` is sent first; each ``piece`` and then ``end`` as it returns.

    A body without a Content-Length is chunked; a client of HTTP/1.0 gets it until the end of the connection, and then
    ``keep_alive`` is False.
    """

    __slots__ = ("_bodiless", "_chunked", "_left", "head", "keep_alive")

    def __init__(
        self, request: RequestHead, status: int, headers: Iterable[Header], *, date: bytes, keep_alive: bool
    ) -> None:
        kept = [
            pair for pair in headers if pair[0] not in _OURS and not (pair[0] == b"content-length" and status == 204)
        ]
        lengths = [value for name, value in kept if name == b"content-length"]
        self._bodiless = status in _BODILESS or request.method == b"HEAD"
        self._left = int(lengths[0]) if lengths and not self._bodiless else None
        self._chunked = not self._bodiless and self._left is None and request.version == "1.1"
        self.keep_alive = keep_alive and (self._bodiless or self._left is not None or self._chunked)
        lines = [name + b": " + value + b"\r\n" for name, value in kept]
        if self._chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        self.head = b"".join((_status_line(status), date, *lines, _last_lines(request, self.keep_alive)))

    def piece(self, data: bytes) -> bytes:
        """Frame a piece of the body. Raises ResponseMisframed if it is too long."""
        if self._bodiless or not data:
            return b""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise ResponseMisframed(f"{-self._left} bytes more than the Content-Length")
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def end(self) -> bytes:
        """Frame the end of the body. Raises ResponseMisframed if some of it is missing."""
        if self._left:
            raise ResponseMisframed(f"{self._left} bytes less than the Content-Length")
        return b"0\r\n\r\n" if self._chunked else b""


def refusal(error: BadRequest, *, date: bytes) -> bytes:
    """Return the response to bytes that are no request, after which the connection ends (API section 1.8)."""
    return closing_response(error.status, error.title, str(error), date=date)


def closing_response(status: int, title: str, description: str, *, date: bytes) -> bytes:
    """Return a response of the server's own, after which the connection ends (API section 1.8)."""
    body = json.dumps({"title": title, "description": description}).encode()
    retry = b"retry-after: %d\r\n" % retry_after(1) if status == 503 else b""
    return b"%b%bcontent-type: application/json\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n%b" % (
        _status_line(status),
        date,
        len(body),
        retry,
        body,
    )


def _status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def _last_lines(request: RequestHead, keep_alive: bool) -> bytes:
    """Return the Connection header, where it differs from the default, and the end of the head."""
    if not keep_alive:
        return b"connection: close\r\n\r\n"
    return b"\r\n" if request.version == "1.1" else b"connection: keep-alive\r\n\r\n"
