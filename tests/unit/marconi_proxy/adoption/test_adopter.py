"""Survey, file and apply over real nodes and a real catalog, and what others do in between."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog import Catalog, open_catalog
from catalog.errors import CatalogUnavailable
from catalog.model import LogEntry, Member, Move, MoveState, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.adoption.adopter import Adopter
from marconi_proxy.adoption.entries import ConflictRule, QueueConflict
from marconi_proxy.adoption.outcome import AdoptionOutcome, AdoptionSummary
from marconi_proxy.adoption.plan_file import AdoptionPlan, Header, Writer, verified
from marconi_proxy.adoption.presence import AdoptionStopped
from marconi_proxy.adoption.survey import Survey
from marconi_proxy.clock import Pacer
from marconi_proxy.partition_client.inventory import CannotList, Inventory
from marconi_proxy.upstream.exchange import UpstreamCall
from partition.model.message import NewMessage
from partition.model.queue import QueueKey as Key
from partition.model.subscription import NewSubscription
from tests.catalog_wraps import Instead
from tests.unit.marconi_proxy.partition_client.test_inventory import FakeClock
from tests.unit.node_upstream import CLIENT, Given, Nodes, nodes

P = "p"


class Stage:
    """Two nodes and a catalog in which they are registered, and the two commands."""

    def __init__(self, here: Nodes, catalog: Catalog, directory: Path) -> None:
        self.nodes = here
        self.catalog = catalog
        self.clock = FakeClock()
        self.path = directory / "plan"
        self._plans = 0

    def rate(self) -> Pacer:
        return Pacer(1e6, self.clock)

    async def plan(self, rule: ConflictRule = ConflictRule.CHAIN, *, projects: list[str] | None = None) -> AdoptionPlan:
        survey = Survey(self.catalog, Inventory(self.nodes.way, self.rate()), self.nodes.way, self.rate(), 4, rule)
        self._plans += 1
        with self.path.open("wb") as stream, Writer(stream, None) as writer:
            await survey.run(["north", "south"], projects, writer.add, lambda project, queues: None)
            writer.finish(Header(f"20261121T080000-a{self._plans}", "2026-11-21T08:00:00Z", {}, None))
        return verified(self.path)

    async def apply(
        self, plan: AdoptionPlan, *, retire: bool = False, catalog: Catalog | None = None
    ) -> AdoptionSummary:
        applying = Adopter(catalog or self.catalog, self.nodes.way, self.rate(), self.clock, retire=retire)
        await applying.run(plan, lambda: None)
        return applying.summary

    async def post(self, name: str, queue: str, *bodies: int) -> None:
        key = Key(P, queue)
        await self.nodes.nodes[name].storage.create_queue(key, {})
        new = [NewMessage(300, str(body), 0) for body in bodies]
        await self.nodes.nodes[name].storage.post(key, new, CLIENT)

    async def placement(self, queue: str, project: str = P) -> Placement:
        found = await self.catalog.placements.get(QueueKey(project, queue))
        assert found is not None
        return found

    async def place(self, queue: str, partition: str, **members: Any) -> Placement:
        """Place a queue as the front door does."""
        segments = members.pop("segments", (Segment(0, partition, queue),))
        state = members.pop("state", PlacementState.OPEN)
        placed = Placement(P, queue, 1, state, segments, incarnation="front-door", **members)
        await self.catalog.placements.insert(placed)
        return placed

    async def on(self, queue: str) -> list[tuple[int, str, bool]]:
        return [(s.n, s.partition, s.sealed) for s in (await self.placement(queue)).segments]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with nodes(tmp_path, "north", "south") as here, _catalog(tmp_path) as catalog:
        for name in ("north", "south"):
            await catalog.partitions.insert(here.partition(name, inventory=f"http://{name}:8890"))
        yield Stage(here, catalog, tmp_path)


@asynccontextmanager
async def _catalog(directory: Path) -> AsyncIterator[Catalog]:
    catalog = await open_catalog(f"sqlite:///{directory / 'catalog.db'}")
    await catalog.init()
    try:
        yield catalog
    finally:
        await catalog.close()


ADOPTED, THERE = AdoptionOutcome.ADOPTED, AdoptionOutcome.THERE


# -- one place ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("projects", [None, ["", P, "\xff"]])
async def test_queues_get_the_place_they_have(stage: Stage, projects: list[str] | None) -> None:
    await stage.nodes.put("north", P, *(f"n{n}" for n in range(30)), "~topic")
    await stage.nodes.put("south", P, "s")
    await stage.nodes.put("south", "", "plain")
    await stage.nodes.put("south", "\xff", "a")
    plan = await stage.plan(projects=projects)
    assert (plan.singles, plan.conflicts) == (34, 0)
    assert (await stage.apply(plan)).outcomes == {ADOPTED: 34}
    assert {await self_on(stage, queue) for queue in ("n0", "n29", "~topic")} == {"north"}
    assert (await stage.placement("~topic")).segments[0].backend_name == "topic"
    assert (await stage.placement("plain", "")).partition == "south"
    assert (await stage.placement("a", "\xff")).state is PlacementState.OPEN
    # Again, and what a new plan finds.
    assert (await stage.apply(plan)).outcomes == {THERE: 34}
    again = await stage.plan(projects=projects)
    assert (again.singles, again.conflicts) == (0, 0)


async def self_on(stage: Stage, queue: str) -> str:
    return (await stage.placement(queue)).partition


async def test_what_is_gone_is_not_placed(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a", "b")
    plan = await stage.plan()
    await stage.nodes.nodes["north"].storage.delete_queue(Key(P, "a"))
    assert (await stage.apply(plan)).outcomes == {ADOPTED: 1, AdoptionOutcome.GONE: 1}
    assert await stage.catalog.placements.get(QueueKey(P, "a")) is None


async def test_what_the_front_door_placed_there_is_there(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a", "b")
    plan = await stage.plan()
    await stage.place("a", "north")
    await stage.place("b", "north", state=PlacementState.CREATING)
    assert (await stage.apply(plan)).outcomes == {THERE: 2}


async def test_what_the_front_door_placed_elsewhere_is_a_conflict(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a", "b")
    plan = await stage.plan()
    await stage.place("a", "south")
    await stage.place("b", "north", state=PlacementState.DELETING)
    summary = await stage.apply(plan)
    assert summary.outcomes == {AdoptionOutcome.CONFLICT: 2}
    assert sorted((line, key.queue, why) for line, key, why in summary.conflicts) == [
        (2, "a", "it is placed on south, and found on north as well"),
        (3, "b", "it is being deleted"),
    ]
    assert (await stage.placement("a")).partition == "south"


# A queue that is asked for by itself, or together with others.
company = pytest.mark.parametrize("others", [(), ("b", "c")], ids=["alone", "together"])


@company
@pytest.mark.parametrize("left", [True, False])
async def test_what_was_adopted_may_be_moved_before_the_plan_is_applied_again(
    stage: Stage, others: tuple[str, ...], left: bool
) -> None:
    await stage.nodes.put("north", P, "a", *others)
    plan = await stage.plan()
    await stage.apply(plan)
    placed = await stage.placement("a")
    await stage.catalog.placements.replace(replace(placed, epoch=2, segments=(Segment(1, "south", "a"),)))
    if not left:
        await stage.nodes.nodes["north"].storage.delete_queue(Key(P, "a"))
    assert (await stage.apply(plan)).outcomes == {THERE: 1 + len(others)}


@company
async def test_what_a_move_is_about_to_delete_is_not_adopted(stage: Stage, others: tuple[str, ...]) -> None:
    await stage.nodes.put("north", P, "a", *others)
    plan = await stage.plan()
    await stage.catalog.moves.insert(Move("m", P, "a", "north", "south", MoveState.RETIRED))
    summary = await stage.apply(plan)
    assert summary.outcomes == Counter({AdoptionOutcome.CONFLICT: 1, ADOPTED: len(others)})
    assert [why for _, _, why in summary.conflicts] == ["move m will delete it, because the queue was deleted"]


async def test_queues_are_asked_for_twenty_at_a_time_of_each_project_and_kind(stage: Stage) -> None:
    await stage.nodes.put("north", P, *(f"n{n:02}" for n in range(45)), "~topic", "~zz")
    await stage.nodes.put("south", P, *(f"n{n:02}x" for n in range(40)))
    await stage.nodes.put("south", "q", "a", "b")
    plan = await stage.plan()
    stage.nodes.asked.clear()
    assert (await stage.apply(plan)).outcomes == {ADOPTED: 89}
    assert len(stage.nodes.asked) == (3 + 1) + 2 + 1
    # The next one begins where the answer ends, which has what others made meanwhile.
    await stage.nodes.put("north", P, *(f"n00-{n}" for n in range(30)))
    stage.nodes.asked.clear()
    assert (await stage.apply(plan)).outcomes == {THERE: 89}
    assert len(stage.nodes.asked) == (4 + 1) + 2 + 1


async def test_all_that_were_asked_for_together_may_be_gone(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a", "b", "c")
    plan = await stage.plan()
    for queue in "abc":
        await stage.nodes.nodes["north"].storage.delete_queue(Key(P, queue))
    assert (await stage.apply(plan)).outcomes == {AdoptionOutcome.GONE: 3}


async def test_a_partition_that_ignores_markers_that_are_no_queues_is_adopted_too(stage: Stage) -> None:
    names = [f"n{n:02}" for n in range(30)]
    await stage.nodes.put("north", P, *names, "gone")
    plan = await stage.plan()
    await stage.nodes.nodes["north"].storage.delete_queue(Key(P, "gone"))
    node = stage.nodes.handlers["http://north:8888"]

    async def redis(call: UpstreamCall) -> Given:
        path, _, query = call.target.decode().partition("?")
        given = [pair for pair in query.split("&") if pair.partition("=")[0] != "marker" or pair[7:] in names[1:]]
        return await node(call._replace(target=f"{path}?{'&'.join(given)}".encode()))

    stage.nodes.handlers["http://north:8888"] = redis
    assert (await stage.apply(plan)).outcomes == {ADOPTED: 30, AdoptionOutcome.GONE: 1}


async def test_a_partition_that_is_down_stops_it_and_what_is_done_stays(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a")
    await stage.nodes.put("south", P, "b")
    plan = await stage.plan()
    down = stage.nodes.handlers.pop("http://south:8888")
    with pytest.raises(AdoptionStopped, match="partition south: http://south:8888 refused the connection"):
        await stage.apply(plan)
    stage.nodes.handlers["http://south:8888"] = down
    summary = await stage.apply(plan)
    assert sum(summary.outcomes.values()) == 2
    assert {await self_on(stage, queue) for queue in ("a", "b")} == {"north", "south"}


async def test_a_partition_that_was_removed_stops_it(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a")
    plan = await stage.plan()
    await stage.catalog.partitions.remove("north")
    with pytest.raises(AdoptionStopped, match="partition north is not registered any more"):
        await stage.apply(plan)


async def test_nothing_is_planned_while_a_partition_is_down(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a")
    del stage.nodes.handlers["http://south:8890"]
    with pytest.raises(CannotList, match="south"):
        await stage.plan()
    assert stage.path.read_bytes() == b""


# -- dead letters ------------------------------------------------------------------------------------------------------


async def test_a_dead_letter_queue_is_bound_and_one_to_come_has_its_place_kept(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a", "b", _dead_letter_queue="d")
    await stage.nodes.put("north", P, "d")
    await stage.nodes.put("south", P, "c", _dead_letter_queue="later")
    assert (await stage.apply(await stage.plan())).outcomes == {ADOPTED: 4}
    assert (await stage.placement("d")).group == "a"
    later = await stage.placement("later")
    assert (later.state, later.partition, later.group) == (PlacementState.RESERVED, "south", "c")


async def test_one_that_is_placed_already_is_bound(stage: Stage) -> None:
    await stage.place("d", "north")
    await stage.nodes.put("north", P, "a", _dead_letter_queue="d")
    await stage.nodes.put("north", P, "d")
    assert (await stage.apply(await stage.plan())).outcomes == {ADOPTED: 1}
    assert (await stage.placement("d")).group == "a"


async def test_a_reserved_place_is_opened_where_the_queue_turns_out_to_be(stage: Stage) -> None:
    await stage.nodes.put("north", P, "d")
    await stage.place("d", "north", state=PlacementState.RESERVED, group="s")
    assert (await stage.apply(await stage.plan())).outcomes == {ADOPTED: 1}
    found = await stage.placement("d")
    assert (found.state, found.group) == (PlacementState.OPEN, "s")


async def test_a_source_whose_dead_letters_went_elsewhere_meanwhile_is_a_conflict(stage: Stage) -> None:
    await stage.nodes.put("north", P, "a", _dead_letter_queue="d")
    plan = await stage.plan()
    await stage.place("d", "south")
    summary = await stage.apply(plan)
    assert [why for _, _, why in summary.conflicts] == ["its dead-letter queue d is on south now"]
    assert await stage.catalog.placements.get(QueueKey(P, "a")) is None


# -- several places ----------------------------------------------------------------------------------------------------


async def test_a_chain_is_read_from_the_oldest_and_suspended(stage: Stage) -> None:
    await stage.post("south", "a", 1, 2)
    await stage.nodes.put("north", P, "a")
    plan = await stage.plan()
    ((_, conflict),) = plan.entries()
    assert isinstance(conflict, QueueConflict)
    assert [(c.partition, c.free, c.total) for c in conflict.found] == [("north", 0, 0), ("south", 2, 2)]
    summary = await stage.apply(plan)
    assert (summary.outcomes, summary.chains, summary.retiring) == ({ADOPTED: 1}, 1, 0)
    assert await stage.on("a") == [(0, "north", True), (1, "south", False)]
    placement = await stage.placement("a")
    move = await stage.catalog.moves.get(str(placement.move))
    assert move is not None
    assert (move.state, move.source, move.target, move.incarnation) == (
        MoveState.SUSPENDED,
        "north",
        "south",
        placement.incarnation,
    )
    assert "--retire" in move.facts["waits"]
    # Again, and once more when clients have gone over.
    assert (await stage.apply(plan)).outcomes == {THERE: 1}
    retired = await stage.apply(plan, retire=True)
    assert (retired.outcomes, retired.retiring) == ({THERE: 1}, 1)
    assert (await stage.catalog.moves.get(move.id)).state is MoveState.DRAINING  # type: ignore[union-attr]
    assert (await stage.apply(plan, retire=True)).retiring == 0
    again = await stage.plan()
    assert (again.singles, again.conflicts) == (0, 0)


def without_moves(catalog: Catalog) -> Any:
    """Return a catalog that is gone when the first move is to be written."""

    async def insert(move: Move) -> None:
        raise CatalogUnavailable("gone")

    return Instead(catalog, moves=Instead(catalog.moves, insert=insert))


async def test_a_chain_whose_move_was_never_written_gets_it_when_applied_again(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    plan = await stage.plan()
    with pytest.raises(CatalogUnavailable):
        await stage.apply(plan, catalog=without_moves(stage.catalog))
    placement = await stage.placement("a")
    assert await stage.catalog.moves.get(str(placement.move)) is None
    summary = await stage.apply(plan)
    assert (summary.outcomes, summary.chains) == ({THERE: 1}, 1)
    assert await stage.catalog.moves.get(str(placement.move)) is not None


async def test_a_chain_that_was_retired_is_not_made_again(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    plan = await stage.plan()
    await stage.apply(plan)
    chain = await stage.placement("a")
    await stage.catalog.placements.replace(replace(chain, epoch=2, segments=chain.segments[1:], move=None))
    assert (await stage.apply(plan, retire=True)).outcomes == {THERE: 1}
    assert len((await stage.placement("a")).segments) == 1


async def test_two_may_apply_the_same_plan_at_the_same_time(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    await stage.nodes.put("north", P, *(f"n{n}" for n in range(20)))
    plan = await stage.plan()
    one, other = await asyncio.gather(stage.apply(plan), stage.apply(plan))
    total = one.outcomes + other.outcomes
    assert total == {ADOPTED: 21, THERE: 21}
    assert len(await stage.catalog.moves.find(limit=10)) == 1


async def test_a_queue_that_is_deleted_and_made_anew_begins_another_life(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    await stage.nodes.put("north", P, "b")
    plan = await stage.plan()
    lives = []
    for _ in range(2):
        await stage.apply(plan)
        chain, single = await stage.placement("a"), await stage.placement("b")
        lives.append((chain.incarnation, chain.move, single.incarnation))
        for placement in (chain, single):
            await stage.catalog.placements.remove(placement.key, placement.epoch, placement.incarnation)
        move = await stage.catalog.moves.get(str(chain.move))
        assert move is not None
        ended = LogEntry(0.0, MoveState.VOID, "the queue was deleted")
        await stage.catalog.moves.replace(move.entered(ended), None)
    assert all(one != other for one, other in zip(*lives, strict=True))


async def edit(stage: Stage, **changes: str) -> AdoptionPlan:
    lines = [json.loads(line) for line in stage.path.read_text().splitlines()]
    for line in lines:
        if "conflict" in line:
            line.update(changes)
    stage.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return verified(stage.path)


async def test_rules_that_were_edited_are_kept_to(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    await stage.plan()
    assert (await stage.apply(await edit(stage, rule="skip"))).outcomes == {AdoptionOutcome.SKIPPED: 1}
    assert await stage.catalog.placements.get(QueueKey(P, "a")) is None
    assert (await stage.apply(await edit(stage, rule="prefer", keep="north"))).outcomes == {ADOPTED: 1}
    assert await stage.on("a") == [(0, "north", False)]


async def test_of_a_chain_the_part_that_is_gone_is_left_out(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
        await stage.post(name, "b", 1)
        await stage.post(name, "c", 1)
    plan = await stage.plan()
    order = {
        conflict.key.queue: conflict.partitions for _, conflict in plan.entries() if isinstance(conflict, QueueConflict)
    }
    for queue, name in (("a", order["a"][0]), ("b", order["b"][1]), ("c", "north"), ("c", "south")):
        await stage.nodes.nodes[name].storage.delete_queue(Key(P, queue))
    summary = await stage.apply(plan)
    assert summary.outcomes == {ADOPTED: 1, AdoptionOutcome.CONFLICT: 1, AdoptionOutcome.GONE: 1}
    assert await stage.on("a") == [(0, order["a"][1], False)]
    assert [key.queue for _, key, _ in summary.conflicts] == ["b"]


async def test_what_was_placed_alone_meanwhile_can_be_chained_by_a_new_plan(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    plan = await stage.plan()
    before = await stage.place("a", "south")
    summary = await stage.apply(plan)
    assert summary.outcomes == {AdoptionOutcome.CONFLICT: 1}
    assert "make a new plan to chain the others" in summary.conflicts[0][2]
    plan = await stage.plan()
    assert (await stage.apply(plan)).outcomes == {ADOPTED: 1}
    after = await stage.placement("a")
    assert await stage.on("a") == [(0, "north", True), (1, "south", False)]
    # The ids that clients have of it go on being untagged.
    assert (after.base, after.incarnation, after.epoch) == (1, before.incarnation, before.epoch + 1)
    assert (await stage.apply(plan)).outcomes == {THERE: 1}


@pytest.mark.parametrize("change", ["moved", "deleted", "sealed"])
async def test_what_changed_since_is_not_chained(stage: Stage, change: str) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    placed = await stage.place("a", "south")
    plan = await stage.plan()
    if change == "deleted":
        await stage.catalog.placements.remove(placed.key, 1, placed.incarnation)
    elif change == "moved":
        await stage.catalog.placements.replace(replace(placed, epoch=2, segments=(Segment(1, "south", "a"),)))
    else:
        await stage.catalog.placements.replace(replace(placed, epoch=2, state=PlacementState.SEALING, move="m"))
    summary = await stage.apply(plan)
    assert summary.outcomes == {AdoptionOutcome.CONFLICT: 1}
    assert "since the plan was made" in summary.conflicts[0][2]


async def test_chains_wait_until_every_worker_can_serve_them(stage: Stage) -> None:
    await stage.nodes.put("north", P, "single")
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    plan = await stage.plan()
    await stage.catalog.members.register(Member("old/1/boot", synced=True, capabilities=("chains-1",), lease=30.0))
    with pytest.raises(AdoptionStopped, match="cannot serve a chain: member old/1/boot; nothing was done"):
        await stage.apply(plan)
    assert await stage.catalog.placements.find(limit=10) == []


async def test_subscriptions_are_counted_and_left(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.post(name, "a", 1)
    storage = stage.nodes.nodes["north"].storage
    await storage.subscribe(Key(P, "a"), NewSubscription("http://h/", 3600, {}))
    ((_, conflict),) = (await stage.plan()).entries()
    assert isinstance(conflict, QueueConflict)
    assert {c.partition: c.subscriptions for c in conflict.found} == {"north": 1, "south": 0}


async def test_a_chain_of_a_dead_letter_group_comes_to_one_partition(stage: Stage) -> None:
    for name in ("north", "south"):
        await stage.nodes.put(name, P, "a", _dead_letter_queue="d")
    await stage.post("north", "d", 1)
    await stage.nodes.put("south", P, "d")
    assert (await stage.apply(await stage.plan())).outcomes == Counter({ADOPTED: 2})
    source, dead = await stage.placement("a"), await stage.placement("d")
    assert (source.partition, dead.partition, dead.group) == ("north", "north", "a")
