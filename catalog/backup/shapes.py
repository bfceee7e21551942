"""The required fields of a line of a backup and their types. No I/O.

Values check the contents of their fields. This check of presence and type comes before, so that a message always names
the field at fault.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from catalog.model import MoveOutcome, MoveState, PartitionState, PlacementState, PlanState
from catalog.model.field import is_int, is_number

# A shape is a type (``float`` is any number, ``dict`` any object), a list with the shape of its members, an object with
# the shape of each of its fields, or a tuple with one shape, for a value that may be null. An object with ``...`` may
# have more fields. A field with ``?`` may be missing: earlier releases did not write it.
_OTHERS = "..."
_SEGMENT = {"n": int, "partition": str, "physical": str, "sealed": bool}
_MOVED = {"project": (str,), "queue": str, "source": str, "target": str}
_ENDING = {"number": int, "outcome": MoveOutcome, "reason": str, "pause_ms": (float,)}
_LOG_ENTRY = {"at": float, "state": MoveState, "reason": str, _OTHERS: object}

SHAPES: dict[str, dict[str, Any]] = {
    "partition": {
        "name": str,
        "hosts": [str],
        "weight": int,
        "region": (str,),
        "labels": [str],
        "state": PartitionState,
        "api_versions": [str],
        "api_versions_set": bool,
        "inventory": (str,),
        "fences?": bool,
        "store?": (str,),
        "version": int,
    },
    "tenant": {"project": (str,), "spread": int, "pinned": (str,)},
    "placement": {
        "project": (str,),
        "queue": str,
        "epoch": int,
        "state": PlacementState,
        "segments": [_SEGMENT],
        "base": int,
        "since": float,
        "group": (str,),
        "born": str,
        "move": (str,),
        "floor?": int,
    },
    "move": {
        "id": str,
        "project": (str,),
        "queue": str,
        "source": str,
        "target": str,
        "state": MoveState,
        "version": int,
        "attempt": int,
        "created": float,
        "log": [_LOG_ENTRY],
        "max_pause_ms": (float,),
        "pause_ms": (float,),
        "certificate": (dict,),
        "plan": (str,),
        "group": [str],
        "born": str,
        "toward": str,
        "tail": (int,),
        "physical": (str,),
        "due": float,
        "facts": dict,
    },
    "plan": {
        "id": str,
        "hash": str,
        "title": str,
        "size": int,
        "created": float,
        "version": int,
        "state": PlanState,
        "budgets": dict,
        "preconditions": dict,
        "progress": {
            "next": int,
            "ahead": [int],
            "pending": [int],
            "endings": [_ENDING],
            "counts": dict,
            "pauses": [[float]],
            "allowance": (float,),
            "note": (str,),
        },
    },
    "planned_move": {
        "plan": str,
        "number": int,
        **_MOVED,
        "born": str,
        "group": ([int],),
        "ending": (_ENDING,),
    },
}

# A plan up to schema version 3, with its moves and results inside.
PLAN_OF_VERSION_3 = {
    "id": str,
    "hash": str,
    "title": str,
    "created": float,
    "version": int,
    "state": PlanState,
    "budgets": dict,
    "moves": [_MOVED],
    "preconditions": dict,
    "results": dict,
}


def check(name: str, value: object, shape: Any) -> None:
    """Raise ValueError with the name of the field unless ``value`` has the shape. ``name`` is its own name."""
    if isinstance(shape, tuple):
        if value is not None:
            check(name, value, shape[0])
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise ValueError(f"{name}: is not an array")
        for number, member in enumerate(value):
            check(f"{name}[{number}]", member, shape[0])
    elif isinstance(shape, dict):
        _check_object(name, value, shape)
    elif not _fits(value, shape):
        raise ValueError(f"{name}: {_shown(value)} is not {_words(shape)}")


def _check_object(name: str, value: object, shape: dict[str, Any]) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{name}: is not an object")
    for key, of in shape.items():
        field = key.removesuffix("?")
        if field in value:
            check(f"{name}.{field}", value[field], of)
        elif key == field != _OTHERS:
            raise ValueError(f"{name}.{field}: is missing")
    for field in value:
        if not {field, f"{field}?", _OTHERS} & shape.keys():
            raise ValueError(f"{name}.{field}: there is no such field")


def _fits(value: object, shape: type) -> bool:
    if issubclass(shape, StrEnum):
        return isinstance(value, str) and value in frozenset(shape)
    if shape is int:
        return is_int(value)
    return is_number(value) if shape is float else isinstance(value, shape)


def _words(shape: type) -> str:
    if issubclass(shape, StrEnum):
        return f"one of {', '.join(shape)}"
    return {int: "an integer", float: "a number", bool: "true or false", str: "a text"}.get(shape, "an object")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
