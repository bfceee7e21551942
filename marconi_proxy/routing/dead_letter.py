"""The dead-letter queue that a request names (API sections 4.1, 6.9).

Dead letters are moved inside one partition's store, so source and dead-letter queue must share a partition. The front
door reads nothing else in bodies, and only in those that can hold the attribute.
"""

from __future__ import annotations

import json
from typing import Any

from marconi_proxy.routing.route import ParsedRoute, RouteKind, valid_name

_ATTRIBUTE = "_dead_letter_queue"
_MARK = _ATTRIBUTE.encode()


def dead_letter_queue(method: str, route: ParsedRoute, body: bytes) -> str | None:
    """Return the dead-letter queue that a PUT or PATCH of a queue sets, None if it sets none.

    A body that a partition will refuse sets none.
    """
    if route.rule.kind is not RouteKind.QUEUE or route.version == "v1" or not body:
        return None
    # An escaped spelling of the attribute has a backslash somewhere.
    if _MARK not in body and b"\\" not in body:
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if method == "PUT":
        name = document.get(_ATTRIBUTE) if isinstance(document, dict) else None
    else:
        name = _patched(document)
    return name if isinstance(name, str) and valid_name(name) else None


def _patched(operations: Any) -> Any:
    """Return the value that the last add or replace of a metadata patch gives to the attribute (API section 4.5)."""
    name = None
    for operation in operations if isinstance(operations, list) else ():
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            continue
        area, _, key = operation["path"][1:].partition("/")
        if area.lower() != "metadata" or key != _ATTRIBUTE:  # only the area is written in any case
            continue
        name = operation.get("value") if operation.get("op") in ("add", "replace") else None
    return name
