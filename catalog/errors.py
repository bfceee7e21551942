"""What can go wrong with the catalog, named by whose fault it is.

``CatalogError`` is the root. Drivers translate every exception of their store into one of these, once, at their edge
(``raise ... from``), so that nobody above them knows which store is in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.model import Holder, Move, MovePlan, Partition, Placement


class CatalogError(Exception):
    """Root of everything the catalog raises."""


class BadCatalogURI(CatalogError):
    """The operator's fault: the URI names no catalog. The message quotes what is accepted, never a password."""


class NotInitialised(CatalogError):
    """The operator's fault: the store was never prepared by ``marconi-proxy catalog init``."""


class WrongSchema(CatalogError):
    """The operator's fault: the store was prepared by a release with another schema version.

    An older one is brought up to date by ``marconi-proxy catalog init``.
    """


class LoadUnfinished(CatalogError):
    """The operator's fault: a backup is being loaded into the store, or was and has not come to its end.

    It is loaded again from the start, which ends this.
    """


class NotEmpty(CatalogError):
    """The operator's fault: a backup was to be loaded into a store that holds ``kinds`` of things already."""

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__(
            f"the catalog is not empty: it has {', '.join(f'{kind}s'.replace('_', ' ') for kind in kinds)}"
        )
        self.kinds = kinds


class CatalogInUse(CatalogError):
    """The operator's fault: front-door workers serve from the store, or movers hold moves in it."""

    def __init__(self, workers: Sequence[str], movers: Sequence[str]) -> None:
        found = []
        if workers:
            found.append(f"{_counted(len(workers), 'front-door worker')} registered: {_some(workers)}")
        if movers:
            found.append(f"{_counted(len(movers), 'mover')} at work: {_some(movers)}")
        super().__init__("; ".join(found))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


class LoadRefused(CatalogError):
    """What was to be loaded contradicts what was loaded before, or another load was begun since."""


class SnapshotTooOld(CatalogError):
    """The store has not kept the instant for as long as it took to read everything. The message says what to set."""


class CatalogUnavailable(CatalogError):
    """The store's fault: it did not answer, or not in time.

    A write that ends so *may* have happened. Every write of the interface is safe to repeat: compare-and-set and
    insert-or-get tell afterwards which way it went.
    """


class PlacementConflict(CatalogError):
    """A compare-and-set met another epoch, or another life, than it expected. ``current`` is what is stored now, None
    if nothing is."""

    def __init__(self, current: Placement | None) -> None:
        super().__init__(f"the stored placement is {current}" if current else "there is no such placement any more")
        self.current = current


class PartitionConflict(CatalogError):
    """A partition of this name is there with other content or version. ``current`` is it, None if it is gone."""

    def __init__(self, name: str, current: Partition | None) -> None:
        super().__init__(f"partition {name} was changed by somebody else" if current else f"no partition {name}")
        self.name = name
        self.current = current


class HostTaken(CatalogError):
    """A partition was to have ``host``, which partition ``other`` has: two over one store show each other's queues."""

    def __init__(self, host: str, other: str) -> None:
        super().__init__(f"{host} is a host of partition {other}")
        self.host = host
        self.other = other


class PartitionUnknown(CatalogError):
    """A placement named a partition that is not registered, or that is being removed right now."""

    def __init__(self, name: str) -> None:
        super().__init__(f"partition {name} is not registered")
        self.name = name


class PartitionInUse(CatalogError):
    """A partition cannot be removed: ``placements`` placements still name it, or ``move`` may bring it one."""

    def __init__(self, name: str, placements: int, move: str | None = None) -> None:
        words = f"still has {placements} placement{'s' if placements != 1 else ''}"
        if not placements and move is not None:
            words = f"is named by move {move}, which has not come to its switch yet"
        super().__init__(f"partition {name} {words}")
        self.name = name
        self.placements = placements
        self.move = move


class NotRegistered(CatalogError):
    """The member is not registered any more: it was silent for its lease, and was removed. It may register again, and
    must not rely on what it knew before."""

    def __init__(self, member_id: str) -> None:
        super().__init__(f"member {member_id} is not registered any more")
        self.member_id = member_id


class MoveConflict(CatalogError):
    """A move of this id is there with other content or version. ``current`` is it, None if there is none."""

    def __init__(self, move_id: str, current: Move | None) -> None:
        super().__init__(f"move {move_id} was changed by somebody else" if current else f"no move {move_id}")
        self.move_id = move_id
        self.current = current


class MoveUnderWay(CatalogError):
    """The queue has an unfinished move already: ``current``."""

    def __init__(self, current: Move) -> None:
        super().__init__(f"the queue is being moved already: move {current.id} to {current.target} is {current.state}")
        self.current = current


class LockHeld(CatalogError):
    """Another process has the lock of ``what``: ``holder``."""

    def __init__(self, what: str, holder: Holder) -> None:
        super().__init__(f"{what} is held by {holder.name}")
        self.what = what
        self.holder = holder


class LockLost(CatalogError):
    """The lock of ``what`` is no longer held under ``token``: the process that had it must stop, for others may have
    acquired it."""

    def __init__(self, what: str, token: int) -> None:
        super().__init__(f"{what} is not held under token {token} any more")
        self.what = what
        self.token = token


class PlanConflict(CatalogError):
    """A plan of this id is there with other content or version. ``current`` is it, None if there is none."""

    def __init__(self, plan_id: str, current: MovePlan | None) -> None:
        super().__init__(f"plan {plan_id} was changed by somebody else" if current else f"no plan {plan_id}")
        self.plan_id = plan_id
        self.current = current
