"""Identifiers of messages, claims and subscriptions (API section 6.1): 24 hex digits without meaning for a client.

The first eleven digits are drawn once for each store, so that no two partitions ever give out the same identifier. The
others hide a number that the store counts up: multiplied by a secret odd number modulo 2**52, which is a permutation.
"""

from __future__ import annotations

import re

_DIGITS = re.compile("[0-9a-f]{24}")
_TAG_DIGITS = 11
_NUMBER_BITS = 52
_MASK = (1 << _NUMBER_BITS) - 1

TAGS = 1 << 4 * _TAG_DIGITS
MULTIPLIERS = 1 << _NUMBER_BITS


def well_formed(identifier: str) -> bool:
    """Whether some store could have issued it."""
    return _DIGITS.fullmatch(identifier) is not None


class Identifiers:
    """Those of one store: ``0 <= tag < TAGS``, ``multiplier`` odd and below MULTIPLIERS. Both are drawn at random."""

    __slots__ = ("_inverse", "_multiplier", "_prefix")

    def __init__(self, tag: int, multiplier: int) -> None:
        if not 0 <= tag < TAGS or not 0 < multiplier < MULTIPLIERS or multiplier % 2 == 0:
            raise ValueError("impossible tag or multiplier")
        self._prefix = f"{tag:0{_TAG_DIGITS}x}"
        self._multiplier = multiplier
        self._inverse = pow(multiplier, -1, MULTIPLIERS)

    @property
    def tag(self) -> str:
        """The common beginning of all of them, which identifies the store: no other store draws the same."""
        return self._prefix

    def identifier(self, number: int) -> str:
        """The identifier of ``number``, 0 < number < 2**52."""
        return f"{self._prefix}{number * self._multiplier & _MASK:013x}"

    def number(self, identifier: str) -> int | None:
        """The number behind ``identifier``; None if this store cannot have issued it."""
        if not well_formed(identifier) or not identifier.startswith(self._prefix):
            return None
        return int(identifier[_TAG_DIGITS:], 16) * self._inverse & _MASK
