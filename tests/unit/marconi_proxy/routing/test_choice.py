"""Which partition takes a queue: alike everywhere, by weight, and moved by nothing but what concerns it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import permutations
from math import sqrt

import pytest

from catalog.model import API_VERSIONS, NO_PROJECT, Partition, PartitionState, QueueKey, Tenant
from marconi_proxy.routing.choice import Refusal, choose, draw, rank, shares

COUNT = 3_000
KEYS = [QueueKey(f"project-{n}", "queue") for n in range(COUNT)]
ONE_PROJECT = [QueueKey("project", f"queue-{n}") for n in range(COUNT)]


def partition(
    name: str,
    weight: int = 100,
    state: PartitionState = PartitionState.ENABLED,
    versions: tuple[str, ...] = API_VERSIONS,
) -> Partition:
    return Partition(name, (f"http://{name}.example:8888",), weight=weight, state=state, api_versions=versions)


THREE = [partition("p1"), partition("p2"), partition("p3")]


def chosen(
    key: QueueKey, partitions: list[Partition], tenant: Tenant | None = None, *, new: bool = True
) -> str | Refusal:
    found = choose(key, tenant, "v2", partitions, new=new)
    return found.name if isinstance(found, Partition) else found


def spread_of(
    keys: list[QueueKey], partitions: list[Partition], tenant: Tenant | None = None
) -> Counter[str | Refusal]:
    return Counter(chosen(key, partitions, tenant) for key in keys)


def near(count: int, expected: float) -> bool:
    """Return whether a binomial count is within five standard deviations. Keys are fixed, so this is not chance."""
    share = expected / COUNT
    return abs(count - expected) <= 5 * sqrt(COUNT * share * (1 - share))


# -- the same everywhere -----------------------------------------------------------------------------------------------


def test_the_choice_is_fixed_for_ever() -> None:
    # All workers of all releases must agree, or a rolling upgrade makes them look for queues in different places.
    assert draw("owner", "p1", 1) == pytest.approx(7.25432384406752)
    assert [chosen(key, THREE) for key in KEYS[:8]] == ["p3", "p3", "p2", "p2", "p1", "p2", "p2", "p1"]
    wide = Tenant("project", spread=3)
    assert [chosen(key, THREE, wide) for key in ONE_PROJECT[:8]] == ["p2", "p3", "p2", "p2", "p3", "p3", "p1", "p3"]


def test_the_order_of_partitions_does_not_matter() -> None:
    for key in KEYS[:50]:
        assert len({chosen(key, list(order)) for order in permutations(THREE)}) == 1


def test_hosts_labels_and_region_do_not_matter() -> None:
    other = [replace(p, hosts=("http://other:1",), labels=("ssd",), region="north", version=9) for p in THREE]
    assert [chosen(key, THREE) for key in KEYS[:50]] == [chosen(key, other) for key in KEYS[:50]]


@pytest.mark.parametrize("weight", [1, 2, 100, 4294967295])
def test_a_draw_is_positive_and_finite(weight: int) -> None:
    draws = [draw(key.project, "p1", weight) for key in KEYS[:1000]]
    assert all(0.0 < d < float("inf") for d in draws)
    assert len(set(draws)) == 1000


def test_a_draw_has_the_mean_of_its_distribution() -> None:
    mean = sum(draw(key.project, "p1", 4) for key in KEYS) / COUNT
    assert abs(mean - 1 / 4) <= 5 * (1 / 4) / sqrt(COUNT)


def test_no_project_is_a_project_of_its_own() -> None:
    assert chosen(QueueKey(NO_PROJECT, "queue"), THREE) in {"p1", "p2", "p3"}
    # A name never runs into the next: ("ab", "c") is not ("a", "bc").
    wide = Tenant("x", spread=3)
    pairs = [(QueueKey(f"a{n}b", "c"), QueueKey(f"a{n}", "bc")) for n in range(100)]
    assert any(chosen(one, THREE, wide) != chosen(other, THREE, wide) for one, other in pairs)


@pytest.mark.parametrize("project", ["\u00e9\u00ff", "with space", "x" * 256, "project\t"])
def test_projects_of_any_characters(project: str) -> None:
    assert chosen(QueueKey(project, "queue"), THREE) in {"p1", "p2", "p3"}


# -- by weight ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(100, 100, 100), (1, 2, 3), (1, 1, 98), (100, 0, 50), (4294967295, 4294967295, 1)])
def test_shares_go_by_weight(weights: tuple[int, ...]) -> None:
    partitions = [partition(f"p{n}", weight) for n, weight in enumerate(weights)]
    shares = spread_of(KEYS, partitions)
    for one in partitions:
        assert near(shares[one.name], COUNT * one.weight / sum(weights)), one.name


def test_queues_of_a_project_that_is_spread_go_by_weight_too() -> None:
    partitions = [partition("p1", 1), partition("p2", 3)]
    shares = spread_of(ONE_PROJECT, partitions, Tenant("project", spread=2))
    assert near(shares["p1"], COUNT / 4)
    assert near(shares["p2"], COUNT * 3 / 4)


@pytest.mark.parametrize("spread", [2, 3])
@pytest.mark.parametrize("weights", [(1, 1, 2, 4), (1, 1, 1, 9), (100, 100, 100, 100)])
def test_queues_of_projects_that_are_spread_over_some_partitions_go_by_weight_too(
    weights: tuple[int, ...], spread: int
) -> None:
    partitions = [partition(f"p{n}", weight) for n, weight in enumerate(weights)]
    found = Counter(chosen(key, partitions, Tenant(key.project, spread)) for key in KEYS)
    for one in partitions:
        assert near(found[one.name], COUNT * one.weight / sum(weights)), one.name


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(
    "weights", [(1, 1, 1, 1), (1, 2, 3, 4), (1, 1, 1, 4294967295), (1, 4294967295, 4294967295, 4294967295)]
)
def test_shares_are_those_of_as_many_as_there_are_at_home(weights: tuple[int, ...], size: int) -> None:
    partitions = [partition(f"p{n}", weight) for n, weight in enumerate(weights)]
    found = shares(partitions[:size], partitions)
    # The weight by the share is how likely a partition is to be at home; so many of them are.
    likely = {p.weight: p.weight / found[p.name] for p in partitions[:size]}
    assert all(0 < chance <= 1 for chance in likely.values())
    if set(weights) == set(likely):
        assert sum(likely[weight] for weight in weights) == pytest.approx(size)


def test_at_home_everywhere_shares_are_weights() -> None:
    partitions = [partition("p1", 1), partition("p2", 3)]
    assert shares(partitions, partitions) == {"p1": 1.0, "p2": 3.0}


def test_rank_leaves_out_what_has_no_weight() -> None:
    assert {p.name for p in rank("owner", [*THREE, partition("p0", 0)])} == {"p1", "p2", "p3"}
    assert rank("owner", []) == []


# -- minimal movement --------------------------------------------------------------------------------------------------

SPREAD = pytest.mark.parametrize(
    ("keys", "tenant"), [(KEYS, None), (ONE_PROJECT, Tenant("project", spread=1000))], ids=["projects", "queues"]
)


def moves(
    keys: list[QueueKey], tenant: Tenant | None, before: list[Partition], after: list[Partition]
) -> Counter[tuple[str | Refusal, str | Refusal]]:
    """(from, to) of the queues that would be placed elsewhere."""
    pairs = ((chosen(key, before, tenant), chosen(key, after, tenant)) for key in keys)
    return Counter(pair for pair in pairs if pair[0] != pair[1])


@SPREAD
def test_a_new_partition_only_wins(keys: list[QueueKey], tenant: Tenant | None) -> None:
    moved = moves(keys, tenant, THREE, [*THREE, partition("p4")])
    assert {to for _, to in moved} == {"p4"}
    assert near(moved.total(), COUNT / 4)


@SPREAD
def test_a_partition_that_goes_only_loses(keys: list[QueueKey], tenant: Tenant | None) -> None:
    moved = moves(keys, tenant, THREE, THREE[:2])
    assert {origin for origin, _ in moved} == {"p3"}
    assert moved.total() == spread_of(keys, THREE, tenant)["p3"]
    assert near(moved["p3", "p1"], COUNT / 6)
    assert near(moved["p3", "p2"], COUNT / 6)


@SPREAD
@pytest.mark.parametrize("state", [PartitionState.CORDONED, PartitionState.DRAINED, PartitionState.DISABLED])
def test_a_partition_that_takes_no_new_queues_only_loses(
    keys: list[QueueKey], tenant: Tenant | None, state: PartitionState
) -> None:
    moved = moves(keys, tenant, THREE, [*THREE[:2], partition("p3", state=state)])
    assert moved == moves(keys, tenant, THREE, THREE[:2])


@SPREAD
def test_more_weight_only_wins_and_less_only_loses(keys: list[QueueKey], tenant: Tenant | None) -> None:
    heavier = [*THREE[:2], partition("p3", 300)]
    won = moves(keys, tenant, THREE, heavier)
    assert {to for _, to in won} == {"p3"}
    assert near(won.total(), COUNT * (3 / 5 - 1 / 3))
    assert moves(keys, tenant, heavier, THREE) == Counter({(to, origin): n for (origin, to), n in won.items()})


@SPREAD
def test_weights_are_a_ratio(keys: list[QueueKey], tenant: Tenant | None) -> None:
    thousandfold = [replace(p, weight=p.weight * 1000) for p in THREE]
    assert moves(keys, tenant, THREE, thousandfold) == Counter()


# -- tenants -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [1, 2, 3, 4])
def test_a_project_has_as_many_partitions_as_it_is_spread_over(spread: int) -> None:
    for n in range(20):
        keys = [QueueKey(f"project-{n}", f"queue-{m}") for m in range(60)]
        assert len(spread_of(keys, THREE, Tenant(f"project-{n}", spread))) == min(spread, 3)


def test_a_project_without_decision_lives_on_one_partition() -> None:
    assert len(spread_of(ONE_PROJECT, THREE)) == 1
    assert spread_of(ONE_PROJECT, THREE) == spread_of(ONE_PROJECT, THREE, Tenant("project"))


def test_a_wider_spread_keeps_the_partitions_of_the_narrower() -> None:
    four = [*THREE, partition("p4")]
    homes = [set(spread_of(ONE_PROJECT, four, Tenant("project", spread))) for spread in (1, 2, 3, 4)]
    assert homes[0] < homes[1] < homes[2] < homes[3]


@pytest.mark.parametrize("name", ["p1", "p2", "p3"])
def test_a_pinned_project(name: str) -> None:
    assert set(spread_of(ONE_PROJECT[:50], THREE, Tenant("project", spread=3, pinned=name))) == {name}


# -- what takes queues, and what is only asked about them --------------------------------------------------------------

E, C, DR, DI = PartitionState.ENABLED, PartitionState.CORDONED, PartitionState.DRAINED, PartitionState.DISABLED


@pytest.mark.parametrize(
    ("partitions", "new", "sought"),
    [
        ([partition("p1")], "p1", "p1"),
        ([partition("p1", state=C), partition("p2")], "p2", "p2"),
        ([partition("p1", state=DR), partition("p2")], "p2", "p2"),
        ([partition("p1", state=DI), partition("p2")], "p2", "p2"),
        ([partition("p1", 0), partition("p2")], "p2", "p2"),
        ([partition("p1", versions=("v1", "v1.1")), partition("p2")], "p2", "p2"),
        ([partition("p1", versions=()), partition("p2")], "p2", "p2"),
        ([], Refusal.NO_PARTITION, Refusal.NO_PARTITION),
        ([partition("p1", state=DI)], Refusal.NO_PARTITION, Refusal.NO_PARTITION),
        ([partition("p2", state=C), partition("p1", state=DR)], Refusal.NO_PARTITION, "p1"),
        ([partition("p2", 0), partition("p3", 0)], Refusal.NO_PARTITION, "p2"),
        ([partition("p2", state=C), partition("p1", state=DI)], Refusal.NO_PARTITION, "p2"),
        ([partition("p1", versions=())], Refusal.VERSION_UNKNOWN, Refusal.VERSION_UNKNOWN),
        ([partition("p1", versions=("v1",))], Refusal.VERSION_NOT_SPOKEN, Refusal.VERSION_NOT_SPOKEN),
        (
            [partition("p1", versions=("v1",)), partition("p2", versions=())],
            Refusal.VERSION_UNKNOWN,
            Refusal.VERSION_UNKNOWN,
        ),
        (
            [partition("p1", versions=("v1",)), partition("p2", versions=(), state=DI)],
            Refusal.VERSION_NOT_SPOKEN,
            Refusal.VERSION_NOT_SPOKEN,
        ),
        ([partition("p1", versions=("v1",)), partition("p2", state=C)], Refusal.NO_PARTITION, "p2"),
    ],
    ids=[
        "one",
        "cordoned",
        "drained",
        "disabled",
        "no weight",
        "other versions",
        "versions unknown",
        "none",
        "all disabled",
        "all closed",
        "none with weight",
        "closed and disabled",
        "all unknown",
        "none speaks it",
        "perhaps one speaks it",
        "a disabled one might speak it",
        "the one that speaks it is cordoned",
    ],
)
def test_which_partitions_count(partitions: list[Partition], new: str | Refusal, sought: str | Refusal) -> None:
    for key in KEYS[:30]:
        assert chosen(key, partitions, new=True) == new
        assert chosen(key, partitions, new=False) == sought


PINNED = Tenant("project", pinned="p1")


@pytest.mark.parametrize(
    ("pinned", "new", "sought"),
    [
        (partition("p1"), "p1", "p1"),
        (partition("p1", state=C), Refusal.PINNED_UNAVAILABLE, "p1"),
        (partition("p1", state=DR), Refusal.PINNED_UNAVAILABLE, "p1"),
        (partition("p1", 0), Refusal.PINNED_UNAVAILABLE, "p1"),
        (partition("p1", state=DI), Refusal.PINNED_UNAVAILABLE, "p2"),
        (partition("p1", versions=("v1",)), Refusal.PINNED_UNAVAILABLE, "p2"),
        (partition("p9"), Refusal.PINNED_UNAVAILABLE, None),
    ],
    ids=["enabled", "cordoned", "drained", "no weight", "disabled", "other versions", "gone"],
)
def test_a_pinned_partition(pinned: Partition, new: str | Refusal, sought: str | None) -> None:
    key = QueueKey("project", "queue")
    partitions = [partition("p2"), pinned]
    assert chosen(key, partitions, PINNED, new=True) == new
    # A pin that cannot be kept is no reason not to look for the queue.
    assert chosen(key, partitions, PINNED, new=False) == (sought or chosen(key, partitions, new=False))


@pytest.mark.parametrize("tenant", [None, Tenant("project", spread=2), Tenant("project", pinned="p2")], ids=str)
def test_a_queue_is_looked_for_where_it_would_be_placed(tenant: Tenant | None) -> None:
    for key in ONE_PROJECT[:100]:
        assert chosen(key, THREE, tenant, new=False) == chosen(key, THREE, tenant, new=True)


@pytest.mark.parametrize("spread", [2, 3, 4])
def test_of_a_spread_project_nothing_moves_but_from_what_leaves_its_home_and_to_what_comes(spread: int) -> None:
    five = [partition(f"p{n}") for n in range(5)]
    for n in range(40):
        tenant = Tenant(f"project-{n}", spread)
        keys = [QueueKey(tenant.project, f"queue-{m}") for m in range(60)]
        before, after = (set(spread_of(keys, some, tenant)) for some in (five, [*five, partition("p9")]))
        assert len(before - after) == len(after - before) <= 1
        for origin, to in moves(keys, tenant, five, [*five, partition("p9")]):
            assert origin in before - after or to in after - before
