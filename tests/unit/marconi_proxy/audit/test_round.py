"""A whole round over real nodes and a real catalog: every kind of damage is found, repaired where that is safe, and
found no more; and what only looks like damage is not reported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from catalog import Catalog, open_catalog
from catalog.model import (
    BackendQueue,
    LogEntry,
    Move,
    MoveProgress,
    MoveState,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
)
from marconi_proxy import options
from marconi_proxy.audit import inspector
from marconi_proxy.audit.factory import AuditFactory
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.audit.observation import Finding
from marconi_proxy.audit.repair import RepairOutcome
from marconi_proxy.audit.round import RoundSummary, Scope
from marconi_proxy.fencing.transitions import hidden_name
from marconi_proxy.upstream.errors import Withdrawn
from marconi_proxy.upstream.exchange import Guard
from partition.model.message import NewMessage
from partition.model.queue import QueueKey as Key
from tests.catalog_wraps import Instead
from tests.unit.marconi_proxy.partition_client.test_inventory import FakeClock
from tests.unit.node_upstream import CLIENT, Given, Nodes, UpstreamCall, nodes

P = "p"
PAST = 1_700_000_000.0 - 10_000.0


class Clock(FakeClock):
    """Runs something whenever it is slept for long, and something else once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self.at_sleep: Callable[[], Awaitable[object]] | None = None

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if self.at_sleep is not None and seconds == 1.0:
            once, self.at_sleep = self.at_sleep, None
            await once()
        if self.meanwhile is not None and seconds > 1.0:
            await self.meanwhile()


@dataclass
class Stage:
    """North and south have an inventory, west has none."""

    nodes: Nodes
    catalog: Catalog
    clock: Clock
    conf: Any

    def factory(self) -> AuditFactory:
        return AuditFactory.open(self.conf, self.catalog, self.nodes.way, self.clock, 1e6)

    async def verify(self, scope: Scope | None = None) -> tuple[list[Finding], RoundSummary]:
        found: list[Finding] = []

        async def add(finding: Finding) -> None:
            found.append(finding)

        summary = await self.factory().round(add, lambda summary: None).run(scope or Scope())
        return found, summary

    async def kinds(self, scope: Scope | None = None) -> list[tuple[str, str, str]]:
        found, summary = await self.verify(scope)
        assert summary.findings.total() == len(found)
        return sorted((str(one.kind), one.queue, one.partition) for one in found)

    async def repair(self) -> dict[str, RepairOutcome]:
        found, _ = await self.verify()
        repairing = self.factory().repair(lambda finding, text: None)
        return {finding.queue: await repairing.repair(finding) for finding in found}

    async def place(self, queue: str, *on: str, project: str = P, made: bool = True, **members: Any) -> Placement:
        """Place a queue, and make it unless it is not to be ``made``."""
        named = members.pop("named", {})
        segments = tuple(
            Segment(n, name, named.get(n, queue.removeprefix("~")), sealed=n < len(on) - 1) for n, name in enumerate(on)
        )
        life = f"born-{queue.removeprefix('~')}"
        given = {"state": PlacementState.OPEN, "incarnation": life, "since": PAST} | members
        placement = Placement(project, queue, 1, segments=segments, **given)
        await self.catalog.placements.insert(placement)
        if made:
            for segment in segments:
                mark = "~" if queue.startswith("~") else ""
                await self.nodes.put(segment.partition, project, f"{mark}{segment.backend_name}")
        return placement

    async def chain(self, queue: str, *on: str, **members: Any) -> Placement:
        """Place a queue that was switched, and is drained by a move."""
        placement = await self.place(queue, *on, move=f"move-{queue}", **members)
        await self.move(
            placement,
            MoveState.DRAINING,
            progress=MoveProgress(switched_at=PAST, touched=(BackendQueue(on[-1], queue),)),
        )
        return placement

    async def move(self, placement: Placement, state: MoveState, **members: Any) -> None:
        log = (LogEntry(PAST, MoveState.PLANNED, "ordered"), LogEntry(PAST, state, "went on"))
        source, target = members.pop("way", ("north", "south"))
        key = (placement.project, placement.queue)
        move = Move(
            f"move-{placement.queue[:50]}",
            *key,
            source,
            target,
            state,
            log=log,
            incarnation=placement.incarnation,
            **members,
        )
        await self.catalog.moves.insert(move)

    async def post(self, name: str, queue: str, project: str = P) -> None:
        await self.nodes.nodes[name].storage.post(Key(project, queue), [NewMessage(300, '"x"', 0)], CLIENT)

    async def has(self, name: str, queue: str, project: str = P) -> bool:
        return await self.nodes.nodes[name].storage.get_queue(Key(project, queue)) is not None

    async def metadata(self, name: str, queue: str) -> dict[str, Any]:
        found = await self.nodes.nodes[name].storage.get_queue(Key(P, queue))
        assert found is not None
        return dict(found.metadata)

    async def stored(self, queue: str) -> Placement | None:
        return await self.catalog.placements.get(QueueKey(P, queue))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    uri = f"sqlite:///{tmp_path / 'catalog.db'}"
    conf = options.load(None, {"catalog.uri": uri})
    async with nodes(tmp_path, "north", "south", "west") as here:
        catalog = await open_catalog(uri)
        await catalog.init()
        for name in ("north", "south"):
            await catalog.partitions.insert(here.partition(name, inventory=f"http://{name}:8890"))
        await catalog.partitions.insert(here.partition("west"))
        yield Stage(here, catalog, Clock(), conf)
        await catalog.close()


