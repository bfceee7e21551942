"""Malformed and odd requests as Hypothesis strategies, and the reaction that a server owes to them.

There are two kinds. Requests with right framing and arbitrary parts must be answered. After arbitrary bytes the server
must have answered or closed the connection.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.wire.contract.routes import METHODS, PATHS
from tests.wire.raw_http import BadAnswer
from tests.wire.script import CLIENT

PATIENCE = 30.0
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class Request(NamedTuple):
    """A request with right framing."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None

    def of(self, ids: Mapping[str, str]) -> Request:
        """The same with identifiers in place of what stands for them."""
        target = self.target
        for name, identifier in ids.items():
            target = target.replace(f"{{{name}}}", identifier)
        return self._replace(target=target)

    def status(self, address: tuple[str, int], framed: bytes = b"") -> int:
        """Send it; return the status of the answer. Raises TimeoutError, or BadAnswer if none came.

        ``framed`` follows the head, for a request with its framing in ``headers``.
        """
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: x", *(": ".join(pair) for pair in self.headers)]
        if self.body is not None:
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        received = b""
        with socket.create_connection(address, timeout=PATIENCE) as connection:
            # It may refuse before it has read all.
            with suppress(ConnectionError):
                connection.sendall(head + (self.body or framed))
            with suppress(ConnectionError):
                while b"\r\n\r\n" not in received and (piece := connection.recv(1 << 16)):
                    received += piece
        found = _STATUS.match(received)
        if found is None:
            raise BadAnswer(f"{received[:100]!r} to {self}")
        return int(found[1])


def statuses(address: tuple[str, int], sent: bytes, *, leave: bool = True) -> list[int]:
    """Send bytes, and unless ``leave`` is false that there will be no more; return the statuses of what came until the
    server hung up.

    Raises TimeoutError if it does not.
    """
    received = bytearray()
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        # It may refuse before it has read all, and then either side may be cut off.
        with suppress(ConnectionError):
            connection.sendall(sent)
        if leave:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := connection.recv(1 << 16):
                received += piece
    return [int(status) for status in _STATUS.findall(received)]


# -- values ------------------------------------------------------------------------------------------------------------

_TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "\ud800", "\x00", "é", "_x", "GET", "http://a", "2099-01-01T00:00:00", "9" * 400, "a" * 5000]),
)
_NUMBERS = st.one_of(
    st.integers(-5, 1_300_000),
    st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30]),
    st.floats(allow_nan=True, allow_infinity=True),
)
_SCALARS = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
JSON_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_TEXTS, inner, max_size=4)),
    max_leaves=8,
)

# Documents that some route takes; a fuzzed one has some of their values replaced.
_DOCUMENTS: tuple[Any, ...] = (
    [{"ttl": 60, "body": {"a": [1]}}],
    {"messages": [{"ttl": 60, "delay": 0, "body": 1}, {"body": "x"}]},
    {"ttl": 60, "grace": 60},
    {"_default_message_ttl": 60, "_max_claim_count": 1, "_dead_letter_queue": "dead", "colour": "red"},
    {"_retry_policy": {"minimum_delay": 1, "maximum_delay": 30, "retry_backoff_function": "linear"}},
    [{"op": "add", "path": "/metadata/_default_message_delay", "value": 1}, {"op": "remove", "path": "/metadata/a"}],
    {"resource_types": ["messages", "subscriptions"]},
    {"paths": ["messages"], "methods": ["GET"], "expires": "2099-01-01T00:00:00"},
    {"subscriber": "http://127.0.0.1:9/", "ttl": 60, "options": {"_retry_policy": {"maximum_delay": 30}}},
    {"confirmed": True},
)


@st.composite
def _mutated(draw: st.DrawFn, value: Any = None) -> Any:
    value = draw(st.sampled_from(_DOCUMENTS)) if value is None else value
    if draw(st.integers(0, 5)) == 0:
        return draw(JSON_VALUES)
    if isinstance(value, dict):
        changed = {name: draw(_mutated(inner)) for name, inner in value.items() if draw(st.integers(0, 9))}
        return changed | (draw(st.dictionaries(_TEXTS, JSON_VALUES, max_size=2)) if draw(st.booleans()) else {})
    if isinstance(value, list):
        return [draw(_mutated(inner)) for inner in value]
    if isinstance(value, str) and not draw(st.integers(0, 3)):
        return value + draw(_TEXTS)
    return draw(_NUMBERS) if type(value) is int and not draw(st.integers(0, 3)) else value


