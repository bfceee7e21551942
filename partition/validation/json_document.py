"""JSON bodies (API section 1.5): parsing documents, reading their members, and writing values as text."""

from __future__ import annotations

import json
import math
from typing import Any

from partition.errors import BadInput, bad_body

_LARGEST = 2**63 - 1
_SMALLEST = -(2**63)
_MOST_DIGITS = 20  # "-9223372036854775808"


class _TooLarge(ValueError):
    """An integer that 64 bits do not hold."""


def _integer(digits: str) -> int:
    if len(digits) <= _MOST_DIGITS:
        number = int(digits)
        if _SMALLEST <= number <= _LARGEST:
            return number
    raise _TooLarge


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # 1e999: it could not be written as JSON again
        raise ValueError(text)
    return number


def _constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_ASCII_ENCODER = json.JSONEncoder()


def parse(body: bytes | None) -> dict[str, Any] | list[Any]:
    """Return the object or array that ``body`` is; None stands for no body at all. Raises BadInput."""
    if body is None:
        raise bad_body("Request body can not be empty")
    try:
        document = _DECODER.decode(body.decode())
    except _TooLarge:
        raise bad_body("JSON contains integer that is too large.") from None
    except (ValueError, RecursionError):
        raise _unparsable() from None
    if not isinstance(document, (dict, list)):
        raise _unparsable()
    return document


def parse_object(body: bytes | None) -> dict[str, Any]:
    """``parse`` for where the API has an object."""
    document = parse(body)
    if not isinstance(document, dict):
        raise unsupported()
    return document


def parse_array(body: bytes | None) -> list[Any]:
    """``parse`` for where the API has an array."""
    document = parse(body)
    if not isinstance(document, list):
        raise unsupported()
    return document


def integer_member(document: dict[str, Any], name: str, default: int | None = None) -> int:
    """Return the integer ``document[name]``; without a default it must be there. Raises BadInput."""
    value = document.get(name, default)
    if value is None and name not in document:
        raise missing_member(name)
    if type(value) is not int:  # not isinstance: JSON's true is no integer
        raise bad_body(f'The value of the "{name}" field must be a int.')
    return value


def missing_member(name: str) -> BadInput:
    """A required member is not there."""
    return bad_body(f'Missing "{name}" field.')


def text(value: Any) -> str:
    """Return ``value`` as JSON, with non-ASCII characters as they are, which UTF-8 can hold."""
    written = _ENCODER.encode(value)
    if written.isascii():
        return written
    try:
        written.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape and UTF-8 cannot hold
        return _ASCII_ENCODER.encode(value)
    return written


def unsupported() -> BadInput:
    """An array where an object is due, or the reverse."""
    return bad_body("Document type not supported.")


def _unparsable() -> BadInput:
    return bad_body("Request body could not be parsed.")