async def healthy(stage: Stage) -> None:
    """Many queues of many kinds, as they should be."""
    for number in range(12):
        await stage.place(f"q{number:02}", ("north", "south", "west")[number % 3])
    await stage.place("~news", "south")
    await stage.place("plain", "west", project="")
    await stage.place("\xff-named".removeprefix("\xff-"), "north", project="\xff")
    await stage.chain("chain", "north", "south")
    placed = await stage.place("back", "north", named={0: hidden_name(P, "back", "born-back", 0)})
    await stage.move(placed, MoveState.DONE)
    await stage.place("q00-dead", "north", state=PlacementState.RESERVED, group="q00", made=False)
    for state in (PlacementState.CREATING, PlacementState.DELETING):
        await stage.place(f"{state}-now", "north", state=state, since=stage.clock.now(), made=False)
    # A target that is prepared, by both names that it may have.
    for n, backend_name in enumerate(("going", hidden_name(P, "gone-on", "born-gone-on", 1))):
        queue = ("going", "gone-on")[n]
        placed = await stage.place(queue, "north")
        progress = MoveProgress(touched=(BackendQueue("south", backend_name),))
        await stage.move(placed, MoveState.PREPARING, backend_name=backend_name, progress=progress)
        await stage.nodes.put("south", P, backend_name)


async def test_a_healthy_system_has_no_findings(stage: Stage) -> None:
    await healthy(stage)
    found, summary = await stage.verify()
    assert found == []
    assert (summary.unreachable, summary.skipped, summary.changed) == ({}, 0, 0)
    assert summary.queues >= 22


DAMAGE = {
    "ghost": ("ghost", "north"),
    "orphan": ("orphan", "south"),
    "double": ("double", "west"),
    "drift": ("drift", "north"),
    "foreign-writer": ("foreign", "north"),
    "unfinished": ("creating", "north"),
    "leftover": ("", "south"),
    "stranded": ("stranded", "south"),
}


