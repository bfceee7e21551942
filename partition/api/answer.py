"""The answer to a client, as one value."""

from __future__ import annotations

from typing import Any, NamedTuple

from partition.validation.json_document import text

Headers = tuple[tuple[bytes, bytes], ...]

JSON = (b"content-type", b"application/json")
_VARY = (b"vary", b"Accept")


class Answer(NamedTuple):
    """A complete answer. ``headers`` are without Content-Length, which goes with every answer that may have a body."""

    status: int
    headers: Headers = ()
    body: bytes = b""


def no_content(*headers: tuple[bytes, bytes]) -> Answer:
    """204, to which neither type nor length belong."""
    return Answer(204, headers)


def document(value: Any, status: int = 200, *headers: tuple[bytes, bytes]) -> Answer:
    """A JSON document, from a value."""
    return Answer(status, (*headers, JSON), text(value).encode())


def written(json_text: str, status: int = 200, *headers: tuple[bytes, bytes]) -> Answer:
    """A JSON document that was written already."""
    return Answer(status, (*headers, JSON), json_text.encode())


def error(status: int, title: str, description: str | None = None, *headers: tuple[bytes, bytes]) -> Answer:
    """API section 1.8."""
    members = {"title": title} if description is None else {"title": title, "description": description}
    return Answer(status, (*headers, JSON, _VARY), text(members).encode())


def location(path: str) -> tuple[bytes, bytes]:
    """The header, for a path that is ASCII as every path of a served route is."""
    return b"location", path.encode()
