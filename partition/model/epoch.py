"""Epochs: how recent the reading of the catalog is by which a proxy forwards a write."""

from __future__ import annotations

import re
from typing import NamedTuple

# Lives of one queue whose marks are kept: only the last one can still be written to, but an old mover may come late.
LIVES = 8
LARGEST = 2**63 - 1

_SPELLED = re.compile(rb"([A-Za-z0-9_-]{0,64})/([0-9]{1,19})")


class Epoch(NamedTuple):
    """``number`` grows with every change of where a queue lives; ``life`` is the token of one queue from its creation
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
