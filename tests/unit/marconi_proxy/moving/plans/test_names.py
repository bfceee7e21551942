"""The names of plans and moves."""

from __future__ import annotations

import pytest

from catalog.model import Move
from marconi_proxy.moving.plans.names import new_move_id, new_plan_id, planned_move_id, since

NOW = 1_700_000_000.0
PLANNED = planned_move_id(new_plan_id(NOW, "c0ffee"), 7)


@pytest.mark.parametrize("name", [new_move_id(NOW, "c0ffee"), PLANNED])
def test_what_plans_make_up_is_an_id(name):
    assert Move(name, "p", "q", "p1", "p2").id == name


def test_what_is_no_id_is_refused():
    with pytest.raises(ValueError, match="is not an id"):
        Move("plan.00001", "p", "q", "p1", "p2")


def test_ids_sort_by_when_they_were_made():
    names = [new_plan_id(NOW + n, "c0ffee") for n in range(3)]
    assert sorted(names) == names
    assert since(NOW + 5, 4.0) > names[0]
    assert names[2] > since(NOW + 5, 4.0)
    numbered = [planned_move_id("plan", n) for n in (9, 10, 100)]
    assert sorted(numbered) == numbered
