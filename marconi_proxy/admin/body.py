"""Request bodies: one JSON object, bounded, with typed and known members."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import falcon
import falcon.asgi

MAX_BODY = 1048576


async def read_object(req: falcon.asgi.Request) -> dict[str, Any]:
    """Return the JSON object in the request's body. Raises HTTPBadRequest for anything else."""
    if (req.content_length or 0) > MAX_BODY:
        _refuse(f"The body is larger than {MAX_BODY} bytes.")
    raw = bytearray()
    # A chunked body has no length beforehand.
    async for chunk in req.stream:
        raw += chunk
        if len(raw) > MAX_BODY:
            _refuse(f"The body is larger than {MAX_BODY} bytes.")
    try:
        document = json.loads(raw.decode("utf-8"), parse_constant=_not_json)
    except (ValueError, RecursionError):
        _refuse("The body must be a JSON object in UTF-8.")
    if not isinstance(document, dict):
        _refuse("The body must be a JSON object.")
    return document


def refuse_unknown(document: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise HTTPBadRequest if ``document`` has a member that is not ``known``."""
    allowed = tuple(known)
    unknown = sorted(set(document) - set(allowed))
    if unknown:
        _refuse(f"{unknown[0]}: there is no such member; there are {', '.join(allowed)}.")


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _refuse(description: str) -> NoReturn:
    raise falcon.HTTPBadRequest(title="Invalid request body", description=description)
