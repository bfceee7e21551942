"""The lines of a backup. No I/O.

::

    {"format": "marconi-proxy catalog", "schema": 4, "time": "2024-05-01T12:00:00Z", "version": 1}
    {"kind": "partition", "value": {...}}
    ...
    {"counts": {"move": 0, ...}, "kind": "end", "sha256": "..."}

Kinds come in the order of KINDS, the values of a kind by their key, each once; so two catalogs with equal values have
equal lines. The checksum is of all bytes before the last line.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from catalog.interface import SCHEMA_VERSION
from catalog.model import KINDS, BackupValue, Move, MovePlan, Partition, Placement, PlannedMove, Tenant

FORMAT = "marconi-proxy catalog"
VERSION = 1
END = "end"
# Bytes in a line. The largest value is a plan of schema version 3, of 16 MB at most in MongoDB.
MAX_LINE = 64 * 2**20

_KIND_OF: dict[type[BackupValue], str] = {type_: kind for kind, type_ in KINDS.items()}


def kind_of(value: BackupValue) -> str:
    """Return the name of a value's kind."""
    return _KIND_OF[type(value)]


def sort_key(value: BackupValue) -> tuple[str, ...]:
    """Return the unique sort key of a value among those of its kind."""
    match value:
        case Partition():
            return (value.name,)
        case Tenant():
            return (value.project,)
        case Placement():
            return value.key
        case Move() | MovePlan():
            return (value.id,)
        case PlannedMove():
            return value.plan, f"{value.number:08d}"


def header_line(now: datetime) -> bytes:
    """Return the first line. ``now`` has a time zone."""
    time = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return _line({"format": FORMAT, "version": VERSION, "schema": SCHEMA_VERSION, "time": time})


def value_line(value: BackupValue) -> bytes:
    """Return the line of a value. A move has no holder in it."""
    document = value.to_json()
    document.pop("holder", None)
    return _line({"kind": kind_of(value), "value": document})


def end_line(counts: dict[str, int], sha256: str) -> bytes:
    """Return the last line."""
    return _line({"kind": END, "counts": counts, "sha256": sha256})


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
