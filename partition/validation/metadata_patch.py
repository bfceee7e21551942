"""JSON patch of metadata (API section 4.5): parsing the operations, and applying them to a value."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple

from partition.errors import PartitionError, bad_body

MEDIA_TYPE = b"application/openstack-messaging-v2.0-json-patch"

_OPERATIONS = ("add", "remove", "replace")
_BAD_ESCAPE = re.compile(r"~(?![01])")


class PatchConflict(PartitionError):
    """An operation on a missing key. The message is for the client."""


class Operation(NamedTuple):
    """One change of one key; ``value`` is None for a removal."""

    op: str
    key: str
    value: Any = None


def parse(operations: Iterable[Any]) -> list[Operation]:
    """Return the operations of a body's array. Raises BadInput."""
    return [_operation(raw) for raw in operations]


def apply(operations: Iterable[Operation], metadata: Mapping[str, Any], known: Container[str]) -> dict[str, Any]:
    """Return the metadata after all operations, one after another; ``known`` are keys that exist without being stored.

    Raises PatchConflict.
    """
    changed = dict(metadata)
    for operation in operations:
        there = operation.key in changed
        if operation.op != "add" and not there and operation.key not in known:
            raise PatchConflict(f"Can't {operation.op} non-existent object {operation.key}.")
        if operation.op != "remove":
            changed[operation.key] = operation.value
        elif there:
            del changed[operation.key]
    return changed


def _operation(raw: Any) -> Operation:
    if not isinstance(raw, dict):
        raise bad_body("Operations must be JSON objects.")
    available = ", ".join(_OPERATIONS)
    op = raw.get("op")
    if op is None:
        raise bad_body(f"Unable to find `op` in JSON Schema change. It must be one of the following: {available}.")
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise bad_body(f"Invalid operation: `{op}`. It must be one of the following: {available}.")
    root, key = _tokens(raw)
    if op == "remove":
        return Operation(op, key)
    if "value" not in raw:
        raise bad_body(f'Operation "{op}" requires a member named "value".')
    if root.lower() != "metadata":
        raise bad_body("The root of path must be metadata, e.g /metadata/key.")
    return Operation(op, key, raw["value"])


def _tokens(raw: dict[str, Any]) -> tuple[str, str]:
    if "path" not in raw:
        raise bad_body("Unable to find 'path' in JSON Schema change")
    pointer = raw["path"]
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise bad_body(f'Pointer `{pointer}` does not start with "/".')
    if re.search(r"/\s*?/", pointer):
        raise bad_body(f'Pointer `{pointer}` contains adjacent "/".')
    if pointer.endswith("/"):
        raise bad_body(f'Pointer `{pointer}` end with "/".')
    if _BAD_ESCAPE.search(pointer):
        raise bad_body(f'Pointer `{pointer}` contains "~" not part of a recognized escape sequence.')
    tokens = [part.replace("~1", "/").replace("~0", "~").strip() for part in pointer[1:].split("/")]
    if len(tokens) != 2:
        raise bad_body(f"Invalid JSON pointer for this resource: '/{'/'.join(tokens)}, e.g /metadata/key'")
    return tokens[0], tokens[1]