def _text(document: Any) -> bytes:
    return json.dumps(document).encode()


BODIES = st.one_of(
    st.none(),
    st.binary(max_size=60),
    _mutated().map(_text),
    JSON_VALUES.map(_text),
    st.integers(1, 3000).map(lambda depth: b"[" * depth + b"]" * depth),
    st.integers(1, 3000).map(lambda depth: b'{"messages": [{"body": ' + b"[" * depth + b"]" * depth + b"}]}"),
    st.integers(10, 5000).map(lambda digits: b'{"ttl": ' + b"9" * digits + b"}"),
)

# -- requests ----------------------------------------------------------------------------------------------------------

# The characters that do not end a request line: all but control characters and the space, as latin-1.
_RAW = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)
_ENCODED = st.binary(max_size=8).map(lambda data: "".join(f"%{byte:02x}" for byte in data))
_PIECES = st.one_of(
    _RAW,
    _ENCODED,
    st.sampled_from(
        [
            *("%", "%2", "%zz", "%00", "%2f", "%2e%2e", "..", ".", "", "%ff", "%c3%28", "%f0%9f%98%80", "%u0041"),
            *("orders", "news", "x" * 64, "x" * 65, "f" * 24, "0" * 16, "+", ";", "#", "?", "//", "\\", "%25", "%0a"),
        ]
    ),
)
# The names in braces of a target: identifiers of objects in the queue orders of the project fuzz.
IDS = ("message", "claim", "subscription")
_KNOWN = st.sampled_from([f"/{version}{path.path}" for path in PATHS for version in path.versions])
_NAMES = st.one_of(st.sampled_from(["orders", "news"]), _PIECES)


@st.composite
def _paths(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 4)) == 0:
        return draw(st.one_of(st.lists(_PIECES, max_size=6).map("/".join), _RAW))
    path = draw(_KNOWN)
    if "/x" in path:
        # Of something that is there, as the names in ``IDS``, or of nothing.
        known = next(name for name in IDS if f"/{name}s/x" in path)
        path = path.replace("/x", f"/{{{known}}}" if draw(st.booleans()) else "/" + draw(_PIECES), 1)
    path = path.replace("{}", draw(_NAMES))
    return path if draw(st.integers(0, 9)) else path + draw(_PIECES)


_PARAMETERS = st.one_of(
    st.sampled_from(
        [
            *("limit", "marker", "echo", "include_claimed", "include_delayed", "detailed", "ids", "pop", "claim_id"),
            *("name", "with_count", "claim_ids", "_default_message_ttl"),
        ]
    ),
    _PIECES,
)
_VALUES = st.one_of(
    _PIECES, _NUMBERS.map(str), st.sampled_from(["true", "True", "1", "2", "20", "a,b", ",", "9" * 30, "9" * 5000])
)
_QUERIES = st.lists(st.tuples(_PARAMETERS, _VALUES).map("=".join), max_size=4).map("&".join)

# A field value as the parser lets it through: no control characters but the tab.
_FIELD = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
_ODD_HEADERS = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                *("Client-ID", "X-Project-Id", "Accept", "Content-Type", "URL-Signature", "URL-Expires", "URL-Methods"),
                *("URL-Paths", "X-Roles", "X-Auth-Token", "Extra-Spec", "Range", "If-Match", "Via", "X-Forwarded-For"),
                *("Accept-Encoding", "Cookie", "Origin", "Upgrade", "X-Openstack-Request-Id", "Forwarded", "TE"),
            ]
        ),
        st.one_of(
            _FIELD,
            st.sampled_from(
                [
                    *("", "*/*", "application/json;q=1e400", "text/*;q=nan", "application/x-www-form-urlencoded"),
                    *("application/openstack-messaging-v2.0-json-patch", "{" + CLIENT + "}", "urn:uuid:" + CLIENT),
                    *(
                        "x" * 257,
                        "2099-01-01T00:00:00",
                        "GET,POST",
                        "/v2/queues/orders/messages",
                        "99999-99-99T99:99:99",
                    ),
                ]
            ),
        ),
    ),
    st.tuples(st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}", fullmatch=True), _FIELD),
)
# They make another framing, or an answer before the answer: those are among the bytes that are whatever they are.
_FRAMING = {"content-length", "transfer-encoding", "expect", "connection", "host", "upgrade"}


