"""Epochs: the age of the proxy's catalog read behind a forwarded write."""

from __future__ import annotations

import re
from typing import NamedTuple

# The lives of one name with kept marks: only the last one takes writes, but an old mover may close late.
LIVES = 8
LARGEST = 2**63 - 1

_SPELLED = re.compile(rb"([A-Za-z0-9_-]{0,64})/([0-9]{1,19})")


class Epoch(NamedTuple):
    """``number`` grows with every change of a queue's location; ``life`` is the token of one queue from its creation
    to its deletion, in which numbers are comparable ("" for one without a token)."""

    life: str
    number: int

    @staticmethod
    def read(value: bytes) -> Epoch | None:
        """Read ``LIFE/NUMBER``; None if it is spelled otherwise."""
        spelled = _SPELLED.fullmatch(value)
        if spelled is None or int(spelled[2]) > LARGEST:
            return None
        return Epoch(spelled[1].decode(), int(spelled[2]))
