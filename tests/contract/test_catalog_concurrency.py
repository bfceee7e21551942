"""Many at once: tasks, catalogs and processes that race for the same documents."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest

from catalog import Catalog, open_catalog
from catalog.errors import PartitionInUse, PartitionUnknown, PlacementConflict
from catalog.model import Placement, PlacementState, QueueKey
from tests.contract import racing
from tests.contract.examples import PATIENCE, dangling, move, partition, placement

pytestmark = pytest.mark.slow

KEY = QueueKey("project", "orders")


async def test_processes_race_to_place_queues(catalog: Catalog, catalog_uri: str) -> None:
    queues = [f"queue-{n}" for n in range(4)]
    results = await racing.in_processes(4, racing.race, catalog_uri, queues, 50)
    for queue in queues:
        answers = [answer for result in results for answer in result if answer[0].queue == queue]
        assert len(answers) == 200
        assert len({stored for stored, _ in answers}) == 1  # all agree
        assert sum(inserted for _, inserted in answers) == 1  # and one of them did it
        assert await catalog.placements.get(QueueKey("project", queue)) == answers[0][0]
    assert await catalog.placements.count() == len(queues)
    by_partition = [await catalog.placements.count(partitions=[p]) for p in ("p1", "p2", "p3")]
    assert sum(by_partition) == len(queues)


async def test_processes_race_to_replace_a_placement(catalog: Catalog, catalog_uri: str) -> None:
    await catalog.placements.insert(placement("orders"))
    attempts = await racing.in_processes(4, racing.increment, catalog_uri, KEY, 20)
    stored = await catalog.placements.get(KEY)
    assert stored is not None
    assert stored.epoch == 1 + 4 * 20  # no increment was lost, none was made twice
    assert all(a >= 20 for a in attempts)


async def test_processes_race_to_move_queues(catalog: Catalog, catalog_uri: str) -> None:
    queues = [f"queue-{n}" for n in range(4)]
    results = await racing.in_processes(4, racing.begin_moves, catalog_uri, queues, 20)
    for queue in queues:
        answers = [answer for result in results for answer in result if answer[0] == queue]
        assert len(answers) == 80
        [begun] = [id_ for _, ours, id_ in answers if ours]
        assert {id_ for _, _, id_ in answers} == {begun}  # the others learn which
    assert [one.queue for one in await catalog.moves.find(limit=1000)] == queues


async def test_processes_race_to_drive_a_move(catalog: Catalog, catalog_uri: str) -> None:
    """Holds are taken over at any moment. Each change is made once, and never by a holder after the end of its hold."""
    await catalog.moves.insert(move("m-1"))
    results = await racing.in_processes(4, racing.drive, catalog_uri, "m-1", 15)
    done = sorted(change for changes, _ in results for change in changes)
    assert [version for version, _ in done] == list(range(2, len(done) + 2))
    # In the order in which they were stored, tokens only grow: after the first change of a later holder there is none
    # of an earlier one.
    tokens = [token for _, token in done]
    assert tokens == sorted(tokens)
    stored = await catalog.moves.get("m-1")
    assert stored is not None
    assert stored.version == len(done) + 1
    assert [dict(entry.measures)["token"] for entry in stored.log] == tokens
    holders = [{token for _, token in changes} for changes, _ in results]
    assert sum(len(held) for held in holders) == len(set().union(*holders))  # no token was given twice
    refusals = sum((answers for _, answers in results), Counter())
    assert refusals["LockHeld"] > 0
    assert refusals["LockLost"] > 0


async def test_processes_race_to_initialise(catalog_uri: str) -> None:
    assert await racing.in_processes(4, racing.initialise, catalog_uri) == [True] * 4
    catalog = await open_catalog(catalog_uri)
    await catalog.check()
    await catalog.partitions.insert(partition("p1"))
    assert (await catalog.placements.insert(placement("orders")))[1]
    await catalog.close()


async def test_readers_never_see_half_a_document(catalog: Catalog, other: Catalog) -> None:
    """One writer flips between two documents of different shapes; every reader sees the one or the other."""
    shapes = {
        0: {"state": PlacementState.SEALING, "since": 2.0, "partitions": ("p1", "p2", "p3")},
        1: {"state": PlacementState.OPEN, "since": 1.0, "partitions": ("p2",)},
    }

    def shaped(epoch: int) -> object:
        shape = shapes[epoch % 2]
        return placement("orders", *shape["partitions"], epoch=epoch, state=shape["state"], since=shape["since"])

    await catalog.placements.insert(shaped(1))
    done = False
    reads = 0

    async def write() -> None:
        nonlocal done
        for epoch in range(2, 152):
            await catalog.placements.replace(shaped(epoch))
        done = True

    async def read() -> None:
        nonlocal reads
        last = 0
        while not done:
            one = await other.placements.get(KEY)
            listed = await other.placements.find(partitions=["p2"], limit=10)
            by_name = await other.placements.list_queues("project", "", "~", 10)
            for seen in (one, *listed, *by_name):
                assert seen == shaped(seen.epoch)
                assert seen.epoch >= last  # and time never runs backwards
                last = seen.epoch
            assert len(listed) == len(by_name) == 1
            reads += 1

    await asyncio.gather(write(), read(), read(), read())
    assert reads > 10


async def test_removing_a_partition_races_with_placing_queues_on_it(catalog: Catalog, other: Catalog) -> None:
    """Either the partition goes and no placement names it, or a placement was made and it stays: both come about."""
    chance = random.Random(7)
    outcomes = set()
    moving = placement("moving", "p1")
    await catalog.placements.insert(moving)
    both = {(True, False), (False, True)}
    # The longer it takes until both have come about, the further apart they begin: not every machine is as fast.
    for n in itertools.takewhile(lambda n: n < 80 or not both <= outcomes, itertools.count()):
        within = 0.006 * 2 ** (n // 80)
        name = f"brief-{n}"
        await catalog.partitions.insert(partition(name))
        placed = [placement(f"{queue}-{n}", name, since=chance.random()) for queue in "ab"]
        moved = placement("moving", "p1", name, epoch=moving.epoch + 1)
        # Each begins at a moment of its own within about the time that one of them takes.
        answers = await asyncio.gather(
            _later(chance, within, other.partitions.remove(name)),
            _later(chance, within, catalog.placements.replace(moved)),
            *(_later(chance, within, catalog.placements.insert(p)) for p in placed),
            return_exceptions=True,
        )
        removal, moving_answer, *placing = answers
        assert await dangling(catalog) == []
        for answer in (moving_answer, *placing):
            assert answer is None or isinstance(answer, (tuple, PartitionUnknown)), answer
        made = {p.queue for p, answer in zip(placed, placing, strict=True) if answer == (p, True)}
        made |= {"moving"} if moving_answer is None else set()
        named = {p.queue for p in await catalog.placements.find(partitions=[name], limit=10)}
        assert named == made  # what was answered is what is there
        if removal is None:
            assert made == set()
            assert await catalog.partitions.get(name) is None
        else:
            assert isinstance(removal, PartitionInUse), removal
            assert await catalog.partitions.get(name) == partition(name)
        outcomes.add((removal is None, bool(made)))
        current = await catalog.placements.get(KEY._replace(queue="moving"))
        assert current is not None
        assert current.segments[0].partition == "p1"
        moving = current


async def _later(chance: random.Random, within: float, call: Awaitable[Any]) -> Any:
    await asyncio.sleep(chance.random() * within)
    return await call


async def test_a_cancelled_write_is_whole_or_absent(catalog: Catalog) -> None:
    """Tasks are cancelled at any point: the catalog goes on working, and holds whole documents only."""
    chance = random.Random(3)
    for n in range(40):
        task = asyncio.create_task(catalog.placements.insert(placement(f"queue-{n:02}", "p1", "p2")))
        await asyncio.sleep(chance.random() * 0.003)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await catalog.placements.insert(placement("last", "p1", "p2"))

    async def stored(partitions: list[str] | None = None) -> list[Placement]:
        return await catalog.placements.find(partitions=partitions, limit=100)

    # A write that was given up may still be under way, and done between two listings.
    async with asyncio.timeout(PATIENCE):
        while (found := await stored()) != await stored(["p1"]) or found != await stored(["p2"]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert all(p == placement(p.queue, "p1", "p2") for p in found)
    assert found[0].queue == "last"


async def test_conflicts_tell_what_won(catalog: Catalog, other: Catalog) -> None:
    await catalog.placements.insert(placement("orders"))
    candidates = [placement("orders", f"p{n % 3 + 1}", epoch=2, since=float(n)) for n in range(20)]
    results = await asyncio.gather(
        *((catalog, other)[n % 2].placements.replace(c) for n, c in enumerate(candidates)), return_exceptions=True
    )
    [winner] = [c for c, result in zip(candidates, results, strict=True) if result is None]
    conflicts = [result for result in results if result is not None]
    assert all(isinstance(c, PlacementConflict) and c.current == winner for c in conflicts)
    assert await catalog.placements.get(KEY) == winner
