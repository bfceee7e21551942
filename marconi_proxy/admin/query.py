"""Query parameters: read as stored text (see ``project_text``), with unknown ones refused; and the links of pages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl

import falcon
import falcon.asgi

from marconi_proxy.project_text import project_named, to_url

MAX_LIMIT = 1000
_DEFAULT_LIMIT = 100

Word = TypeVar("Word", bound=StrEnum)


def parameters(req: falcon.asgi.Request, known: Collection[str]) -> dict[str, str]:
    """Return the query's parameters; an empty value counts as absent, the last of several wins.

    Raises HTTPBadRequest for a parameter not in ``known``: a filter with a slip in its name would show everything.
    """
    query = req.scope["query_string"].decode("latin-1")
    found = dict(parse_qsl(query, encoding="latin-1"))
    for name in found:
        if name not in known:
            raise bad_parameter(f"{name}: there is no such parameter; there are {', '.join(known)}.")
    return found


def integer(found: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    """Return parameter ``name`` as an integer from ``low`` to ``high``. Raises HTTPBadRequest."""
    text = found.get(name)
    if text is None:
        return default
    # A dozen digits is more than any limit; int() on thousands of them is work for nothing.
    if text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high:
        return int(text)
    raise bad_parameter(f"{name}: must be an integer from {low} to {high}.")


def page_limit(found: dict[str, str]) -> int:
    """Return the most objects of a page. Raises HTTPBadRequest."""
    return integer(found, "limit", _DEFAULT_LIMIT, 1, MAX_LIMIT)


def next_links(path: str, found: Mapping[str, str], limit: int, marker: str | None) -> list[dict[str, str]]:
    """Return the link to the page after ``marker``, the last object of this page. An empty page (``marker`` is None) is
    the end and has no link, as in the queue lists of v1."""
    if marker is None:
        return []
    kept = {**found, "marker": marker, "limit": str(limit)}
    return [{"rel": "next", "href": f"{path}?{'&'.join(f'{name}={to_url(value)}' for name, value in kept.items())}"}]


def named_project(found: Mapping[str, str], name: str = "project") -> str | None:
    """Return the project that parameter ``name`` names, None without it. Raises HTTPBadRequest."""
    if name not in found:
        return None
    try:
        return project_named(found[name])
    except ValueError as error:
        raise bad_parameter(f"{name}: {error}.") from error


def named_states(found: Mapping[str, str], kind: type[Word]) -> set[Word] | None:
    """Return the states in parameter ``state``, None without it. Raises HTTPBadRequest."""
    if "state" not in found:
        return None
    words = found["state"].split(",")
    if not set(words) <= set(kind):
        raise bad_parameter(f"state: must be words of {', '.join(kind)}, with commas between them.")
    return {kind(word) for word in words}


def bad_parameter(description: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(title="Invalid parameter", description=description)
