"""What a backup of a catalog keeps. Not members, for they are about processes; nor who holds a move."""

from __future__ import annotations

import secrets

from catalog.model.move import Move
from catalog.model.partition import Partition
from catalog.model.placement import Placement
from catalog.model.plan import MovePlan, PlannedMove
from catalog.model.tenant import Tenant

BackupValue = Partition | Tenant | Placement | Move | MovePlan | PlannedMove

# By kind, in the order of backups: what is named comes before what names it.
KINDS: dict[str, type[BackupValue]] = {
    "partition": Partition,
    "tenant": Tenant,
    "placement": Placement,
    "move": Move,
    "plan": MovePlan,
    "planned_move": PlannedMove,
}

# How many of a kind are in memory at a time when all are read: a move may have a long log, a plan many reasons.
AT_A_TIME = {"partition": 500, "tenant": 500, "placement": 500, "move": 100, "plan": 50, "planned_move": 500}


def above_all(largest: int) -> int:
    """Return the token that holds of moves that were loaded begin with: larger than the ``largest`` that is known, and
    none that a move had in this catalog or before, which nothing may remember any more."""
    return largest + 1 + secrets.randbits(40)