async def damage(stage: Stage, kind: str) -> tuple[str, str, str]:
    """Do the damage; return how it is to be reported."""
    queue, partition = DAMAGE[kind]
    match kind:
        case "ghost":
            await stage.place(queue, partition, made=False)
        case "orphan":
            await stage.nodes.put(partition, P, queue)
        case "double":
            await stage.place(queue, "north")
            await stage.nodes.put(partition, P, queue)
        case "drift":
            await stage.chain(queue, "north", "south", made=False)
            await stage.nodes.put("north", P, queue, colour="red")
            await stage.nodes.put("south", P, queue, colour="blue", shape="round")
        case "foreign-writer":
            await stage.chain(queue, "north", "south")
            await stage.post("north", queue)
        case "unfinished":
            await stage.place(queue, partition, state=PlacementState.CREATING)
        case "stranded":
            await stage.place(queue, "north", partition, move="lost")
        case "leftover":
            placed = await stage.place("left", "south", "north", made=False)
            await stage.catalog.placements.replace(replace(placed, epoch=2, segments=placed.segments[1:]))
            await stage.nodes.put("north", P, "left")
            queue = hidden_name(P, "left", placed.incarnation, 0)
            await stage.move(
                placed,
                MoveState.DONE,
                way=("south", "north"),
                progress=MoveProgress(touched=(BackendQueue(partition, queue),)),
            )
            await stage.nodes.put(partition, P, queue)
    return kind, queue, partition


SAFE = {"ghost", "drift", "unfinished", "leftover", "stranded"}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_damage_is_found_by_its_name_and_repaired_where_that_is_safe(stage: Stage, kind: str) -> None:
    await healthy(stage)
    expected = await damage(stage, kind)
    assert await stage.kinds() == [expected]
    outcomes = await stage.repair()
    assert outcomes == {expected[1]: RepairOutcome.REPAIRED if kind in SAFE else RepairOutcome.REMAINS}
    assert await stage.kinds() == ([] if kind in SAFE else [expected])


async def test_all_damage_together(stage: Stage) -> None:
    await healthy(stage)
    expected = sorted([await damage(stage, kind) for kind in DAMAGE])
    assert await stage.kinds() == expected
    await stage.repair()
    assert await stage.kinds() == [one for one in expected if one[0] not in SAFE]


# -- what repairs do ---------------------------------------------------------------------------------------------------


async def test_a_ghost_is_made_again_where_it_was(stage: Stage) -> None:
    before = await stage.place("ghost", "north", made=False)
    await stage.place("~topic", "south", made=False)
    assert await stage.repair() == {"ghost": RepairOutcome.REPAIRED, "~topic": RepairOutcome.REPAIRED}
    assert await stage.has("north", "ghost")
    assert await stage.stored("ghost") == before


async def test_a_ghost_of_a_chain_gets_the_metadata_of_the_place_before(stage: Stage) -> None:
    await stage.chain("ghost", "north", "south", made=False)
    await stage.nodes.put("north", P, "ghost", colour="red")
    assert await stage.repair() == {"ghost": RepairOutcome.REPAIRED}
    assert await stage.metadata("south", "ghost") == {"colour": "red"}


async def test_metadata_of_older_parts_follows_that_of_the_last(stage: Stage) -> None:
    await damage(stage, "drift")
    await stage.repair()
    assert await stage.metadata("north", "drift") == {"colour": "blue", "shape": "round"}


async def test_metadata_is_told_by_name_in_a_line_however_much_it_is(stage: Stage) -> None:
    await stage.chain("drift", "north", "south", made=False)
    await stage.nodes.put("north", P, "drift")
    given = {"a\n\x1b[31mb": "secret", **{f"name{n}": "x" * 500 for n in range(30)}}
    await stage.nodes.put("south", P, "drift", **given)
    (finding,), _ = await stage.verify()
    assert finding.words.isprintable()
    assert "add /metadata/a" in finding.words
    assert "secret" not in finding.words
    assert finding.words.endswith(", and 26 more")
    assert len(finding.words) < 255


@pytest.mark.parametrize("state", [PlacementState.CREATING, PlacementState.DELETING, PlacementState.SEALING])
@pytest.mark.parametrize("there", [True, False])
async def test_what_was_begun_is_finished(stage: Stage, state: PlacementState, there: bool) -> None:
    await stage.place("q", "north", state=state, made=there)
    outcomes = await stage.repair()
    placement = await stage.stored("q")
    if state is PlacementState.SEALING and not there:
        assert placement is not None
        assert placement.state is PlacementState.OPEN
        assert await stage.repair() == {"q": RepairOutcome.REPAIRED}
        return
    assert outcomes == {"q": RepairOutcome.REPAIRED}
    gone = state is PlacementState.DELETING or (state is PlacementState.CREATING and not there)
    assert (placement is None) == gone
    assert await stage.has("north", "q") == (there and state is not PlacementState.DELETING)
    assert await stage.kinds() == []


