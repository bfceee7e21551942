"""Putting right what can be without a risk, by the ways that front door and movers have for it.

Each repair looks first whether what was found is still so, and compares what it writes in the catalog with that.
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
from marconi_proxy.moving.protocol.suspended import suspended
from marconi_proxy.partition_client.outcome import Unready
from marconi_proxy.partition_client.upstreams import Paced
from marconi_proxy.upstream.errors import UpstreamError

# How often a queue is looked at that is just changing, before that counts as a failure.
_LOOKS = 3
# Seconds between two looks at a deletion that is under way.
_AGAIN = 1.0


class RepairOutcome(StrEnum):
    """What became of a finding. remains: nothing was done. changed: it was not so any more. failed: it is to be tried
    again. repaired: it was done, and a look afterwards shows that it is so no more."""

    REMAINS = "remains"
    CHANGED = "changed"
    FAILED = "failed"
    REPAIRED = "repaired"


class Repair:
    """``lifecycle`` is over ways that are not paced. ``say`` is told what was done, or why not, in a sentence."""

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
        """Raises CatalogError but PlacementConflict."""
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
            self._say(finding, f"failed, and may be given again: {error}")
            return RepairOutcome.FAILED
        except RequestRefused as error:
            self._say(finding, f"failed, and may be given again: {error.description}")
            return RepairOutcome.FAILED
        if now:
            self._say(finding, f"{done}, and it is still so")
            return RepairOutcome.FAILED
        self._say(finding, done)
        return RepairOutcome.REPAIRED

    def _was_changed(self, finding: Finding, now: Collection[Finding]) -> RepairOutcome:
        if now:
            # Somebody has done something to the queue since it was found, and may not be at the end of it.
            self._say(finding, "it was changed since, and is wrong in another way now: nothing was done")
            return RepairOutcome.FAILED
        self._say(finding, "it is not so any more, nothing was done")
        return RepairOutcome.CHANGED

    async def _was_overtaken(self, finding: Finding) -> RepairOutcome:
        """Return what became of it when somebody else has changed the placement."""
        try:
            _, now = await self._look(finding)
        except (Unready, Unreachable) as error:
            self._say(finding, f"it was changed just now, nothing was done: {error}")
            return RepairOutcome.FAILED
        return self._was_changed(finding, now)

    async def _look(self, finding: Finding) -> tuple[Observation, frozenset[Finding]]:
        """Return what is true of the queue, and what of this kind is wrong there now, whether or not it is the same
        finding. Raises Unreachable, Unready if that cannot be told."""
        unexpected_copies = (finding.partition,) if finding.kind is FindingKind.LEFTOVER else ()
        for _ in range(_LOOKS):
            observation = await self._inspector.inspect(finding.key, unexpected_copies)
            if observation is not None:
                place = (finding.kind, finding.partition, finding.backend_name)
                found = judge(observation, self._bounds)
                return observation, frozenset(
                    one for one in found if (one.kind, one.partition, one.backend_name) == place
                )
        raise Unready("the queue was changing at each look")

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
        # A creation changes nothing of a queue that is there: whoever posts at this moment loses nothing by it.
        await calls.make(before)
        if await self._is_gone(placement):
            # It was deleted just now, and may be there again: then it is in the catalog again too.
            await self._settle(key, (last,))
        if before is None:
            return f"made {last.backend_name} on {last.partition}, without metadata"
        return f"made {last.backend_name} on {last.partition}, with the metadata that it has on {before.partition}"

    async def _is_gone(self, placement: Placement) -> bool:
        """Tell whether a queue was deleted since, and wait for a deletion to come to its end: its call may have been
        done before there was anything to delete."""
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
        # Not its subscriptions: those of older segments are as they were on purpose. And if it was retired just now, it
        # is not made again.
        await target.follow(source)
        return f"gave {older.backend_name} on {older.partition} the metadata that it has on {source.partition}"

    async def _give_a_move(self, placement: Placement) -> str:
        """First the placement, then the record: a crash between leaves what was found."""
        now = self._clock.now()
        if len(placement.segments) == 1:
            await self._catalog.placements.replace(replace(placement, epoch=placement.epoch + 1, since=now, move=None))
            return "made it forget the move"
        if placement.move is None or await self._catalog.moves.get(placement.move) is not None:
            # A record that has ended is never taken up again.
            name = sha256(f"{placement.incarnation}\0{placement.epoch}".encode()).hexdigest()[:24]
            placement = replace(placement, epoch=placement.epoch + 1, since=now, move=f"found-{name}")
            await self._catalog.placements.replace(placement)
        assert placement.move is not None
        reason = "audit: the queue had older parts, and no move"
        waits = "until no client writes to its older parts directly: then resume it"
        move = suspended(placement.move, placement, now, reason, waits)
        try:
            await self._catalog.moves.insert(move)
        except (MoveConflict, MoveUnderWay) as error:
            raise Unready(str(error)) from error
        return f"gave it move {move.id}, which is suspended: marconi-proxy move resume {move.id}"

    async def _finish(self, placement: Placement) -> str:
        # What another process left is finished once it was watched for long enough without a change: how old it is by
        # the time in it tells nothing for certain, for that is of another machine's clock.
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
                return "took the seal back"
            await self._clock.sleep(_AGAIN)
        became = "removed from the catalog" if now is None else f"found to be {now.state}"
        return f"finished: {became}"

    async def _settle(self, key: QueueKey, segments: Sequence[Segment]) -> None:
        """All waiting for turns comes before: a deletion that waited would be one that comes late."""
        for segment in segments:
            await self._paced.pacer(segment.partition).turn()
        await self._lifecycle.settle(key, segments[-1])
