"""JSON as text: the positions of its parts, so that some can be exchanged and all others stay byte for byte the same.

Message bodies belong to clients: a parser that writes them anew would change their numbers, escapes, white space and
repeated keys. Nothing here recurses, so no depth is too much.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_SPACE = re.compile(rb"[ \t\r\n]*")
_TEXT = re.compile(_STRING, re.DOTALL)
# Some stores write what is no JSON number (API section 1.5).
_SCALAR = re.compile(rb"-?[0-9][0-9.eE+-]*|true|false|null|NaN|-?Infinity")
_STRUCTURE = re.compile(_STRING + rb"|[][{}]", re.DOTALL)


class Span(NamedTuple):
    """A value: where it begins and ends in its text."""

    start: int
    end: int

    def of(self, text: bytes) -> bytes:
        return text[self.start : self.end]


class JsonMember(NamedTuple):
    """A member of an object: its name, and where its value lies."""

    name: str
    value: Span


def _skip(text: bytes, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _value_at(text: bytes, at: int) -> Span:
    first = text[at : at + 1]
    if first in (b"{", b"["):
        depth = 0
        for token in _STRUCTURE.finditer(text, at):
            mark = token[0]
            if mark in (b"{", b"["):
                depth += 1
            elif mark in (b"}", b"]"):
                depth -= 1
                if not depth:
                    return Span(at, token.end())
        raise ValueError("JSON breaks off")
    found = (_TEXT if first == b'"' else _SCALAR).match(text, at)
    if found is None:
        raise ValueError(f"no JSON value at byte {at}")
    return Span(at, found.end())


def whole(text: bytes) -> Span:
    """Return where the document lies in ``text``. Raises ValueError, as all do here, if there is none."""
    span = _value_at(text, _skip(text, 0))
    if _skip(text, span.end) != len(text):
        raise ValueError("more follows the JSON document")
    return span


def kind(text: bytes, span: Span) -> str:
    """Return the first character of the value: ``{``, ``[``, ``"``, or the first letter of a number or word."""
    return chr(text[span.start])


def elements(text: bytes, span: Span) -> list[Span]:
    """Return the elements of an array."""
    if kind(text, span) != "[":
        raise ValueError(f"no array at byte {span.start}")
    found: list[Span] = []
    at = _skip(text, span.start + 1)
    while at != span.end - 1:
        if found:
            at = _after_comma(text, at)
        found.append(_value_at(text, at))
        at = _skip(text, found[-1].end)
    return found


def members(text: bytes, span: Span) -> list[JsonMember]:
    """Return the members of an object, in their order."""
    if kind(text, span) != "{":
        raise ValueError(f"no object at byte {span.start}")
    found: list[JsonMember] = []
    at = _skip(text, span.start + 1)
    while at != span.end - 1:
        if found:
            at = _after_comma(text, at)
        name = _value_at(text, at)
        at = _skip(text, name.end)
        if text[at : at + 1] != b":":
            raise ValueError(f"no colon at byte {at}")
        value = _value_at(text, _skip(text, at + 1))
        found.append(JsonMember(string(text, name), value))
        at = _skip(text, value.end)
    return found


def _after_comma(text: bytes, at: int) -> int:
    if text[at : at + 1] != b",":
        raise ValueError(f"no comma at byte {at}")
    return _skip(text, at + 1)


def member(text: bytes, span: Span, name: str) -> Span | None:
    """Return the value of an object's member, the last one of that name; None if it has none."""
    found = None
    for one in members(text, span):
        if one.name == name:
            found = one.value
    return found


def string(text: bytes, span: Span) -> str:
    """Return the decoded text of a string."""
    value = json.loads(span.of(text))
    if not isinstance(value, str):
        raise ValueError(f"no string at byte {span.start}")
    return value


def exchanged(text: bytes, parts: Iterable[tuple[Span, bytes]]) -> bytes:
    """Return the text with some parts exchanged, given in their order."""
    pieces: list[bytes] = []
    at = 0
    for span, new in parts:
        pieces += (text[at : span.start], new)
        at = span.end
    return b"".join((*pieces, text[at:]))
