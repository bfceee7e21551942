"""The server's side of reading HTTP/1.1: bytes in, events out, no sockets (RFC 9112).

``feed`` bytes, then take events from ``next_event`` until it returns None: one ``RequestHead``, pieces of the body as
bytes, ``END``. After ``END`` the parser stands still until ``next_request``, and what follows stays bytes: one request
at a time is parsed, so a pipeline costs no more than its bytes.

The parser is stricter than the RFC asks for wherever two servers could read the same bytes as different requests: it
refuses a bare CR or LF, folded lines, a repeated Content-Length, and any Transfer-Encoding but ``chunked`` alone. It
ignores Upgrade (RFC 9110 section 7.8), so the body of such a request stays its body. It checks, bounds and drops
trailers and chunk extensions (RFC 9110 section 6.5.1).
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

# RFC 9110 section 5.6.2.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/(1\.[01])" % _TOKEN)
# RFC 9112 section 5: no white space before the colon, no control character but the tab.
_HEADER_LINES = re.compile(rb"(?:%b:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*" % _TOKEN)
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?#@]+)([/?#].*)?", re.IGNORECASE)
# RFC 9110 section 7.2: uri-host [":" port].
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?")
# The first byte of a request, or of an empty line before it.
_BEGINNINGS = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\r")

_INVALID = "This is not a valid HTTP/1.1 request."
_BADLY_CHUNKED = "The request's body is not validly chunked."

Headers = list[tuple[bytes, bytes]]


class BadRequest(Exception):
    """The bytes are no request that is processed, and nothing after them can be read.

    ``status``, ``title`` and ``str()`` are for the client.
    """

    def __init__(self, description: str, status: int = 400, title: str = "Bad request") -> None:
        super().__init__(description)
        self.status = status
        self.title = title


class RequestHead:
    """A request line and its headers.

    ``target`` begins with one slash or is ``*``; an absolute-form target has lost its scheme and authority, and the
    authority is in the Host header (RFC 9112 section 3.2.2). ``version`` is "1.0" or "1.1". ``headers`` have lower-case
    names, and values without white space at their ends, in the order received. ``length`` is the body's, in bytes; None
    if it is chunked. ``keep_alive``: the client wants to keep the connection. ``expects_continue``: it waits for a 100
    before it sends the body.
    """

    __slots__ = ("expects_continue", "headers", "keep_alive", "length", "method", "target", "version")

    def __init__(self, method: bytes, target: bytes, version: str, headers: Headers) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.length: int | None = 0
        self.keep_alive = version == "1.1"
        self.expects_continue = False


class End(Enum):
    """The event after the last piece of a body."""

    END = auto()


END: Final = End.END
Event = RequestHead | bytes | End


class State(Enum):
    """The part that the parser reads next, by its function in ``_STEPS``."""

    HEAD = auto()
    SIZED_BODY = auto()
    CHUNK_LINE = auto()
    CHUNK_DATA = auto()
    CHUNK_END = auto()
    TRAILERS = auto()
    END = auto()
    # Nothing, until next_request.
    COMPLETE = auto()


class RequestParser:
    """The requests of one connection, one after the other.

    ``max_head`` bounds the bytes of a request line and its headers, and those of a body's chunk lines and trailers.
    """

    __slots__ = ("_at", "_buffer", "_max_head", "_overhead", "_remaining", "_scanned", "state")

    def __init__(self, max_head: int) -> None:
        self.state = State.HEAD
        self._max_head = max_head
        # The bytes received, where among them the next event begins, and how far they were searched for an end of line.
        self._buffer = b""
        self._at = 0
        self._scanned = 0
        # Bytes that the body or chunk lacks; bytes of empty lines before a head, or of chunk lines and trailers.
        self._remaining = 0
        self._overhead = 0

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._at == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._at :] + data
        self._scanned = max(0, self._scanned - self._at)
        self._at = 0

    @property
    def buffered(self) -> int:
        """Bytes that no event has shown yet."""
        return len(self._buffer) - self._at

    @property
    def between_requests(self) -> bool:
        """Whether no byte of the next request has arrived."""
        return self.state is State.HEAD and not self.buffered and not self._overhead

    def next_event(self) -> Event | None:
        """Return the next event, or None if it takes more bytes, or ``next_request``. Raises BadRequest."""
        while True:
            state = self.state
            event = _STEPS[state](self)
            if event is not None or self.state is state:
                return event

    def whole_body(self) -> bytes | None:
        """After a head: return the body of its request, if all of it has arrived; else None, and
        nothing changes.

        PERF: in place of the events, for requests that arrive in one piece.
        """
        if self.state is State.END:
            self.state = State.COMPLETE
            return b""
        if self.state is not State.SIZED_BODY or self.buffered < self._remaining:
            return None
        self.state = State.COMPLETE
        return self._take(self._remaining)

    def next_request(self) -> None:
        """Go on to the next request of the connection. One that this parser has not read was not fed to it."""
        assert self.state is State.COMPLETE or self.state is State.HEAD, self.state
        self.state = State.HEAD
        self._overhead = 0
        self._forget_what_is_used()

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _read_head(self) -> RequestHead | None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n", self._at):  # RFC 9112 section 2.2: an empty line before a request is skipped
            self._overhead += 2
            self._at += 2
        start = self._at
        if start < len(buffer) and buffer[start] not in _BEGINNINGS:
            raise BadRequest(_INVALID)
        end = buffer.find(b"\r\n\r\n", max(start, self._scanned))
        if (end + 4 if end >= 0 else len(buffer)) - start + self._overhead > self._max_head:
            raise BadRequest(f"The request line and headers are larger than {self._max_head} bytes.")
        if end < 0:
            if _BARE_LINE_END.search(buffer, max(start, self._scanned - 1)):
                raise BadRequest(_INVALID)
            self._scanned = len(buffer) - 3
            return None
        head = parse_head(buffer[start : end + 2])
        self._at = end + 4
        self._scanned = self._overhead = 0
        if head.length is None:
            self.state = State.CHUNK_LINE
        elif head.length:
            self._remaining = head.length
            self.state = State.SIZED_BODY
        else:
            self.state = State.END
        return head

    def _read_sized_body(self) -> bytes | None:
        if not self._remaining:
            self.state = State.END
            return None
        return self._take(self._remaining) or None

    def _read_chunk_line(self) -> None:
        line = self._take_line()
        if line is None:
            return
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise BadRequest(_BADLY_CHUNKED)
        self._remaining = int(match[1], 16)
        self.state = State.CHUNK_DATA if self._remaining else State.TRAILERS

    def _read_chunk_data(self) -> bytes | None:
        if not self._remaining:
            self.state = State.CHUNK_END
            return None
        return self._take(self._remaining) or None

    def _read_chunk_end(self) -> None:
        found = self._buffer[self._at : self._at + 2]
        if not b"\r\n".startswith(found):
            raise BadRequest(_BADLY_CHUNKED)
        if len(found) == 2:
            self._at += 2
            self.state = State.CHUNK_LINE

    def _read_trailers(self) -> None:
        while (line := self._take_line()) is not None:
            if line == b"\r\n":
                self.state = State.END
                return
            if not _HEADER_LINES.fullmatch(line):
                raise BadRequest("The request's trailers are not valid.")

    def _end(self) -> End:
        self.state = State.COMPLETE
        return END

    def _wait(self) -> None:
        return None

    # -- pieces of the buffer ------------------------------------------------------------------------------------------

    def _take(self, most: int) -> bytes:
        """Take at most so many bytes of the body."""
        piece = self._buffer[self._at : self._at + most]
        self._at += len(piece)
        self._remaining -= len(piece)
        self._forget_what_is_used()
        return piece

    def _forget_what_is_used(self) -> None:
        """Let go of a buffer that is used up: an idle connection, or a slow body, would hold it."""
        if self._at == len(self._buffer):
            self._buffer = b""
            self._at = self._scanned = 0

    def _take_line(self) -> bytes | None:
        """Take a line of the body's framing with its end; None if it has not arrived."""
        end = self._buffer.find(b"\n", max(self._at, self._scanned)) + 1
        size = (end or len(self._buffer)) - self._at
        if self._overhead + size > self._max_head:
            raise BadRequest(f"The request has more than {self._max_head} bytes beside its body.")
        if not end:
            self._scanned = len(self._buffer)
            return None
        line = self._buffer[self._at : end]
        self._at = end
        self._overhead += size
        self._scanned = 0
        return line