@pytest.mark.parametrize("state", [PlacementState.CREATING, PlacementState.DELETING, PlacementState.SEALING])
async def test_what_looks_old_and_changes_while_it_is_watched_is_left_to_who_changes_it(
    stage: Stage, state: PlacementState
) -> None:
    """Its time is of a machine with a clock that is behind."""
    placed = await stage.place("q", "north", state=state, made=False)
    (finding,), _ = await stage.verify()
    opened = replace(placed, epoch=2, state=PlacementState.OPEN, since=PAST + 1.0)

    async def go_on() -> None:
        await stage.catalog.placements.replace(opened)
        await stage.nodes.put("north", P, "q")

    stage.clock.at_sleep = go_on
    await stage.factory().repair(lambda finding, text: None).repair(finding)
    assert await stage.stored("q") == opened
    assert await stage.has("north", "q")


async def test_a_leftover_with_messages_is_kept(stage: Stage) -> None:
    _, queue, _ = await damage(stage, "leftover")
    await stage.post("south", queue)
    found, _ = await stage.verify()
    assert [(one.kind, one.repairable) for one in found] == [(FindingKind.LEFTOVER, False)]
    assert await stage.repair() == {queue: RepairOutcome.REMAINS}
    assert await stage.has("south", queue)


@pytest.mark.parametrize("made", ["by it", "elsewhere", "not by it"])
async def test_what_a_move_has_made_and_not_deleted_is_a_leftover(stage: Stage, made: str) -> None:
    """No move makes the same name again, so it is deleted also of one that was cancelled. Of a name that only looks
    like one of a move, nothing is known."""
    placed = await stage.place("q", "north")
    backend_name = hidden_name(P, "q", placed.incarnation, 1, "move-q/0")
    places = {"by it": ("south",), "elsewhere": ("west",), "not by it": ()}[made]
    touched = tuple(BackendQueue(partition, backend_name) for partition in places)
    await stage.move(placed, MoveState.CANCELLED, progress=MoveProgress(touched=touched))
    await stage.nodes.put("south", P, backend_name)
    kind = "leftover" if made == "by it" else "orphan"
    assert await stage.kinds() == [(kind, backend_name, "south")]
    outcome = RepairOutcome.REPAIRED if made == "by it" else RepairOutcome.REMAINS
    assert await stage.repair() == {backend_name: outcome}


async def test_nothing_of_a_queue_that_is_moved_again_is_a_leftover_yet(stage: Stage) -> None:
    await damage(stage, "leftover")
    placed = await stage.stored("left")
    assert placed is not None
    await stage.catalog.moves.insert(Move("again", P, "left", "north", "west", incarnation=placed.incarnation))
    assert await stage.kinds() == []


async def test_dead_letters_are_not_foreign(stage: Stage) -> None:
    expected = await damage(stage, "foreign-writer")
    await stage.place("source", "north", made=False)
    await stage.nodes.put("north", P, "source", _dead_letter_queue="foreign")
    assert await stage.kinds() == []
    await stage.nodes.nodes["north"].storage.replace_metadata(Key(P, "source"), {})
    assert await stage.kinds() == [expected]


async def test_of_many_queues_it_is_not_asked_where_their_dead_letters_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await damage(stage, "foreign-writer")
    # The queue itself is there too.
    monkeypatch.setattr(inspector, "SOURCES", 3)
    await stage.place("source-1", "north")
    await stage.place("source-2", "north")
    assert await stage.kinds() == [expected]
    await stage.place("source-3", "north")
    assert await stage.kinds() == []


