"""How gently a plan is carried out."""

from __future__ import annotations

import pytest

from marconi_proxy.moving.plans.budgets import Budgets


def test_they_come_back_as_they_were_written():
    given = Budgets(2, 0.5, "22:00-04:30", 3, 250)
    assert Budgets.from_json(given.to_json()) == given
    assert Budgets.from_json({}) == Budgets()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("at_once", 0),
        ("at_once", 1.5),
        ("at_once", True),
        ("seals_per_second", 0),
        ("seals_per_second", "1"),
        ("seals_per_second", float("nan")),
        ("window", "22-04"),
        ("window", "24:00-01:00"),
        ("window", "10:00-10:00"),
        ("window", 7),
        ("stop_after", 0),
        ("max_pause_ms", 0),
        ("windows", "10:00-11:00"),
    ],
)
def test_an_impossible_one_is_named(name, value):
    with pytest.raises(ValueError, match=f"^{name}: "):
        Budgets.from_json({name: value})


@pytest.mark.parametrize(
    ("window", "clock", "is_open"),
    [
        (None, "12:00", True),
        ("10:00-11:00", "09:59", False),
        ("10:00-11:00", "10:00", True),
        ("10:00-11:00", "10:59", True),
        ("10:00-11:00", "11:00", False),
        ("22:00-04:00", "23:30", True),
        ("22:00-04:00", "00:00", True),
        ("22:00-04:00", "03:59", True),
        ("22:00-04:00", "04:00", False),
        ("22:00-04:00", "21:59", False),
    ],
)
def test_a_window_is_of_every_day_in_utc(window, clock, is_open):
    hours, minutes = map(int, clock.split(":"))
    for day in (0, 20_000):
        assert Budgets(window=window).open_at(day * 86400 + hours * 3600 + minutes * 60 + 30) is is_open
