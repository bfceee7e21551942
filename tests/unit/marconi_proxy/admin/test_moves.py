"""Orders to move one queue, and what operators decide about moves."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest

from catalog.errors import CatalogUnavailable, MoveConflict
from catalog.model import (
    FINISHED_STATES,
    Holder,
    LogEntry,
    Move,
    MoveMeasurements,
    MoveProgress,
    MoveState,
    PlacementState,
    QueueKey,
)
from catalog.sqlite.moves import SQLiteMoves
from marconi_proxy import options
from marconi_proxy.admin import move_decisions
from marconi_proxy.admin.application import build
from marconi_proxy.admin.move_json import waits
from marconi_proxy.moving.protocol.machine import TABLE, Event
from marconi_proxy.moving.rehearsal import Rehearsed
from tests.contract.plan_stage import enter, furnish, place
from tests.unit.admin_api import admin_api
from tests.unit.catalog_stage import BORN

ORDER = {"project": "a", "queue": "q", "to": "p2"}


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path) as api:
        await furnish(api.catalog, ["q", "r"], ("p1", "p2", "p3"))
        yield api


@pytest.fixture(autouse=True)
def naps(monkeypatch):
    """Replace the waits of the API: ``meanwhile`` runs instead, and ``seconds`` counts them."""
    naps = SimpleNamespace(seconds=0.0, meanwhile=None)

    async def nap(seconds):
        naps.seconds += seconds
        if naps.meanwhile is not None:
            await naps.meanwhile()

    monkeypatch.setattr(move_decisions, "nap", nap)
    return naps


async def ordered(api, **members):
    response = await api.client.post("/v1/moves", json=ORDER | members)
    assert response.status_code == 201, response.text
    return response.json()["moves"][0]


async def refused(response, status, start=""):
    assert response.status_code == status, response.text
    assert response.json().keys() == {"title", "description"}
    description = response.json()["description"]
    assert description.startswith(start), description
    return description


async def test_an_order_becomes_a_record_that_a_mover_finds(api):
    response = await api.client.post("/v1/moves", json=ORDER | {"max_pause_ms": 100})
    assert response.status_code == 201
    (move,) = response.json()["moves"]
    assert response.headers["location"] == f"/v1/moves/{move['id']}"
    assert re.fullmatch(r"\d{8}T\d{6}-m[0-9a-f]{6}", move["id"])
    stored = await api.catalog.moves.get(move["id"])
    assert (stored.state, stored.key, stored.source, stored.target) == (MoveState.PLANNED, ("a", "q"), "p1", "p2")
    assert (stored.incarnation, stored.max_pause_ms, stored.holder) == (BORN, 100, None)
    assert (move["project"], move["state"], move["can"]) == ("a", "planned", ["pause", "cancel"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", move["created"])
    shown = (await api.client.get(response.headers["location"])).json()
    assert shown == move | {"log": [], "facts": {}, "certificate": None}


async def test_a_state_is_shown_under_its_clear_name(api):
    log = (LogEntry(1.0, MoveState.DRAINING, "switched"), LogEntry(2.0, MoveState.RETIRED, "they were empty twice"))
    move = await stored(api, MoveState.RETIRED, log=log)
    shown = (await api.client.get(f"/v1/moves/{move.id}")).json()
    assert (shown["state"], shown["log"][-1]["state"]) == ("cleaning-up", "cleaning-up")
    listed = (await api.client.get("/v1/moves?state=retired")).json()["moves"]
    assert [move["state"] for move in listed] == ["cleaning-up"]


async def test_a_dead_letter_queue_goes_along(api):
    await place(api.catalog, "dead", group="q")
    moves = (await api.client.post("/v1/moves", json=ORDER)).json()["moves"]
    assert [m["queue"] for m in moves] == ["q", "dead"]
    assert moves[0]["group"] == [moves[1]["id"]]
    assert moves[1]["group"] == [moves[0]["id"]]
    assert moves[1]["id"] == moves[0]["id"] + "-1"
    assert {m.id for m in await api.catalog.moves.find(limit=9)} == {m["id"] for m in moves}


async def test_a_group_that_cannot_be_ordered_whole_is_taken_back(api, monkeypatch):
    await place(api.catalog, "dead", group="q")
    insert = SQLiteMoves.insert

    async def taken(self, move):
        if move.queue == "q":
            raise MoveConflict(move.id, move)
        await insert(self, move)

    monkeypatch.setattr(SQLiteMoves, "insert", taken)
    await refused(await api.client.post("/v1/moves", json=ORDER), 409, "Queue q is not moved: ")
    (left,) = await api.catalog.moves.find(limit=9)
    assert (left.queue, left.state) == ("dead", MoveState.UNDOING)


@pytest.mark.parametrize(
    ("body", "start"),
    [
        ({"queue": "q", "to": "p2"}, "project: is needed"),
        ({"project": "a", "to": "p2"}, "queue: is needed"),
        ({"project": "a", "queue": "q"}, "to: is needed"),
        (ORDER | {"project": ""}, "project: "),
        (ORDER | {"project": 7}, "project: "),
        (ORDER | {"queue": "a\0b"}, "queue: "),
        (ORDER | {"queue": None}, "queue: "),
        (ORDER | {"to": "p9"}, "to: there is no partition p9"),
        (ORDER | {"to": []}, "to: "),
        (ORDER | {"max_pause_ms": 0}, "max_pause_ms: "),
        (ORDER | {"max_pause_ms": True}, "max_pause_ms: "),
        (ORDER | {"max_pause_ms": 1e9}, "max_pause_ms: "),
        (ORDER | {"dry_run": "yes"}, "dry_run: "),
        (ORDER | {"target": "p2"}, "target: there is no such member"),
    ],
)
async def test_a_wrong_order_names_the_member_at_fault(api, body, start):
    await refused(await api.client.post("/v1/moves", json=body), 400, start)
    assert await api.catalog.moves.find(limit=1) == []


async def test_a_queue_that_is_not_there_is_404(api):
    await refused(await api.client.post("/v1/moves", json=ORDER | {"project": None}), 404, "queue: ")


async def test_what_cannot_be_moved_is_409_with_the_reason_and_what_can_be_done(api):
    await ordered(api)
    description = await refused(await api.client.post("/v1/moves", json=ORDER), 409, "Queue q is not moved: move ")
    assert "is still planned; wait until it has ended, or cancel it. Nothing was changed." in description
    await refused(await api.client.post("/v1/moves", json=ORDER | {"queue": "r", "to": "p1"}), 409, "Queue r is not")


async def test_a_queue_of_no_project_and_of_any_bytes(api):
    placement = await api.catalog.placements.get(QueueKey("a", "q"))
    for written, stored in (("null", ""), ('"\\u00e9"', "\u00c3\u00a9"), ('"\\udcff"', "\u00ff")):
        await api.catalog.placements.insert(replace(placement, project=stored))
        body = '{"project": %s, "queue": "q", "to": "p2"}' % written  # noqa: UP031
        response = await api.client.post("/v1/moves", content=body)
        assert response.status_code == 201, response.text
        (move,) = await api.catalog.moves.find(project=stored, limit=9)
        assert move.queue == "q"


async def test_a_dry_run_of_what_the_catalog_forbids_asks_nobody_else(api):
    document = (await api.client.post("/v1/moves", json=ORDER | {"to": "p1", "dry_run": True})).json()
    assert document == {"moves": [], "problems": ["it is on partition p1 already."], "would": [], "rehearsed": False}
    assert await api.catalog.moves.find(limit=1) == []


async def test_a_dry_run_asks_whoever_can_rehearse(api):
    asked = []
    answer = Rehearsed([], ["hold writes"])

    async def rehearse(move, *mates):
        asked.append((move.queue, move.target, *(mate.queue for mate in mates)))
        return answer

    conf = options.load(overrides={"catalog.uri": "sqlite:////unused"})
    transport = httpx.ASGITransport(build(conf, api.catalog, None, None, rehearse))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        document = (await client.post("/v1/moves", json=ORDER | {"dry_run": True})).json()
        assert [m["queue"] for m in document["moves"]] == ["q"]
        assert (document["problems"], document["would"], document["rehearsed"]) == ([], ["hold writes"], True)
        assert asked == [("q", "p2")]
        await place(api.catalog, "dead", group="q")
        document = (await client.post("/v1/moves", json=ORDER | {"dry_run": True})).json()
        assert document["would"] == ["q: hold writes", "dead: hold writes"]
        assert asked[1:] == [("q", "p2", "dead"), ("dead", "p2", "q")]
        answer.problems.append("partition p2 does not answer.")
        document = (await client.post("/v1/moves", json=ORDER | {"dry_run": True})).json()
        assert (document["problems"], document["would"]) == (["partition p2 does not answer."], [])
    assert await api.catalog.moves.find(limit=1) == []


async def stored(api, state, queue="q", **members):
    """A move in any state, with the placement as it is then, as far as the API looks at it."""
    move = Move(f"m-{queue}-{state}", "a", queue, "p1", "p2", incarnation=BORN, created=5.0)
    await api.catalog.moves.insert(move)
    if state in (MoveState.DRAINING, MoveState.SUSPENDED, MoveState.LINGERING):
        await enter(api.catalog, move, MoveState.DRAINING)
        move = await api.catalog.moves.get(move.id)
    if state is not move.state:
        entry = LogEntry(6.0, state, "somehow")
        await api.catalog.moves.replace(replace(move.entered(entry), **members), None)
    return await api.catalog.moves.get(move.id)


@pytest.mark.parametrize(
    ("state", "verb", "follows"),
    [
        (MoveState.PLANNED, "pause", MoveState.PAUSED),
        (MoveState.ARMED, "cancel", MoveState.UNDOING),
        (MoveState.PAUSED, "resume", MoveState.PLANNED),
        (MoveState.DRAINING, "pause", MoveState.SUSPENDED),
        (MoveState.SUSPENDED, "resume", MoveState.DRAINING),
        (MoveState.LINGERING, "reverse", MoveState.REROUTE_PREPARING),
        (MoveState.REROUTE_ARMED, "cancel", MoveState.REROUTE_UNDOING),
    ],
)
async def test_operators_decide_by_the_table(api, state, verb, follows):
    move = await stored(api, state)
    held = await api.catalog.moves.lock(move.id).acquire("mover", 60)
    response = await api.client.post(f"/v1/moves/{move.id}/{verb}")
    assert response.status_code == 200, response.text
    assert response.json()["state"] == str(follows)
    after = await api.catalog.moves.get(move.id)
    assert (after.state, after.version) == (follows, move.version + 1)
    assert (after.log[-1].state, after.log[-1].reason) == (follows, f"an operator: {verb}")
    assert after.holder.token == held.holder.token


@pytest.mark.parametrize(
    ("sealing", "then", "verb", "follows"),
    [
        (MoveState.SEALING, MoveState.ARMED, "cancel", MoveState.UNDOING),
        (MoveState.SEALING, MoveState.ARMED, "pause", MoveState.PAUSED),
        (MoveState.REROUTE_SEALING, MoveState.DRAINING, "pause", MoveState.SUSPENDED),
    ],
)
async def test_what_cannot_be_while_writes_are_held_is_done_right_after(api, naps, sealing, then, verb, follows):
    move = await stored(api, sealing)

    async def end_of_the_seal():
        if naps.seconds > 1.0:
            naps.meanwhile = None
            await enter(api.catalog, move, then)

    naps.meanwhile = end_of_the_seal
    response = await api.client.post(f"/v1/moves/{move.id}/{verb}")
    assert (response.status_code, response.json()["state"]) == (200, str(follows))


async def test_a_cancel_that_comes_too_late_for_the_switch_says_what_can_be_done(api, naps):
    move = await stored(api, MoveState.SEALING)

    async def switch():
        naps.meanwhile = None
        await enter(api.catalog, move, MoveState.DRAINING)

    naps.meanwhile = switch
    description = await refused(await api.client.post(f"/v1/moves/{move.id}/cancel"), 409)
    assert description.endswith("it cannot be cancelled; what can be done: pause, reverse.")


async def test_no_decision_waits_for_longer_than_a_seal_takes(api, naps):
    move = await stored(api, MoveState.SEALING)
    await refused(await api.client.post(f"/v1/moves/{move.id}/cancel"), 409)
    assert 2.0 < naps.seconds < 5.0


async def test_a_reverse_turns_round_and_forgets_what_was_to_be_sealed(api):
    move = await stored(
        api, MoveState.LINGERING, tail=0, backend_name="q.1", due=99.0, measured=MoveMeasurements(waits="old", left=3)
    )
    await api.client.post(f"/v1/moves/{move.id}/reverse")
    after = await api.catalog.moves.get(move.id)
    assert (after.destination, after.tail, after.backend_name, after.due) == ("p1", None, None, 0.0)
    assert (after.progress, after.measured) == (MoveProgress(), MoveMeasurements(left=3))


async def test_an_order_for_a_queue_whose_older_places_are_not_empty_sends_its_move_on(api):
    move = await stored(
        api,
        MoveState.SUSPENDED,
        tail=0,
        backend_name="q.1",
        progress=MoveProgress(failures=7),
        measured=MoveMeasurements(waits="old", left=3),
    )
    rehearsed = await api.client.post("/v1/moves", json=ORDER | {"to": "p3", "dry_run": True})
    assert [(m["id"], m["state"], m["toward"]) for m in rehearsed.json()["moves"]] == [
        (move.id, "back-preparing", "p3")
    ]
    assert await api.catalog.moves.get(move.id) == move
    response = await api.client.post("/v1/moves", json=ORDER | {"to": "p3", "max_pause_ms": 70})
    assert response.status_code == 200, response.text
    assert response.headers["location"] == f"/v1/moves/{move.id}"
    after = await api.catalog.moves.get(move.id)
    assert [m["id"] for m in response.json()["moves"]] == [move.id]
    assert (after.state, after.source, after.target, after.destination) == (
        MoveState.REROUTE_PREPARING,
        "p2",
        "p3",
        "p3",
    )
    assert (after.tail, after.backend_name, after.max_pause_ms) == (None, None, 70)
    assert (after.progress, after.measured) == (MoveProgress(), MoveMeasurements(left=3))
    assert after.log[-1].reason == "an operator: onward to p3"
    assert len(await api.catalog.moves.find(limit=9)) == 1


async def test_an_order_back_to_where_writes_went_before_is_a_reverse(api):
    move = await stored(api, MoveState.DRAINING)
    response = await api.client.post("/v1/moves", json=ORDER | {"to": "p1"})
    assert response.status_code == 200, response.text
    after = await api.catalog.moves.get(move.id)
    assert (after.source, after.target, after.destination) == ("p1", "p2", "p1")
    assert after.log[-1].reason == "an operator: reverse to p1"


async def test_a_group_is_sent_on_as_one_or_not_at_all(api, monkeypatch):
    for queue, other in (("q", "r"), ("r", "q")):
        move = Move(f"m-{queue}", "a", queue, "p1", "p2", incarnation=BORN, group=(f"m-{other}",))
        await api.catalog.moves.insert(move)
        await enter(api.catalog, move, MoveState.DRAINING)
    dead = await api.catalog.placements.get(QueueKey("a", "r"))
    await api.catalog.placements.replace(replace(dead, epoch=dead.epoch + 1, group="q"))
    replace_move = SQLiteMoves.replace

    async def late(catalog, move, token):
        if move.id == "m-q" and move.state is MoveState.REROUTE_PREPARING:
            stored = await catalog.get("m-q")
            await replace_move(catalog, stored.entered(LogEntry(7.0, MoveState.RETIRED, "meanwhile")), None)
        await replace_move(catalog, move, token)

    monkeypatch.setattr(SQLiteMoves, "replace", late)
    response = await api.client.post("/v1/moves", json=ORDER | {"to": "p3"})
    await refused(response, 409, "Queue q is not moved: move m-q is cleaning-up by now.")
    assert (await api.catalog.moves.get("m-r")).state is MoveState.REROUTE_UNDOING


@pytest.mark.parametrize(
    ("state", "verb"),
    [(MoveState.PAUSED, "resume"), (MoveState.SUSPENDED, "resume"), (MoveState.DRAINING, "reverse")],
)
async def test_failures_before_an_order_do_not_count_after_it(api, state, verb):
    move = await stored(api, state)
    progress, measured = MoveProgress(failures=20), MoveMeasurements(waits="p2 is away", left=3)
    failed = replace(move, version=move.version + 1, progress=progress, measured=measured)
    await api.catalog.moves.replace(failed, None)
    assert (await api.client.post(f"/v1/moves/{move.id}/{verb}")).status_code == 200
    resumed = await api.catalog.moves.get(move.id)
    assert (resumed.progress, resumed.measured) == (MoveProgress(), MoveMeasurements(left=3))


async def test_a_pause_forgets_nothing(api):
    progress, measured = MoveProgress(failures=20), MoveMeasurements(waits="p2 is away")
    move = await stored(api, MoveState.ARMED, progress=progress, measured=measured)
    await api.client.post(f"/v1/moves/{move.id}/pause")
    paused = await api.catalog.moves.get(move.id)
    assert (paused.progress, paused.measured) == (progress, measured)


@pytest.mark.parametrize("state", [MoveState.REROUTE_PREPARING, MoveState.REROUTE_ARMED, MoveState.REROUTE_SEALING])
async def test_a_move_that_is_being_sent_on_is_not_reversed_by_that(api, state):
    move = await stored(api, MoveState.DRAINING)
    entry = LogEntry(6.0, state, "somehow")
    again = replace(move.entered(entry), tail=1)
    await api.catalog.moves.replace(replace(again, source="p2", target="p3", destination="p3"), None)
    description = await refused(await api.client.post(f"/v1/moves/{move.id}/reverse"), 409)
    assert description == f"Move {move.id} cannot be reversed: it is being sent on to p3; cancel that first."
    back = replace(again, version=again.version + 1, destination="p1")
    await api.catalog.moves.replace(back, None)
    response = await api.client.post(f"/v1/moves/{move.id}/reverse")
    assert (response.status_code, response.json()["version"]) == (200, back.version)


@pytest.fixture
def dies_at(monkeypatch):
    """Let the catalog fail at the next change of a move with the id that is put here."""
    failing, replace_move = [], SQLiteMoves.replace

    async def failed(catalog, move, token):
        if move.id in failing:
            failing.remove(move.id)
            raise CatalogUnavailable("away")
        await replace_move(catalog, move, token)

    monkeypatch.setattr(SQLiteMoves, "replace", failed)
    return failing


@pytest.mark.parametrize("asked", ["m-q", "m-r"])
@pytest.mark.parametrize("verb", ["pause", "reverse"])
async def test_a_decision_asked_for_again_reaches_whom_it_had_not_come_to(api, dies_at, asked, verb):
    await grouped(api, "r", None)
    dies_at.append("m-r")
    assert (await api.client.post(f"/v1/moves/m-q/{verb}")).status_code == 503
    follows = MoveState.SUSPENDED if verb == "pause" else MoveState.REROUTE_PREPARING
    assert (await api.catalog.moves.get("m-q")).state is follows
    assert (await api.catalog.moves.get("m-r")).state is MoveState.DRAINING
    assert (await api.client.post(f"/v1/moves/{asked}/{verb}")).status_code == 200
    moves = await api.catalog.moves.find(limit=9)
    assert {(m.state, m.version) for m in moves} == {(follows, moves[0].version)}
    assert verb == "pause" or {m.destination for m in moves} == {"p1"}


async def test_a_reverse_asked_for_again_turns_nobody_away_who_went_back_by_now(api):
    await grouped(api, "r", None)
    await api.client.post("/v1/moves/m-q/reverse")
    await enter(api.catalog, await api.catalog.moves.get("m-r"), MoveState.DRAINING)
    there = await api.catalog.moves.get("m-r")
    assert (await api.client.post("/v1/moves/m-q/reverse")).status_code == 200
    assert await api.catalog.moves.get("m-r") == there


@pytest.mark.parametrize("asked", ["q", "dead"])
async def test_an_order_onward_asked_for_again_reaches_whom_it_had_not_come_to(api, dies_at, asked):
    await grouped(api)
    dies_at.append("m-q")
    onward = ORDER | {"to": "p3"}
    assert (await api.client.post("/v1/moves", json=onward)).status_code == 503
    assert (await api.catalog.moves.get("m-dead")).state is MoveState.REROUTE_PREPARING
    for _ in range(2):
        response = await api.client.post("/v1/moves", json=onward | {"queue": asked})
        assert response.status_code == 200, response.text
        assert response.json()["moves"][0]["queue"] == asked
        moves = await api.catalog.moves.find(limit=9)
        assert {(m.state, m.destination) for m in moves} == {(MoveState.REROUTE_PREPARING, "p3")}
        assert len({m.version for m in moves}) == 1


async def grouped(api, other="dead", group="q"):
    """A queue and another of its group, as a rule its dead-letter queue, which were switched to p2."""
    if group is not None:
        await place(api.catalog, other, group=group)
    for queue, mate in (("q", other), (other, "q")):
        move = Move(f"m-{queue}", "a", queue, "p1", "p2", incarnation=BORN, group=(f"m-{mate}",))
        await api.catalog.moves.insert(move)
        await enter(api.catalog, move, MoveState.DRAINING)


@pytest.mark.parametrize("asked", ["m-q", "m-dead"])
async def test_a_group_that_cannot_be_reversed_whole_is_let_be(api, asked):
    await grouped(api)
    description = await refused(await api.client.post(f"/v1/moves/{asked}/reverse"), 409, f"Move {asked} cannot be ")
    assert "it takes dead letters, so it keeps its name" in description
    assert {m.state for m in await api.catalog.moves.find(limit=9)} == {MoveState.DRAINING}


async def test_a_reverse_that_cannot_be_is_409(api):
    move = await stored(api, MoveState.DRAINING)
    placement = await api.catalog.placements.get(move.key)
    await api.catalog.placements.replace(replace(placement, epoch=placement.epoch + 1, state=PlacementState.DELETING))
    await api.catalog.placements.remove(move.key, placement.epoch + 1, placement.incarnation)
    description = await refused(await api.client.post(f"/v1/moves/{move.id}/reverse"), 409)
    assert description == f"Move {move.id} cannot be reversed: the queue was deleted."


VERBS = {"pause": Event.PAUSE, "resume": Event.RESUME, "cancel": Event.CANCEL, "reverse": Event.REVERSE}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", MoveState)
async def test_what_the_table_does_not_allow_is_409_with_what_can_be_done_or_was_done_already(api, state, verb):
    move = await stored(api, state)
    response = await api.client.post(f"/v1/moves/{move.id}/{verb}")
    after = await api.catalog.moves.get(move.id)
    if VERBS[verb] in TABLE[state].next:
        assert response.status_code == 200
        assert after.version == move.version + 1
        return
    assert after == move
    if response.status_code == 200:
        return
    description = await refused(response, 409, f"Move {move.id} is {state}: it cannot be ")
    can = [word for word in VERBS if VERBS[word] in TABLE[state].next]
    if can:
        assert description.endswith(f"what can be done: {', '.join(can)}.")
    elif TABLE[state].holds_writes:
        assert "try again" in description
    else:
        assert state in FINISHED_STATES or "nothing can be done" in description


@pytest.mark.parametrize(("state", "verb"), [(MoveState.PAUSED, "pause"), (MoveState.UNDOING, "cancel")])
async def test_asking_again_is_no_mistake(api, state, verb):
    move = await stored(api, state)
    response = await api.client.post(f"/v1/moves/{move.id}/{verb}")
    assert (response.status_code, response.json()["version"]) == (200, move.version)


async def test_a_decision_is_for_the_whole_group(api):
    await place(api.catalog, "dead", group="q")
    await api.client.post("/v1/moves", json=ORDER)
    _, other = await api.catalog.moves.find(limit=9)
    response = await api.client.post(f"/v1/moves/{other.id}/cancel")
    assert response.status_code == 200
    assert {m.state for m in await api.catalog.moves.find(limit=9)} == {MoveState.UNDOING}


async def test_a_decision_that_meets_a_mover_is_made_on_what_is_there_then(api, monkeypatch):
    move = await ordered(api)
    real, met = SQLiteMoves.replace, []

    async def overtaken(self, changed, token):
        if not met:
            met.append(1)
            now = await self.get(changed.id)
            await real(self, now.entered(LogEntry(1.0, MoveState.PREPARING, "its turn came")), None)
        await real(self, changed, token)

    monkeypatch.setattr(SQLiteMoves, "replace", overtaken)
    response = await api.client.post(f"/v1/moves/{move['id']}/cancel")
    assert response.status_code == 200
    assert [e["state"] for e in response.json()["log"]] == ["preparing", "undoing"]


async def test_moves_are_listed_in_pages_and_filtered(api):
    await ordered(api)
    await ordered(api, queue="r", to="p3")
    await stored(api, MoveState.DONE, queue="z")

    async def listed(query):
        found, path = [], f"/v1/moves?limit=1&{query}"
        while True:
            document = (await api.client.get(path)).json()
            if not document["moves"]:
                assert document["links"] == []
                return sorted(m["queue"] for m in found)
            found += document["moves"]
            path = document["links"][0]["href"]

    assert await listed("") == ["q", "r", "z"]
    assert await listed("queue=q") == ["q"]
    assert await listed("project=a&partition=p3") == ["r"]
    assert await listed("project=-") == []
    assert await listed("state=unfinished") == ["q", "r"]
    assert await listed("state=finished") == await listed("state=done,void") == ["z"]
    assert await listed("state=queue-deleted,done") == ["z"]
    assert await listed("plan=none") == []


@pytest.mark.parametrize("query", ["state=moving", "limit=0", "project=id:", "queues=x"])
async def test_a_wrong_filter_is_named(api, query):
    await refused(await api.client.get(f"/v1/moves?{query}"), 400, query.partition("=")[0])


@pytest.mark.parametrize("verb", ["", "/certificate", "/pause"])
async def test_a_move_that_is_not_there(api, verb):
    method = "POST" if verb == "/pause" else "GET"
    await refused(await api.client.request(method, f"/v1/moves/m-0{verb}"), 404, "There is no move m-0.")


async def test_lists_are_whole_when_asked(api):
    await api.client.post("/v1/moves", json=ORDER)
    (short,) = (await api.client.get("/v1/moves")).json()["moves"]
    page = (await api.client.get("/v1/moves?whole=true&limit=1")).json()
    assert page["moves"] == [(await api.client.get(f"/v1/moves/{short['id']}")).json()]
    assert "whole=true" in page["links"][0]["href"]
    assert (await api.client.get("/v1/moves?whole=false")).json()["moves"] == [short]
    assert (await api.client.get("/v1/moves?whole=yes")).status_code == 400


async def test_a_certificate_is_there_when_the_move_is_done(api):
    move = await ordered(api)
    await refused(await api.client.get(f"/v1/moves/{move['id']}/certificate"), 404, f"Move {move['id']} is planned; ")
    found = await api.catalog.moves.get(move["id"])
    await api.catalog.moves.replace(replace(found, version=2, state=MoveState.DONE, certificate={"pause_ms": 12}), None)
    assert (await api.client.get(f"/v1/moves/{move['id']}/certificate")).json() == {"pause_ms": 12}


T = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize("state", MoveState)
def test_every_state_says_in_a_few_words_what_is_waited_for(state):
    move = Move("m", "a", "q", "p1", "p2", state, created=T)
    said = waits(move, T)
    if state in FINISHED_STATES:
        assert said is None
    else:
        assert 0 < len(said) < 80
        assert "{" not in said
        assert ". " not in said


def entered(state, reason, at=T, **more):
    return replace(Move("m", "a", "q", "p1", "p2", created=T), **more).entered(LogEntry(at, state, reason))


HELD = Holder("w", 1, T)


@pytest.mark.parametrize(
    ("move", "said"),
    [
        # The result and the time of a look.
        (
            entered(MoveState.DRAINING, "switched", measured=MoveMeasurements(waits="3 free", looked_at=T + 7)),
            "3 free (seen at 2023-11-14T22:13:27Z)",
        ),
        (
            entered(
                MoveState.DRAINING,
                "switched",
                measured=MoveMeasurements(waits="for the end of a deletion", looked_at=T + 7),
            ),
            "for the end of a deletion",
        ),
        # A failure, the next attempt, and no mover to make it.
        (
            entered(MoveState.PLANNED, "p2 is away", measured=MoveMeasurements(waits="p2 is away"), due=T + 3600),
            "p2 is away (seen at 2023-11-14T22:13:20Z); the next step is at 2023-11-14T23:13:20Z",
        ),
        (
            entered(MoveState.PLANNED, "p2 is away", measured=MoveMeasurements(waits="p2 is away"), due=T + 10),
            "p2 is away (seen at 2023-11-14T22:13:20Z); no mover has taken it up since 2023-11-14T22:13:30Z",
        ),
        (
            Move("m", "a", "q", "p1", "p2", created=T),
            "for a mover to begin it; no mover has taken it up since 2023-11-14T22:13:20Z",
        ),
        # A healthy mover between two steps, or at one.
        (Move("m", "a", "q", "p1", "p2", created=T + 950), "for a mover to begin it"),
        (Move("m", "a", "q", "p1", "p2", created=T, holder=HELD), "for a mover to begin it"),
        (entered(MoveState.PLANNED, "ordered", measured=MoveMeasurements(waits="p2 has 4 moves")), "p2 has 4 moves"),
        (entered(MoveState.DRAINING, "switched"), "until consumers have emptied the older segments"),
        # An operator, or too many failures.
        (entered(MoveState.PAUSED, "an operator: pause"), "for an operator to resume or cancel it"),
        (
            entered(MoveState.PAUSED, "failed 20 times", measured=MoveMeasurements(waits="p2 is away"), due=T + 3600),
            "for an operator to resume or cancel it: failed 20 times",
        ),
    ],
)
def test_why_it_is_not_done(move, said):
    assert waits(move, T + 1000) == said