# Calls that are good, with a document of theirs, which is then spoilt: (method, target, number in ``_DOCUMENTS``).
_QUEUE = "/v2/queues/orders"
_CALLS = st.sampled_from(
    [
        ("POST", "/v1/queues/orders/messages", 0),
        ("POST", f"{_QUEUE}/messages", 1),
        *((method, f"{_QUEUE}/claims{rest}", 2) for method, rest in (("POST", ""), ("PATCH", "/{claim}"))),
        *(("PUT", f"/{version}/queues/spoilt", number) for version in ("v1.1", "v2") for number in (3, 4)),
        ("PUT", "/v1/queues/orders/metadata", 3),
        ("PATCH", _QUEUE, 5),
        ("POST", f"{_QUEUE}/purge", 6),
        ("POST", f"{_QUEUE}/share", 7),
        ("POST", f"{_QUEUE}/subscriptions", 8),
        ("PATCH", f"{_QUEUE}/subscriptions/{{subscription}}", 8),
        ("PUT", f"{_QUEUE}/subscriptions/{{subscription}}/confirm", 9),
    ]
)


@st.composite
def _spoilt(draw: st.DrawFn) -> Request:
    method, target, number = draw(_CALLS)
    kind = (("Content-Type", "application/openstack-messaging-v2.0-json-patch"),) if number == 5 else ()
    headers = (("Client-ID", CLIENT), ("X-Project-Id", "fuzz"), *kind)
    return Request(method, target, headers, _text(draw(_mutated(_DOCUMENTS[number]))))


@st.composite
def _anything(draw: st.DrawFn) -> Request:
    query = draw(_QUERIES)
    target = draw(_paths()) + (f"?{query}" if query else "")
    headers = {"Client-ID": CLIENT, "X-Project-Id": draw(st.sampled_from(["fuzz", "fuzz-2"]))}
    if draw(st.integers(0, 3)) == 0:
        headers["Content-Type"] = "application/openstack-messaging-v2.0-json-patch"
    odd = draw(st.lists(_ODD_HEADERS, max_size=3))
    sent = [pair for pair in headers.items() if draw(st.integers(0, 19))]
    sent += [(name, value) for name, value in odd if name.lower() not in _FRAMING]
    method = draw(st.sampled_from([*METHODS, "OPTIONS", "PATCH", "POST", "POST", "PUT"]))
    return Request(method, target or "/", tuple(sent), draw(BODIES))


def requests() -> st.SearchStrategy[Request]:
    """Requests with right framing: half of them arbitrary, half of them good ones with a defect."""
    return st.one_of(_anything(), _spoilt())


_LINES = st.one_of(
    st.sampled_from(
        [
            *(b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 5, 5"),
            *(b"Content-Length: 99999999999999999999", b"Content-Length: 0x5", b"Content-Length: +5"),
            *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity"),
            *(b"Expect: 100-continue", b"Connection: close", b"Connection: upgrade", b"Upgrade: websocket"),
            *(b"Host: a", b"Host:", b" folded", b"\tfolded", b"NoColon", b": empty", b"Na me: x", b"X: \x00", b"X: \r"),
            *(b"X-Project-Id: fuzz", b"Client-ID: " + CLIENT.encode(), b"X" * 70000 + b": y"),
        ]
    ),
    st.binary(max_size=40),
)
_ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n\r\n", b""])
_TAILS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            *(b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"zz\r\n", b"-5\r\nhello\r\n", b"ffffffffffffffffff\r\nx"),
            *(
                b"0\r\nX-Project-Id: other\r\n\r\n",
                b"5;a=b\r\nhello\r\n0\r\n\r\n",
                b"0\n\n",
                b"5\r\nhelloX\r\n0\r\n\r\n",
            ),
            b"GET / HTTP/1.1\r\n\r\n" * 3,
        ]
    ),
)


@st.composite
def _almost(draw: st.DrawFn) -> bytes:
    """A request with damaged lines."""
    method, target = draw(st.sampled_from([*METHODS, "get", "BREW", "PRI", "CONNECT"])), draw(_paths())
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "http/1.1", "", "HTTP/1.1 "]))
    first = f"{method} {target} {version}".encode("latin-1")
    lines = [first, *draw(st.lists(_LINES, max_size=4))]
    return b"".join(line + draw(_ENDS) if not draw(st.integers(0, 5)) else line + b"\r\n" for line in lines) + (
        b"\r\n" + draw(_TAILS)
    )


BYTES = st.one_of(st.binary(max_size=300), _almost(), _almost(), _almost())