@pytest.mark.parametrize("length", [48, 49, 64])
@pytest.mark.parametrize("gone", [True, False])
async def test_a_made_up_name_leads_to_its_queue_however_long_that_is(stage: Stage, length: int, gone: bool) -> None:
    queue = "q" * length
    for number in range(3):
        await stage.place(f"{queue[:46]}-{number}", "north")
    placed = await stage.place(queue, "north", named={0: hidden_name(P, queue, "born", 0)}, incarnation="born")
    assert await stage.kinds() == []
    other = hidden_name(P, queue, placed.incarnation, 0)
    await stage.move(
        placed, MoveState.DONE, way=("south", "north"), progress=MoveProgress(touched=(BackendQueue("south", other),))
    )
    await stage.nodes.put("south", P, other)
    if gone:
        await stage.catalog.placements.remove(placed.key, 1, placed.incarnation)
        await stage.nodes.nodes["north"].storage.delete_queue(Key(P, other))
    # A name that was cut off does not show the name of the queue any more.
    kind = "orphan" if gone and length == 64 else "leftover"
    found = await stage.kinds()
    assert (kind, other, "south") in found
    assert len(found) == 1


async def test_a_repair_compares_with_what_was_found(stage: Stage) -> None:
    placement = await stage.place("ghost", "north", made=False)
    (finding,), _ = await stage.verify()
    await stage.catalog.placements.replace(replace(placement, epoch=2))
    said: list[str] = []
    repairing = stage.factory().repair(lambda finding, text: said.append(text))
    assert await repairing.repair(finding) is RepairOutcome.FAILED
    assert said == ["the queue has changed and now has another finding; nothing was done"]
    assert not await stage.has("north", "ghost")


@pytest.mark.parametrize("move", ["lost", "over", None])
async def test_what_is_stranded_gets_a_move_that_is_suspended(stage: Stage, move: str | None) -> None:
    placement = await stage.place("q", "north", "west", "south", move=move)
    if move == "over":
        await stage.catalog.moves.insert(
            Move("over", P, "q", "north", "south", MoveState.DONE, incarnation=placement.incarnation)
        )
    assert await stage.repair() == {"q": RepairOutcome.REPAIRED}
    now = await stage.stored("q")
    assert now is not None
    assert now.segments == placement.segments
    assert now.move is not None
    assert (now.move == "lost") == (move == "lost")
    given = await stage.catalog.moves.get(now.move)
    assert given is not None
    assert (given.state, given.source, given.destination, given.incarnation) == (
        MoveState.SUSPENDED,
        "west",
        "south",
        now.incarnation,
    )
    # Clients may be writing directly to what it came from.
    await stage.post("north", "q")
    assert await stage.kinds() == []


async def test_a_queue_of_one_part_forgets_a_move_that_is_lost(stage: Stage) -> None:
    await stage.place("q", "north", move="lost")
    assert await stage.kinds() == [("stranded", "q", "north")]
    assert await stage.repair() == {"q": RepairOutcome.REPAIRED}
    now = await stage.stored("q")
    assert now is not None
    assert now.move is None


async def test_what_is_right_by_now_is_not_repaired(stage: Stage) -> None:
    await stage.place("ghost", "north", made=False)
    (finding,), _ = await stage.verify()
    await stage.nodes.put("north", P, "ghost", colour="blue")
    assert await stage.factory().repair(lambda finding, text: None).repair(finding) is RepairOutcome.CHANGED
    assert await stage.metadata("north", "ghost") == {"colour": "blue"}


async def test_what_changes_at_each_look_is_not_said_to_be_right(stage: Stage) -> None:
    await stage.place("ghost", "north", made=False)
    (finding,), _ = await stage.verify()
    inner = stage.nodes.handlers["http://north:8888"]

    async def changed_meanwhile(call: UpstreamCall) -> Given:
        now = await stage.stored("ghost")
        assert now is not None
        await stage.catalog.placements.replace(replace(now, epoch=now.epoch + 1))
        return await inner(call)

    stage.nodes.handlers["http://north:8888"] = changed_meanwhile
    assert await stage.factory().repair(lambda finding, text: None).repair(finding) is RepairOutcome.FAILED
    assert not await stage.has("north", "ghost")


