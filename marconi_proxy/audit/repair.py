"""The repairs that carry no risk, by the same means as front door and movers.

Each repair first inspects the queue again, and stops unless it finds the same. Its writes to the catalog are
compare-and-set against that reading.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from enum import StrEnum
from hashlib import sha256

from catalog.errors import MoveConflict, MoveUnderWay, PlacementConflict
from catalog.interface import Catalog
from catalog.model import Placement, PlacementState, QueueKey, Segment
from marconi_proxy.audit.findings import AuditBounds, judge
from marconi_proxy.audit.inspector import Inspector, Unreachable
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.audit.observation import Finding, Observation
from marconi_proxy.clock import Clock
from marconi_proxy.fencing import transitions
from marconi_proxy.front_door.lifecycle import Lifecycle
from marconi_proxy.front_door.refusals import RequestRefused
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.moving.protocol.evidence import suspended
from marconi_proxy.partition_client.outcome import Unready
from marconi_proxy.partition_client.upstreams import Paced
from marconi_proxy.upstream.errors import UpstreamError

# Inspections of a queue that keeps changing, before the repair fails.
_LOOKS = 3
# Seconds between two polls of a deletion in progress.
_AGAIN = 1.0


class RepairOutcome(StrEnum):
    """The result for a finding.

    remains: it has no repair. changed: it had disappeared before. failed: retry. repaired: a second inspection
    confirmed the repair.
    """

    REMAINS = "remains"
    CHANGED = "changed"
    FAILED = "failed"
    REPAIRED = "repaired"


class Repair:
    """``lifecycle`` calls partitions without pacing. ``say`` is called once per finding with the result as text."""

    def __init__(
        self,
        catalog: Catalog,
        inspector: Inspector,
        steps: Steps,
        lifecycle: Lifecycle,
        paced: Paced,
        clock: Clock,
        bounds: AuditBounds,
        say: Callable[[Finding, str], None],
    ) -> None:
        self._catalog = catalog
        self._inspector = inspector
        self._steps = steps
        self._lifecycle = lifecycle
        self._paced = paced
        self._clock = clock
        self._bounds = bounds
        self._say = say

    async def repair(self, finding: Finding) -> RepairOutcome:
        """Repair a finding if it has a repair and still exists. Raises CatalogError, except PlacementConflict."""
        if not finding.repairable:
            return RepairOutcome.REMAINS
        try:
            observation, now = await self._look(finding)
            if finding not in now:
                return self._was_changed(finding, now)
            done = await self._do(finding, observation)
            _, now = await self._look(finding)
        except PlacementConflict:
            return await self._was_overtaken(finding)
        except (Unready, Unreachable, UpstreamError) as error:
            self._say(finding, f"failed; safe to retry: {error}")
            return RepairOutcome.FAILED
        except RequestRefused as error:
            self._say(finding, f"failed; safe to retry: {error.description}")
            return RepairOutcome.FAILED
        if now:
            self._say(finding, f"{done}, but the finding remains")
            return RepairOutcome.FAILED
        self._say(finding, done)
        return RepairOutcome.REPAIRED

    def _was_changed(self, finding: Finding, now: Collection[Finding]) -> RepairOutcome:
        if now:
            # Another process has changed the queue since, and may not be finished.
            self._say(finding, "the queue has changed and now has another finding; nothing was done")
            return RepairOutcome.FAILED
        self._say(finding, "the finding has disappeared; nothing was done")
        return RepairOutcome.CHANGED

    async def _was_overtaken(self, finding: Finding) -> RepairOutcome:
        """Return the result after another process has changed the placement."""
        try:
            _, now = await self._look(finding)
        except (Unready, Unreachable) as error:
            self._say(finding, f"the queue was changed concurrently; nothing was done: {error}")
            return RepairOutcome.FAILED
        return self._was_changed(finding, now)

    async def _look(self, finding: Finding) -> tuple[Observation, frozenset[Finding]]:
        """Inspect the queue again; return the observation, and its findings of the same kind and place.

        Raises Unreachable, Unready if the queue cannot be read.
        """
        unexpected_copies = (finding.partition,) if finding.kind is FindingKind.LEFTOVER else ()
        for _ in range(_LOOKS):
            observation = await self._inspector.inspect(finding.key, unexpected_copies)
            if observation is not None:
                place = (finding.kind, finding.partition, finding.backend_name)
                found = judge(observation, self._bounds)
                return observation, frozenset(
                    one for one in found if (one.kind, one.partition, one.backend_name) == place
                )
        raise Unready("the queue changed during each inspection")

    async def _do(self, finding: Finding, observation: Observation) -> str:
        if finding.kind is FindingKind.LEFTOVER:
            segment = Segment(0, finding.partition, finding.backend_name)
            await self._steps.unsubscribe(finding.key, segment)
            await self._steps.remove(finding.key, segment)
            return f"deleted {finding.backend_name} on {finding.partition}"
        assert observation.placement is not None
        if finding.kind is FindingKind.GHOST:
            return await self._make(observation.placement)
        if finding.kind is FindingKind.DRIFT:
            return await self._sync_metadata(finding, observation.placement)
        if finding.kind is FindingKind.STRANDED:
            return await self._give_a_move(observation.placement)
        return await self._finish(observation.placement)

    async def _make(self, placement: Placement) -> str:
        key, last = placement.key, placement.segments[-1]
        calls = await self._inspector.calls(key, last)
        before = None
        for segment in reversed(placement.segments[:-1]):
            older = await self._inspector.calls(key, segment)
            if await older.exists():
                before = older
                break
        # Creation does not change an existing queue, so a concurrent post is safe.
        await calls.make(before)
        if await self._is_gone(placement):
            # A concurrent deletion may have ended before this creation, which would leave an orphan. If the queue was
            # created again, it has a placement, and is kept.
            await self._settle(key, (last,))
        if before is None:
            return f"created {last.backend_name} on {last.partition}, without metadata"
        return f"created {last.backend_name} on {last.partition}, with the metadata from {before.partition}"

    async def _is_gone(self, placement: Placement) -> bool:
        """Return whether the queue was deleted since. Wait for a deletion in progress: its call to the partition may
        have come before the creation."""
        until = self._clock.monotonic() + self._bounds.unfinished
        while True:
            now = await self._catalog.placements.get(placement.key)
            if now is None or now.incarnation != placement.incarnation:
                return True
            if now.state is not PlacementState.DELETING or self._clock.monotonic() > until:
                return False
            await self._clock.sleep(_AGAIN)

    async def _sync_metadata(self, finding: Finding, placement: Placement) -> str:
        older = next(
            segment
            for segment in placement.segments[:-1]
            if (segment.partition, segment.backend_name) == (finding.partition, finding.backend_name)
        )
        source = await self._inspector.calls(placement.key, placement.segments[-1])
        target = await self._inspector.calls(placement.key, older)
        # Without subscriptions, which older segments keep on purpose. A segment retired meanwhile is not created again.
        await target.follow(source)
        return f"copied the metadata from {source.partition} to {older.backend_name} on {older.partition}"

    async def _give_a_move(self, placement: Placement) -> str:
        """Write first the placement, then the record of the move; a crash in between leaves the same finding."""
        now = self._clock.now()
        if len(placement.segments) == 1:
            await self._catalog.placements.replace(replace(placement, epoch=placement.epoch + 1, since=now, move=None))
            return "removed the reference to the move"
        if placement.move is None or await self._catalog.moves.get(placement.move) is not None:
            # A finished record is never resumed.
            name = sha256(f"{placement.incarnation}\0{placement.epoch}".encode()).hexdigest()[:24]
            placement = replace(placement, epoch=placement.epoch + 1, since=now, move=f"found-{name}")
            await self._catalog.placements.replace(placement)
        assert placement.move is not None
        reason = "audit: the queue had older segments, and no move"
        waits = "until no client writes to its older segments directly: then resume it"
        move = suspended(placement.move, placement, now, reason, waits)
        try:
            await self._catalog.moves.insert(move)
        except (MoveConflict, MoveUnderWay) as error:
            raise Unready(str(error)) from error
        return f"created move {move.id}, suspended. Next: marconi-proxy move resume {move.id}"

    async def _finish(self, placement: Placement) -> str:
        # The age by the stored time is uncertain, because it is from another machine's clock. So the state must stay
        # unchanged for the whole time here.
        until = self._clock.monotonic() + self._bounds.unfinished
        while True:
            if placement.state is not PlacementState.SEALING:
                await self._settle(placement.key, placement.segments)
            now = await self._catalog.placements.get(placement.key)
            if now is None or (now.incarnation, now.epoch) != (placement.incarnation, placement.epoch):
                break
            if self._clock.monotonic() > until:
                if placement.state is not PlacementState.SEALING:
                    break
                await self._catalog.placements.replace(transitions.abort(placement, self._clock.now()))
                return "aborted the seal"
            await self._clock.sleep(_AGAIN)
        became = "removed from the catalog" if now is None else f"is {now.state} now"
        return f"finished: {became}"

    async def _settle(self, key: QueueKey, segments: Sequence[Segment]) -> None:
        """Take all turns of the pacers first, so that the deletion itself is not delayed."""
        for segment in segments:
            await self._paced.pacer(segment.partition).turn()
        await self._lifecycle.settle(key, segments[-1])
