"""The difference between the metadata of two queues (API sections 4.1, 4.5). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def users_own(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata without attributes, for which v2 does not distinguish set values from defaults."""
    return {name: value for name, value in shown.items() if not name.startswith("_")}


def difference(wanted: Mapping[str, Any], has: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the operations of a v2 PATCH from ``has`` to ``wanted``, both as shown by the API."""
    operations: list[dict[str, Any]] = []
    for name, value in wanted.items():
        if name in has and has[name] == value:
            continue
        if not _unset(name, value):
            operations.append({"op": "add", "path": _path(name), "value": value})
        elif not _unset(name, has.get(name)):
            operations.append({"op": "remove", "path": _path(name)})
    operations += [
        {"op": "remove", "path": _path(name)} for name in has if name not in wanted and not _unset(name, has[name])
    ]
    return operations


def dead_letters_of(shown: Mapping[str, Any]) -> str | None:
    """Return the name of the dead-letter queue, None if unset."""
    name = shown.get("_dead_letter_queue")
    return name if isinstance(name, str) and name else None


def _unset(name: str, value: object) -> bool:
    return name.startswith("_") and (value is None or value is False)


def _path(name: str) -> str:
    escaped = name.replace("~", "~0").replace("/", "~1")
    return f"/metadata/{escaped}"