async def test_a_repair_that_leaves_something_of_the_kind_has_failed(stage: Stage) -> None:
    await damage(stage, "drift")
    (finding,), _ = await stage.verify()
    inner = stage.nodes.handlers["http://south:8888"]
    times = 0

    async def changed_later(call: UpstreamCall) -> Given:
        """Metadata of the last part is another one at each look."""
        nonlocal times
        given = await inner(call)
        if call.method == b"GET" and b"/queues/drift" in call.target:
            times += 1
            if times >= 2:
                await stage.nodes.nodes["south"].storage.replace_metadata(Key(P, "drift"), {"n": times})
        return given

    stage.nodes.handlers["http://south:8888"] = changed_later
    said: list[str] = []
    repairing = stage.factory().repair(lambda finding, text: said.append(text))
    assert await repairing.repair(finding) is RepairOutcome.FAILED
    assert said == ["copied the metadata from south to drift on north, but the finding remains"]


async def test_a_part_that_was_retired_is_not_made_again_for_its_metadata(stage: Stage) -> None:
    await damage(stage, "drift")
    (finding,), _ = await stage.verify()
    inner = stage.nodes.handlers["http://south:8888"]
    times = 0

    async def retired_meanwhile(call: UpstreamCall) -> Given:
        nonlocal times
        if call.method == b"GET" and b"/queues/drift" in call.target:
            times += 1
            if times == 2:
                await stage.nodes.nodes["north"].storage.delete_queue(Key(P, "drift"))
        return await inner(call)

    stage.nodes.handlers["http://south:8888"] = retired_meanwhile
    await stage.factory().repair(lambda finding, text: None).repair(finding)
    assert times >= 2
    assert not await stage.has("north", "drift")


async def test_a_ghost_that_is_being_deleted_while_it_is_made_leaves_no_orphan(stage: Stage) -> None:
    placement = await stage.place("ghost", "north", made=False)
    (finding,), _ = await stage.verify()
    inner = stage.nodes.handlers["http://north:8888"]

    async def being_deleted(call: UpstreamCall) -> Given:
        if call.method == b"PUT":
            deleting = replace(placement, epoch=2, state=PlacementState.DELETING, since=stage.clock.now())
            await stage.catalog.placements.replace(deleting)
        return await inner(call)

    async def deleted() -> None:
        await stage.catalog.placements.remove(placement.key, 2, placement.incarnation)

    stage.nodes.handlers["http://north:8888"] = being_deleted
    stage.clock.at_sleep = deleted
    await stage.factory().repair(lambda finding, text: None).repair(finding)
    assert await stage.kinds() == []
    assert await stage.stored("ghost") is not None


async def test_a_ghost_that_is_deleted_while_it_is_made_is_in_the_catalog_again(stage: Stage) -> None:
    placement = await stage.place("ghost", "north", made=False)
    (finding,), _ = await stage.verify()
    inner = stage.nodes.handlers["http://north:8888"]

    async def deleted_meanwhile(call: UpstreamCall) -> Given:
        if call.method == b"PUT":
            await stage.catalog.placements.remove(placement.key, 1, placement.incarnation)
        return await inner(call)

    stage.nodes.handlers["http://north:8888"] = deleted_meanwhile
    await stage.factory().repair(lambda finding, text: None).repair(finding)
    now = await stage.stored("ghost")
    assert now is not None
    assert now.incarnation != placement.incarnation
    assert await stage.kinds() == []


