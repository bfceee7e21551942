"""The one interface to the catalog. Drivers implement it; the contract suite in tests/contract says what it means.

Every method may raise ``CatalogUnavailable``; a write that does so may or may not have happened, and is safe to repeat.
Readers see whole documents, and a read that starts after a write returned sees that write (from every process).

*The position of one's own change.* Whoever must know where in the feed a placement was changed (a mover, of its seal)
follows the feed: it waits for ``watch`` to yield its first Synced, *then* replaces the placement, and waits for the
Change with that name, epoch and ``born``; no other change of a catalog has all three. Its position is that of the
write. If the feed breaks off in between, or if somebody else made the change (a mover that died), watch anew: what a
read or write that returned before ``watch`` was called has shown or done is at or before the position of the first
Synced, and to wait until members have acknowledged that one is as good, only later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any

from catalog.model import (
    Audit,
    Change,
    Ending,
    HeldWrites,
    Holder,
    Kept,
    Member,
    Move,
    MoveState,
    Outcome,
    Partition,
    Placement,
    PlacementState,
    Plan,
    PlannedMove,
    PlanState,
    QueueKey,
    Statistics,
    StatisticsSubject,
    Synced,
    Tenant,
    Walk,
    WholePlan,
)

# Bump when stored documents or indexes change shape; ``init`` and ``check`` compare it.
#
# 1: placements, partitions, tenants, members.
# 2: moves and plans; placements have ``born`` and ``move``, members ``acked``, ``capabilities`` and ``lease``.
#    Documents of version 1 stay as they are and are read with defaults. Workers of a release with version 1 go on
#    while ``init`` runs and after it; as they have no capabilities, no queue is moved until they are gone.
# 3: an index of placements in rare states, the mark of a catalog that is being loaded, statistics and the walk that
#    makes them, and the audit. No document changes; workers of a release with version 2 go on.
# 4: expiry without wall clocks (members and locks have a renewal counter). Moves have a number by which they ended and
#    indexes of those that have not; partitions have the addresses of their hosts, the catalog an identity, placements
#    ``floor``. Workers of a release with version 3 go on; no queue is moved until they are gone. Plans are apart from
#    their moves and progress; a plan of version 3 becomes one of these by ``init``, or when it is first read if an
#    admin server of a release before made it later. Movers and admin servers of releases before cannot read plans any
#    more. Indexes of tenants, and of a plan's moves by state.
SCHEMA_VERSION = 4


class Catalog(ABC):
    """An open catalog. Belongs to one process and one event loop: open it after fork."""

    # -- the store itself ---------------------------------------------------------------------------------------

    @abstractmethod
    async def init(self) -> None:
        """Create tables, indexes and the schema version. Idempotent, also when run by several at once.

        A store of an older schema version is brought up to this one and keeps what it holds. Raises WrongSchema if it
        holds a later one, or something else.
        """

    @abstractmethod
    async def check(self) -> None:
        """Raise NotInitialised, WrongSchema or LoadUnfinished unless this code can work with the store."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the store can be written right now, else raise CatalogUnavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections and threads. Idempotent."""

    @abstractmethod
    async def identity(self) -> str:
        """Return the token of this catalog, of hexadecimal digits. It is made at random when the catalog is
        initialised, and stays, also when a backup is loaded. All processes with this catalog read the same one; so it
        tells deployments apart."""

    # -- placements ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_placement(self, key: QueueKey) -> Placement | None: ...

    @abstractmethod
    async def insert_placement(self, placement: Placement) -> tuple[Placement, bool]:
        """Insert-or-get: return (what is stored now, whether that is exactly ``placement``: inserted by this call).

        A repeated insert, after one that ended in CatalogUnavailable, so tells that the first one succeeded. Two
        callers with equal values cannot be told apart; ``born`` makes theirs differ. What is stored already is
        returned whatever partitions ``placement`` names.

        Raises ValueError if ``placement`` has no ``born``. Raises PartitionUnknown if a segment names a partition that
        is not registered or is being removed: no placement ever names a partition that is gone, even when both happen
        at the same moment.
        """

    @abstractmethod
    async def insert_placements(self, wanted: Sequence[Placement]) -> list[Placement]:
        """Insert-or-get of many at once, each as by ``insert_placement``: return what is stored now for each of them.

        In the same order; of several with one key the first one counts. A thousand at a time are a good number. Raises
        ValueError, having stored none, if one has no ``born``. After PartitionUnknown, which names a partition of one
        that is not stored, some of the others may be.
        """

    @abstractmethod
    async def replace_placement(self, placement: Placement) -> None:
        """Compare-and-set: store ``placement`` if the stored one has its ``born`` and epoch ``placement.epoch - 1``.

        Raises Conflict(current) otherwise, unless exactly ``placement`` is stored already (a repeated write). Raises
        PartitionUnknown as ``insert_placement`` does for partitions that the stored placement does not name yet; what
        was stored is then stored still, perhaps under a later epoch.
        """

    @abstractmethod
    async def remove_placement(self, key: QueueKey, epoch: int, born: str) -> None:
        """Remove the placement if it has this epoch and ``born``.

        Nothing to remove is success. Raises Conflict(current) if there is another, also one of a later life.
        """

    @abstractmethod
    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        """Placements of one project in a state of LISTED_STATES with after < queue < before, by name, at most limit.

        One index range: the cost does not depend on how many queues or partitions there are.
        """

    @abstractmethod
    async def search_queues(
        self, project: str, after: str, before: str, limit: int, *, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        """Of those that ``list_queues`` would show, the first whose queue's name contains ``containing``, case and all.

        Looks at the first ``examine`` placements of the range, in any state, and not beyond. Returns what was found,
        at most ``limit``, and the name after which the search goes on: None if the range was searched to its end.
        ``limit`` and ``examine`` are from 1.
        """

    @abstractmethod
    async def count_queues(self, project: str, after: str, before: str) -> int:
        """How many placements ``list_queues`` would show in all. The cost grows with their number."""

    @abstractmethod
    async def list_placements(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
        after: QueueKey | None = None,
        limit: int,
    ) -> list[Placement]:
        """Placements by (project, queue), after ``after`` (exclusive), at most limit; None filters nothing.

        ``partitions`` keeps those with any segment on any of these, ``states`` those in one of them; empty ones keep
        nothing. A merge of index ranges, one for each partition or rare state (RARE_STATES): the cost grows with
        ``limit`` and the number of ranges. Beside that, partitions with rare states may cost as much as there are
        placements in these states, and other states pass over those that are in none of them.
        """

    @abstractmethod
    async def count_placements(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
    ) -> int:
        """How many placements ``list_placements`` would show in all. The cost grows with their number."""

    # -- partitions ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_partition(self, name: str) -> Partition | None: ...

    @abstractmethod
    async def list_partitions(self) -> list[Partition]:
        """All of them, by name."""

    @abstractmethod
    async def insert_partition(self, partition: Partition) -> None:
        """Store a new partition (``version`` 1). Raises PartitionConflict(current) if the name is taken.

        Unless exactly ``partition`` is stored already, and not being removed (a repeated write). Raises HostTaken if
        another partition has one of its hosts, in any spelling (``address_of``), also if both are stored at once.
        """

    @abstractmethod
    async def replace_partition(self, partition: Partition) -> None:
        """Compare-and-set on ``partition.version - 1``. Raises PartitionConflict(current or None).

        Unless exactly ``partition`` is stored already (a repeated write). Raises HostTaken as ``insert_partition``, of
        hosts that it did not have before: releases with schema version 3 let several partitions have the same.
        """

    @abstractmethod
    async def remove_partition(self, name: str) -> None:
        """Remove it; nothing to remove is success. Raises PartitionInUse if a placement names it, or a move
        that may still bring it one (``COMING_STATES``).

        A removal that was interrupted leaves the partition listed but taking no placements, until the removal is
        repeated or ``replace_partition`` revives it.
        """

    # -- tenants ------------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_tenant(self, project: str) -> Tenant | None: ...

    @abstractmethod
    async def list_tenants(
        self, *, pinned: str | None = None, spread: int | None = None, after: str | None = None, limit: int
    ) -> list[Tenant]:
        """Tenants by project, after the project ``after`` (exclusive), at most limit; None filters nothing.

        ``pinned`` keeps those that are pinned to this partition, ``spread`` those with this spread: index ranges.
        """

    @abstractmethod
    async def put_tenant(self, tenant: Tenant) -> None:
        """Store it, whatever was there."""

    @abstractmethod
    async def change_tenant(self, project: str, *, members: Mapping[str, Any]) -> None:
        """Give the named members of the project's tenant these values, in one step; the others stay as they are.

        Raises ValueError for a value that no Tenant can have, TypeError for a member that it has not.
        """

    @abstractmethod
    async def remove_tenant(self, project: str) -> None:
        """Forget it; nothing to forget is success."""

    # -- members ------------------------------------------------------------------------------------------------

    @abstractmethod
    async def register_member(self, member: Member) -> None:
        """Store the member, whether it is registered or not.

        Raises CatalogUnavailable while a backup is being loaded: nothing may be served from half a catalog. A member
        that was registered before stays so, for it may write until its lease is over.
        """

    @abstractmethod
    async def renew_member(self, member: Member) -> None:
        """Renew a member that is registered: each renewal has a larger ``beat``, and one that comes late changes
        nothing.

        Raises NotRegistered if it was removed, and never brings it back.
        """

    @abstractmethod
    async def list_members(self) -> list[Member]:
        """All of them, by id."""

    @abstractmethod
    async def remove_member(self, member_id: str) -> None:
        """Forget it; nothing to forget is success. For the member itself, when it signs off: it writes no more."""

    @abstractmethod
    async def expire_member(self, member: Member) -> bool:
        """Forget a member if its stamp is still that of ``member``. Return whether it is gone then.

        For a process that has watched the stamp without a change for the whole lease, on its own monotonic clock. A
        compare-and-set, for a reading may be stale: a member that has renewed is never forgotten.
        """

    # -- moves --------------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_move(self, move_id: str) -> Move | None: ...

    @abstractmethod
    async def insert_move(self, move: Move) -> None:
        """Store a new move (``version`` 1). A queue has at most one that is not finished, and the store sees to it.

        Raises MoveConflict(current) if the id is taken, unless exactly ``move`` is stored already (a repeated write).
        Raises MoveUnderWay(current) if another move of the queue is not finished.
        """

    @abstractmethod
    async def replace_move(self, move: Move, token: int | None) -> None:
        """Compare-and-set on ``move.version - 1``. Who holds the move is left as it is.

        With a token, only while that hold lasts: a mover that lost its hold changes nothing any more. Without one,
        whatever mover holds it: for what operators decide (pause, cancel), which the holder then meets as a conflict.

        Raises MoveNotHeld, MoveConflict(current or None), MoveUnderWay if a finished move were to go on beside another
        one. None of them if exactly ``move`` is stored already (a repeated write).
        """

    @abstractmethod
    async def list_moves(
        self,
        *,
        project: str | None = None,
        queue: str | None = None,
        partition: str | None = None,
        states: Collection[MoveState] | None = None,
        plan: str | None = None,
        ids: Collection[str] | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[Move]:
        """Moves by id, after the id ``after`` (exclusive), at most limit; None filters nothing.

        ``partition`` keeps those with this source or target, ``states`` those in one of them, ``ids`` those with one of
        these (some hundreds). States that are all in UNFINISHED_STATES cost as much as there are unfinished moves,
        however many finished ones there are. Those of a plan in some states are an index range.
        """

    @abstractmethod
    async def list_ended_moves(self, *, keep: int, skip: int, limit: int) -> list[Move]:
        """Finished moves in the order in which they ended, at most limit: all but the last ``keep``, after the first
        ``skip``.

        The order is that in which the catalog stored their ends, so that no clock has a say in which are the last.
        Those that the backup of an import or a catalog of schema version 3 had come first, by id.
        """

    @abstractmethod
    async def remove_moves(self, ids: Collection[str]) -> None:
        """Remove those of these moves that are finished, with what members said of them. Nothing to remove is
        success."""

    @abstractmethod
    async def take_move(self, move_id: str, holder: str, seconds: float, *, over: Holder | None = None) -> Move:
        """Take the lock of the move; return it with its ``holder``. ``seconds``: the holder's promise to renew.

        Each hold has a ``token`` that is larger than those of all holds of the move before. A hold of the same name is
        taken over (a repeated write: the earlier token ends), and so is one that is exactly ``over``: that is for a
        process that has watched it without a renewal for the seconds that were promised. Raises MoveHeld if another
        one holds it, MoveConflict if there is no such move.
        """

    @abstractmethod
    async def renew_move(self, move_id: str, token: int, seconds: float) -> None:
        """Renew the hold, and promise ``seconds`` anew. Raises MoveNotHeld if it has ended: it never comes back."""

    @abstractmethod
    async def release_move(self, move_id: str, token: int) -> None:
        """End the hold, so that others need not wait for its end. Success also if it has ended already."""

    @abstractmethod
    async def put_held_writes(self, found: Mapping[str, HeldWrites]) -> None:
        """Store what a member says of the writes that waited for moves, by the moves' ids, in place of what it said of
        the same moves before. What it says of moves that are finished, or that there are not, is dropped."""

    @abstractmethod
    async def list_held_writes(self, move_id: str) -> list[HeldWrites]:
        """What members said of the writes that waited for a move, by their ids."""

    @abstractmethod
    async def remove_held_writes(self, move_id: str) -> None:
        """Forget what members said of a move; nothing to forget is success."""

    # -- plans --------------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_plan(self, plan_id: str) -> Plan | None: ...

    @abstractmethod
    async def has_plan(self, plan_id: str) -> bool:
        """Return whether the plan exists, without reading its document."""

    @abstractmethod
    async def remove_plan(self, plan_id: str, version: int) -> None:
        """Remove the plan if it has this version, and its planned moves. Records of its moves stay.

        Nothing to remove is success. Raises PlanConflict(current) if it has another version. What fails in between
        leaves planned moves without the plan; with any version, those are removed too.
        """

    @abstractmethod
    async def orphaned_plans(self) -> list[str]:
        """The ids of plans of which there are planned moves, but not the plan: one that is just being inserted or
        removed, or was when a process died. The cost grows with the number of plans, not of their moves."""

    @abstractmethod
    async def insert_plan(self, whole: WholePlan) -> None:
        """Store a new plan (``version`` 1) and its moves. Raises PlanConflict(current) if the id is taken.

        Unless exactly this plan is stored already (a repeated write). The moves are stored first, some hundreds at a
        time, so that no seal waits for all of them. What fails in between leaves some of them, which neither a verb
        but ``orphaned_plans`` nor a backup shows before there is the plan.
        """

    @abstractmethod
    async def replace_plan(self, plan: Plan) -> None:
        """Compare-and-set on ``plan.version - 1`` of state and progress. Raises PlanConflict(current or None).

        Unless exactly ``plan`` is stored already (a repeated write).
        """

    @abstractmethod
    async def list_plans(
        self,
        *,
        states: Collection[PlanState] | None = None,
        active: bool = False,
        after: str | None = None,
        limit: int,
    ) -> list[Plan]:
        """Plans by id, after the id ``after`` (exclusive), at most limit; None filters nothing.

        ``active`` keeps those that are ``Plan.active``: one index range, however many others there are.
        """

    @abstractmethod
    async def get_planned_move(self, plan_id: str, key: QueueKey) -> PlannedMove | None:
        """The move of a queue that the plan has, if any."""

    @abstractmethod
    async def list_planned_moves(
        self,
        plan_id: str,
        *,
        numbers: Collection[int] | None = None,
        outcomes: Collection[Outcome | None] | None = None,
        after: int = -1,
        before: int | None = None,
        limit: int,
    ) -> list[PlannedMove]:
        """Moves of a plan by number, with after < number < before, at most limit; None filters nothing.

        ``numbers`` keeps those with one of these, ``outcomes`` those that ended so: None among them stands for those of
        which it is not written down. The cost does not depend on how many others there are.
        """

    @abstractmethod
    async def end_planned_moves(self, plan_id: str, endings: Collection[Ending]) -> None:
        """Write down how moves of a plan ended. One that has an ending already keeps it; no change is shown by feeds.

        Some hundreds at a time.
        """

    # -- backups ------------------------------------------------------------------------------------------------

    @abstractmethod
    def snapshot(self) -> AsyncGenerator[list[Kept], None]:
        """Yield everything that a backup keeps, as of one instant, in batches: in the order of KINDS, each by its key.

        Moves have no ``holder``. Nobody waits for it, and it holds a batch in memory at a time. Close it if it is not
        read to its end. Raises SnapshotTooOld if that takes longer than the store remembers.
        """

    @abstractmethod
    async def begin_load(self, *, replace: bool) -> str:
        """Empty the catalog to load a backup into it; return the token of this load.

        Until ``end_load``, and also if that never comes, ``check`` raises LoadUnfinished and no member can register.
        Another load that was begun before is over.

        Raises CatalogInUse while a member is registered or an unfinished move is held, by a process that lives or not;
        and NotEmpty, unless ``replace`` is given or what is there is the beginning of a load: nothing was changed then.
        A load that dies before it has begun to empty the catalog may leave a mark that only refuses: ``init`` takes
        that away.
        """

    @abstractmethod
    async def load(self, token: str, values: Sequence[Kept]) -> None:
        """Store values that are not there yet, as they are: some hundreds at a time, in the order of KINDS.

        Nobody holds the moves, and their next holds get larger tokens than any hold ever had, in this catalog or
        before. Raises LoadRefused if one is there already, if a queue has two unfinished moves or a placement names a
        partition that there is not; or if the load is over.
        """

    @abstractmethod
    async def end_load(self, token: str) -> None:
        """Let the catalog be used. Raises LoadRefused if the load is over."""

    # -- statistics ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def put_statistics(
        self, subject: StatisticsSubject, found: Collection[Statistics], *, since: str, until: str | None
    ) -> None:
        """Store what was ``found``, all of it with since <= name < until; what was there of others in that range is
        forgotten. ``until`` None is no bound."""

    @abstractmethod
    async def get_statistics(self, subject: StatisticsSubject, name: str) -> Statistics | None: ...

    @abstractmethod
    async def list_statistics(
        self, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[Statistics]:
        """Those of one subject by name, after the name ``after`` (exclusive), at most limit."""

    @abstractmethod
    async def get_walk(self) -> Walk:
        """How far the walk is; an empty one if there never was any."""

    @abstractmethod
    async def take_walk(self, holder: str, seconds: float, *, over: Holder | None = None) -> Walk:
        """Take the lock of the walk; return it with its ``holder``. As ``take_move``. Raises WalkHeld."""

    @abstractmethod
    async def save_walk(self, walk: Walk, token: int, seconds: float) -> None:
        """Store how far it is, and renew the hold. Raises WalkNotHeld if it has ended."""

    @abstractmethod
    async def release_walk(self, token: int) -> None:
        """End the hold, so that others need not wait for its end. Success also if it has ended already."""

    # -- the audit ----------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_audit(self) -> Audit:
        """What the audit in the background found last; an empty one if there never was any."""

    @abstractmethod
    async def take_audit(self, holder: str, seconds: float, *, over: Holder | None = None) -> Audit:
        """Take the lock of the audit, as ``take_walk``. Raises AuditHeld."""

    @abstractmethod
    async def save_audit(self, found: Audit, token: int, seconds: float) -> None:
        """Store what was found, and renew the hold. Raises AuditNotHeld if it has ended."""

    @abstractmethod
    async def release_audit(self, token: int) -> None:
        """End the hold, so that others need not wait for its end. Success also if it has ended already."""

    # -- the change feed ----------------------------------------------------------------------------------------

    @abstractmethod
    def watch(self) -> AsyncGenerator[Change | Synced, None]:
        """Yield ``Synced(fresh=True)`` first, then every change in order: of placements, partitions, tenants, moves,
        plans. Who holds a move is not shown: holds are renewed all the time.

        Every write that returns after the first Synced was yielded will be shown. While nothing changes, a
        ``Synced(fresh=False)`` at least once a second proves that the feed is alive and how far it has come. Raises
        CatalogUnavailable when it can no longer promise this; the caller drops what it knows and watches anew.
        """
