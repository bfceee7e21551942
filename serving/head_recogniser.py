"""Recognise the head of a usual message in one pass, for those who forward messages.

PERF: a general parser makes an object of each header, and the forwarding of a message then looks at every one again.
Nearly all heads on a busy connection are of a simple kind, for which one pass returns what forwarding needs.

A recogniser accepts a strict subset of what the general parsers accept, and returns None for all else, also for a head
that has not arrived whole: nothing is decided then, and the same bytes go to the general parser. The subset:

* the head and no part of it is folded, empty, or longer than MOST bytes; lines end in CR LF;
* names of letters, digits and hyphens; values of visible ASCII characters, with spaces and tabs between them only;
* at most one Content-Length, of at most nine digits; a Connection header says keep-alive;
* a request of HTTP/1.1 with one of METHODS, a target in origin form that does not begin with two slashes, and one Host
  that is a name or an IPv4 address, with or without a port;
* a response of HTTP/1.1 with a status from 200 to 599 but 304, and a Content-Length unless it is a 204;
* none of the headers that the caller's ``doubtful`` names, and each of ``shown`` at most once.

With MARCONI_PURE in the environment, the pure implementation serves also where the other one is built.
``tests/unit/serving/test_head_recogniser.py`` holds both implementations, this one and the compiled one of
``serving/_head_recogniser.pyx``, to each other and to the general parsers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

# Bytes of a head; a longer one is doubtful.
MOST = 8192
# Blocks of header lines of which the pure implementation keeps the reading.
_REMEMBERED = 256
METHODS = (b"GET", b"POST", b"DELETE", b"PUT", b"PATCH", b"HEAD")

_REQUEST = re.compile(rb"(%b) (/(?!/)[\x21-\x7e]*) HTTP/1\.1\r\n" % b"|".join(METHODS))
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) [\x20-\x7e]*\r\n")
_LINE = rb"[A-Za-z0-9-]+: ?[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?\r\n"
_LINES = re.compile(rb"(?:%b)*+\r\n" % _LINE)
_FIELD = re.compile(rb"([^:]+): ?([^\r]+)\r\n")
_HOST = re.compile(rb"[A-Za-z0-9.-]+(?::[0-9]{1,5})?")
_LENGTH = re.compile(rb"[0-9]{1,9}")

Values = tuple[bytes | None, ...]
# See the classes.
Request = tuple[int, bytes, bytes, bytes, int | None, Values]
Response = tuple[int, int, bytes, int, Values]


class _Lines:
    """The header lines of a message, by the rules of the recogniser."""

    def __init__(
        self,
        shown: Sequence[bytes],
        forwarded: Collection[bytes],
        dropped: Collection[bytes],
        doubtful: Collection[bytes],
    ) -> None:
        self._places = {name: place for place, name in enumerate(shown)}
        self._doubtful = frozenset(doubtful)
        self._kept_back = frozenset(dropped) | (frozenset(shown) - frozenset(forwarded))
        self._nothing_shown: list[bytes | None] = [None] * len(shown)
        # PERF: the messages of one peer have much the same lines.
        self._read = lru_cache(_REMEMBERED)(self._read_anew)

    def read(self, data: bytes, at: int) -> tuple[int, bytes, int | None, Values] | None:
        """Return where the lines from ``at`` end, those to forward, the length, and the values shown."""
        end = data.find(b"\r\n\r\n", at - 2, MOST) + 4
        found = self._read(data[at:end]) if end > 3 else None
        return found and (end, *found)

    def _read_anew(self, block: bytes) -> tuple[bytes, int | None, Values] | None:
        if not _LINES.fullmatch(block):
            return None
        lines: list[bytes] = []
        values = self._nothing_shown.copy()
        length = None
        for received_name, value in _FIELD.findall(block):
            name = received_name.lower()
            place = self._places.get(name)
            if place is not None:
                if values[place] is not None:
                    return None
                values[place] = value
            elif name in self._doubtful:
                return None
            elif name == b"content-length":
                if length is not None or not _LENGTH.fullmatch(value):
                    return None
                length = int(value)
                continue
            elif name == b"connection":
                if value != b"keep-alive":
                    return None
                continue
            if name not in self._kept_back:
                lines += (name, b": ", value, b"\r\n")
        return b"".join(lines), length, tuple(values)


class RequestRecogniser:
    """``recognise(received) -> (end, method, target, lines, length, values) | None`` for the head of a request.

    ``received``: bytes that begin with a request. ``end``: where its head ends. ``lines``: the header lines to forward,
    each ``name: value`` CR LF with the name in lower case: all but Host, Content-Length, Connection, ``dropped``, and
    those of ``shown`` that are not in ``forwarded``. ``length``: the Content-Length, None without one. ``values``: of
    the headers in ``shown``, None where absent. Names are in lower case. At most seven names are shown.
    """

    def __init__(
        self,
        shown: Sequence[bytes],
        forwarded: Collection[bytes],
        dropped: Collection[bytes],
        doubtful: Collection[bytes],
    ) -> None:
        self._lines = _Lines((*shown, b"host"), forwarded, dropped, doubtful)

    def __call__(self, received: bytes) -> Request | None:
        match = _REQUEST.match(received, 0, MOST)
        found = match and self._lines.read(received, match.end())
        if match is None or found is None:
            return None
        end, lines, length, (*values, host) = found
        if host is None or not _HOST.fullmatch(host):
            return None
        return end, match[1], match[2], lines, length, tuple(values)


class ResponseRecogniser:
    """``recognise(received) -> (end, status, lines, length, values) | None`` for the head of a response.

    As RequestRecogniser has it; ``length`` is 0 for a 204. At most eight names are shown.
    """

    def __init__(
        self,
        shown: Sequence[bytes],
        forwarded: Collection[bytes],
        dropped: Collection[bytes],
        doubtful: Collection[bytes],
    ) -> None:
        self._lines = _Lines(shown, forwarded, dropped, doubtful)

    def __call__(self, received: bytes) -> Response | None:
        match = _STATUS.match(received, 0, MOST)
        found = match and self._lines.read(received, match.end())
        if match is None or found is None:
            return None
        status = int(match[1])
        end, lines, length, values = found
        if status == 304 or (length is None) != (status == 204):
            return None
        return end, status, lines, length or 0, values


# The pure implementations, for comparison.
TWINS = (RequestRecogniser, ResponseRecogniser)
COMPILED = False

if not TYPE_CHECKING and not os.environ.get("MARCONI_PURE"):
    try:
        from serving._head_recogniser import RequestRecogniser, ResponseRecogniser

        COMPILED = True
    except ImportError:  # built without a compiler
        pass