async def test_a_deletion_that_is_finished_does_not_wait_for_turns_nor_comes_late(stage: Stage) -> None:
    await stage.chain("q", "north", "south", state=PlacementState.DELETING)
    (finding,), _ = await stage.verify()
    took: list[float] = []
    for name in ("north", "south"):
        inner = stage.nodes.handlers[f"http://{name}:8888"]

        async def watched(call: UpstreamCall, inner: Callable[[UpstreamCall], Awaitable[Given]] = inner) -> Given:
            if call.method == b"DELETE":
                now = await stage.stored("q")
                assert now is not None
                took.append(stage.clock.now() - now.since)
                assert call.guard is not None
                call.guard.sending()
                with pytest.raises(Withdrawn):
                    await asked_late(call.guard)
            return await inner(call)

        stage.nodes.handlers[f"http://{name}:8888"] = watched

    async def asked_late(guard: Guard) -> None:
        before = stage.clock.seconds
        try:
            stage.clock.seconds += stage.conf.directory.takeover_after
            guard.sending()
        finally:
            stage.clock.seconds = before

    factory = AuditFactory.open(stage.conf, stage.catalog, stage.nodes.way, stage.clock, 0.01)
    before = stage.clock.seconds
    assert await factory.repair(lambda finding, text: None).repair(finding) is RepairOutcome.REPAIRED
    assert took == [0.0, 0.0]
    # All the same it took its turns.
    await factory.paced.pacer("south").turn()
    assert stage.clock.seconds >= before + 100.0
    assert await stage.stored("q") is None


# -- what is no finding ------------------------------------------------------------------------------------------------


async def test_what_is_right_at_any_later_look_is_no_finding(stage: Stage) -> None:
    await stage.place("ghost", "north", made=False)
    await stage.nodes.put("south", P, "orphan")

    async def settle() -> None:
        await stage.nodes.put("north", P, "ghost")
        if await stage.stored("orphan") is None:
            await stage.place("orphan", "south", made=False)

    stage.clock.meanwhile = settle
    found, _ = await stage.verify()
    assert found == []


async def test_what_changes_all_the_time_is_looked_at_in_the_next_round(stage: Stage) -> None:
    await stage.place("ghost", "north", made=False)

    async def change() -> None:
        placement = await stage.stored("ghost")
        assert placement is not None
        await stage.catalog.placements.replace(replace(placement, epoch=placement.epoch + 1))

    stage.clock.meanwhile = change
    assert await stage.kinds() == []
    stage.clock.meanwhile = None
    assert await stage.kinds() == [("ghost", "ghost", "north")]


async def test_a_change_within_a_look_makes_it_worthless(stage: Stage) -> None:
    placement = await stage.place("ghost", "north", made=False)
    inner = stage.nodes.handlers["http://north:8888"]

    async def changed_meanwhile(call: UpstreamCall) -> Given:
        now = await stage.stored("ghost")
        assert now is not None
        await stage.catalog.placements.replace(replace(placement, epoch=now.epoch + 1))
        return await inner(call)

    stage.nodes.handlers["http://north:8888"] = changed_meanwhile
    found, summary = await stage.verify()
    assert (found, summary.changed) == ([], 1)


async def test_that_a_mover_writes_down_how_far_it_has_come_changes_nothing(stage: Stage) -> None:
    await damage(stage, "foreign-writer")
    (move,) = await stage.catalog.moves.find(project=P, limit=2)
    held = await stage.catalog.moves.lock(move.id).acquire("mover", 600.0)
    assert held.holder is not None
    token = held.holder.token
    inner = stage.nodes.handlers["http://north:8888"]
    left = 0

    async def looked_at_meanwhile(call: UpstreamCall) -> Given:
        nonlocal left
        left += 1
        now = await stage.catalog.moves.get(move.id)
        assert now is not None
        await stage.catalog.moves.replace(
            replace(now, version=now.version + 1, measured=replace(now.measured, left=left)), token
        )
        return await inner(call)

    stage.nodes.handlers["http://north:8888"] = looked_at_meanwhile
    found, summary = await stage.verify()
    assert ([one.kind for one in found], summary.changed) == (["foreign-writer"], 0)
    assert left


