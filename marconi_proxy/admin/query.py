"""Query parameters: read as stored text (see ``project_text``), with unknown ones refused."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

import falcon
import falcon.asgi


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


def bad_parameter(description: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(title="Invalid parameter", description=description)
