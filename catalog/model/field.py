"""Checks of the fields of values. They raise ``ValueError`` with the name of the field at fault."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeGuard

PARTITION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_JSON_DEPTH = 20


def is_int(value: object) -> TypeGuard[int]:
    """Return whether ``value`` is an integer of at most 64 bits, the range of every store. Booleans are none."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_number(value: object) -> bool:
    """Return whether ``value`` is an integer (``is_int``) or a finite float."""
    return is_int(value) or (isinstance(value, float) and isfinite(value))


def has_surrogates(text: str) -> bool:
    """Return whether the text has surrogates, which UTF-8 cannot encode."""
    return not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)


def check_key(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` can be (part of) a catalog key: text that UTF-8 can encode, without NUL.

    NUL is in no header value and no queue name; MongoDB keys use it as the separator of the two.
    """
    if not isinstance(value, str) or "\0" in value or has_surrogates(value):
        raise ValueError(f"{name}: {value!r} is not text without NUL and surrogates")


def check_queue(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` can be the name of a queue in the catalog."""
    check_key(name, value)
    if not value:
        raise ValueError(f"{name}: a queue name is needed")


def check_text(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` is 1 to 255 printable characters, which every store and answer can contain."""
    if not isinstance(value, str) or not 1 <= len(value) <= 255 or not value.isprintable():
        raise ValueError(f"{name}: {value!a} is not a text of 1 to 255 printable characters")


def one_line(name: str, value: object) -> str:
    """Return a text as one printable line of at most 255 characters. Raises ValueError if it is no text.

    For reasons and other free text, which must be storable whatever they contain.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name}: {value!r} is not a text")
    return "".join(c if c.isprintable() else " " for c in value)[:255]


def check_id(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` can be the id of a move or plan, or a token: part of URLs and log lines, and
    a key of stored JSON objects."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError(f"{name}: {value!a} is not an id (1 to 64 of A-Z a-z 0-9 _ - and not - _ first)")


def check_partition_name(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` can be the name of a partition."""
    if not isinstance(value, str) or not PARTITION_NAME.fullmatch(value):
        raise ValueError(f"{name}: {value!a} is not a partition name")


def check_count(name: str, value: object, least: int = 0) -> None:
    """Raise ValueError unless ``value`` is an integer from ``least``, of at most 63 bits."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
        raise ValueError(f"{name}: {value!r} is not an integer from {least}")


def check_time(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` is a finite number."""
    if not is_number(value):
        raise ValueError(f"{name}: {value!r} is not a time in seconds")


def json_object(name: str, value: object) -> dict[str, Any]:
    """Return a copy of a JSON object that every store returns unchanged: tuples become lists.

    Raises ValueError unless ``value`` is one. Its keys are texts without NUL, without ``.`` and with no ``$`` at the
    beginning, which have a meaning for MongoDB; its integers have at most 64 bits.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: {value!r} is not a JSON object")
    try:
        _check_json(value, _JSON_DEPTH)
        copy: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    return copy


def _check_json(value: object, depth: int) -> None:
    if not depth:
        raise ValueError(f"is nested deeper than {_JSON_DEPTH}")
    if isinstance(value, Mapping):
        for key, member in value.items():
            check_key("a key", key)
            if not key or key.startswith("$") or "." in key:
                raise ValueError(f"a key: {key!a} is empty, begins with $ or holds a dot")
            _check_json(member, depth - 1)
    elif isinstance(value, (list, tuple)):
        for member in value:
            _check_json(member, depth - 1)
    elif isinstance(value, str):
        if has_surrogates(value):
            raise ValueError(f"{value!a} has surrogates")
    elif isinstance(value, int) and not isinstance(value, bool) and not is_int(value):
        raise ValueError(f"{value} has more than 64 bits")
