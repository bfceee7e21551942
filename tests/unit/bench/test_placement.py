"""bench.placement: its counts, and that the choice of today moves no more than it states."""

from __future__ import annotations

import pytest

from bench.placement import TENANTS, WEIGHTS, Draws, Layout, Row, Sizes, partitions_of, place, simulate
from marconi_proxy.routing import choice

SIZES = Sizes(queues=20_000, tenants=600, sample=40)
COUNTS = (5, 8)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return simulate(SIZES, COUNTS)


def test_sizes_are_zipfs_and_add_up() -> None:
    sizes = SIZES.of_tenants()
    assert len(sizes) == SIZES.tenants
    assert sum(sizes) == pytest.approx(SIZES.queues, rel=0.02)
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= 1
    assert sizes[0] / sizes[9] == pytest.approx(10, rel=0.02)
    assert set(Sizes(1000, 100, 0.0).of_tenants()) == {10}


def test_every_kind_is_shown(rows: list[Row]) -> None:
    kinds = [(row.partitions, row.weights, row.tenants, row.change) for row in rows]
    changes = ("added", "removed", "doubled")
    assert kinds == [(n, w, t, c) for n in COUNTS for w in WEIGHTS for t in TENANTS for c in changes]


def test_of_tenants_on_one_partition_nothing_moves_but_to_or_from_the_one_that_is_changed(rows: list[Row]) -> None:
    seen = [row for row in rows if row.tenants == "one"]
    assert seen
    for row in seen:
        assert row.astray == 0
        assert row.moved == pytest.approx(row.least)
        assert row.moved > 0


def test_of_tenants_that_are_spread_no_more_than_twice_the_least_moves(rows: list[Row]) -> None:
    # A home set of fixed size lets one partition go for each that comes: what was on the one goes to all of the set.
    seen = [row for row in rows if row.tenants == "spread"]
    assert any(row.astray for row in seen)
    for row in seen:
        assert row.moved <= 2 * row.least + 0.01


def test_spreading_brings_the_fullest_down(rows: list[Row]) -> None:
    most = {(row.partitions, row.weights, row.tenants): row.most / row.mean for row in rows}
    for count in COUNTS:
        for weights in WEIGHTS:
            assert most[count, weights, "spread"] < most[count, weights, "one"]


def test_a_choice_that_moves_what_it_need_not_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "rank", lambda owner, given: [given[sum(owner.encode()) % len(given)]])
    layout = Layout.of(partitions_of(5, "equal"))
    for number in range(100):
        place([layout], f"tenant-{number}", 1)
    assert layout.changes["added"].astray > 0
    assert layout.changes["added"].moved > layout.least(layout.changes["added"])


def test_kept_draws_are_those_of_production() -> None:
    draws = Draws(choice.draw)
    for owner in ("project\0a", "queue\0a\0q", "project\0b", "project\0a"):
        for weight in (1, 100, 400, 4294967295):
            assert draws(owner, "p1", weight) == choice.draw(owner, "p1", weight)
