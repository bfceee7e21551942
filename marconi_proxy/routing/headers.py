"""Header rules for both directions of the proxy (API section 8.5, RFC 9110 section 7.6).

Works on raw ``(name, value)`` pairs of bytes with lower-case names, as they come from the parsers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto

PSEUDONYM = b"marconi-proxy"
VIA = b"1.1 " + PSEUDONYM
# A call that has passed so many front doors is in a loop, for instance between those of two deployments.
MAX_HOPS = 3
# Bytes of a request id that is passed on; a longer one is replaced by ours.
MAX_REQUEST_ID = 128

# RFC 9110 section 7.6.1, and what HTTP/1.1 of old treated alike.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
# Answers also lose the headers of our own server, and those of marconi-partition for the proxy alone.
DROPPED_FROM_ANSWERS = HOP_BY_HOP | {b"date", b"server", b"x-marconi-store", b"x-marconi-fences"}
_HOPS = re.compile(rb"[0-9]{1,9}")
# The epoch of its placement by which a write is sent.
EPOCH = b"x-marconi-epoch"


class BadHead(Exception):
    """The client's fault: headers that two servers could read differently. ``str()`` names them."""


class _Part(Enum):
    DROP = auto()
    PROJECT = auto()
    LENGTH = auto()
    CODING = auto()
    CONNECTION = auto()
    VIA = auto()
    FORWARDED_FOR = auto()
    REQUEST_ID = auto()
    SIGNATURE = auto()


_PARTS: dict[bytes, _Part] = dict.fromkeys(HOP_BY_HOP, _Part.DROP) | {
    b"host": _Part.DROP,
    b"expect": _Part.DROP,
    b"forwarded": _Part.DROP,
    b"x-forwarded-host": _Part.DROP,
    b"x-forwarded-proto": _Part.DROP,
    # Selects a plug-in of the partition that may bypass its authentication (API section 9.3): not from outside.
    b"extra-spec": _Part.DROP,
    # Only the front door knows it.
    EPOCH: _Part.DROP,
    b"x-forwarded-for": _Part.FORWARDED_FOR,
    b"x-project-id": _Part.PROJECT,
    b"content-length": _Part.LENGTH,
    b"transfer-encoding": _Part.CODING,
    b"connection": _Part.CONNECTION,
    b"via": _Part.VIA,
    b"x-openstack-request-id": _Part.REQUEST_ID,
    b"url-signature": _Part.SIGNATURE,
}
_ORDINARY_OPTIONS = frozenset({b"keep-alive", b"close", b""})
# Connection cannot remove these: they are not the client's to drop.
_NOT_DROPPABLE = frozenset(
    {
        *(b"connection", b"content-length", b"host", b"transfer-encoding"),
        *(b"x-project-id", b"x-auth-token", b"client-id"),
        *(b"url-signature", b"url-expires", b"url-methods", b"url-paths"),
    }
)


class RequestHead:
    """The headers of one request, read once by ``read_head``.

    ``lines``: what is forwarded, serialised, without Host, Content-Length, Via, X-Forwarded-* and request id.
    ``project``: the bytes of X-Project-Id, None if absent. ``length``: Content-Length, None if absent. ``chunked``: the
    body comes without a length. ``via``, ``forwarded_for``, ``request_id``: as received. ``is_signed``: it carries
    URL-Signature. ``version``: of HTTP, as received.
    """

    __slots__ = (
        *("chunked", "forwarded_for", "is_signed", "length", "lines", "pairs", "project", "request_id", "version"),
        "via",
    )

    def __init__(
        self,
        pairs: Sequence[tuple[bytes, bytes]],
        lines: bytes = b"",
        length: int | None = None,
        project: bytes | None = None,
        request_id: bytes | None = None,
        forwarded_for: bytes | None = None,
    ) -> None:
        self.pairs = pairs
        self.version = b"1.1"
        self.lines = lines
        self.project = project
        self.length = length
        self.chunked = False
        self.via: bytes | None = None
        self.forwarded_for = forwarded_for
        self.request_id = request_id
        self.is_signed = False

    def _note(self, part: _Part, name: bytes, value: bytes, lines: list[bytes]) -> None:
        if part is _Part.PROJECT:
            if self.project is not None:
                raise BadHead("X-Project-Id is given twice")
            # The parser leaves white space after a value; a partition does not (RFC 9112 section 5).
            self.project = value = value.rstrip(b" \t")
            lines += (name, b": ", value, b"\r\n")
        elif part is _Part.LENGTH:
            # The parser has checked that there is one, of digits.
            self.length = int(value)
        elif part is _Part.CODING:
            if value.strip(b" \t").lower() != b"chunked":
                raise BadHead("only the transfer coding chunked is understood")
            self.chunked = True
        elif part is _Part.VIA:
            self.via = value if self.via is None else self.via + b", " + value
            if self.via.count(PSEUDONYM) >= MAX_HOPS:
                raise BadHead("the call goes in circles: a partition host leads back to this proxy")
        elif part is _Part.FORWARDED_FOR:
            self.forwarded_for = value if self.forwarded_for is None else self.forwarded_for + b", " + value
        elif part is _Part.REQUEST_ID:
            if len(value) <= MAX_REQUEST_ID:
                self.request_id = value
        elif part is _Part.SIGNATURE:
            self.is_signed = True
            lines += (name, b": ", value, b"\r\n")

    def get(self, wanted: bytes) -> bytes | None:
        """Return the (last) value of a header, None if absent. A scan: not for the fast path."""
        found = None
        for name, value in self.pairs:
            if name == wanted:
                found = value.strip(b" \t")
        return found


