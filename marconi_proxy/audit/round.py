"""One round: compares all keys, inspects suspects several times, and reports a finding that each inspection confirms.

The number of suspects that await their next inspection is bounded; when it is reached, the walk waits. A queue that
changes between two inspections is dropped until the next round. A queue on an unreachable partition is counted, and is
no finding.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from catalog.interface import Catalog
from catalog.model import Partition, Placement, QueueKey
from catalog.model.field import one_line
from marconi_proxy.audit.findings import AuditBounds, judge, needs_inspection, own_name
from marconi_proxy.audit.inspector import Inspector, Unreachable, projects_of, reason_to_skip
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.audit.merge_join import merge_join
from marconi_proxy.audit.observation import Finding
from marconi_proxy.clock import Clock
from marconi_proxy.partition_client.inventory import CannotList, Inventory, ListedQueue
from marconi_proxy.partition_client.upstreams import Open, Paced

_PAGE = 200
# Concurrent inspections; queues in a batch; the most queues that await their next inspection.
_AT_ONCE = 8
_BATCH = 64
_WAITING = 1024
# Attempts to poll a partition before it counts as unreachable, and seconds between them.
_ATTEMPTS = 3
_AGAIN = 1.0
# Inspections after the first one. A queue that is created and deleted all the time would have to be in the same phase
# at each of them.
_CONFIRMATIONS = 2


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of a round: all, or these partitions, or these projects.

    ``also``: projects to list on partitions without an inventory, in addition to those of the catalog.
    """

    partitions: Collection[str] | None = None
    projects: Collection[str] | None = None
    also: Collection[str] = ()


@dataclass(slots=True)
class RoundSummary:
    """The counts of a round so far.

    ``queues``: keys compared. ``changed``: queues that changed during each inspection. ``unreachable``: partitions that
    could not be read, or not completely, with the reason. ``skipped``: queues not inspected for such a reason.
    """

    queues: int = 0
    changed: int = 0
    skipped: int = 0
    unreachable: dict[str, str] = field(default_factory=dict)
    findings: Counter[FindingKind] = field(default_factory=Counter)


class _Suspect(NamedTuple):
    key: QueueKey
    unexpected_copies: tuple[str, ...]


class _Recheck(NamedTuple):
    suspect: _Suspect
    seen: frozenset[Finding]
    due: float
    more: int


