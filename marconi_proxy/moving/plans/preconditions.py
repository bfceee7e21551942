"""Whether a plan that was shown can still be carried out exactly so. Pure."""

from __future__ import annotations

from catalog.model import PlacementState, Plan
from marconi_proxy.moving.orders.ordering import Refused, Situation, check, takes
from marconi_proxy.moving.plans.names import called

# What a plan relies on of a queue is its life and its place: epochs also count what changes neither.


def changes(plan: Plan, situation: Situation) -> list[str]:
    """Return one sentence for each thing that is not as it was when the plan was made; none: it may be applied."""
    found = []
    for relied_on in plan.preconditions["partitions"]:
        name = relied_on["name"]
        partition = situation.partitions.get(name)
        if partition is None:
            found.append(f"partition {name} is not registered any more")
            continue
        if any(move.target == name for move in plan.moves) and not takes(partition):
            found.append(f"partition {name} takes no more queues")
        if list(partition.api_versions) != relied_on["api_versions"]:
            found.append(f"partition {name} speaks other versions of the API")
    for move, born in zip(plan.moves, plan.preconditions["born"], strict=True):
        placement, name = situation.placements.get(move.key), called(move.project, move.queue)
        if placement is None:
            found.append(f"queue {name} is not on {move.source} any more")
        elif placement.born != born:
            found.append(f"queue {name} was deleted and created anew")
        elif placement.partition != move.source:
            found.append(f"queue {name} is on {placement.partition}, not on {move.source}")
        elif placement.state is not PlacementState.RESERVED:
            try:
                check(placement, move.target, situation)
            except Refused as refused:
                found.append(f"queue {name}: {refused}")
    return found
