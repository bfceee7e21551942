"""Plans: made from a selection, shown, applied exactly so or refused, paused and stopped."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from catalog.errors import CatalogUnavailable, PlanConflict
from catalog.model import MoveState, PartitionState, PlanState, Progress, QueueKey, Tenant, WholePlan
from catalog.sqlite.partitions import SQLitePartitions
from catalog.sqlite.plans import SQLitePlans
from catalog.sqlite.tenants import SQLiteTenants
from marconi_proxy.moving.plans.executor import PlanExecutor
from marconi_proxy.moving.plans.survey import whole_plan
from tests.contract.plan_stage import Clock, enter, furnish, place
from tests.unit.admin_api import admin_api
from tests.unit.catalog_stage import BORN

TENANT = {"kind": "tenant", "project": "a", "to": ["p2"]}
DRAIN = {"kind": "drain", "partition": "p1"}


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path) as api:
        await furnish(api.catalog, ["q", "r"], ("p1", "p2", "p3"))
        await api.catalog.tenants.put(Tenant("a", spread=3))
        yield api


async def made(api, body=TENANT, **members):
    response = await api.client.post("/v1/plans", json=body | members)
    assert response.status_code == 201, response.text
    return response.json()


async def refused(response, status, start=""):
    assert response.status_code == status, response.text
    description = response.json()["description"]
    assert description.startswith(start), description
    return description


async def apply(api, document):
    plan = document["plan"]
    return await api.client.post(f"/v1/plans/{plan['id']}/apply", json={"hash": plan["hash"]})


def executor(api):
    return PlanExecutor(api.catalog, clock=Clock(), monotonic=Clock(), longest=4)


async def test_a_plan_is_made_stored_and_shown_with_what_will_happen(api):
    response = await api.client.post("/v1/plans", json=TENANT | {"budgets": {"max_pause_ms": 500}})
    document = response.json()
    plan, summary = document["plan"], document["summary"]
    assert response.headers["location"] == f"/v1/plans/{plan['id']}"
    assert re.fullmatch(r"\d{8}T\d{6}-p[0-9a-f]{6}", plan["id"])
    assert [(m["queue"], m["source"], m["target"]) for m in plan["moves"]] == [("q", "p1", "p2"), ("r", "p1", "p2")]
    assert (summary["from"], summary["to"], summary["projects"]) == ({"p1": 2}, {"p2": 2}, 1)
    assert (summary["moves"], summary["waiting"], summary["state"]) == (2, 2, "planned")
    assert summary["pause"] == {"at_most_ms": 2000.0, "attempt_ms": 500, "measured": None}
    assert (summary["budgets"]["at_once"], summary["budgets"]["max_pause_ms"]) == (4, 500)
    assert WholePlan.from_json(plan) == await whole_plan(api.catalog, await api.catalog.plans.get(plan["id"]))
    assert (await api.client.get(f"/v1/plans/{plan['id']}")).json() == document
    assert await api.catalog.moves.find(limit=1) == []


async def test_what_past_moves_measured_is_said(api):
    document = await made(api)
    await apply(api, document)
    await executor(api).round()
    for move, pause in zip(await api.catalog.moves.find(limit=9), (10.0, 30.0), strict=True):
        await enter(api.catalog, move, MoveState.DONE, pause_ms=pause)
    document = await made(api, DRAIN | {"partition": "p2"})
    assert document["summary"]["pause"] == {
        "at_most_ms": 2000.0,
        "attempt_ms": 1500.0,
        "measured": {"count": 2, "median_ms": 20.0, "p99_ms": 30.0, "longest_ms": 30.0},
    }


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (DRAIN, 2),
        (DRAIN | {"to": ["p3"]}, 2),
        ({"kind": "evacuate", "region": "eu"}, 2),
        ({"kind": "rebalance"}, 1),
    ],
)
async def test_every_kind_of_plan(api, body, count):
    partition = await api.catalog.partitions.get("p1")
    await api.catalog.partitions.replace(replace(partition, region="eu", version=partition.version + 1))
    document = await made(api, body)
    assert document["summary"]["moves"] == count
    assert (await apply(api, document)).status_code == 200


@pytest.mark.parametrize(
    ("body", "start"),
    [
        ({}, "kind: "),
        ({"kind": "all"}, "kind: "),
        ({"kind": "tenant", "to": ["p2"]}, "project: is needed"),
        ({"kind": "tenant", "project": "a"}, "to: a tenant goes to exactly one partition"),
        (TENANT | {"project": ""}, "project: "),
        (TENANT | {"to": "p2"}, "to: must be an array"),
        (TENANT | {"to": ["p9"]}, "to: there is no partition p9"),
        ({"kind": "drain"}, "partition: is needed"),
        (DRAIN | {"partition": "p9"}, "partition: there is no partition p9"),
        (DRAIN | {"region": "eu"}, "region: has no meaning"),
        ({"kind": "evacuate", "region": "eu"}, "region: no partition is in region eu"),
        ({"kind": "evacuate", "region": 7}, "region: "),
        (DRAIN | {"budgets": []}, "budgets: must be an object"),
        (DRAIN | {"budgets": {"at_once": 0}}, "budgets.at_once: "),
        (DRAIN | {"budgets": {"window": "soon"}}, "budgets.window: "),
        (DRAIN | {"budget": {}}, "budget: there is no such member"),
        (DRAIN | {"repin": 7}, "repin: must be the name of a partition"),
        (DRAIN | {"repin": "p1"}, "repin: partition p1 is not one that is to take queues"),
        ({"kind": "rebalance", "repin": "p2"}, "repin: "),
        (DRAIN | {"break_pins": "yes"}, "break_pins: must be true or false"),
    ],
)
async def test_a_wrong_selection_names_the_member_at_fault(api, body, start):
    await refused(await api.client.post("/v1/plans", json=body), 400, start)
    assert await api.catalog.plans.find(limit=1) == []


async def test_a_plan_that_would_break_pins_is_409_and_names_the_tenants_and_the_ways_out(api):
    await api.catalog.tenants.put(Tenant("a", pinned="p1"))
    await api.catalog.tenants.put(Tenant("Gr\u00c3\u00bc", pinned="p1"))
    for body in (DRAIN, {"kind": "rebalance"}, TENANT):
        description = await refused(
            await api.client.post("/v1/plans", json=body), 409, "Pins and spreads are in the way"
        )
        assert "tenant a is pinned to p1" in description
        assert ("tenant Gr\u00fc is pinned to p1" in description) == (body is DRAIN)
        assert description.endswith("--break-pins to move the queues all the same. Nothing was changed.")
    assert await api.catalog.plans.find(limit=1) == []
    document = await made(api, {"kind": "rebalance", "break_pins": True})
    assert document["summary"]["broken"] == [{"project": "a", "reason": "is pinned to p1"}]
    assert (document["summary"]["broken_count"], document["summary"]["kept_count"]) == (1, 0)


async def test_tenants_are_pinned_elsewhere_when_the_plan_is_applied(api):
    for project in ("a", "", "b"):
        await api.catalog.tenants.put(Tenant(project, spread=2, pinned="p1"))
    await api.catalog.tenants.put(Tenant("c", pinned="p2"))
    document = await made(api, DRAIN | {"repin": "p3"})
    assert document["summary"]["repin"] == "p3"
    assert {m["target"] for m in document["plan"]["moves"]} == {"p3"}
    assert await api.catalog.tenants.get("a") == Tenant("a", spread=2, pinned="p1")
    assert (await apply(api, document)).json()["repinned"] == 3
    assert await api.catalog.tenants.find(pinned="p1", limit=9) == []
    assert await api.catalog.tenants.get("a") == Tenant("a", spread=2, pinned="p3")
    assert (await api.catalog.tenants.get("c")).pinned == "p2"


async def test_an_apply_that_is_overtaken_changes_nothing(api, monkeypatch):
    await api.catalog.tenants.put(Tenant("a", pinned="p1"))
    document = await made(api, DRAIN | {"repin": "p3"})
    real = SQLitePlans.replace

    async def overtaken(self, plan):
        monkeypatch.setattr(SQLitePlans, "replace", real)
        assert (await api.client.post(f"/v1/plans/{plan.id}/stop")).status_code == 200
        await real(self, plan)

    monkeypatch.setattr(SQLitePlans, "replace", overtaken)
    await refused(await apply(api, document), 409, f"Plan {document['plan']['id']} is stopped: it cannot be applied")
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.ENABLED
    assert (await api.catalog.tenants.get("a")).pinned == "p1"


@pytest.mark.parametrize(("noun", "verb"), [(SQLitePartitions, "replace"), (SQLiteTenants, "change")])
async def test_an_apply_that_was_broken_off_is_made_up_for_by_another(api, monkeypatch, noun, verb):
    for project in ("a", "b"):
        await api.catalog.tenants.put(Tenant(project, pinned="p1"))
    document = await made(api, DRAIN | {"repin": "p3"})

    async def away(*_, **__):
        raise CatalogUnavailable("it is away")

    with monkeypatch.context() as patch:
        patch.setattr(noun, verb, away)
        assert (await apply(api, document)).status_code == 503
    assert (await api.catalog.plans.get(document["plan"]["id"])).state is PlanState.RUNNING
    for repinned in (2, 0):
        found = (await apply(api, document)).json()
        assert (found["state"], found["repinned"]) == ("running", repinned)
        assert (await api.catalog.partitions.get("p1")).state is PartitionState.CORDONED
        assert [t.project for t in await api.catalog.tenants.find(pinned="p3", limit=9)] == ["a", "b"]


async def test_a_plan_that_breaks_a_pin_of_since_is_refused(api):
    document = await made(api, DRAIN)
    await api.catalog.tenants.put(Tenant("z", pinned="p1"))
    assert "tenant z is pinned to p1" in await refused(await apply(api, document), 409)


async def test_a_plan_that_breaks_a_spread_of_since_is_refused(api):
    for number in range(9):
        await place(api.catalog, f"z{number}")
    document = await made(api, DRAIN)
    assert {m["target"] for m in document["plan"]["moves"]} == {"p2", "p3"}
    await api.catalog.tenants.change("a", members={"spread": 1})
    assert re.search(r"tenant a keeps to p[23] \(spread 1\)\. Make", await refused(await apply(api, document), 409))
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.ENABLED


async def test_nothing_to_move_is_409(api):
    await refused(await api.client.post("/v1/plans", json=TENANT | {"to": ["p1"]}), 409, "There is nothing to move")


async def test_an_applied_plan_runs_and_is_done(api):
    document = await made(api)
    response = await apply(api, document)
    assert (response.status_code, response.json()["state"]) == (200, "running")
    assert (await apply(api, document)).json()["state"] == "running"
    await executor(api).round()
    path = f"/v1/plans/{document['plan']['id']}/progress"
    progress = (await api.client.get(path)).json()
    assert (progress["begun"], progress["waiting"], progress["switched"]) == (2, 0, 0)
    assert progress["states"] == {"planned": 2}
    one, other = await api.catalog.moves.find(plan=document["plan"]["id"], limit=9)
    await enter(api.catalog, one, MoveState.DRAINING, pause_ms=12.0, facts={"left": 41})
    await enter(api.catalog, other, MoveState.PAUSED, "it failed 20 times")
    await executor(api).round()
    progress = (await api.client.get(path)).json()
    assert (progress["switched"], progress["left"], progress["states"]) == (1, 41, {"draining": 1})
    assert progress["pause"] == {"count": 1, "median_ms": 12.0, "p99_ms": 12.0, "longest_ms": 12.0}
    assert progress["ended"]["failed"] == 1
    assert progress["problems"] == [{"project": "a", "queue": "r", "outcome": "failed", "reason": "it failed 20 times"}]
    one = await api.catalog.moves.get(one.id)
    await enter(api.catalog, one, MoveState.DONE)
    progress = (await api.client.get(path)).json()
    assert (progress["switched"], progress["states"]) == (1, {}), "not settled yet, and switched all the same"
    await executor(api).round()
    progress = (await api.client.get(path)).json()
    assert (progress["state"], progress["switched"], progress["left"]) == ("done", 1, 0)
    await refused(await apply(api, document), 409, f"Plan {document['plan']['id']} is not applied: it is done")


async def test_only_the_plan_that_was_shown_is_applied(api):
    document = await made(api)
    path = f"/v1/plans/{document['plan']['id']}/apply"
    await refused(await api.client.post(path, json={}), 400, "hash: ")
    await refused(await api.client.post(path, json={"hash": "0" * 64}), 409, f"Plan {document['plan']['id']} is not")
    await refused(await api.client.post(path, json={"hash": "x", "force": True}), 400, "force: ")
    assert (await api.catalog.plans.get(document["plan"]["id"])).state is PlanState.PLANNED


async def test_a_plan_whose_ground_has_changed_is_refused_and_says_what_has(api):
    document = await made(api)
    await api.catalog.placements.remove(QueueKey("a", "q"), 1, BORN)
    target = await api.catalog.partitions.get("p2")
    await api.catalog.partitions.replace(replace(target, state=PartitionState.CORDONED, version=target.version + 1))
    description = await refused(await apply(api, document), 409)
    assert "partition p2 takes no more queues; queue a/q is not on p1 any more; queue a/r: partition p2" in description
    assert description.endswith("Make a new one. Nothing was changed.")
    assert (await api.catalog.plans.get(document["plan"]["id"])).state is PlanState.PLANNED


async def test_of_many_changes_the_first_are_named(api):
    for number in range(9):
        await place(api.catalog, f"z{number}")
    document = await made(api)
    for number in range(9):
        await api.catalog.placements.remove(QueueKey("a", f"z{number}"), 1, BORN)
    assert "queue a/z4 is not on p1 any more; and 4 more. Make" in await refused(await apply(api, document), 409)


async def test_a_partition_takes_no_new_queues_before_it_is_drained(api):
    document = await made(api, DRAIN)
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.ENABLED
    assert (await apply(api, document)).status_code == 200
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.CORDONED


async def test_a_tenants_old_partition_goes_on_taking_queues(api):
    await apply(api, await made(api))
    assert (await api.catalog.partitions.get("p1")).state is PartitionState.ENABLED


@pytest.mark.parametrize(
    ("verbs", "state"),
    [
        (["pause"], "paused"),
        (["pause", "pause"], "paused"),
        (["pause", "resume"], "running"),
        (["stop"], "stopped"),
        (["pause", "stop", "stop"], "stopped"),
    ],
)
async def test_a_running_plan_is_paused_resumed_and_stopped(api, verbs, state):
    document = await made(api)
    await apply(api, document)
    for verb in verbs:
        response = await api.client.post(f"/v1/plans/{document['plan']['id']}/{verb}")
        assert response.status_code == 200, response.text
    assert response.json()["state"] == state


@pytest.mark.parametrize(
    ("state", "verb", "hint"),
    [
        (PlanState.PLANNED, "pause", "it was not applied"),
        (PlanState.PLANNED, "resume", "it was not applied"),
        (PlanState.STOPPED, "resume", "make a new one"),
        (PlanState.DONE, "stop", "is done"),
    ],
)
async def test_what_cannot_be_done_with_a_plan_now(api, state, verb, hint):
    document = await made(api)
    plan = await api.catalog.plans.get(document["plan"]["id"])
    if state is not PlanState.PLANNED:
        await api.catalog.plans.replace(replace(plan, state=state, version=2))
    assert hint in await refused(await api.client.post(f"/v1/plans/{plan.id}/{verb}"), 409, f"Plan {plan.id} is ")


async def test_a_decision_that_meets_an_executor_is_made_on_what_is_there_then(api, monkeypatch):
    document = await made(api)
    await apply(api, document)
    real, met = SQLitePlans.replace, []

    async def overtaken(self, plan):
        if not met:
            met.append(1)
            now = await self.get(plan.id)
            changed = replace(now, version=now.version + 1, progress=Progress().with_begun([0], 0.0))
            await real(self, changed)
            raise PlanConflict(plan.id, changed)
        await real(self, plan)

    monkeypatch.setattr(SQLitePlans, "replace", overtaken)
    assert (await api.client.post(f"/v1/plans/{document['plan']['id']}/stop")).json()["begun"] == 1


async def test_plans_are_listed_in_pages(api):
    first, second = await made(api), await made(api, DRAIN)
    await apply(api, second)
    ids = sorted(document["plan"]["id"] for document in (first, second))
    document = (await api.client.get("/v1/plans?limit=1")).json()
    assert [p["id"] for p in document["plans"]] == ids[:1]
    assert [p["id"] for p in (await api.client.get(document["links"][0]["href"])).json()["plans"]] == ids[1:]
    (running,) = (await api.client.get("/v1/plans?state=running,paused")).json()["plans"]
    assert (running["id"], running["title"], running["moves"]) == (second["plan"]["id"], "drain partition p1", 2)
    await refused(await api.client.get("/v1/plans?state=going"), 400, "state: ")
    assert (await api.client.get("/v1/plans?marker=zzz")).json() == {"plans": [], "links": []}


@pytest.mark.parametrize(("method", "verb"), [("GET", ""), ("GET", "/progress"), ("POST", "/apply"), ("POST", "/stop")])
async def test_a_plan_that_is_not_there(api, method, verb):
    body = {"json": {"hash": "x"}} if method == "POST" else {}
    await refused(await api.client.request(method, f"/v1/plans/none{verb}", **body), 404, "There is no plan none.")