_STEPS = {
    State.HEAD: RequestParser._read_head,
    State.SIZED_BODY: RequestParser._read_sized_body,
    State.CHUNK_LINE: RequestParser._read_chunk_line,
    State.CHUNK_DATA: RequestParser._read_chunk_data,
    State.CHUNK_END: RequestParser._read_chunk_end,
    State.TRAILERS: RequestParser._read_trailers,
    State.END: RequestParser._end,
    State.COMPLETE: RequestParser._wait,
}


def parse_head(head: bytes) -> RequestHead:
    """Parse a request line and headers, each of which ends with CR LF. Raises BadRequest."""
    line, _, block = head.partition(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None or not _HEADER_LINES.fullmatch(block):
        raise BadRequest(_INVALID)
    method, target, version = match.groups()
    headers: Headers = []
    framing: Headers = []
    for field in block.split(b"\r\n")[:-1]:
        name, _, value = field.partition(b":")
        pair = (name.lower(), value.strip(b" \t"))
        headers.append(pair)
        if pair[0] in _FRAMING:
            framing.append(pair)
    request = RequestHead(method, target, version.decode(), headers)
    _frame(request, framing)
    if target[:1] != b"/" or target[:2] == b"//" or method == b"CONNECT":
        _normalise_target(request)
    return request


# The headers that the connection goes by.
_FRAMING = frozenset({b"connection", b"content-length", b"expect", b"host", b"transfer-encoding"})


def _frame(request: RequestHead, headers: Headers) -> None:
    """Take from the headers how the body is framed and what becomes of the connection. Raises BadRequest."""
    seen = set()
    options: set[bytes] = set()
    for name, value in headers:
        if name == b"connection":
            options.update(option.strip(b" \t").lower() for option in value.split(b","))
            continue
        if name in seen:
            raise BadRequest(f"The request has more than one {name.decode().title()} header.")
        seen.add(name)
        if name == b"host":
            if not _HOST.fullmatch(value):
                raise BadRequest("The Host header is not valid.")
        elif name == b"content-length":
            if not _LENGTH.fullmatch(value):
                raise BadRequest("The Content-Length header is not valid.")
            request.length = int(value)
        elif name == b"transfer-encoding":
            _check_coding(value, request.version)
            request.length = None
        elif value.lower() != b"100-continue":
            raise BadRequest("The only expectation that is met is 100-continue.", 417, "Expectation failed")
        elif request.version == "1.1":
            request.expects_continue = True
    if b"host" not in seen and request.version == "1.1":
        raise BadRequest("The request has no Host header.")
    if {b"content-length", b"transfer-encoding"} <= seen:
        raise BadRequest("The request has both a Content-Length and a Transfer-Encoding header.")
    request.keep_alive = b"close" not in options and (request.keep_alive or b"keep-alive" in options)


def _check_coding(value: bytes, version: str) -> None:
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    if version == "1.0":
        raise BadRequest("A request of HTTP/1.0 has no Transfer-Encoding.")
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise BadRequest("The body's length is not known: the last transfer coding, and no other, must be chunked.")
    if len(codings) > 1:
        raise BadRequest("The only transfer coding that is understood is chunked.", 501, "Not implemented")


def _normalise_target(request: RequestHead) -> None:
    """Make an origin-form target of another form (RFC 9112 section 3.2). Raises BadRequest."""
    if request.method == b"CONNECT":
        raise BadRequest("This server is no tunnel: CONNECT is not supported.", 501, "Not implemented")
    if request.target == b"*":
        if request.method != b"OPTIONS":
            raise BadRequest("Only OPTIONS can have the target *.")
        return
    if request.target[:1] == b"/":
        request.target = _one_slash(request.target)
        return
    match = _ABSOLUTE_FORM.fullmatch(request.target)
    # RFC 9110 section 4.2.1: an http URL without a host is invalid.
    if match is None or match[1].startswith(b":") or not _HOST.fullmatch(match[1]):
        raise BadRequest("The request target must be a path that begins with a slash, or an absolute http URL.")
    rest = match[2] or b""
    if rest[:1] != b"/":
        # RFC 9112 section 3.2.4: OPTIONS without a path is about the server.
        rest = b"*" if request.method == b"OPTIONS" and not rest else b"/" + rest
    request.target = _one_slash(rest)
    # RFC 9112 section 3.2.2: the authority replaces the Host header.
    request.headers = [(b"host", match[1]), *(pair for pair in request.headers if pair[0] != b"host")]


def _one_slash(target: bytes) -> bytes:
    """Return the target with one slash at its beginning. Zaqar routes ``//v2/queues`` as ``/v2/queues``, and a target
    that begins with two is an authority for programs that resolve it (RFC 3986 section 4.2)."""
    return b"/" + target.lstrip(b"/") if target[:2] == b"//" else target
