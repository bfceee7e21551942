"""Translate a segment's answer for clients: the table of API section 8.1, column "Hrefs in the response".

Bodies are changed only where they name paths and ids (``json_text``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum, auto

from marconi_proxy.routing import json_text
from marconi_proxy.routing.json_text import Span
from marconi_proxy.routing.route import RouteKind
from marconi_proxy.routing.translation import Translation, split


class Leaf(Enum):
    """A string that is translated: a path, an id, or the queue's name. ``null`` in its place stays."""

    HREF = auto()
    ID = auto()
    NAME = auto()


# A leaf, the shape of each element of an array, or the members of an object; "" is the shape of the elements if it is
# an array.
Shape = Leaf | list["Shape"] | dict[str, "Shape"]

# claim_id only in popped messages (API section 3.5): meaningless, so it must not name a claim of another segment.
_MESSAGE: Shape = {"href": Leaf.HREF, "id": Leaf.ID, "claim_id": Leaf.ID}
_LINKS: Shape = [{"href": Leaf.HREF}]
_SUBSCRIPTION: Shape = {"source": Leaf.NAME}

SHAPES: dict[RouteKind, Shape] = {
    RouteKind.STATS: {"messages": {"oldest": _MESSAGE, "newest": _MESSAGE}},
    RouteKind.MESSAGES: {"": _MESSAGE, "messages": [_MESSAGE], "links": _LINKS, "resources": [Leaf.HREF]},
    RouteKind.MESSAGE: _MESSAGE,
    RouteKind.CLAIMS: {"": _MESSAGE, "messages": [_MESSAGE]},
    RouteKind.CLAIM: {"href": Leaf.HREF, "messages": [_MESSAGE]},
    RouteKind.SUBSCRIPTIONS: {"subscriptions": [_SUBSCRIPTION], "links": _LINKS},
    RouteKind.SUBSCRIPTION: _SUBSCRIPTION,
}

# Their Content-Location is the path alone; that of others has the query (API section 2).
_WITHOUT_QUERY = frozenset({RouteKind.QUEUE, RouteKind.METADATA, RouteKind.STATS})

_FRAMING = (b"content-length", b"transfer-encoding")

Headers = list[tuple[bytes, bytes]]


def _leaf(text: bytes, span: Span, leaf: Leaf, names: Translation) -> Iterator[tuple[Span, bytes]]:
    if json_text.kind(text, span) != '"':
        return
    said = json_text.string(text, span)
    if leaf is Leaf.HREF:
        new = names.outward(said)
    elif leaf is Leaf.ID:
        new = names.outward_id(said)
    else:
        new = names.outward_name(said)
    if new != said:
        yield span, json.dumps(new).encode()


def _parts(text: bytes, span: Span, shape: Shape, names: Translation) -> Iterator[tuple[Span, bytes]]:
    if isinstance(shape, Leaf):
        yield from _leaf(text, span, shape, names)
    elif isinstance(shape, list):
        if json_text.kind(text, span) == "[":
            for element in json_text.elements(text, span):
                yield from _parts(text, element, shape[0], names)
    elif json_text.kind(text, span) == "{":
        for name, value in json_text.members(text, span):
            if name and name in shape:
                yield from _parts(text, value, shape[name], names)
    elif "" in shape:
        yield from _parts(text, span, [shape[""]], names)


def translated(kind: RouteKind, body: bytes, names: Translation) -> bytes:
    """Return the body of a segment's answer, translated for clients. Raises ValueError if it is not JSON."""
    shape = SHAPES.get(kind)
    if shape is None or not body:
        return body
    return json_text.exchanged(body, _parts(body, json_text.whole(body), shape, names))


def messages(body: bytes, names: Translation) -> list[bytes]:
    """Return the translated messages of a page, of a claim or got by ids. Raises ValueError."""
    if not body:
        return []
    span: Span | None = json_text.whole(body)
    if span is not None and json_text.kind(body, span) == "{":
        span = json_text.member(body, span, "messages")
    if span is None:
        raise ValueError("no messages")
    return [
        json_text.exchanged(element.of(body), _parts(element.of(body), Span(0, len(element.of(body))), _MESSAGE, names))
        for element in json_text.elements(body, span)
    ]


def next_link(body: bytes) -> str | None:
    """Return the path of the page after this one, in the segment's words; None if there is none. Raises ValueError."""
    if not body:
        return None
    links = json_text.member(body, json_text.whole(body), "links")
    for link in json_text.elements(body, links) if links is not None else ():
        href = json_text.member(body, link, "href")
        if href is not None:
            return json_text.string(body, href)
    return None


def failure(body: bytes, names: Translation) -> bytes:
    """Return the body of a refusal: its description may name the queue (API section 8.1), but no hidden suffix."""
    if names.segment.backend_name == names.name:
        return body
    return body.replace(names.segment.backend_name.encode(), names.name.encode())


def headers(kind: RouteKind, received: Headers, names: Translation, target: bytes, length: int | None) -> Headers:
    """Return an answer's headers, translated for clients, to the request ``target`` that they sent.

    ``length`` is that of the body if it was changed, else None.
    """
    shown = []
    for pair in received:
        name, value = pair
        if name == b"location":
            shown.append((name, names.outward(value.decode("latin-1")).encode("latin-1")))
        elif name == b"content-location":
            shown.append((name, split(target)[0].encode("latin-1") if kind in _WITHOUT_QUERY else target))
        elif length is None or name not in _FRAMING:
            shown.append(pair)
    if length is not None:
        shown.append((b"content-length", b"%d" % length))
    return shown


def quoted(text: str) -> str:
    """Return text as a JSON string."""
    return json.dumps(text)


def outward_id_of(message: bytes) -> str:
    """Return the id of a translated message: v1 has it in the path only. Raises ValueError."""
    span = json_text.member(message, json_text.whole(message), "href")
    if span is None:
        raise ValueError("a message has no href")
    return json_text.string(message, span).partition("?")[0].rpartition("/")[2]
