"""A replica set that loses its primary while the catalog is in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

import pytest

from catalog import Catalog, open_catalog
from catalog.errors import CatalogUnavailable, LockLost, MoveUnderWay, PlacementConflict
from catalog.model import Member, Move, MovePlan, Placement, QueueKey, Synced
from catalog.mongodb import store
from tests.conftest import FORGOTTEN_SOCKETS
from tests.contract.examples import PATIENCE, dangling, move, partition, placement, plan, whole_plan
from tests.servers.mongod import ReplicaSet, mongod_replica_set

T = TypeVar("T")

pytestmark = [FORGOTTEN_SOCKETS, pytest.mark.usefixtures("forgotten_sockets")]


@pytest.fixture(scope="module")
def replica_set() -> Iterator[ReplicaSet]:
    with mongod_replica_set(nodes=3) as replica_set:
        yield replica_set


def kill(replica_set: ReplicaSet) -> Callable[[], None]:
    """Kill the primary; return what repairs the set."""
    return replica_set.kill_primary().start


def step_down(replica_set: ReplicaSet) -> Callable[[], None]:
    """Make the primary step down; nothing is to be repaired."""
    replica_set.step_down()
    return lambda: None


@pytest.fixture
async def catalog(replica_set: ReplicaSet, request: pytest.FixtureRequest) -> AsyncIterator[Catalog]:
    catalog = await open_catalog(replica_set.uri(f"test_{abs(hash(request.node.name))}"))
    await catalog.init()
    await catalog.partitions.insert(partition("p1"))
    await catalog.partitions.insert(partition("p2"))
    yield catalog
    await catalog.close()


class Writer(Generic[T]):
    """Writes one document again and again without pause, and remembers the answers."""

    def __init__(self, catalog: Catalog, name: str) -> None:
        self.name = name
        self.stored: T | None = None
        self.written = 0
        self.doubts = 0
        self._catalog = catalog

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            candidate = self._version(self.written + 1)
            await self._store(candidate)
            self.stored = candidate
            self.written += 1

    async def _store(self, candidate: T) -> None:
        """Write until it is certain. This is the only writer of the document, so there is never a conflict."""
        while True:
            try:
                if self.stored is None:
                    await self._insert(candidate)
                else:
                    await self._replace(candidate)
                return
            except CatalogUnavailable:
                self.doubts += 1  # it may have happened or not: repeat it

    def _version(self, number: int) -> T:
        raise NotImplementedError

    async def _insert(self, candidate: T) -> None:
        raise NotImplementedError

    async def _replace(self, candidate: T) -> None:
        raise NotImplementedError

    async def found(self, catalog: Catalog) -> T | None:
        """Read it."""
        raise NotImplementedError


class PlacementWriter(Writer[Placement]):
    @property
    def key(self) -> QueueKey:
        return QueueKey("project", self.name)

    def _version(self, number: int) -> Placement:
        return placement(self.name, "p1", epoch=number, since=float(number))

    async def _insert(self, candidate: Placement) -> None:
        assert await self._catalog.placements.insert(candidate) == (candidate, True)

    async def _replace(self, candidate: Placement) -> None:
        await self._catalog.placements.replace(candidate)

    async def found(self, catalog: Catalog) -> Placement | None:
        return await catalog.placements.get(self.key)


class MoveWriter(Writer[Move]):
    """Holds its move all the time; a repetition of what took it begins another hold."""

    token: int | None = None

    def _version(self, number: int) -> Move:
        return move(self.name, self.name, version=number, created=float(number))

    async def _insert(self, candidate: Move) -> None:
        await self._catalog.moves.insert(candidate)

    async def _replace(self, candidate: Move) -> None:
        if self.token is None:
            taken = await self._catalog.moves.lock(self.name).acquire("mover", 60.0)
            assert taken.holder is not None
            assert taken.version in (candidate.version - 1, candidate.version)
            self.token = taken.holder.token
        try:
            await self._catalog.moves.lock(self.name).renew(self.token, 60.0)
            await self._catalog.moves.replace(candidate, self.token)
        except LockLost:
            self.token = None
            await self._replace(candidate)

    async def found(self, catalog: Catalog) -> Move | None:
        return await catalog.moves.get(self.name)


class MemberWriter(Writer[Member]):
    def _version(self, number: int) -> Member:
        return Member(self.name, number)

    async def _insert(self, candidate: Member) -> None:
        await self._catalog.members.register(candidate)

    async def _replace(self, candidate: Member) -> None:
        await self._catalog.members.renew(candidate)

    async def found(self, catalog: Catalog) -> Member | None:
        return next((member for member in await catalog.members.all() if member.id == self.name), None)


class PlanWriter(Writer[MovePlan]):
    def _version(self, number: int) -> MovePlan:
        return plan(self.name, version=number)

    async def _insert(self, candidate: MovePlan) -> None:
        await self._catalog.plans.insert(whole_plan(self.name))

    async def _replace(self, candidate: MovePlan) -> None:
        await self._catalog.plans.replace(candidate)

    async def found(self, catalog: Catalog) -> MovePlan | None:
        return await catalog.plans.get(self.name)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(2 * PATIENCE):
        while not condition():  # noqa: ASYNC110 -- what is awaited happens in several places
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("lose", [kill, step_down])
async def test_every_write_ends_in_success_or_doubt_that_a_repetition_resolves(
    catalog: Catalog, replica_set: ReplicaSet, lose: Callable[[ReplicaSet], Callable[[], None]]
) -> None:
    stop = asyncio.Event()
    kinds = (PlacementWriter, PlacementWriter, MoveWriter, MoveWriter, MemberWriter, PlanWriter)
    writers = [kind(catalog, f"{kind.__name__}-{n}") for n, kind in enumerate(kinds)]
    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.run(stop))
        await until(lambda: all(w.written >= 10 for w in writers))
        repair = await asyncio.to_thread(lose, replica_set)
        at_loss = [w.written for w in writers]
        await until(lambda: all(w.written >= before + 10 for w, before in zip(writers, at_loss, strict=True)))
        stop.set()
    fresh = await open_catalog(replica_set.uri(catalog._store.database.name))
    for writer in writers:
        # No conflict was met on the way, so every version was stored exactly once; and the last one is there.
        assert writer.stored is not None
        assert await writer.found(fresh) == writer.stored == writer._version(writer.written)
    assert await fresh.placements.count() == kinds.count(PlacementWriter)
    assert len(await fresh.moves.find(limit=100)) == kinds.count(MoveWriter)
    await fresh.close()
    await asyncio.to_thread(repair)
    await asyncio.to_thread(replica_set.wait_for_secondaries)


@pytest.mark.parametrize("lose", [kill, step_down])
async def test_a_feed_shows_every_write_or_says_that_it_cannot(
    catalog: Catalog, replica_set: ReplicaSet, lose: Callable[[ReplicaSet], Callable[[], None]]
) -> None:
    stop = asyncio.Event()
    writer = PlacementWriter(catalog, "orders")
    known: dict[str, int] = {}
    gaps: list[tuple[int, int]] = []

    async def follow() -> None:
        while True:
            try:
                async for item in catalog.watch():
                    if isinstance(item, Synced):
                        if item.fresh:  # drop what is known, and read anew
                            stored = await catalog.placements.get(writer.key)
                            known["orders"] = stored.epoch if stored else 0
                    elif item.epoch is not None and item.epoch > known["orders"]:
                        if item.epoch != known["orders"] + 1:
                            gaps.append((known["orders"], item.epoch))
                        known["orders"] = item.epoch
            except CatalogUnavailable:
                continue

    following = asyncio.create_task(follow())
    await until(lambda: "orders" in known)
    writing = asyncio.create_task(writer.run(stop))
    await until(lambda: writer.written >= 20)
    repair = await asyncio.to_thread(lose, replica_set)
    at_loss = writer.written
    await until(lambda: writer.written >= at_loss + 20)
    stop.set()
    await writing
    await until(lambda: known["orders"] == writer.written)
    assert gaps == []
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await asyncio.to_thread(repair)
    await asyncio.to_thread(replica_set.wait_for_secondaries)


async def test_racing_for_queues_while_the_primary_is_lost(catalog: Catalog, replica_set: ReplicaSet) -> None:
    """Many race for each queue, repeating what ends in doubt: one wins, all agree, and nothing dangles."""
    others = [await open_catalog(replica_set.uri(catalog._store.database.name)) for _ in range(3)]
    contenders = [catalog, *others]
    started = asyncio.Event()

    async def place(n: int, queue: str) -> tuple[Placement, bool]:
        candidate = placement(queue, f"p{n % 2 + 1}", since=float(n))
        while True:
            try:
                answer = await contenders[n].placements.insert(candidate)
                started.set()
                return answer
            except CatalogUnavailable:
                continue

    async def contend(n: int) -> list[tuple[Placement, bool]]:
        return [await place(n, f"queue-{i:03}") for i in range(150)]

    async def lose_it() -> Callable[[], None]:
        await started.wait()
        return await asyncio.to_thread(kill, replica_set)

    repair, *answers = await asyncio.gather(lose_it(), *(contend(n) for n in range(4)))
    for round_ in zip(*answers, strict=True):
        assert len({stored for stored, _ in round_}) == 1
        assert sum(inserted for _, inserted in round_) == 1
    assert await catalog.placements.find(limit=1000) == [stored for stored, _ in answers[0]]
    assert await dangling(catalog) == []
    for other in others:
        await other.close()
    await asyncio.to_thread(repair)
    await asyncio.to_thread(replica_set.wait_for_secondaries)


async def test_racing_to_move_queues_while_the_primary_is_lost(catalog: Catalog, replica_set: ReplicaSet) -> None:
    """Many try to begin a move of each queue, repeating what ends in doubt: one does, and all know which."""
    others = [await open_catalog(replica_set.uri(catalog._store.database.name)) for _ in range(3)]
    contenders = [catalog, *others]
    started = asyncio.Event()

    async def begin(n: int, queue: str) -> tuple[bool, str]:
        candidate = move(f"{queue}-{n}", queue)
        while True:
            try:
                await contenders[n].moves.insert(candidate)
            except CatalogUnavailable:
                continue
            except MoveUnderWay as refused:
                return False, refused.current.id
            started.set()
            return True, candidate.id

    async def contend(n: int) -> list[tuple[bool, str]]:
        return [await begin(n, f"queue-{i:03}") for i in range(150)]

    async def lose_it() -> Callable[[], None]:
        await started.wait()
        return await asyncio.to_thread(kill, replica_set)

    repair, *answers = await asyncio.gather(lose_it(), *(contend(n) for n in range(4)))
    begun = []
    for round_ in zip(*answers, strict=True):
        [winner] = [id_ for ours, id_ in round_ if ours]
        assert {id_ for _, id_ in round_} == {winner}
        begun.append(winner)
    assert [one.id for one in await catalog.moves.find(limit=1000)] == begun
    for other in others:
        await other.close()
    await asyncio.to_thread(repair)
    await asyncio.to_thread(replica_set.wait_for_secondaries)


async def test_without_a_majority_nothing_is_acknowledged(
    catalog: Catalog, replica_set: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catalog.placements.insert(placement("orders"))
    await catalog.moves.insert(move("m-1"))
    await catalog.members.register(Member("host/1/boot"))
    [seen] = await catalog.members.all()
    monkeypatch.setattr(store, "VERB_TIMEOUT", 1.0)
    first = await asyncio.to_thread(replica_set.kill_primary)
    second = await asyncio.to_thread(replica_set.kill_primary)
    for call in (
        catalog.ping(),
        catalog.placements.replace(placement("orders", epoch=2)),
        catalog.placements.get(QueueKey("project", "orders")),
        catalog.moves.lock("m-1").acquire("mover", 3600.0),
        catalog.moves.insert(move("m-2", "elsewhere")),
        catalog.plans.insert(whole_plan("plan-1")),
        catalog.members.register(Member("host/1/boot")),
        catalog.members.renew(Member("host/1/boot", 1)),
        catalog.members.expire(seen),
    ):
        with pytest.raises(CatalogUnavailable, match=r"MongoDB catalog 127\.0\.0\.1"):
            await call
    monkeypatch.undo()
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(second.start)
    await asyncio.to_thread(replica_set.wait_for_primary)
    await asyncio.to_thread(replica_set.wait_for_secondaries)
    await catalog.placements.replace(placement("orders", epoch=2))
    assert await catalog.placements.get(QueueKey("project", "orders")) == placement("orders", epoch=2)
    with pytest.raises(PlacementConflict):
        await catalog.placements.replace(placement("orders", "p2", epoch=2))
