"""The patch for sealed segments after the last segment has accepted a metadata patch (API section 4.5)."""

from __future__ import annotations

import json
from typing import Any

# Not set there: dead letters are moved inside one partition's store (API section 6.9), and the new dead-letter queue is
# beside the last segment. A message that is claimed too often stays where it is for now.
_KEPT_BACK = "_dead_letter_queue"


def mirrored(body: bytes) -> bytes | None:
    """Return a patch with the same outcome for every key that ``body`` touches; None if there is none.

    It fails on no key of any segment: ``add`` also sets an existing key, and a key that was just added can be removed.
    So it may be repeated, also on a segment that missed an earlier one. Raises ValueError if ``body`` is no patch.
    """
    outcome: dict[str, dict[str, Any] | None] = {}
    operations = json.loads(body)
    if not isinstance(operations, list):
        raise ValueError("a patch is an array")
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise ValueError("an operation of a patch has a path")
        key = operation["path"][1:].partition("/")[2]
        outcome.pop(key, None)
        outcome[key] = operation if operation.get("op") != "remove" else None
    told: list[dict[str, Any]] = []
    for key, operation in outcome.items():
        path = f"/metadata/{key}"
        if operation is None:
            told += ({"op": "add", "path": path, "value": None}, {"op": "remove", "path": path})
        elif key != _KEPT_BACK:
            told.append({"op": "add", "path": path, "value": operation.get("value")})
    return json.dumps(told).encode() if told else None
