"""The commands that move queues, against a real admin API, with a mover and an executor that work between two looks."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from dataclasses import replace

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import (
    Member,
    MoveMeasurements,
    MoveProgress,
    MoveState,
    PartitionState,
    PlacementState,
    PlanState,
    QueueKey,
    Tenant,
    WholePlan,
)
from catalog.sqlite.moves import SQLiteMoves
from marconi_proxy.admin import application
from marconi_proxy.admin.members import Observed
from marconi_proxy.admin.moves import MovesResource
from marconi_proxy.cli import bulk_moves, watch
from marconi_proxy.moving.plans.executor import PlanExecutor
from marconi_proxy.moving.rehearsal import Rehearsed
from tests.contract.plan_stage import Clock, enter, furnish, place
from tests.unit.admin_api import admin_api
from tests.unit.catalog_stage import BORN
from tests.unit.cli_bridge import runner


@pytest.fixture
def quiet_logging():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture
def rehearsed(monkeypatch):
    """The result of every rehearsal, for tests to fill."""
    found = Rehearsed([], ["hold writes"])

    async def rehearse(move, *mates):
        return found

    monkeypatch.setattr(
        application, "MovesResource", lambda catalog, **more: MovesResource(catalog, **more | {"rehearse": rehearse})
    )
    return found


@pytest.fixture
async def api(tmp_path, rehearsed):
    async with admin_api(tmp_path, admin__token="secret") as api:
        api.client.headers["x-auth-token"] = "secret"
        await furnish(api.catalog, ["q", "r"], ("p1", "p2", "p3"))
        yield api


@pytest.fixture
def run(api, monkeypatch, capsys, quiet_logging):
    return runner(api, monkeypatch, capsys)


@pytest.fixture
async def between(monkeypatch):
    """Have a coroutine function run whenever a command waits between two looks, instead of time going by."""
    loop = asyncio.get_running_loop()

    def put(step):
        monkeypatch.setattr(watch, "nap", lambda seconds: asyncio.run_coroutine_threadsafe(step(), loop).result())

    async def nothing():
        raise AssertionError("a command waits that should not")

    put(nothing)
    return put


STATES = (
    MoveState.PREPARING,
    MoveState.ARMED,
    MoveState.SEALING,
    MoveState.DRAINING,
    MoveState.LINGERING,
    MoveState.DONE,
)


def mover(api, *states):
    """A mover that brings the one unfinished move one state further at each look."""
    ahead = list(states)

    async def step():
        (move,) = [m for m in await api.catalog.moves.find(limit=9) if not m.finished]
        state = ahead.pop(0)
        reason = "it is so"
        if state in (MoveState.DRAINING, MoveState.DONE):
            measured = MoveMeasurements(left=7, waits="7 free.")
            await enter(api.catalog, move, state, reason, pause_ms=38.0, measured=measured)
        else:
            await enter(api.catalog, move, state, reason)

    return step


async def everything(api):
    """An executor and a mover that do all that they can at each look."""
    executor = PlanExecutor(api.catalog, clock=Clock(), monotonic=Clock(), longest=4)

    async def step():
        await executor.round()
        for move in await api.catalog.moves.find(limit=100):
            if not move.finished:
                await enter(api.catalog, move, MoveState.DONE, pause_ms=20.0)

    return step


START = ("move", "start", "a", "q", "--to", "p2")


async def test_a_queue_whose_older_places_are_not_empty_is_moved_once_more(run, api, between):
    await run(*START)
    await mover(api, MoveState.DRAINING)()
    between(mover(api, MoveState.REROUTE_ARMED, MoveState.REROUTE_SEALING, MoveState.DRAINING))
    ended = await run("move", "start", "a", "q", "--to", "p3", "--wait", "switch")
    assert ended.status == 0, ended.err
    (move,) = await api.catalog.moves.find(limit=9)
    assert f"are not empty yet: move {move.id} takes it on from there" in ended.err
    assert "Writes go to p3." in ended.err


@pytest.mark.parametrize("wait", ["switch", "done"])
async def test_a_queue_that_is_not_sent_on_after_all_ends_with_the_reason(run, api, between, wait):
    await run(*START)
    await mover(api, MoveState.DRAINING)()

    async def step():
        (move,) = await api.catalog.moves.find(limit=9)
        if move.state is MoveState.REROUTE_PREPARING:
            await enter(api.catalog, move, MoveState.REROUTE_UNDOING, "p3 is on fire")
        else:
            await enter(api.catalog, replace(move, destination="p2"), MoveState.DRAINING, "nothing of it is left")

    between(step)
    ended = await run("move", "start", "a", "q", "--to", "p3", "--wait", wait)
    assert (ended.status, "no longer goes to p3: p3 is on fire" in ended.err) == (3, True), ended.err


async def test_a_move_is_ordered(run, api, between):
    ended = await run(*START, "--max-pause", "250", "-f", "json")
    assert ended.status == 0, ended.err
    (move,) = await api.catalog.moves.find(limit=9)
    assert ended.json["id"] == move.id
    assert (ended.json["project"], ended.json["state"], ended.json["target"]) == ("a", "planned", "p2")
    assert move.max_pause_ms == 250
    assert f"Next: marconi-proxy move watch {move.id}" in ended.err


async def test_waiting_for_the_switch_ends_when_writes_go_to_the_target(run, api, between):
    between(mover(api, *STATES[:4]))
    ended = await run(*START, "--wait", "switch", "-f", "json")
    assert (ended.status, ended.json["state"], ended.json["pause_ms"]) == (0, "draining", 38.0)
    lines = ended.err.splitlines()
    assert lines[0] == "a/q p1 -> p2, writes go to p1: 0/4 steps; planned, waits: for a mover to begin it"
    assert lines[-2] == (
        "a/q p1 -> p2, writes go to p2: 2/4 steps; draining, waits: 7 free.; 7 messages left; writes paused for 38 ms"
    )
    assert lines[-1].startswith("Writes go to p2. Next: ")


async def test_waiting_until_it_is_done(run, api, between):
    between(mover(api, *STATES))
    ended = await run(*START, "--wait", "done", "-f", "json")
    assert (ended.status, ended.json["state"]) == (0, "done")
    assert "Next: marconi-proxy move certificate" in ended.err


async def test_a_dead_letter_queue_that_goes_along_is_waited_for_too(run, api, between):
    await place(api.catalog, "dead", group="q")
    between(await everything(api))
    ended = await run(*START, "--wait", "done")
    assert ended.status == 0
    assert "Queue dead of its dead-letter group moves with it" in ended.err
    assert {m.state for m in await api.catalog.moves.find(limit=9)} == {MoveState.DONE}


@pytest.mark.parametrize("state", [MoveState.PAUSED, MoveState.UNDOING, MoveState.CANCELLED, MoveState.VOID])
async def test_a_move_that_will_not_come_to_the_switch_is_not_waited_for(run, api, between, state):
    between(mover(api, state))
    ended = await run(*START, "--wait", "switch")
    assert (ended.status, ended.out) == (3, "")
    assert f"is {state}: it is so. Next: " in ended.err


async def test_why_a_move_does_not_come_to_the_switch_is_shown_meanwhile(run, api, between):
    ahead = iter([MoveMeasurements(waits="partition p2 does not answer")])

    async def step():
        (move,) = await api.catalog.moves.find(limit=9)
        measured = next(ahead, None)
        if measured is None:
            await enter(api.catalog, move, MoveState.PAUSED, "failed 20 times in a row")
        else:
            await enter(api.catalog, move, MoveState.PLANNED, "partition p2 does not answer", measured=measured)

    between(step)
    ended = await run(*START, "--wait", "switch")
    assert ended.status == 3
    assert "0/4 steps; planned, waits: partition p2 does not answer (seen at " in ended.err
    assert "is paused-before-switch: failed 20 times in a row. Next: marconi-proxy move resume " in ended.err


async def test_a_suspended_move_is_switched_but_will_not_be_done(run, api, between):
    for wait, status in (("switch", 0), ("done", 3)):
        between(mover(api, MoveState.DRAINING, MoveState.SUSPENDED))
        ended = await run("move", "start", "a", {"switch": "q", "done": "r"}[wait], "--to", "p2", "--wait", wait)
        assert ended.status == status, ended.err
        for move in await api.catalog.moves.find(limit=9):
            if not move.finished:
                await enter(api.catalog, move, MoveState.DONE)


async def test_looking_ends_in_time_with_4_and_the_move_goes_on(run, api, between, monkeypatch):
    now = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))

    async def nothing():
        return None

    between(nothing)
    ended = await run(*START, "--wait", "done", "--timeout", "5")
    assert ended.status == 4
    (move,) = await api.catalog.moves.find(limit=9)
    assert move.state is MoveState.PLANNED
    assert f"it continues. Follow it with: marconi-proxy move watch {move.id}" in ended.err


async def test_ctrl_c_stops_looking_and_nothing_else(run, api, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "nap", interrupt)
    ended = await run(*START, "--wait", "done")
    assert ended.status == 4
    assert "it continues. Follow it with: marconi-proxy move watch " in ended.err
    (move,) = await api.catalog.moves.find(limit=9)
    assert move.state is MoveState.PLANNED


async def test_what_cannot_be_moved_ends_with_3_and_the_reason(run, api, between):
    await run(*START)
    for arguments in (START, (*START, "--dry-run"), (*START, "--wait", "switch")):
        ended = await run(*arguments)
        assert (ended.status, ended.out) == (3, "")
        assert "is still planned; wait until it has ended, or cancel it" in ended.err


async def test_a_dry_run_changes_nothing(run, api, between):
    ended = await run(*START, "--dry-run", "-f", "json")
    assert (ended.status, ended.json["id"], ended.json["source"]) == (0, None, "p1")
    assert ended.json["would"] == ["hold writes"]
    assert "The move is possible. Checked: catalog, partitions and workers." in ended.err
    assert "It would:\n  hold writes\n" in ended.err
    assert await api.catalog.moves.find(limit=1) == []


@pytest.mark.parametrize("how", [("--dry-run",), ("--wait", "switch"), ("--wait", "done")])
async def test_what_partitions_say_against_it_ends_with_3_and_nothing_is_ordered(run, api, between, rehearsed, how):
    rehearsed.problems.append("partition p2 does not answer")
    ended = await run(*START, *how)
    assert (ended.status, ended.out) == (3, "")
    assert "partition p2 does not answer" in ended.err
    assert await api.catalog.moves.find(limit=1) == []


@pytest.mark.parametrize("project", ["-", "id:-", "\udcff", "Gr\u00fc\u00dfe"])
async def test_projects_of_all_spellings(run, api, between, project):
    stored = {"-": "", "id:-": "-", "\udcff": "\u00ff"}.get(project, "Gr\u00c3\u00bc\u00c3\u009fe")
    placement = await api.catalog.placements.get(QueueKey("a", "q"))
    await api.catalog.placements.insert(replace(placement, project=stored))
    assert (await run("move", "start", project, "q", "--to", "p2")).status == 0
    assert (await run("move", "list", "--project", project, "-f", "json")).json[0]["queue"] == "q"
    assert [m.project for m in await api.catalog.moves.find(limit=9)] == [stored]


@pytest.mark.parametrize(
    "arguments",
    [
        ("move", "start", "a", "q"),
        ("move", "start", "id:", "q", "--to", "p2"),
        ("move", "start", "a", "q", "--to", "p9"),
        ("move", "start", "a", "q", "--to", "p2", "--max-pause", "0"),
        ("move", "start", "a", "q", "--to", "p2", "--max-pause", "nan"),
        ("move", "start", "a", "q", "--to", "p2", "--timeout", "nan"),
        ("move", "tenant", "a", "--to", "p2", "--yes", "--max-pause", "inf"),
        ("move", "tenant", "a", "--to", "p2", "--yes", "--seals-per-second", "nan"),
        ("move", "start", "a", "q", "--to", "p2", "--wait", "ever"),
        ("move", "list", "--state", "moving"),
        ("move", "list", "--limit", "0"),
        ("move", "tenant", "a"),
        ("move", "tenant", "a", "--to", "p9", "--yes"),
        ("move", "tenant", "a", "--to", "p2", "--yes", "--at-once", "0"),
        ("move", "tenant", "a", "--to", "p2", "--yes", "--window", "soon"),
        ("move", "plan", "drain", "-o", "x"),
        ("move", "plan", "rebalance", "p1", "-o", "x"),
        ("move", "plan", "drain", "p1"),
        ("move", "apply", "/nowhere"),
        ("region", "evacuate", "nowhere", "--yes"),
        ("plan", "list", "--state", "going"),
    ],
)
async def test_wrong_usage_ends_with_2(run, between, arguments):
    ended = await run(*arguments)
    assert (ended.status, ended.out) == (2, ""), ended.err
    assert ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("move", "show", "x"),
        ("move", "watch", "x"),
        ("move", "cancel", "x"),
        ("move", "certificate", "x"),
        ("move", "start", "-", "q", "--to", "p2"),
        ("partition", "drain", "x", "--yes"),
        ("plan", "show", "x"),
        ("plan", "stop", "x"),
    ],
)
async def test_what_is_not_there_ends_with_1(run, between, arguments):
    ended = await run(*arguments)
    assert (ended.status, ended.out) == (1, ""), ended.err
    assert "Traceback" not in ended.err


async def test_a_move_is_shown_with_why_it_is_not_done_and_what_happened(run, api, between):
    move_id = (await run(*START, "-f", "json")).json["id"]
    move = await api.catalog.moves.get(move_id)
    await enter(
        api.catalog, move, MoveState.DRAINING, "it is so", measured=MoveMeasurements(left=3, waits="3 free on p1.")
    )
    ended = await run("move", "show", move_id, "-f", "json")
    assert (ended.json["waits"], ended.json["can"], ended.json["left"]) == ("3 free on p1.", ["pause", "reverse"], 3)
    assert [e["state"] for e in ended.json["log"]] == ["draining"]
    ended = await run("move", "show", move_id)
    assert "1970-01-01T00:00:00.000Z draining: it is so" in ended.out
    ended = await run("move", "show", move_id, "-f", "value", "-c", "waits")
    assert ended.out == "3 free on p1.\n"


async def test_operators_decide(run, api, between):
    move_id = (await run(*START, "-f", "json")).json["id"]
    for verb, state in (("pause", "paused-before-switch"), ("resume", "planned"), ("cancel", "undoing")):
        ended = await run("move", verb, move_id, "-f", "json")
        assert (ended.status, ended.json["state"]) == (0, state)
        assert f"Move {move_id} is {state}." in ended.err
    ended = await run("move", "reverse", move_id)
    assert (ended.status, ended.out) == (3, "")
    assert "it cannot be reversed; nothing can be done about it" in ended.err


async def test_where_writes_go_is_shown_everywhere(run, api, between):
    move_id = (await run(*START, "-f", "json")).json["id"]
    assert (await run("move", "show", move_id, "-f", "json")).json["writes_to"] == "p1"
    move = await api.catalog.moves.get(move_id)
    await enter(api.catalog, move, MoveState.DRAINING, progress=MoveProgress(switched_to="p2"))
    assert (await run("move", "list", "-f", "json")).json[0]["writes_to"] == "p2"

    async def back():
        now = await api.catalog.moves.get(move_id)
        if now.destination == "p2":
            await enter(api.catalog, replace(now, destination="p1"), MoveState.REROUTE_SEALING)
        else:
            await enter(api.catalog, now, MoveState.DONE, progress=MoveProgress(switched_to="p1"))

    between(back)
    ended = await run("move", "watch", move_id, "-f", "json")
    for words in ("p1 -> p2, writes go to p2", "p2 -> p1, writes go to p2", "p2 -> p1, writes go to p1"):
        assert f"a/q {words}: " in ended.err
    shown = ended.json
    assert (shown["source"], shown["target"], shown["writes_to"]) == ("p1", "p2", "p1")


async def test_finished_moves_are_exported(run, api, between, tmp_path):
    proof = {"switched_at": 1.5}
    await run("move", "start", "a", "r", "--to", "p2")
    done = await api.catalog.moves.get((await run(*START, "-f", "json")).json["id"])
    await enter(api.catalog, done, MoveState.DONE, certificate=proof)
    path = tmp_path / "moves.jsonl"
    ended = await run("move", "export", "-o", str(path))
    assert (ended.status, ended.out) == (0, ""), ended.err
    assert "Exported 1 finished move, 1 of them with a certificate." in ended.err
    (line,) = path.read_text().splitlines()
    exported = json.loads(line)
    assert (exported["id"], exported["certificate"]) == (done.id, proof)
    assert exported == (await api.client.get(f"/v1/moves/{done.id}")).json()
    ended = await run("move", "export", "-o", str(path), "--project", "8f2c")
    assert ended.status == 3
    assert "exists already. Nothing was changed. Next: the same command with --force, which replaces it." in ended.err
    assert path.read_text() == f"{line}\n"
    ended = await run("move", "export", "-o", str(path), "--force", "--project", "8f2c")
    assert (ended.status, path.read_text()) == (0, "")
    assert (await run("move", "export")).out == f"{line}\n"
    assert (await run("move", "export", "--marker", done.id)).out == ""


async def test_a_broken_export_leaves_the_file_as_it_was(run, api, between, tmp_path):
    path = tmp_path / "moves.jsonl"
    path.write_text("before")
    assert (await run("move", "export", "-o", str(path), "--force", "--project", "id:")).status == 2
    assert path.read_text() == "before"
    assert list(tmp_path.glob("*.part")) == []


async def test_a_certificate_is_shown(run, api, between):
    move_id = (await run(*START, "-f", "json")).json["id"]
    assert (await run("move", "certificate", move_id)).status == 1
    move = await api.catalog.moves.get(move_id)
    proof = {"pause_ms": 12.5, "members": ["w"], "checks": [{"free": 0}]}
    await api.catalog.moves.replace(replace(move, version=2, state=MoveState.DONE, certificate=proof), None)
    assert (await run("move", "certificate", move_id, "-f", "json")).json == proof
    assert '[{"free": 0}]' in (await run("move", "certificate", move_id)).out


async def test_moves_are_listed_across_pages(run, api, between, monkeypatch):
    monkeypatch.setattr("marconi_proxy.cli.moves.MoveList.page", 1)
    await run(*START)
    await run("move", "start", "a", "r", "--to", "p3")
    ended = await run("move", "list", "--limit", "5", "-f", "json")
    assert sorted(m["queue"] for m in ended.json) == ["q", "r"]
    assert [m["queue"] for m in (await run("move", "list", "--partition", "p3", "-f", "json")).json] == ["r"]
    ended = await run("move", "list", "--limit", "1", "-f", "json")
    assert len(ended.json) == 1
    assert f"continue with --marker {ended.json[0]['id']}" in ended.err


async def test_a_move_is_watched_until_it_has_ended_however(run, api, between):
    move_id = (await run(*START, "-f", "json")).json["id"]
    between(mover(api, MoveState.UNDOING, MoveState.CANCELLED))
    ended = await run("move", "watch", move_id, "-f", "json")
    assert (ended.status, ended.json["state"]) == (0, "cancelled")


@pytest.mark.parametrize(("state", "verb"), [(MoveState.PAUSED, "cancel"), (MoveState.SUSPENDED, "reverse")])
async def test_a_move_that_waits_for_an_operator_is_not_watched_for_ever(run, api, between, state, verb):
    move_id = (await run(*START, "-f", "json")).json["id"]
    between(mover(api, state))
    ended = await run("move", "watch", move_id)
    assert (ended.status, ended.out) == (3, "")
    following = f"marconi-proxy move resume {move_id} or marconi-proxy move {verb} {move_id}"
    assert f"is {state}: it is so. Next: {following}" in ended.err


async def test_an_admin_api_that_is_away_for_a_while_does_not_end_a_watch(run, api, between, monkeypatch):
    move_id = (await run(*START, "-f", "json")).json["id"]
    get, calls = SQLiteMoves.get, []

    async def shaky(self, which):
        calls.append(1)
        if len(calls) in (2, 3):
            raise CatalogUnavailable("away")
        return await get(self, which)

    step = mover(api, *STATES)
    monkeypatch.setattr(SQLiteMoves, "get", shaky)
    between(step)
    assert (await run("move", "watch", move_id, "-f", "json")).json["state"] == "done"
    assert len(calls) > 3


# -- plans -------------------------------------------------------------------------------------------------------------


TENANT = ("move", "tenant", "a", "--to", "p2")


async def test_a_tenant_moves_by_one_command(run, api, between):
    between(await everything(api))
    ended = await run(*TENANT, "--yes", "--at-once", "1", "-f", "json")
    assert ended.status == 0, ended.err
    assert (ended.json["state"], ended.json["moves"], ended.json["done"], ended.json["failed"]) == ("done", 2, 2, 0)
    assert "Queues to move: 2, of projects: 1." in ended.err
    assert "  from  p1 2\n  to    p2 2\n" in ended.err
    assert "An attempt is given up after 1500 ms; no move was measured in the last week" in ended.err
    assert "Budgets: at most 1 at a time per partition, 10 begun per second; each mover also keeps to " in ended.err
    assert "Begins moves: at any time; stops after failures: 10." in ended.err
    assert "move tenant a to p2: 2/2 switched; done, 2 done; 0 messages left; pauses: median 20 ms" in ended.err
    assert {p.queue for p in await api.catalog.placements.find(partitions=["p2"], limit=9)} == {"q", "r"}


async def test_a_tenants_new_queues_go_there_too_if_that_is_wanted(run, api, between):
    between(await everything(api))
    assert (await run(*TENANT, "--yes", "--pin")).status == 0
    assert (await api.catalog.tenants.get("a")).pinned == "p2"


@pytest.mark.parametrize(
    ("arguments", "status"), [((), 2), (("--yes", "--window", "soon"), 2), (("--dry-run",), 0), (("--yes",), 3)]
)
async def test_nothing_is_pinned_by_a_command_that_moves_nothing(run, api, between, monkeypatch, arguments, status):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    if status == 3:
        for queue in ("q", "r"):
            await api.catalog.placements.remove(QueueKey("a", queue), 1, BORN)
    assert (await run(*TENANT, "--pin", *arguments)).status == status
    assert await api.catalog.tenants.get("a") is None


async def test_interrupting_the_command_does_not_stop_the_plan_and_watch_picks_it_up(run, api, between, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watch, "nap", interrupt)
        ended = await run(*TENANT, "--yes")
    assert ended.status == 4
    (plan,) = await api.catalog.plans.find(limit=9)
    assert plan.state is PlanState.RUNNING
    assert f"marconi-proxy move watch {plan.id}" in ended.err
    between(await everything(api))
    ended = await run("move", "watch", plan.id, "-f", "json")
    assert (ended.status, ended.json["state"], ended.json["done"]) == (0, "done", 2)


async def test_a_plan_that_waits_for_an_operator_is_not_watched_for_ever(run, api, between):
    plan_id = (await run(*TENANT, "--dry-run", "-f", "json")).json["id"]
    ended = await run("move", "watch", plan_id)
    assert ended.status == 3
    assert f"plan {plan_id} was not applied" in ended.err
    plan_id = (await run(*TENANT, "--yes", "--no-wait", "--at-once", "1", "-f", "json")).json["id"]
    await PlanExecutor(api.catalog, clock=Clock(), monotonic=Clock(), longest=4).round()
    await run("plan", "pause", plan_id)
    between(await everything(api))
    ended = await run("move", "watch", plan_id)
    assert ended.status == 3
    (move,) = await api.catalog.moves.find(limit=9)
    assert move.state is MoveState.DONE, "what is begun is followed to its end"
    assert f"is paused. Next: marconi-proxy plan resume {plan_id} or marconi-proxy plan stop {plan_id}" in ended.err


async def test_a_command_may_return_at_once(run, api, between):
    ended = await run(*TENANT, "--yes", "--no-wait", "-f", "json")
    assert (ended.status, ended.json["state"]) == (0, "running")
    assert f"Next: marconi-proxy move watch {ended.json['id']}" in ended.err


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("yes\n", 0), ("\n", 3), ("no\n", 3), ("", 3)])
async def test_people_are_asked(run, api, between, monkeypatch, answer, status):
    class Terminal:
        def isatty(self):
            return True

        def readline(self):
            return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    ended = await run("partition", "drain", "p1", "--no-wait")
    assert ended.status == status
    assert "Proceed? [y/N]" in ended.err
    (plan,) = await api.catalog.plans.find(limit=9)
    partition = await api.catalog.partitions.get("p1")
    if status:
        assert (plan.state, partition.state) == (PlanState.STOPPED, PartitionState.ENABLED)
        assert "Partition p1 takes new queues again." in ended.err
    else:
        assert (plan.state, partition.state) == (PlanState.RUNNING, PartitionState.CORDONED)


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("no\n", 3), (None, 2)])
async def test_people_are_asked_also_if_there_is_nothing_to_move(run, api, between, monkeypatch, answer, status):
    monkeypatch.setattr("sys.stdin.isatty", lambda: answer is not None)
    monkeypatch.setattr("sys.stdin.readline", lambda: answer)
    await api.catalog.tenants.put(Tenant("z", pinned="p3"))
    ended = await run("partition", "drain", "p3", "--repin", "p2")
    assert ended.status == status, ended.err
    assert "There is nothing to move. Tenants pinned to p3 get pinned to p2.\n" in ended.err
    partition, tenant = await api.catalog.partitions.get("p3"), await api.catalog.tenants.get("z")
    if status:
        assert (partition.state, tenant.pinned) == (PartitionState.ENABLED, "p3")
        assert "Partition p3 takes new queues again." in ended.err
    else:
        assert (partition.state, tenant.pinned) == (PartitionState.DRAINED, "p2")
        assert "Tenants pinned to p2 instead of p3: 1." in ended.err


async def test_where_nobody_can_be_asked_nothing_is_moved(run, api, between, monkeypatch):
    class Pipe:
        def isatty(self):
            return False

    monkeypatch.setattr("sys.stdin", Pipe())
    ended = await run(*TENANT)
    assert (ended.status, ended.out) == (2, "")
    assert "stdin is not a terminal. Pass --yes" in ended.err
    (plan,) = await api.catalog.plans.find(limit=9)
    assert plan.state is PlanState.STOPPED


async def test_a_partition_is_drained_and_then_deleted(run, api, between):
    between(await everything(api))
    ended = await run("partition", "drain", "p1", "--to", "p3", "--yes", "-f", "json")
    assert ended.status == 0, ended.err
    assert ended.err.startswith("Partition p1 is cordoned: it takes no new queues.\n")
    assert ended.err.endswith("Next: marconi-proxy partition delete p1\n")
    assert (await run("partition", "show", "p1", "-f", "value", "-c", "state")).out == "drained\n"
    assert (await run("partition", "delete", "p1")).status == 0
    assert {p.partition for p in await api.catalog.placements.find(limit=9)} == {"p3"}


async def test_a_partition_that_is_not_empty_in_the_end_is_said_to_be(run, api, between):
    await place(api.catalog, "stuck", PlacementState.CREATING)
    between(await everything(api))
    ended = await run("partition", "drain", "p1", "--yes")
    assert ended.status == 1
    assert "a/stuck: it is being created" in ended.err
    assert "1 queue was left out; partition p1 still has 1 placement. Next: the same command again" in ended.err


async def test_queues_are_called_by_their_projects(run, api, between):
    q = await api.catalog.placements.get(QueueKey("a", "q"))
    for project, queue, state in (("", "q", PlacementState.OPEN), ("Gr\u00c3\u00bc", "new", PlacementState.CREATING)):
        await api.catalog.placements.insert(replace(q, project=project, queue=queue, state=state))
    ended = await run("partition", "drain", "p1", "--to", "p2", "--yes", "--no-wait", "-f", "json")
    assert "    Gr\u00fc/new: it is being created" in ended.err
    ended = await run("plan", "show", ended.json["id"], "-f", "json")
    assert ended.json["queues"] == ["-/q:p1->p2", "a/q:p1->p2", "a/r:p1->p2"]
    for key in (("", "q"), ("a", "q"), ("a", "r")):
        await api.catalog.placements.remove(QueueKey(*key), 1, BORN)
    ended = await run("partition", "drain", "p1", "--to", "p2", "--yes")
    assert ended.status == 3
    assert "nothing to move; Gr\u00fc/new: it is being created" in ended.err


@pytest.mark.parametrize("how", ["command", "apply", "watch"])
async def test_a_region_with_a_partition_that_nothing_can_leave_is_not_said_to_be_evacuated(
    run, api, between, tmp_path, how
):
    for name in ("p1", "p2"):
        partition = await api.catalog.partitions.get(name)
        await api.catalog.partitions.replace(replace(partition, region="eu", version=partition.version + 1))
    stuck = await place(api.catalog, "stuck", PlacementState.CREATING)
    await api.catalog.placements.remove(stuck.key, 1, stuck.incarnation)
    await api.catalog.placements.insert(replace(stuck, segments=(replace(stuck.segments[0], partition="p2"),)))
    if how == "command":
        arguments = ("region", "evacuate", "eu", "--yes")
    else:
        path = str(tmp_path / "plan.json")
        await run("plan", "create", "region", "eu", "-o", path)
        arguments = ("plan", "apply", path)
    if how == "watch":
        ended = await run(*arguments, "--no-wait", "-f", "json")
        arguments = ("move", "watch", ended.json["id"])
    between(await everything(api))
    ended = await run(*arguments)
    assert ended.status == 1
    assert "is done; 1 queue was left out; partition p2 still has 1 placement. Next: " in ended.err
    assert "All queues are moved" not in ended.err
    states = {p.name: p.state for p in await api.catalog.partitions.all()}
    assert (states["p1"], states["p2"]) == (PartitionState.DRAINED, PartitionState.CORDONED)


async def test_a_tenant_with_a_queue_left_out_is_not_said_to_be_moved(run, api, between):
    await place(api.catalog, "stuck", PlacementState.CREATING)
    between(await everything(api))
    ended = await run(*TENANT, "--yes")
    assert ended.status == 1
    assert "is done; 1 queue was left out. Next: the same command again" in ended.err


async def test_an_empty_partition_is_drained_at_once(run, api, between):
    ended = await run("partition", "drain", "p3", "--yes")
    assert ended.status == 0
    assert "There is nothing to move." in ended.err
    assert (await api.catalog.partitions.get("p3")).state is PartitionState.DRAINED


async def test_a_disabled_partition_that_is_empty_stays_disabled(run, api, between):
    partition = await api.catalog.partitions.get("p3")
    disabled = replace(partition, state=PartitionState.DISABLED, version=partition.version + 1)
    await api.catalog.partitions.replace(disabled)
    assert (await run("partition", "drain", "p3", "--yes")).status == 0
    assert (await api.catalog.partitions.get("p3")).state is PartitionState.DISABLED


@pytest.mark.parametrize("to", [("--to", "p1", "p3"), ("--to", "p1", "--to", "p3")])
@pytest.mark.parametrize("command", [("partition", "drain", "p1"), ("rebalance",)])
async def test_targets_are_named_together_or_one_by_one(run, api, between, command, to):
    await api.catalog.tenants.put(Tenant("a", spread=3))
    ended = await run(*command, *to, "--dry-run", "-f", "json")
    assert ended.status == 0, ended.err
    assert ended.json["title"].endswith(" to p1, p3")


async def test_a_drain_that_cannot_be_planned_lets_new_queues_in_again(run, api, between):
    ended = await run("partition", "drain", "p1", "--to", "p1", "--yes")
    assert ended.status == 3
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.ENABLED


async def test_a_region_is_evacuated(run, api, between):
    for name in ("p1", "p2"):
        partition = await api.catalog.partitions.get(name)
        await api.catalog.partitions.replace(replace(partition, region="eu", version=partition.version + 1))
    between(await everything(api))
    ended = await run("region", "evacuate", "eu", "--yes")
    assert ended.status == 0, ended.err
    assert {p.partition for p in await api.catalog.placements.find(limit=9)} == {"p3"}
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.DRAINED


async def test_a_rebalance_is_shown_and_carried_out(run, api, between):
    await api.catalog.tenants.put(Tenant("a", spread=3))
    ended = await run("rebalance", "--dry-run", "-f", "json")
    assert (ended.status, ended.json["moves"], ended.json["state"]) == (0, 1, "planned")
    assert "Nothing was moved." in ended.err
    assert await api.catalog.moves.find(limit=1) == []
    between(await everything(api))
    assert (await run("rebalance", "--yes")).status == 0
    ended = await run("rebalance", "--yes")
    assert ended.status == 3
    assert "There is nothing to move" in ended.err


async def test_a_rebalance_that_would_break_a_pin_needs_a_flag(run, api, between):
    await api.catalog.tenants.put(Tenant("a", pinned="p1"))
    ended = await run("rebalance", "--yes")
    assert ended.status == 3
    assert "tenant a is pinned to p1. Change that with marconi-proxy tenant set, give" in ended.err
    assert await api.catalog.plans.find(limit=1) == []
    ended = await run("rebalance", "--break-pins", "--yes", "--no-wait", "-f", "json")
    assert (ended.status, ended.json["moves"]) == (0, 1)
    assert "  BREAKS pins and spreads of tenants: 1\n    a is pinned to p1\n" in ended.err


async def test_what_a_rebalance_keeps_is_said(run, api, between):
    await api.catalog.tenants.put(Tenant("a", pinned="p1"))
    q = await api.catalog.placements.get(QueueKey("a", "q"))
    await api.catalog.tenants.put(Tenant("b", spread=3))
    await api.catalog.placements.insert(replace(q, project="b", queue="z"))
    ended = await run("rebalance", "--dry-run", "-f", "json")
    assert (ended.status, ended.json["moves"]) == (0, 1)
    assert "  Tenants with queues that stay, because of their pins and spreads: 1\n    a is pinned to p1\n" in ended.err


async def test_a_drain_names_tenants_that_are_pinned_there_and_moves_their_pins(run, api, between):
    for project in ("a", "z"):
        await api.catalog.tenants.put(Tenant(project, pinned="p1"))
    ended = await run("partition", "drain", "p1", "--yes")
    assert ended.status == 3
    assert "nothing was changed: new queues of tenants pinned to p1 would be refused: a, z. Next: " in ended.err
    assert "with --repin TO, or --break-pins" in ended.err
    assert "takes no new queues" not in ended.err
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.ENABLED
    between(await everything(api))
    ended = await run("partition", "drain", "p1", "--repin", "p3", "--yes")
    assert ended.status == 0, ended.err
    assert "pinned to p3.\n" in ended.err
    assert "Tenants pinned to another partition for their new queues: 2.\n" in ended.err
    assert {p.partition for p in await api.catalog.placements.find(limit=9)} == {"p3"}
    assert [t.project for t in await api.catalog.tenants.find(pinned="p3", limit=9)] == ["a", "z"]


async def test_pins_of_a_partition_that_is_empty_are_moved_too(run, api, between):
    await api.catalog.tenants.put(Tenant("z", pinned="p3"))
    ended = await run("partition", "drain", "p3", "--yes")
    assert ended.status == 3
    assert "new queues of tenants pinned to p3 would be refused: z. Next: " in ended.err
    assert (await api.catalog.partitions.get("p3")).state is PartitionState.ENABLED
    ended = await run("partition", "drain", "p3", "--repin", "p2", "--yes")
    assert ended.status == 0
    assert "Tenants pinned to p2 instead of p3: 1." in ended.err
    assert (await api.catalog.tenants.get("z")).pinned == "p2"
    assert (await api.catalog.partitions.get("p3")).state is PartitionState.DRAINED
    await api.catalog.tenants.put(Tenant("z", pinned="p3"))
    ended = await run("partition", "drain", "p3", "--break-pins", "--yes")
    assert ended.status == 0
    assert "New queues of tenants pinned to p3 will be refused: z." in ended.err


async def test_a_pinned_tenant_is_moved_with_its_pin_or_not_at_all(run, api, between):
    await api.catalog.tenants.put(Tenant("a", pinned="p1"))
    ended = await run(*TENANT, "--yes")
    assert ended.status == 3
    assert "tenant a is pinned to p1." in ended.err
    between(await everything(api))
    assert (await run(*TENANT, "--yes", "--pin")).status == 0
    assert (await api.catalog.tenants.get("a")).pinned == "p2"


async def test_failures_are_listed_and_end_with_1(run, api, between):
    executor = PlanExecutor(api.catalog, clock=Clock(), monotonic=Clock(), longest=4)

    async def step():
        await executor.round()
        for move in await api.catalog.moves.find(states=[MoveState.PLANNED], limit=9):
            await enter(api.catalog, move, MoveState.PAUSED, "gave up after 20 seals")

    between(step)
    ended = await run(*TENANT, "--yes")
    assert ended.status == 1
    assert "  a/q: failed: gave up after 20 seals" in ended.err
    assert "is done; 2 failures. Next: marconi-proxy move list --plan" in ended.err


async def test_a_plan_that_is_overtaken_is_made_anew(run, api, between, monkeypatch):
    described, shown = bulk_moves.described, []

    def overtaking(summary):
        shown.append(summary["moves"])
        if len(shown) == 1:
            removed = api.catalog.placements.remove(QueueKey("a", "q"), 1, BORN)
            asyncio.run_coroutine_threadsafe(removed, loop).result()
        return described(summary)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(bulk_moves, "described", overtaking)
    ended = await run(*TENANT, "--yes", "--no-wait", "-f", "json")
    assert (ended.status, ended.json["moves"], shown) == (0, 1, [2, 1])
    assert "queue a/q is not on p1 any more" in ended.err


@pytest.mark.parametrize(("create", "apply"), [("plan create", "plan apply"), ("move plan", "move apply")])
async def test_a_plan_is_written_and_applied_exactly_so(run, api, between, tmp_path, create, apply):
    path = str(tmp_path / "plan.json")
    ended = await run(*create.split(), "drain", "p1", "--to", "p2", "--stop-after", "3", "-o", path, "-f", "json")
    assert (ended.status, ended.json["moves"]) == (0, 2)
    assert f"Next: marconi-proxy plan apply {path}" in ended.err
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.ENABLED
    between(await everything(api))
    ended = await run(*apply.split(), path, "-f", "json")
    assert (ended.status, ended.json["done"]) == (0, 2)
    ended = await run(*apply.split(), path)
    assert ended.status == 3
    assert "it is done" in ended.err


async def test_a_file_that_was_changed_is_refused(run, api, between, tmp_path):
    path = tmp_path / "plan.json"
    await run("move", "plan", "tenant", "a", "--to", "p2", "-o", str(path))
    document = json.loads(path.read_text())
    document["plan"]["moves"][0]["target"] = "p3"
    path.write_text(json.dumps(document))
    ended = await run("move", "apply", str(path))
    assert ended.status == 3
    assert "is not the plan that was written: hash: " in ended.err
    assert await api.catalog.plans.find(states=[PlanState.RUNNING], limit=9) == []


_DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("no plan", 2, "is no plan: it is not JSON: "),
        ("{}", 2, "is no plan: it has no object named plan"),
        ("[]", 2, "is no plan: it has no object named plan"),
        ('{"plan": null}', 2, "is no plan: it has no object named plan"),
        (_DEEP, 2, "is no plan: it is nested too deeply"),
        ('{"plan": {}}', 3, "a member is missing, or has another type\n"),
        ("MOVES", 3, "a member is missing, or has another type\n"),
        ("STATE", 3, "is not the plan that was written: "),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
async def test_a_file_that_is_no_plan_is_said_to_be_none(run, between, tmp_path, text, status, said):
    path = tmp_path / "plan.json"
    await run("move", "plan", "tenant", "a", "--to", "p2", "-o", str(path))
    plan = json.loads(path.read_text())["plan"]
    changed = {"MOVES": {"plan": plan | {"moves": 7}}, "STATE": {"plan": plan | {"state": "going"}}}.get(text)
    path.write_text(json.dumps(changed) if changed else text)
    ended = await run("move", "apply", str(path))
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


async def test_a_plan_of_another_catalog_is_refused(run, between, tmp_path):
    path = tmp_path / "plan.json"
    await run("move", "plan", "tenant", "a", "--to", "p2", "-o", str(path))
    document = json.loads(path.read_text())
    other = WholePlan.from_json(document["plan"] | {"id": "other", "hash": ""})
    path.write_text(json.dumps({"plan": other.to_json()}))
    ended = await run("move", "apply", str(path))
    assert (ended.status, ended.out) == (3, "")
    assert "this catalog has no plan other: the plan was made over another catalog" in ended.err


async def test_a_plan_whose_ground_has_changed_is_refused_and_says_what_has(run, api, between, tmp_path):
    await api.catalog.tenants.put(Tenant("a", spread=3))
    path = str(tmp_path / "plan.json")
    await run("move", "plan", "rebalance", "--to", "p1", "--to", "p2", "-o", path)
    for queue in ("q", "r"):
        await api.catalog.placements.remove(QueueKey("a", queue), 1, BORN)
    ended = await run("move", "apply", path)
    assert ended.status == 3
    assert "is not on p1 any more. Make a new one" in ended.err


async def test_plans_are_listed_shown_paused_resumed_and_stopped(run, api, between):
    plan_id = (await run(*TENANT, "--yes", "--no-wait", "-f", "json")).json["id"]
    for verb, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        ended = await run("plan", verb, plan_id, "-f", "json")
        assert (ended.status, ended.json["state"]) == (0, state)
    assert [p["id"] for p in (await run("plan", "list", "--state", "stopped", "-f", "json")).json] == [plan_id]
    ended = await run("plan", "show", plan_id, "-f", "json")
    assert ended.json["queues"] == ["a/q:p1->p2", "a/r:p1->p2"]
    assert "Queues to move: 2" in ended.err
    ended = await run("plan", "resume", plan_id)
    assert ended.status == 3
    assert "make a new one" in ended.err


# -- members -----------------------------------------------------------------------------------------------------------


async def test_members_are_listed_and_evicted_when_they_are_gone(run, api, between, monkeypatch):
    assert (await run("member", "list", "-f", "json")).json == []
    await api.catalog.members.register(
        Member("h/1/x", applied=2, capabilities=("chains-2",), lease=30.0, late_writes=4)
    )
    (member,) = (await run("member", "list", "-f", "json")).json
    assert (member["id"], member["lease"], member["capabilities"]) == ("h/1/x", 30.0, ["chains-2"])
    assert member["late_writes"] == 4
    assert member["renewed"].endswith("Z")
    ended = await run("member", "evict", "h/1/x")
    assert ended.status == 3
    assert "it can be evicted after another" in ended.err
    monkeypatch.setattr(Observed, "may_write_for", 0.0)
    assert (await run("member", "evict", "h/1/x")).status == 0
    assert await api.catalog.members.all() == []