def read_head(pairs: Sequence[tuple[bytes, bytes]], version: str = "1.1") -> RequestHead:
    """Read the headers of a request of this version of HTTP, in one pass. Raises BadHead."""
    head = RequestHead(pairs)
    head.version = version.encode()
    lines: list[bytes] = []
    for name, value in pairs:
        part = _PARTS.get(name)
        if part is None:
            # A WSGI partition reads X_Project_Id as X-Project-Id; such names have no honest use.
            if b"_" not in name:
                lines += (name, b": ", value, b"\r\n")
        elif part is _Part.CONNECTION:
            if value != b"keep-alive" and value != b"close" and _named(value):
                named = _named(b",".join(v for n, v in pairs if n == b"connection"))
                kept = [pair for pair in pairs if pair[0] not in named and pair[0] != b"connection"]
                return read_head(kept, version)
        elif part is not _Part.DROP:
            head._note(part, name, value, lines)
    head.lines = b"".join(lines)
    return head


# The rules of serving.head_recogniser for requests, by which it returns the lines that ``read_head`` has: the headers
# that it shows, those of them that it forwards, those that it drops, and those that only ``read_head`` understands.
REQUEST_RULES = (
    (b"x-project-id", b"x-openstack-request-id", b"x-forwarded-for"),
    (b"x-project-id",),
    tuple(n for n, p in _PARTS.items() if p is _Part.DROP and n not in (b"host", b"expect", b"transfer-encoding")),
    (b"expect", b"transfer-encoding", b"via", b"url-signature"),
)
# And for answers, as ``answer_headers`` returns them but for Via and the request id.
ANSWER_RULES = (
    (b"x-openstack-request-id",),
    (b"x-openstack-request-id",),
    tuple(DROPPED_FROM_ANSWERS - {b"connection", b"transfer-encoding"}),
    (b"transfer-encoding", b"via", b"x-marconi-closed"),
)


def recognised_head(
    lines: bytes, length: int | None, project: bytes | None, request_id: bytes | None, forwarded_for: bytes | None
) -> RequestHead:
    """Return the head of a request that was recognised by REQUEST_RULES. It has no ``pairs``."""
    if request_id is not None and len(request_id) > MAX_REQUEST_ID:
        request_id = None
    return RequestHead((), lines, length, project, request_id, forwarded_for)


def answer_lines(lines: bytes, received_id: bytes | None, request_id: bytes) -> bytes:
    """Return the header lines for the client of an answer that was recognised by ANSWER_RULES."""
    if received_id is None:
        return b"%bvia: %b\r\nx-openstack-request-id: %b\r\n" % (lines, VIA, request_id)
    return b"%bvia: %b\r\n" % (lines, VIA)


def _named(connection: bytes) -> frozenset[bytes]:
    """Return the header names that a Connection header removes, besides those that are hop-by-hop anyway."""
    named = {option.strip().lower() for option in connection.split(b",")}
    return frozenset(named - _ORDINARY_OPTIONS - _NOT_DROPPABLE - HOP_BY_HOP)


def take_hop(head: RequestHead) -> bool:
    """Count a hop in the Max-Forwards of an OPTIONS or TRACE request, in ``head.lines`` (RFC 9110 section 7.6.2).

    Returns False if none is left: the request must not be forwarded. An invalid value is forwarded unchanged.
    """
    value = head.get(b"max-forwards")
    if value is None or not _HOPS.fullmatch(value):
        return True
    left = int(value)
    rest = read_head([pair for pair in head.pairs if pair[0] != b"max-forwards"])
    head.lines = rest.lines + b"max-forwards: %d\r\n" % max(0, left - 1)
    return left > 0


def pseudonym(identity: str) -> bytes:
    """Return the name of the front doors of a catalog with this identity in the Via of forwarded requests."""
    return PSEUDONYM + b"-" + identity.encode()


def added_lines(
    head: RequestHead, peer: bytes, scheme: bytes, request_id: bytes, own: bytes, *, trust_forwarded_for: bool
) -> bytes:
    """Serialise the headers about the way of a forwarded request. ``peer`` is the client's address, b"" if unknown;
    ``own`` our ``pseudonym``.

    A client's own X-Forwarded-For is believed, and added to, only with ``trust_forwarded_for``.
    """
    forwarded_for = peer
    if trust_forwarded_for and head.forwarded_for:
        forwarded_for = head.forwarded_for + b", " + peer if peer else head.forwarded_for
    via = b"%b %b" % (head.version, own)
    if head.via is not None:
        via = head.via + b", " + via
    return b"via: %b\r\nx-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-openstack-request-id: %b\r\n" % (
        via,
        forwarded_for,
        scheme,
        head.request_id or request_id,
    )


def epoch_line(incarnation: str, epoch: int) -> bytes:
    """Serialise the epoch of its placement by which a write is sent."""
    return b"%b: %b/%d\r\n" % (EPOCH, incarnation.encode(), epoch)


def answer_headers(received: list[tuple[bytes, bytes]], request_id: bytes) -> list[tuple[bytes, bytes]]:
    """Return a partition's answer headers for the client. ``received`` has lower-case names.

    PERF: changes ``received`` in place if only the usual headers must go; it is made anew for every answer.
    """
    has_id = False
    via = VIA
    kept = []
    dropped: frozenset[bytes] = frozenset()
    for pair in received:
        name = pair[0]
        if name in DROPPED_FROM_ANSWERS:
            if name == b"connection" and pair[1] != b"keep-alive" and pair[1] != b"close":
                dropped |= _named(pair[1])
        elif name == b"via":
            via = pair[1] + b", " + via
        else:
            if name == b"x-openstack-request-id":
                has_id = True
            kept.append(pair)
    if dropped:
        kept = [pair for pair in kept if pair[0] not in dropped]
    kept.append((b"via", via))
    if not has_id:
        kept.append((b"x-openstack-request-id", request_id))
    return kept
