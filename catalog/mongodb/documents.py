"""Map the catalog's values to documents of MongoDB and back. No I/O.

A placement's ``_id`` is project, NUL, queue. NUL is in neither and sorts before everything else, so ``_id`` sorts as
(project, queue), and its one index serves lookup, uniqueness and every listing, which is a range of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catalog.model import Move, MovePlan, Partition, Placement, PlannedMove, QueueKey, Tenant
from catalog.model.plan import from_version_3
from catalog.mongodb.lock import holder_of


def placement_id(key: QueueKey) -> str:
    """Return a placement's ``_id``."""
    return f"{key.project}\0{key.queue}"


def placement_key(id_: str) -> QueueKey:
    """Read a placement's ``_id``. Raises ValueError if it is none."""
    project, nul, queue = id_.rpartition("\0")
    if not nul:
        raise ValueError(f"{id_!r} is not project, NUL, queue")
    return QueueKey(project, queue)


def id_range(project: str | None, after: QueueKey | None) -> dict[str, str]:
    """Return the condition on ``_id`` for all placements, or those of one project, after ``after``."""
    bounds = {}
    if project is not None:
        bounds = {"$gt": f"{project}\0", "$lt": f"{project}\1"}
    if after is not None:
        bounds["$gt"] = max(bounds.get("$gt", ""), placement_id(after))
    return bounds or {"$gt": ""}


def this_placement(key: QueueKey, epoch: int, incarnation: str) -> dict[str, Any]:
    """Return the condition for the placement of this epoch and incarnation. Documents of schema version 1 have no
    ``born``."""
    return {"_id": placement_id(key), "epoch": epoch, "born": incarnation or {"$in": ["", None]}}


def placement_document(placement: Placement) -> dict[str, Any]:
    """Return the document of a placement."""
    return {"_id": placement_id(placement.key), **placement.to_json(), "project": placement.project}


def read_placement(document: Mapping[str, Any]) -> Placement:
    """Read a placement. Raises ValueError, TypeError or KeyError if it is none."""
    placement = Placement.from_json(document)
    if placement.key != placement_key(document["_id"]):
        raise ValueError("_id is that of another queue")
    return placement


def partition_document(partition: Partition) -> dict[str, Any]:
    """Return the document of a partition. (During its removal, the stored one has the field ``leaving`` as well.)"""
    return {"_id": partition.name, **partition.to_json()}


def read_partition(document: Mapping[str, Any]) -> Partition:
    """Read a partition. Raises ValueError, TypeError or KeyError if it is none."""
    return Partition.from_json({**document, "name": document["_id"]})


def tenant_document(tenant: Tenant) -> dict[str, Any]:
    """Return the document of a tenant."""
    return {"_id": tenant.project, **tenant.to_json(), "project": tenant.project}


def read_tenant(document: Mapping[str, Any]) -> Tenant:
    """Read a tenant. Raises ValueError, TypeError or KeyError if it is none."""
    return Tenant.from_json({**document, "project": document["_id"]})


def move_document(move: Move) -> dict[str, Any]:
    """Return the document of a move without the fields of its lock, which stored ones have as well."""
    document = {"_id": move.id, **move.to_json(), "project": move.project}
    del document["id"], document["holder"]
    return document | {"partitions": [move.source, move.target], "unfinished": not move.finished}


def read_move(document: Mapping[str, Any]) -> Move:
    """Read a move. Raises ValueError, TypeError or KeyError if it is none."""
    holder = holder_of(document)
    return Move.from_json({**document, "id": document["_id"], "holder": None if holder is None else holder.to_json()})


def plan_document(plan: MovePlan) -> dict[str, Any]:
    """Return the document of a plan."""
    document = {"_id": plan.id, **plan.to_json(), "active": plan.active}
    del document["id"]
    return document


def changing_plan(plan: MovePlan) -> dict[str, Any]:
    """Return the fields of a plan's document that can change."""
    document = plan_document(plan)
    return {field: document[field] for field in ("version", "state", "progress", "active")}


def read_plan(document: Mapping[str, Any]) -> MovePlan:
    """Read a plan. Raises ValueError, TypeError or KeyError if it is none."""
    return MovePlan.from_json({**document, "id": document["_id"]})


def plan_of_version_3(document: Mapping[str, Any]) -> tuple[MovePlan, tuple[PlannedMove, ...]]:
    """Read a plan of schema version 3. Raises ValueError, TypeError or KeyError if it is none."""
    return from_version_3({**document, "id": document["_id"]})


def planned_move_id(plan_id: str, number: int) -> str:
    """Return the ``_id`` of a planned move. These sort by plan and number."""
    return f"{plan_id}\0{number:08d}"


def planned_move_document(move: PlannedMove) -> dict[str, Any]:
    """Return the document of a planned move."""
    return {
        "_id": planned_move_id(move.plan, move.number),
        **move.to_json(),
        "project": move.project,
        "outcome": None if move.ending is None else move.ending.outcome.value,
    }


def read_planned_move(document: Mapping[str, Any]) -> PlannedMove:
    """Read a planned move. Raises ValueError, TypeError or KeyError if it is none."""
    return PlannedMove.from_json(document)
