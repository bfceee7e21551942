"""The survey reads partitions and catalog, project by project, and passes on the entries of a plan.

All partitions are read in parallel by project, so memory is bounded by one project. A partition is read before the
catalog: the front door writes a placement before it creates a queue, so a queue created meanwhile has a placement.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.interface import Catalog
from catalog.model import UNFINISHED_STATES, Move, Partition, Placement, QueueKey
from marconi_proxy.adoption.draft import ProjectSurvey, contested, drafted
from marconi_proxy.adoption.entries import Candidate, ConflictRule, QueueConflict, Single
from marconi_proxy.clock import Pacer
from marconi_proxy.partition_client.inventory import CannotList, Inventory
from marconi_proxy.partition_client.outcome import Look, Unready
from marconi_proxy.partition_client.queue_calls import QueueCalls
from marconi_proxy.partition_client.upstreams import Open

_PAGE = 1000
# Timeout of one call to a queue, in seconds.
_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Survey:
    """``longest``: the most segments of a chain. ``rule``: the rule of each conflict that allows it."""

    catalog: Catalog
    inventory: Inventory
    open_upstream: Open
    rate: Pacer
    longest: int
    rule: ConflictRule

    async def run(
        self,
        names: Sequence[str],
        projects: Iterable[str] | None,
        add: Callable[[QueueConflict | Single], None],
        read: Callable[[str, int], None],
    ) -> None:
        """Call ``add`` with each entry of the plan, and ``read`` with each project and the number of its queues.

        ``names``: of the partitions to read. ``projects``: None for all. Raises CannotList, CatalogError.
        """
        registered = {partition.name: partition for partition in await self.catalog.partitions.all()}
        # The partitions to read come first, in the given order.
        partitions = {name: registered[name] for name in names} | registered
        async for project, found in self._projects([partitions[name] for name in names], projects):
            read(project, sum(map(len, found.values())))
            situation = ProjectSurvey(
                project,
                found,
                {placement.queue: placement async for placement in self._placements(project)},
                [move async for move in self._moves(project)],
                partitions,
                self.longest,
            )
            draft = drafted(situation)
            for single in draft.singles:
                add(single)
            if draft.open_:
                looks = {
                    queue: {name: await self._look(project, queue, partitions[name]) for name in places}
                    for queue, places in draft.open_.items()
                }
                for conflict in contested(situation, draft, looks, self.rule):
                    add(conflict)

    async def _projects(
        self, partitions: Sequence[Partition], projects: Iterable[str] | None
    ) -> AsyncIterator[tuple[str, dict[str, dict[str, str | None]]]]:
        """Yield each project with its queues, and by queue the partitions that have it."""
        named = None if projects is None else list(projects)
        readers = [(p.name, self.inventory.queues_on(p, named)) for p in partitions]
        heads = {name: await anext(reader, None) for name, reader in readers}
        try:
            while True:
                ahead = [head.project for head in heads.values() if head is not None]
                if not ahead:
                    return
                project = min(ahead)
                found: dict[str, dict[str, str | None]] = {}
                for name, reader in readers:
                    head = heads[name]
                    while head is not None and head.project == project:
                        found.setdefault(head.queue, {})[name] = head.dead_letters
                        head = await anext(reader, None)
                    heads[name] = head
                yield project, found
        finally:
            for _, reader in readers:
                await reader.aclose()

    async def _placements(self, project: str) -> AsyncIterator[Placement]:
        after: QueueKey | None = None
        while True:
            page = await self.catalog.placements.find(project=project, after=after, limit=_PAGE)
            for placement in page:
                yield placement
            if len(page) < _PAGE:
                return
            after = page[-1].key

    async def _moves(self, project: str) -> AsyncIterator[Move]:
        after: str | None = None
        while True:
            page = await self.catalog.moves.find(project=project, states=UNFINISHED_STATES, after=after, limit=_PAGE)
            for move in page:
                yield move
            if len(page) < _PAGE:
                return
            after = page[-1].id

    async def _look(self, project: str, queue: str, partition: Partition) -> Candidate:
        """Return the contents of a queue on a partition. Raises CannotList."""
        key = QueueKey(project, queue)
        calls = QueueCalls(self.open_upstream(partition), key, queue.removeprefix("~"), _WITHIN)
        try:
            await self.rate.turn()
            status, _, found = await calls.stats()
            seen = Look(partition.name)
            if status not in (200, 404):
                # Zaqar's MongoDB store fails while all messages of a queue are delayed.
                seen = await calls.look(0.0)
            await self.rate.turn()
            subscriptions = len(await calls.subscriptions())
        except Unready as error:
            raise CannotList(f"{error}") from error
        counts = found or {}
        return Candidate(
            partition=partition.name,
            free=_count(counts.get("free", seen.free)),
            claimed=_count(counts.get("claimed", seen.claimed)),
            total=_count(counts.get("total", seen.total)),
            oldest=_created(counts.get("oldest")),
            newest=_created(counts.get("newest")),
            subscriptions=subscriptions,
        )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _created(edge: Any) -> str | None:
    found = edge.get("created") if isinstance(edge, dict) else None
    return found if isinstance(found, str) else None
