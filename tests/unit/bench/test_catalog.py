"""bench.catalog names the limits that are exceeded, and fills catalogs with the contents that it describes."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.catalog import FLAT, LISTS, MEMORY, OPERATIONS, PAGE_P99, faults, figure, sizes
from bench.catalog_contents import BIG_TENANT, Contents, big_queue

FINE = {"p50": 1.0, "p99": PAGE_P99, "ratio": FLAT}


def test_nothing_is_broken() -> None:
    figures = {operation: FINE if operation in LISTS else FINE | {"p99": 99.0} for operation in OPERATIONS}
    assert faults(figures, MEMORY) == []


@pytest.mark.parametrize(
    ("operation", "changed", "memory", "told"),
    [
        ("list end", {"p99": 5.1}, 70.0, "list end: the 99th percentile is 5.1 ms, more than 5"),
        ("lookup", {"ratio": 1.6}, 70.0, "lookup: takes 1.6 times as long as in a small catalog, more than 1.5"),
        ("lookup", {}, 81.0, "a worker occupies 81 MB, more than 80"),
    ],
)
def test_what_is_broken(operation: str, changed: dict[str, float], memory: float, told: str) -> None:
    figures = {name: FINE | (changed if name == operation else {}) for name in OPERATIONS}
    assert faults(figures, memory) == [told]


def test_figures() -> None:
    assert figure([float(n) for n in range(1, 101)], [10.0]) == {"p50": 50.5, "p99": 100.0, "ratio": 5.05}


def test_sizes() -> None:
    assert sizes(10_000) == [10_000]
    assert sizes(2_000_000) == [10_000, 100_000, 1_000_000, 2_000_000]


def test_contents_grow_by_what_is_missing() -> None:
    contents = Contents()
    first = list(contents.grow(1000))
    both = first + list(contents.grow(3000))
    assert (contents.total, contents.big) == (3000, 1500)
    tenants = Counter(one.project for one in both)
    assert tenants[BIG_TENANT] == 1500
    assert len(tenants) > 300
    mine = sorted(one.queue for one in both if one.project == BIG_TENANT)
    assert mine == [big_queue(n) for n in range(1500)]
    assert len({one.key for one in both}) == 3000
    assert set(contents.keys) == {one.key for one in both}