# -- what cannot be asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["north", "west"])
async def test_a_partition_that_is_away_is_told_and_its_queues_are_no_ghosts(stage: Stage, name: str) -> None:
    await healthy(stage)
    for kind in DAMAGE:
        await damage(stage, kind)
    there = [one for one in await stage.kinds() if name != one[2]]
    for port in (8888, 8890):
        stage.nodes.handlers.pop(f"http://{name}:{port}", None)
    found, summary = await stage.verify()
    assert set(summary.unreachable) == {name}
    assert all(one.partition != name for one in found)
    assert {one.kind for one in found} >= {FindingKind(kind) for kind, _, _ in there} - {
        FindingKind.DRIFT,
        FindingKind.FOREIGN_WRITER,
        FindingKind.LEFTOVER,
        FindingKind.DOUBLE,
        FindingKind.STRANDED,
    }


async def test_a_partition_that_goes_away_in_the_middle(stage: Stage) -> None:
    for number in range(300):
        await stage.place(f"q{number:03}", "north")
    inner = stage.nodes.handlers["http://north:8890"]

    async def once(call: UpstreamCall) -> Given:
        del stage.nodes.handlers["http://north:8890"]
        stage.nodes.handlers.pop("http://north:8888")
        return await inner(call)

    stage.nodes.handlers["http://north:8890"] = once
    found, summary = await stage.verify()
    assert found == []
    assert set(summary.unreachable) == {"north"}


async def test_disabled_partitions_are_not_asked(stage: Stage) -> None:
    await stage.place("ghost", "north", made=False)
    north = await stage.catalog.partitions.get("north")
    assert isinstance(north, Partition)
    await stage.catalog.partitions.replace(replace(north, state=PartitionState.DISABLED, version=2))
    found, summary = await stage.verify()
    assert (found, summary.unreachable) == ([], {"north": "it is disabled"})


async def test_a_partition_that_nobody_has_registered_is_told(stage: Stage) -> None:
    await stage.place("lost", "west")
    await stage.place("new", "south")

    real = stage.catalog

    # A catalog that has lost a partition, as that of a store without foreign keys may; another is new to it.

    async def all_() -> list[Partition]:
        return [one for one in await real.partitions.all() if one.name == "north"]

    async def get(name: str) -> Partition | None:
        return None if name == "west" else await real.partitions.get(name)

    forgetful = Instead(real, partitions=Instead(real.partitions, all=all_, get=get))
    stage = replace(stage, catalog=cast(Catalog, forgetful))
    found, summary = await stage.verify()
    assert (found, summary.unreachable, summary.skipped) == ([], {"west": "it is not registered"}, 1)


# -- what is asked -----------------------------------------------------------------------------------------------------


async def test_scopes(stage: Stage) -> None:
    await stage.place("ghost", "north", made=False)
    await stage.place("ghost", "south", made=False, project="other")
    await stage.nodes.put("south", P, "orphan")
    assert await stage.kinds(Scope(partitions=["north"])) == [("ghost", "ghost", "north")]
    assert await stage.kinds(Scope(projects=["other"])) == [("ghost", "ghost", "south")]
    assert await stage.kinds(Scope(partitions=["south"], projects=[P])) == [("orphan", "orphan", "south")]
    # A queue that the catalog has elsewhere is a double however little is audited.
    await stage.nodes.put("south", P, "ghost")
    assert ("double", "ghost", "south") in await stage.kinds(Scope(partitions=["south"]))


async def test_projects_that_the_catalog_does_not_know_are_named_where_there_is_no_inventory(stage: Stage) -> None:
    await stage.nodes.put("west", "unknown", "orphan")
    assert await stage.kinds() == []
    assert await stage.kinds(Scope(also=["unknown"])) == [("orphan", "orphan", "west")]


async def test_queues_that_are_as_they_should_be_cost_a_request_for_a_page(stage: Stage) -> None:
    for number in range(100):
        await stage.place(f"q{number:02}", ("north", "west")[number % 2])
    stage.nodes.asked.clear()
    assert await stage.kinds() == []
    # A hundred of an inventory, twenty of a listing; and the ends of both.
    assert len(stage.nodes.asked) <= 1 + 1 + (50 // 20 + 1) + 1 + 2
