"""The errors of the catalog, named by fault.

``CatalogError`` is the root. Drivers translate every exception of their store into one of these, once, at their edge
(``raise ... from``), so that the layers above are independent of the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.model import Holder, Move, MovePlan, Partition, Placement


class CatalogError(Exception):
    """Root of all errors of the catalog."""


class BadCatalogURI(CatalogError):
    """The operator's fault: the URI names no catalog. The message quotes the accepted forms, never a password."""


class NotInitialised(CatalogError):
    """The operator's fault: the store was never prepared by ``marconi-proxy catalog init``."""


class WrongSchema(CatalogError):
    """The operator's fault: the store was prepared by a release with another schema version.

    ``marconi-proxy catalog init`` upgrades an older one.
    """


class LoadUnfinished(CatalogError):
    """The operator's fault: a load of a backup into the store is in progress, or was interrupted.

    Loading the backup again from its start ends this state.
    """


class NotEmpty(CatalogError):
    """The operator's fault: a backup was to be loaded into a store that has values already, of these ``kinds``."""

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__(
            f"the catalog is not empty: it has {', '.join(f'{kind}s'.replace('_', ' ') for kind in kinds)}"
        )
        self.kinds = kinds


class CatalogInUse(CatalogError):
    """The operator's fault: front-door workers serve from the store, or movers hold locks of moves in it."""

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
    """A value contradicts values that were loaded before, or another load has begun since."""


class SnapshotTooOld(CatalogError):
    """The store dropped the snapshot before all of it was read. The message names the setting to raise."""


class CatalogUnavailable(CatalogError):
    """The store's fault: it did not answer, or not in time.

    A write that raises this *may* have been done. Every write of the interface is safe to repeat: the result of the
    repeated compare-and-set or insert-or-get shows whether the first one was done.
    """


class PlacementConflict(CatalogError):
    """A compare-and-set of a placement found another epoch or incarnation than it expected. ``current`` is the stored
    placement, None if there is none."""

    def __init__(self, current: Placement | None) -> None:
        super().__init__(f"the stored placement is {current}" if current else "the placement no longer exists")
        self.current = current


class PartitionConflict(CatalogError):
    """The stored partition has other content or another version. ``current`` is the stored one, None if none is."""

    def __init__(self, name: str, current: Partition | None) -> None:
        super().__init__(f"partition {name} was changed by another client" if current else f"no partition {name}")
        self.name = name
        self.current = current


class HostTaken(CatalogError):
    """Partition ``other`` already has ``host``. Two partitions over one store would show each other's queues."""

    def __init__(self, host: str, other: str) -> None:
        super().__init__(f"{host} is a host of partition {other}")
        self.host = host
        self.other = other


class PartitionUnknown(CatalogError):
    """A placement names a partition that is not registered, or is being removed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"partition {name} is not registered")
        self.name = name


class PartitionInUse(CatalogError):
    """A partition cannot be removed: ``placements`` placements name it, or the move ``move`` may add one."""

    def __init__(self, name: str, placements: int, move: str | None = None) -> None:
        words = f"still has {placements} placement{'s' if placements != 1 else ''}"
        if not placements and move is not None:
            words = f"is named by move {move}, which is before its switch"
        super().__init__(f"partition {name} {words}")
        self.name = name
        self.placements = placements
        self.move = move


class NotRegistered(CatalogError):
    """The member was removed, because it had not renewed for its whole lease. It may register again, after it has
    dropped all that it knew of the catalog."""

    def __init__(self, member_id: str) -> None:
        super().__init__(f"member {member_id} is not registered any more")
        self.member_id = member_id


class MoveConflict(CatalogError):
    """The stored move has other content or another version. ``current`` is the stored one, None if there is none."""

    def __init__(self, move_id: str, current: Move | None) -> None:
        super().__init__(f"move {move_id} was changed by another client" if current else f"no move {move_id}")
        self.move_id = move_id
        self.current = current


class MoveUnderWay(CatalogError):
    """The queue already has an unfinished move: ``current``."""

    def __init__(self, current: Move) -> None:
        super().__init__(f"the queue is already being moved: move {current.id} to {current.target} is {current.state}")
        self.current = current


class LockHeld(CatalogError):
    """Another process, ``holder``, has the lock of ``what``."""

    def __init__(self, what: str, holder: Holder) -> None:
        super().__init__(f"{what} is held by {holder.name}")
        self.what = what
        self.holder = holder


class LockLost(CatalogError):
    """The lock of ``what`` is no longer held under ``token``. Its former holder must stop: another process may have
    acquired the lock."""

    def __init__(self, what: str, token: int) -> None:
        super().__init__(f"{what} is not held under token {token} any more")
        self.what = what
        self.token = token


class PlanConflict(CatalogError):
    """The stored plan has other content or another version. ``current`` is the stored one, None if there is none."""

    def __init__(self, plan_id: str, current: MovePlan | None) -> None:
        super().__init__(f"plan {plan_id} was changed by another client" if current else f"no plan {plan_id}")
        self.plan_id = plan_id
        self.current = current
