"""The preconditions of a plan: whether it can still be executed exactly as shown. Pure."""

from __future__ import annotations

from catalog.model import PlacementState, WholePlan
from marconi_proxy.moving.orders.order import MoveRefused, check, takes
from marconi_proxy.moving.plans.homes import Homes
from marconi_proxy.moving.plans.layout import Layout
from marconi_proxy.moving.plans.names import called
from marconi_proxy.moving.plans.selection import Selection

# A plan relies on each queue's incarnation and partition, and on its target as the home of new queues of the tenant. It
# does not rely on epochs, which change more often.


def changes(whole: WholePlan, layout: Layout) -> list[str]:
    """Return a sentence for each precondition that no longer holds. If there is none, the plan may be applied."""
    plan, view = whole.plan, layout.view
    found = _kept_apart(whole, layout)
    for relied_on in plan.preconditions["partitions"]:
        name = relied_on["name"]
        partition = view.partitions.get(name)
        if partition is None:
            found.append(f"partition {name} is not registered any more")
            continue
        if any(move.target == name for move in whole.moves) and not takes(partition):
            found.append(f"partition {name} takes no more queues")
        if list(partition.api_versions) != relied_on["api_versions"]:
            found.append(f"partition {name} speaks other versions of the API")
    repin = plan.preconditions["selection"].get("repin")
    if repin is not None:
        to = view.partitions.get(repin)
        if to is None or not takes(to):
            found.append(f"partition {repin}, to which tenants are to be pinned, takes no more queues")
    for move in whole.moves:
        placement, name = view.placements.get(move.key), called(move.project, move.queue)
        if placement is None:
            found.append(f"queue {name} is not on {move.source} any more")
        elif placement.incarnation != move.incarnation:
            found.append(f"queue {name} was deleted and created anew")
        elif placement.partition != move.source:
            found.append(f"queue {name} is on {placement.partition}, not on {move.source}")
        elif placement.state is not PlacementState.RESERVED:
            try:
                check(placement, move.target, view)
            except MoveRefused as refused:
                found.append(f"queue {name}: {refused}")
    return found


def _kept_apart(whole: WholePlan, layout: Layout) -> list[str]:
    """Return the tenants with a pin or spread that the plan would break now; none if it was made to break them."""
    preconditions, partitions = whole.plan.preconditions, layout.view.partitions
    selection = Selection.from_json(preconditions["selection"])
    if selection.break_pins:
        return []
    taking = {name for name, partition in partitions.items() if takes(partition)}
    # A target that takes no queues has a sentence of its own.
    moves = [move for move in whole.moves if move.target in taking]
    broken = Homes(selection, layout, preconditions["emptied"]).broken(moves)
    return [f"tenant {project or '-'} {reason}" for project, reason in sorted(broken.items())]
