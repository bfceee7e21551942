"""Which queues go where, and what a plan relies on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.model import MoveState, Placement, PlacementState, Tenant, WholePlan
from marconi_proxy.moving.orders.groups import on_one_partition
from marconi_proxy.moving.orders.order import MoveRefused, takes
from marconi_proxy.moving.plans import draft
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.layout import Layout, shares
from marconi_proxy.moving.plans.planner import plan
from marconi_proxy.moving.plans.preconditions import changes
from marconi_proxy.moving.plans.selection import PlanKind, Selection, sources
from marconi_proxy.routing.choice import home_set
from tests.unit.catalog_stage import partition
from tests.unit.move_examples import catalog_view, cordoned, move, partitions, queue


def layout(placements, parts=None, *, moves=(), counts=None, tenants=()):
    placements = list(placements)
    parts = parts or partitions()
    counted = Counter(dict.fromkeys(parts, 0)) | Counter(p.partition for p in placements)
    return Layout(catalog_view(placements, parts, moves), counts or counted, {t.project: t for t in tenants})


def planned(selection, found, budgets=Budgets()):  # noqa: B008
    return plan(selection, found, budgets, plan_id="plan-1", created=5.0)


def targets(made):
    return {move.queue: move.target for move in made.moves}


DRAIN = Selection(PlanKind.DRAIN, "p1")
REBALANCE = Selection(PlanKind.REBALANCE)


def wide(*projects):
    """Return tenants with queues that may be on all partitions."""
    return [Tenant(project, spread=9) for project in projects or "abc"]


def test_a_tenant_goes_to_one_partition_from_all_others():
    placements = [queue("a"), queue("b", "p3"), queue("c", "p2"), queue("d", project="other")]
    made = planned(Selection(PlanKind.TENANT, "a", ("p2",)), layout(placements))
    assert {(m.queue, m.source, m.target) for m in made.moves} == {("a", "p1", "p2"), ("b", "p3", "p2")}
    assert (made.plan.title, made.plan.created, made.plan.id) == ("move tenant a to p2", 5.0, "plan-1")


def test_a_plan_says_what_it_relies_on_and_how_gently_it_goes():
    made = planned(DRAIN, layout([queue("q"), queue("dead", group="q")]), Budgets(at_once=2, window="01:00-02:00"))
    assert made.plan.budgets["at_once"] == 2
    assert made.plan.budgets["window"] == "01:00-02:00"
    assert made.preconditions["selection"] == {"kind": "drain", "subject": "p1", "to": []}
    assert made.preconditions["groups"] == [[0, 1]]
    assert len(made.preconditions["born"]) == len(made.moves) == 2
    assert [p["name"] for p in made.preconditions["partitions"]] == ["p1", made.moves[0].target]


def test_dead_letter_queues_go_before_what_may_be_another_source_of_them():
    made = planned(DRAIN, layout([queue("another"), queue("dead", group="q"), queue("q"), queue("z", project="b")]))
    assert [m.queue for m in made.moves] == ["dead", "q", "another", "z"]
    assert made.preconditions["groups"] == [[0, 1]]


def test_the_hash_is_of_all_that():
    made = planned(DRAIN, layout([queue("q")]))
    assert planned(DRAIN, layout([queue("q")])).plan.hash == made.plan.hash
    document = made.to_json()
    for name, value in [
        ("budgets", {**made.plan.budgets, "at_once": 5}),
        ("preconditions", {**made.preconditions, "born": ["ffff"]}),
        ("moves", [{**document["moves"][0], "target": "p9"}]),
        ("title", "another"),
        ("id", "plan-2"),
    ]:
        with pytest.raises(ValueError, match=r"^hash: "):
            WholePlan.from_json({**document, name: value})


def test_a_drained_partition_is_spread_by_weight_over_those_that_take_queues():
    parts = partitions("p1", p2=partition("p2", weight=300), p3=partition("p3"), p4=cordoned("p4"))
    projects = [f"t{n:02}" for n in range(40)]
    made = planned(DRAIN, layout((queue("q", project=p) for p in projects), parts, tenants=wide(*projects)))
    assert Counter(m.target for m in made.moves) == {"p2": 30, "p3": 10}


def test_who_has_much_already_gets_less():
    projects = [f"t{n:02}" for n in range(10)]
    found = [queue("q", project=project) for project in projects]
    made = planned(DRAIN, layout(found, counts={"p1": 10, "p2": 6, "p3": 0}, tenants=wide(*projects)))
    assert Counter(m.target for m in made.moves) == {"p3": 8, "p2": 2}


def test_a_tenant_that_does_not_spread_is_kept_together():
    found = [queue(f"q{n:02}", project="a") for n in range(10)] + [queue(f"q{n:02}", project="b") for n in range(10)]
    made = planned(DRAIN, layout(found))
    assert len({(m.project, m.target) for m in made.moves}) == 2


def test_only_partitions_that_are_named_and_are_not_emptied_themselves():
    made = planned(Selection(PlanKind.DRAIN, "p1", ("p3", "p1")), layout([queue("a"), queue("b")]))
    assert set(targets(made).values()) == {"p3"}


def test_a_pinned_tenant_goes_where_it_is_pinned():
    found = [queue("a"), queue("b")]
    made = planned(DRAIN, layout(found, counts={"p1": 2, "p2": 0, "p3": 99}, tenants=[Tenant("a", pinned="p3")]))
    assert set(targets(made).values()) == {"p3"}


def test_who_does_not_speak_what_the_queue_may_need_gets_none():
    parts = partitions("p1", "p3", p2=partition("p2", versions=("v2",), weight=1000))
    assert set(targets(planned(DRAIN, layout([queue("a"), queue("b")], parts))).values()) == {"p3"}


def test_a_region_is_left_by_all_its_partitions():
    parts = partitions("p3", p1=replace(partition("p1"), region="eu"), p2=replace(partition("p2"), region="eu"))
    selection = Selection(PlanKind.EVACUATE, "eu")
    assert sources(selection, parts, {}) == ("p1", "p2")
    made = planned(selection, layout([queue("a"), queue("b", "p2")], parts))
    assert targets(made) == {"a": "p3", "b": "p3"}
    assert made.preconditions["emptied"] == ["p1", "p2"]


def test_queues_that_cannot_go_are_left_out_with_the_reason():
    found = [
        queue("gone", state=PlacementState.DELETING),
        queue("busy", "p1", move="m-busy"),
        queue("dead", project="b", group="q"),
        queue("q", project="b", state=PlacementState.CREATING),
        queue("fine"),
        queue("leaving", "p1", "p2", project="c", move="m0"),
    ]
    made = planned(DRAIN, layout(found, moves=[move("busy", MoveState.ARMED)]))
    assert list(targets(made)) == ["fine"]
    left = {entry["queue"]: entry["reason"] for entry in made.preconditions["left_out"]}
    assert left["gone"] == "it is being deleted"
    assert "m-busy to p2 is still armed" in left["busy"]
    assert left["dead"] == left["q"] == "q, with which it must stay: it is being created; try again when it is there"
    assert left["leaving"] == "its writes go to p2 already; consumers have to empty what is left of it"
    assert made.preconditions["left_out_count"] == 5


@pytest.mark.parametrize(
    ("selection", "count"),
    [(DRAIN, 9), (Selection(PlanKind.TENANT, "a", ("p2",)), 8), (Selection(PlanKind.REBALANCE), 4)],
)
def test_what_a_plan_has_no_room_for_is_left_for_the_next(selection, count, monkeypatch):
    monkeypatch.setattr(draft, "MAX_PLANNED_MOVES", 4)
    found = [queue(f"q{n}") for n in range(12)]
    if selection is DRAIN:
        # Left out for good: named before those that only wait.
        found.append(queue("z", "p1", "p2", move="m0"))
    made = planned(selection, layout(found, tenants=wide()))
    assert len(made.moves) == 4
    left = [entry["reason"] for entry in made.preconditions["left_out"]]
    assert made.preconditions["left_out_count"] == len(left) == count
    assert "when this plan is done, the same command again" in left[-1]
    assert ("its writes go to p2 already" in left[0]) == (selection is DRAIN)


def test_a_group_goes_into_one_plan_or_into_none(monkeypatch):
    monkeypatch.setattr(draft, "MAX_PLANNED_MOVES", 3)
    group = [queue("q", project="b"), *(queue(f"dead{n}", project="b", group="q") for n in range(2))]
    made = planned(DRAIN, layout([queue("a"), queue("c", project="c"), *group]))
    assert (list(targets(made)), made.preconditions["left_out_count"]) == (["a", "c"], 3)
    assert len(planned(DRAIN, layout(group)).moves) == 3
    monkeypatch.setattr(draft, "MAX_PLANNED_MOVES", 2)
    with pytest.raises(MoveRefused, match="3 queues must stay together, and a plan has at most 2"):
        planned(DRAIN, layout(group))


def test_a_place_kept_for_a_dead_letter_queue_goes_with_its_source():
    found = [queue("q"), queue("kept", group="q", state=PlacementState.RESERVED)]
    assert len({m.target for m in planned(DRAIN, layout(found)).moves}) == 1
    assert len(planned(DRAIN, layout(found)).moves) == 2


@pytest.mark.parametrize(
    ("selection", "found", "reason"),
    [
        (Selection(PlanKind.DRAIN, "p9"), layout([]), "^partition: there is no partition p9"),
        (Selection(PlanKind.DRAIN, "p1", ("p9",)), layout([]), "^to: there is no partition p9"),
        (Selection(PlanKind.EVACUATE, "x"), layout([]), "^region: no partition is in region x"),
        (Selection(PlanKind.TENANT, "a"), layout([]), "^to: a tenant goes to exactly one"),
        (Selection(PlanKind.TENANT, "a", ("p1", "p2")), layout([]), "^to: a tenant goes to exactly one"),
        (Selection(PlanKind.TENANT, "a", ("p1",)), layout([queue("q")]), "nothing to move$"),
        (DRAIN, layout([]), "nothing to move$"),
        (DRAIN, layout([queue("q")], partitions("p1")), "no partition left"),
        (DRAIN, layout([queue("q", state=PlacementState.CREATING)]), "nothing to move; a/q: it is being created"),
        (
            Selection(PlanKind.TENANT, "a", ("p2",)),
            layout([queue("q")], partitions("p1", p2=cordoned("p2"))),
            "cordoned",
        ),
        (Selection(PlanKind.REBALANCE), layout([queue("q")], partitions("p1")), "fewer than two"),
        (
            Selection(PlanKind.REBALANCE),
            layout([queue("a"), queue("b", "p2")], partitions("p1", "p2")),
            "nothing to move",
        ),
    ],
)
def test_what_cannot_be_planned_says_why(selection, found, reason):
    with pytest.raises(MoveRefused, match=reason):
        planned(selection, found)


def test_rebalancing_moves_what_is_too_much():
    found = [queue(f"q{n:02}") for n in range(12)]
    made = planned(REBALANCE, layout(found, tenants=wide()))
    assert Counter(m.target for m in made.moves) == {"p2": 4, "p3": 4}


def test_rebalancing_twice_moves_nothing_more():
    parts = {name: partition(name, weight=weight) for name, weight in (("p1", 2), ("p2", 2), ("p3", 2), ("p4", 50))}
    goals = shares(parts, {"p1": 7})
    assert goals == {"p1": 1, "p2": 0, "p3": 0, "p4": 6}
    assert shares(parts, goals) == goals, "of equal remainders, the same partition has the one that is left over"


def test_rebalancing_leaves_alone_who_takes_no_queues():
    parts = partitions("p1", "p2", p3=partition("p3", weight=0), p4=cordoned("p4"))
    found = [queue(f"q{n}", "p3") for n in range(3)] + [queue(f"r{n}", "p4") for n in range(3)] + [queue("s")]
    with pytest.raises(MoveRefused, match="nothing to move"):
        planned(Selection(PlanKind.REBALANCE), layout(found, parts))


def test_rebalancing_leaves_nothing_out_if_others_go_instead():
    stuck = queue("a", state=PlacementState.CREATING)
    made = planned(Selection(PlanKind.REBALANCE), layout([stuck, queue("b")], partitions("p1", "p2"), tenants=wide()))
    assert (list(targets(made)), made.preconditions["left_out_count"]) == (["b"], 0)
    more = [queue("b", state=PlacementState.CREATING), queue("c")]
    late = queue("d", state=PlacementState.CREATING)
    found = layout([stuck, *more, late], partitions("p1", "p2"), tenants=wide())
    assert planned(Selection(PlanKind.REBALANCE), found).preconditions["left_out_count"] == 3


NAMES = ("p1", "p2", "p3", "p4")
WEIGHTS = st.fixed_dictionaries({name: st.sampled_from([0, 1, 2, 50, 100]) for name in NAMES})
PLACEMENTS = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from("cdefghijkl")),
    st.tuples(st.sampled_from(NAMES), st.none() | st.sampled_from("cdef")),
    max_size=20,
)


def drawn_layout(weights: dict[str, int], drawn: dict[tuple[str, str], tuple[str, str | None]]) -> Layout:
    parts = {name: partition(name, weight=weight) for name, weight in weights.items()}
    placements: list[Placement] = []
    for (project, name), (where, group) in drawn.items():
        # A dead-letter queue is on the partition of the queue that it belongs to.
        home = drawn.get((project, group), (where,))[0] if group else where
        placements.append(queue(name, home, project=project, group=group if home == where else None))
    return layout(placements, parts, tenants=wide())


def distance(counts: dict[str, int], goals: dict[str, int]) -> int:
    return sum(abs(counts[name] - goal) for name, goal in goals.items())


@given(WEIGHTS, PLACEMENTS, st.sampled_from([PlanKind.REBALANCE, PlanKind.DRAIN, PlanKind.TENANT]))
def test_every_plan_names_each_queue_once_keeps_groups_together_and_is_the_same_again(weights, drawn, kind):
    selection = {
        PlanKind.REBALANCE: Selection(PlanKind.REBALANCE),
        PlanKind.DRAIN: DRAIN,
        PlanKind.TENANT: Selection(PlanKind.TENANT, "a", ("p2",)),
    }[kind]
    found = drawn_layout(weights, drawn)
    try:
        made = planned(selection, found)
    except MoveRefused:
        return
    assert planned(selection, drawn_layout(weights, dict(reversed(drawn.items())))) == made
    where = {p.key: p.partition for p in found.view.placements.values()}
    goes = {m.key: m.target for m in made.moves}
    assert len(goes) == len(made.moves)
    for one in made.moves:
        assert one.source == where[one.key]
        assert takes(found.view.partitions[one.target])
    for unit in on_one_partition(found.view.placements.values()):
        assert len({goes.get(p.key, p.partition) for p in unit}) == 1
    assert changes(made, found) == []


@example({"p1": 2, "p2": 2, "p3": 2, "p4": 50}, {("a", name): ("p1", None) for name in "bcdefgh"})
@given(WEIGHTS, PLACEMENTS)
def test_rebalancing_comes_closer_by_as_much_as_it_moves_and_then_has_nothing_left_to_do(weights, drawn):
    found = drawn_layout(weights, drawn)
    goals = shares(found.view.partitions, found.counts)
    before = distance(found.counts, goals)
    try:
        made = planned(Selection(PlanKind.REBALANCE), found)
    except MoveRefused:
        return
    # Every move takes one off a surplus and one off a lack: no smaller set comes as close.
    after = Counter(found.counts)
    for one in made.moves:
        after[one.source] -= 1
        after[one.target] += 1
    assert distance(after, goals) == before - 2 * len(made.moves)
    goes = {m.key: m.target for m in made.moves}
    moved = [
        queue(p.queue, goes.get(p.key, p.partition), project=p.project, group=p.group)
        for p in found.view.placements.values()
    ]
    # As long as groups keep it from its goals, those of equal remainders may go to others the next time.
    if distance(after, goals) == 0:
        with pytest.raises(MoveRefused, match="nothing to move"):
            planned(Selection(PlanKind.REBALANCE), layout(moved, found.view.partitions, tenants=wide()))


@given(WEIGHTS, st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1000)))
def test_shares_are_whole_queues_by_weight_and_add_up(weights, counts):
    parts = {name: partition(name, weight=weight) for name, weight in weights.items()}
    goals = shares(parts, counts)
    taking = [name for name in NAMES if weights[name]]
    assert list(goals) == taking
    total, all_weights = sum(counts.get(name, 0) for name in taking), sum(weights.values())
    assert sum(goals.values()) == (total if taking else 0)
    for name, goal in goals.items():
        assert abs(goal - total * weights[name] / all_weights) < 1


# -- pins and spreads --------------------------------------------------------------------------------------------------


def homes(project, spread, parts=None):
    return {p.name for p in home_set(project, (parts or partitions()).values(), spread)}


def test_rebalancing_leaves_a_pinned_tenant_where_it_is():
    found = [queue(f"q{n}") for n in range(9)] + [queue(f"r{n}", project="b") for n in range(3)]
    made = planned(REBALANCE, layout(found, tenants=[Tenant("a", pinned="p1", spread=9), *wide("b")]))
    assert {m.project for m in made.moves} == {"b"}
    assert made.plan.preconditions["kept"] == [{"project": "a", "reason": "is pinned to p1"}]
    assert made.plan.preconditions["kept_count"] == 1
    assert made.plan.preconditions["left_out_count"] == 0
    assert "broken" not in made.plan.preconditions


def test_rebalancing_brings_queues_of_a_tenant_where_its_new_ones_go_and_nowhere_else():
    projects = [f"t{n:02}" for n in range(40)]
    found = [queue(f"q{n}", project=project) for project in projects for n in range(3)]
    made = planned(REBALANCE, layout(found))
    assert 20 < len(made.moves) < 100
    for one in made.moves:
        assert {one.target} == homes(one.project, 1)
    assert {one["project"] for one in made.plan.preconditions["kept"]} <= {p for p in projects if homes(p, 1) == {"p1"}}


def test_rebalancing_that_would_break_pins_or_spreads_is_refused_and_names_the_tenants():
    found = [queue(f"q{n}") for n in range(6)]
    (home,) = homes("a", 1)
    others = partitions(*({"p1", "p2", "p3"} - {home}), **{home: partition(home)})
    there = [queue(p.queue, home) for p in found]
    with pytest.raises(
        MoveRefused, match=rf"in the way: tenant a keeps to {home} \(spread 1\)\. Change that .* --break-pins"
    ):
        planned(REBALANCE, layout(there, others))
    pinned = [Tenant("a", pinned=home), Tenant("b", pinned="p2")]
    with pytest.raises(MoveRefused, match=f"in the way: tenant a is pinned to {home}\\. "):
        planned(REBALANCE, layout(there, others, tenants=pinned))
    made = planned(Selection(PlanKind.REBALANCE, break_pins=True), layout(there, others, tenants=pinned))
    assert len(made.moves) == 4
    assert made.plan.preconditions["broken"] == [{"project": "a", "reason": f"is pinned to {home}"}]
    assert made.plan.preconditions["selection"]["break_pins"] is True


def test_of_many_tenants_in_the_way_the_first_are_named():
    found = [queue("q", project=f"t{n:02}") for n in range(15)]
    tenants = [Tenant(f"t{n:02}", pinned="p1") for n in range(15)]
    with pytest.raises(MoveRefused, match="tenant t09 is pinned to p1; and 5 more tenants"):
        planned(REBALANCE, layout(found, tenants=tenants))


@pytest.mark.parametrize("selection", [DRAIN, Selection(PlanKind.EVACUATE, "eu")])
def test_a_partition_that_tenants_are_pinned_to_is_not_emptied_unless_they_are_pinned_elsewhere(selection):
    parts = partitions("p2", "p3", p1=replace(partition("p1"), region="eu"))
    # Also one that has no queue there: it will want to create one.
    tenants = [Tenant("a", pinned="p1"), Tenant("z", pinned="p1"), Tenant("b", pinned="p2")]
    found = layout([queue("q"), queue("r", project="c")], parts, tenants=tenants)
    with pytest.raises(MoveRefused, match=r"tenant a is pinned to p1; tenant z is pinned to p1\. Change .* --repin TO"):
        planned(selection, found)
    made = planned(replace(selection, repin="p3"), found)
    assert targets(made)["q"] == "p3"
    assert made.plan.preconditions["selection"]["repin"] == "p3"
    made = planned(replace(selection, break_pins=True), found)
    assert {entry["project"]: entry["reason"] for entry in made.plan.preconditions["broken"]} == {
        "a": "is pinned to p1; its new queues will be refused",
        "z": "is pinned to p1; its new queues will be refused",
    }
    for wrong in (replace(selection, repin="p1"), replace(selection, repin="p3", to=("p2",))):
        with pytest.raises(MoveRefused, match=r"^repin: partition p\d is not one that is to take queues"):
            planned(wrong, found)


def test_a_drained_tenant_keeps_to_the_partitions_of_its_own_that_are_left():
    found = [queue(f"q{n}", project=project) for project in "abcdef" for n in range(5)]
    parts = partitions("p1", "p2", "p3", "p4", "p5")
    left = {name: one for name, one in parts.items() if name != "p1"}
    made = planned(DRAIN, layout(found, parts, tenants=[Tenant("b", spread=2), Tenant("c", pinned="p4")]))
    where = {}
    for one in made.moves:
        where.setdefault(one.project, set()).add(one.target)
    assert where.pop("b") <= homes("b", 2, left)
    assert where == {p: homes(p, 1, left) for p in "adef"} | {"c": {"p4"}}


def test_a_tenant_that_is_pinned_where_no_queue_can_go_now_is_named():
    parts = partitions("p1", "p3", p2=cordoned("p2"))
    with pytest.raises(MoveRefused, match="tenant a is pinned to p2"):
        planned(DRAIN, layout([queue("q")], parts, tenants=[Tenant("a", pinned="p2")]))


def test_one_tenant_goes_where_it_is_pinned_or_is_to_be_pinned():
    selection, found = Selection(PlanKind.TENANT, "a", ("p2",)), [queue("q")]
    with pytest.raises(MoveRefused, match="tenant a is pinned to p1"):
        planned(selection, layout(found, tenants=[Tenant("a", pinned="p1")]))
    for chosen, tenant in (
        (selection, Tenant("a", pinned="p2")),
        (selection, Tenant("a")),
        (replace(selection, repin="p2"), Tenant("a", pinned="p1")),
        (replace(selection, break_pins=True), Tenant("a", pinned="p1")),
    ):
        assert targets(planned(chosen, layout(found, tenants=[tenant]))) == {"q": "p2"}


TENANTS = st.fixed_dictionaries(
    {p: st.builds(Tenant, st.just(p), st.integers(1, 4), st.none() | st.sampled_from(NAMES)) for p in "ab"}
)


@given(WEIGHTS, PLACEMENTS, TENANTS, st.sampled_from([REBALANCE, DRAIN]), st.booleans())
def test_no_plan_breaks_a_pin_or_a_spread_unless_it_says_so(weights, drawn, tenants, selection, broken):
    found = replace(drawn_layout(weights, drawn), tenants=tenants)
    try:
        made = planned(replace(selection, break_pins=broken), found)
    except MoveRefused:
        return
    said = {entry["project"] for entry in made.plan.preconditions.get("broken", ())}
    taking = {n: p for n, p in found.view.partitions.items() if takes(p) and not (selection is DRAIN and n == "p1")}
    for one in made.moves:
        tenant = tenants[one.project]
        allowed = {tenant.pinned} if tenant.pinned else homes(one.project, tenant.spread, taking)
        assert one.target in allowed or (broken and one.project in said)


def test_moves_of_all_ways_are_spread_evenly_over_a_plan():
    parts = partitions("p3", "p4", p1=replace(partition("p1"), region="eu"), p2=replace(partition("p2"), region="eu"))
    found = [queue(f"q{n:02}") for n in range(12)] + [queue(f"r{n:02}", "p2") for n in range(4)]
    made = planned(Selection(PlanKind.EVACUATE, "eu"), layout(found, parts, tenants=[Tenant("a", pinned="p3")]))
    assert "".join(m.source[1] for m in made.moves) == "1121" * 4
    assert [m.number for m in made.moves] == list(range(16))


# -- what a plan relies on ---------------------------------------------------------------------------------------------


def test_nothing_has_changed():
    found = [queue("q"), queue("kept", group="q", state=PlacementState.RESERVED)]
    made = planned(DRAIN, layout(found))
    # The cordon at the beginning of a drain, and an epoch that changes neither incarnation nor partition.
    later = [replace(found[0], epoch=9), found[1]]
    assert changes(made, layout(later, partitions("p2", "p3", p1=cordoned("p1")))) == []


@pytest.mark.parametrize(
    ("placement", "parts", "moves", "said"),
    [
        (None, partitions(), (), "queue a/q is not on p1 any more"),
        (queue("q", incarnation="ffff"), partitions(), (), "queue a/q was deleted and created anew"),
        (queue("q", "p1", "p2"), partitions(), (), "queue a/q is on p2, not on p1"),
        (queue("q", state=PlacementState.DELETING), partitions(), (), "queue a/q: it is being deleted"),
        (queue("q"), partitions(), (move("q", MoveState.ARMED),), "queue a/q: move m-q to p2 is still armed"),
        (queue("q"), partitions("p1"), (), "partition p2 is not registered any more"),
        (queue("q"), partitions("p1", p2=cordoned("p2")), (), "partition p2 takes no more queues"),
        (
            queue("q"),
            partitions("p2", p1=partition("p1", versions=("v2",))),
            (),
            "partition p1 speaks other versions of the API",
        ),
    ],
)
def test_what_has_changed_is_said(placement, parts, moves, said):
    made = planned(DRAIN, layout([queue("q")], partitions("p1", "p2")))
    assert said in " | ".join(changes(made, layout([placement] if placement else [], parts, moves=moves)))


@pytest.mark.parametrize(
    ("selection", "tenants", "said"),
    [
        (DRAIN, [Tenant("a", pinned="p3")], "tenant a is pinned to p3"),
        (DRAIN, [Tenant("z", pinned="p1")], "tenant z is pinned to p1; its new queues will be refused"),
        (DRAIN, [Tenant("z", pinned="p3"), Tenant("a", pinned="p2", spread=3)], ""),
        (replace(DRAIN, break_pins=True), [Tenant("a", pinned="p1")], ""),
        (replace(DRAIN, repin="p2"), [Tenant("a", pinned="p1"), Tenant("z", pinned="p1")], ""),
        (replace(DRAIN, repin="p2"), [Tenant("a", pinned="p3")], "tenant a is pinned to p3"),
        (Selection(PlanKind.TENANT, "a", ("p2",), repin="p2"), [Tenant("a", pinned="p3")], ""),
    ],
)
def test_who_was_pinned_since_is_said(selection, tenants, said):
    made = planned(replace(selection, to=("p2",)), layout([queue("q")]))
    assert " | ".join(changes(made, layout([queue("q")], tenants=tenants))) == said


@pytest.mark.parametrize(
    ("selection", "spread", "said"),
    [
        (DRAIN, 3, []),
        (DRAIN, 2, []),
        (DRAIN, 1, ["tenant a keeps to p3 (spread 1)"]),
        (REBALANCE, 3, []),
        (REBALANCE, 2, ["tenant a keeps to p1, p3 (spread 2)"]),
        (REBALANCE, 1, ["tenant a keeps to p1 (spread 1)"]),
        (replace(REBALANCE, break_pins=True), 1, []),
    ],
)
def test_a_spread_that_is_smaller_by_now_is_said(selection, spread, said):
    found = [queue(f"q{n:02}") for n in range(12)]
    made = planned(selection, layout(found, tenants=wide("a")))
    assert {one.target for one in made.moves} == {"p2", "p3"}
    assert changes(made, layout(found, tenants=[Tenant("a", spread=spread)])) == said


def test_a_partition_where_new_queues_go_by_now_is_said():
    made = planned(DRAIN, layout([queue("q")], partitions("p1", "p2")))
    now = partitions("p1", "p2", "p9")
    assert changes(made, layout([queue("q")], now)) == ["tenant a keeps to p9 (spread 1)"]
    # Where the target itself is at fault, no tenant is.
    assert changes(made, layout([queue("q")], now | {"p2": cordoned("p2")})) == [
        "partition p2 takes no more queues",
        "queue a/q: partition p2 is cordoned: it takes no more queues",
    ]


@pytest.mark.parametrize("parts", [partitions("p1", "p2"), partitions("p1", "p2", p3=cordoned("p3"))])
def test_a_partition_to_which_tenants_are_to_be_pinned_still_takes_queues(parts):
    made = planned(replace(DRAIN, repin="p3"), layout([queue("q")]))
    said = "partition p3, to which tenants are to be pinned, takes no more queues"
    assert said in changes(made, layout([queue("q")], parts))


def test_a_group_that_is_larger_than_the_surplus_stays():
    found = [
        queue("q"),
        queue("dead", group="q"),
        queue("single", project="b"),
        *(queue(f"s{n}", "p2", project="c") for n in range(3)),
    ]
    made = planned(REBALANCE, layout(found, tenants=wide()))
    assert targets(made) == {"single": "p3", "s0": "p3"}
