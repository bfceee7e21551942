"""Typed members of JSON objects (API section 1.5, last item)."""

from __future__ import annotations

from typing import Any

from partition.errors import bad_body


def integer(document: dict[str, Any], name: str, default: int | None = None) -> int:
    """Return the integer ``document[name]``; without a default it must be there. Raises BadInput."""
    value = document.get(name, default)
    if value is None and name not in document:
        raise missing(name)
    if type(value) is not int:  # not isinstance: JSON's true is no integer
        raise bad_body(f'The value of the "{name}" field must be a int.')
    return value


def missing(name: str) -> Exception:
    """A required member is not there."""
    return bad_body(f'Missing "{name}" field.')
