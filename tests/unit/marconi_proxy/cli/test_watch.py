"""Following moves and plans: the lines, and the bars."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from catalog.model import MoveState
from marconi_proxy.cli.bars import Bars
from marconi_proxy.cli.watch import DrainRate, Lines, View, duration, line, move_view, plan_view
from marconi_proxy.moving.protocol.machine import before_switch

VIEW = View("drain p1", 3, 10, "switched", "running, 1 done", 40, "pauses: median 12 ms, longest 40 ms")


def test_a_pace_is_of_the_last_looks():
    pace = DrainRate()
    assert pace.seen(0.0, None) == (0.0, None)
    assert pace.seen(1.0, 100) == (0.0, None)
    assert pace.seen(3.0, 60) == (20.0, 3.0)
    assert pace.seen(4.0, 0) == (pytest.approx(100 / 3), 0.0)
    assert pace.seen(5.0, 500) == (0.0, None)
    for second in range(6, 200):
        rate, left = pace.seen(float(second), 1000 - second)
    assert (rate, left) == (1.0, 801.0)


def test_nothing_left_takes_no_time():
    assert DrainRate().seen(1.0, 0) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (119, "119 s"), (121, "2 min"), (7199, "120 min"), (7300, "2 h")]
)
def test_durations_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def test_a_line_has_all_there_is():
    assert line(VIEW, 5.0, 8.0) == (
        "drain p1: 3/10 switched; running, 1 done; 40 messages left (5/s, about 8 s); "
        "pauses: median 12 ms, longest 40 ms"
    )
    assert line(replace(VIEW, left=1, pause=""), 0.0, None).endswith("; 1 message left")
    assert line(replace(VIEW, left=None, pause=""), 0.0, None) == "drain p1: 3/10 switched; running, 1 done"


def test_lines_tell_news_at_once_and_numbers_now_and_then():
    said = []
    with Lines(said.append) as lines:
        for left in range(40, 19, -1):
            lines.show(replace(VIEW, left=left), 1.0, None)
        lines.show(replace(VIEW, left=19, words="running, 2 done"), 1.0, None)
        lines.show(replace(VIEW, left=19, words="running, 2 done"), 1.0, None)
    assert [text.split("; ")[1:3] for text in said] == [
        ["running, 1 done", "40 messages left"],
        ["running, 1 done", "30 messages left"],
        ["running, 1 done", "20 messages left"],
        ["running, 2 done", "19 messages left"],
    ]


def test_how_many_moves_are_in_which_state_is_no_news():
    said = []
    with Lines(said.append) as lines:
        for done in range(10):
            lines.show(replace(VIEW, done=done, words="running", numbers=f"{done} done"), 1.0, None)
        lines.show(replace(VIEW, done=9, words="running, 1 failed", numbers="9 done"), 1.0, None)
    assert [text.split("; ")[:2] for text in said] == [
        ["drain p1: 0/10 switched", "running, 0 done"],
        ["drain p1: 9/10 switched", "running, 1 failed, 9 done"],
    ]


def test_bars_show_moves_messages_rate_time_and_pause_and_take_names_as_they_are():
    stream = io.StringIO()
    with Bars(stream, width=80) as bars:
        bars.show(replace(VIEW, title="[red]q -> p2", left=None), 0.0, None)
        bars.show(replace(VIEW, title="[red]q -> p2"), 0.0, None)
        bars.show(replace(VIEW, title="[red]q -> p2", left=10), 5.0, 2.0)
    text = stream.getvalue()
    for words in ("[red]q -> p2", "3/10 switched", "10 left; 5/s, about 2 s", "longest 40 ms", "running, 1 done"):
        assert words in text


@pytest.mark.parametrize("state", MoveState)
def test_every_state_of_a_move_can_be_shown(state):
    move = {"project": "a", "queue": "q", "source": "p1", "target": "p2", "state": str(state), "pause_ms": None}
    move |= {"toward": "p2", "writes_to": "p1"}
    view = move_view(move | {"left": 5, "waits": None})
    assert (view.title, view.words, view.numbers, view.pause) == ("a/q p1 -> p2, writes go to p1", str(state), "", "")
    assert 0 <= view.done <= view.total
    assert (view.done == view.total) == (state is MoveState.DONE)
    view = move_view(move | {"left": 5, "waits": "p2 is away"})
    if before_switch(state):
        assert (view.words, view.numbers) == (f"{state}, waits: p2 is away", "")
    else:
        assert (view.words, view.numbers) == (str(state), "waits: p2 is away"), "news with every message"


def test_a_plan_is_shown_with_what_ended_badly():
    ended = {"done": 3, "reversed": 0, "cancelled": 0, "gone": 1, "refused": 0, "failed": 2}
    plan = {"title": "t", "state": "running", "switched": 4, "moves": 9, "left": 7, "waiting": 2, "ended": ended}
    view = plan_view(plan | {"states": {"draining": 1}, "pause": None})
    assert (view.words, view.numbers) == ("running, 1 gone, 2 failed", "3 done, 1 draining, 2 waiting")
    assert (view.done, view.total, view.left, view.pause) == (4, 9, 7, "")