class AuditRound:
    """A round, to be ``run`` once. ``confirm_after``: seconds between two inspections of a suspect."""

    def __init__(
        self,
        catalog: Catalog,
        open_upstream: Open,
        paced: Paced,
        inspector: Inspector,
        clock: Clock,
        bounds: AuditBounds,
        *,
        confirm_after: float,
        on_finding: Callable[[Finding], Awaitable[None]],
        on_step: Callable[[RoundSummary], None] = lambda summary: None,
    ) -> None:
        self._catalog = catalog
        self._open_upstream = open_upstream
        self._paced = paced
        self._inspector = inspector
        self._clock = clock
        self._bounds = bounds
        self._confirm_after = confirm_after
        self._on_finding = on_finding
        self._on_step = on_step
        self._waiting: deque[_Recheck] = deque()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.summary = RoundSummary()

    async def run(self, scope: Scope) -> RoundSummary:
        """Run the round; return its summary. Raises CatalogError."""
        registered = {partition.name: partition for partition in await self._catalog.partitions.all()}
        asked = set(registered if scope.partitions is None else scope.partitions)
        listed: set[str] = set()
        for name in sorted(asked):
            if (why := reason_to_skip(registered[name])) is not None:
                self.summary.unreachable[name] = why
            else:
                listed.add(name)
        async with AsyncExitStack() as stack:
            readers = {
                name: await stack.enter_async_context(
                    aclosing(self._found(registered[name], await self._projects(registered[name], scope)))
                )
                for name in sorted(listed)
            }
            placements = await stack.enter_async_context(aclosing(self._placements(scope)))
            suspects: list[_Suspect] = []
            async for key, placement, found_on in merge_join(placements, readers):
                self.summary.queues += 1
                wanted, unexpected_copies = needs_inspection(
                    placement, own_name(key.queue), found_on, listed, asked, self._clock.now(), self._bounds
                )
                if placement is not None and scope.partitions is None:
                    wanted = await self._is_nowhere(placement, registered) or wanted
                if wanted and not self._cannot_be_polled(placement, unexpected_copies):
                    suspects.append(_Suspect(key, unexpected_copies))
                if len(suspects) >= _BATCH or self.summary.queues % _PAGE == 0:
                    await self._begin(suspects)
                    suspects = []
            await self._begin(suspects)
        while self._waiting:
            await self._confirm(self._waiting[0].due)
        return self.summary

    # -- inputs of the join ------------------------------------------------------------------------------------------

    async def _projects(self, partition: Partition, scope: Scope) -> Collection[str] | None:
        if scope.projects is not None:
            return scope.projects
        if partition.inventory is not None:
            return None
        return {*await projects_of(self._catalog, (partition.name,)), *scope.also}

    async def _found(self, partition: Partition, projects: Collection[str] | None) -> AsyncGenerator[ListedQueue, None]:
        """Yield the queues that a partition lists. If that fails, stop, and record the partition as unreachable."""
        inventory = Inventory(self._open_upstream, self._paced.pacer(partition.name))
        try:
            async with aclosing(inventory.queues_on(partition, projects)) as entries:
                async for entry in entries:
                    yield entry
        except CannotList as error:
            self.summary.unreachable[partition.name] = one_line("why", str(error))

    async def _placements(self, scope: Scope) -> AsyncGenerator[Placement, None]:
        for project in [None] if scope.projects is None else sorted(set(scope.projects)):
            after: QueueKey | None = None
            while page := await self._catalog.placements.find(
                project=project, partitions=scope.partitions, after=after, limit=_PAGE
            ):
                for placement in page:
                    yield placement
                after = page[-1].key

    async def _is_nowhere(self, placement: Placement, registered: dict[str, Partition]) -> bool:
        """Return whether a segment is on an unregistered partition, and record such a partition as unreachable.

        ``registered``: the partitions at the beginning of the round; later ones are added.
        """
        for segment in placement.segments:
            if segment.partition not in registered and segment.partition not in self.summary.unreachable:
                partition = await self._catalog.partitions.get(segment.partition)
                if partition is None:
                    self.summary.unreachable[segment.partition] = "it is not registered"
                else:
                    registered[partition.name] = partition
        return any(segment.partition not in registered for segment in placement.segments)

    def _cannot_be_polled(self, placement: Placement | None, unexpected_copies: Sequence[str]) -> bool:
        """Return whether an inspection would meet a partition that is known to be unreachable."""
        names = set(unexpected_copies) | {segment.partition for segment in (placement.segments if placement else ())}
        skipped = not names.isdisjoint(self.summary.unreachable)
        self.summary.skipped += skipped
        return skipped

    # -- inspections -------------------------------------------------------------------------------------------------

    async def _begin(self, suspects: Sequence[_Suspect]) -> None:
        """Inspect suspects for the first time, and again those that are due."""
        await self._inspect([_Recheck(suspect, frozenset(), 0.0, _CONFIRMATIONS) for suspect in suspects], first=True)
        while self._waiting and (self._waiting[0].due <= self._clock.monotonic() or len(self._waiting) > _WAITING):
            await self._confirm(self._waiting[0].due)
        self._on_step(self.summary)

    async def _confirm(self, due: float) -> None:
        now = self._clock.monotonic()
        if due > now:
            await self._clock.sleep(due - now)
            now = self._clock.monotonic()
        batch: list[_Recheck] = []
        while self._waiting and self._waiting[0].due <= max(now, due) and len(batch) < _BATCH:
            batch.append(self._waiting.popleft())
        await self._inspect(batch, first=False)
        self._on_step(self.summary)

    async def _inspect(self, batch: Sequence[_Recheck], *, first: bool) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                looks = [group.create_task(self._findings(one.suspect)) for one in batch]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        due = self._clock.monotonic() + self._confirm_after
        for one, look in zip(batch, looks, strict=True):
            found = look.result()
            if found is None:
                continue
            same = found if first else found & one.seen
            if same and one.more:
                self._waiting.append(_Recheck(one.suspect, same, due, one.more - 1))
            elif same:
                for finding in sorted(
                    same, key=lambda finding: (finding.kind, finding.partition, finding.backend_name)
                ):
                    self.summary.findings[finding.kind] += 1
                    await self._on_finding(finding)

    async def _findings(self, suspect: _Suspect) -> frozenset[Finding] | None:
        """Return the findings of one inspection, None if the queue changed or a partition is unreachable."""
        async with self._at_once:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    observation = await self._inspector.inspect(*suspect)
                    break
                except Unreachable as error:
                    if attempt < _ATTEMPTS and error.partition not in self.summary.unreachable:
                        await self._clock.sleep(_AGAIN)
                        continue
                    self.summary.skipped += 1
                    self.summary.unreachable[error.partition] = one_line("why", str(error))
                    return None
        if observation is None:
            self.summary.changed += 1
            return None
        return judge(observation, self._bounds)
