"""The values in a backup of a catalog. It has neither members nor holders of moves, which are about processes."""

from __future__ import annotations

import secrets

from catalog.model.move import Move
from catalog.model.partition import Partition
from catalog.model.placement import Placement
from catalog.model.plan import MovePlan, PlannedMove
from catalog.model.tenant import Tenant

BackupValue = Partition | Tenant | Placement | Move | MovePlan | PlannedMove

# By kind, in the order of backups: a value comes after all values that it refers to.
KINDS: dict[str, type[BackupValue]] = {
    "partition": Partition,
    "tenant": Tenant,
    "placement": Placement,
    "move": Move,
    "plan": MovePlan,
    "planned_move": PlannedMove,
}

# The largest batches in memory while all values are read: a move may have a long log, a plan many reasons.
AT_A_TIME = {"partition": 500, "tenant": 500, "placement": 500, "move": 100, "plan": 50, "planned_move": 500}


def above_all(largest: int) -> int:
    """Return the first token for the locks of loaded moves.

    It is larger than the ``largest`` known one. Its random part avoids every token that a move had in this catalog or
    an earlier one, of which there may be no record.
    """
    return largest + 1 + secrets.randbits(40)
