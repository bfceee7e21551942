"""When a breaker opens and closes, as a table of events at given times."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from marconi_proxy.front_door.circuit_breaker import CircuitBreaker


class Event(NamedTuple):
    """At ``at`` a call begins, or the one that began at ``of`` succeeds or fails."""

    at: float
    what: str
    of: float = 0.0


class Story(NamedTuple):
    """``events`` lead to a breaker that is ``open`` or not, has opened so often, and has refused so many calls."""

    name: str
    events: tuple[Event, ...]
    is_open: bool
    openings: int = 0
    refused: int = 0


STORIES = (
    Story("nothing has happened", (), False),
    Story("a success", (Event(0, "begin"), Event(1, "succeed")), False),
    Story("the first failure opens it", (Event(0, "begin"), Event(5, "fail", 0)), True, 1),
    Story("an earlier success does not help", (Event(0, "succeed"), Event(1, "begin"), Event(6, "fail", 1)), True, 1),
    Story("a success since its begin does", (Event(0, "begin"), Event(1, "succeed"), Event(5, "fail", 0)), False),
    Story("one at the same instant, too", (Event(0, "begin"), Event(0, "succeed"), Event(5, "fail", 0)), False),
    Story("an open one refuses", (Event(5, "fail", 0), Event(6, "begin"), Event(7, "begin")), True, 1, 2),
    Story("and counts no second opening", (Event(5, "fail", 0), Event(6, "fail", 1)), True, 1),
    Story("a success closes it", (Event(5, "fail", 0), Event(6, "begin"), Event(7, "succeed")), False, 1, 1),
    Story("a late failure does not open it", (Event(5, "fail", 0), Event(7, "succeed"), Event(8, "fail", 4)), False, 1),
    Story("a new one does", (Event(5, "fail", 0), Event(7, "succeed"), Event(13, "fail", 8)), True, 2),
)


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_breaker(story: Story) -> None:
    now = 0.0
    breaker = CircuitBreaker(lambda: now)
    for now, what, of in story.events:
        was_open = breaker.opened_at is not None
        if what == "begin":
            assert breaker.begin() == (None if was_open else now)
        elif what == "succeed":
            assert breaker.succeeded() is was_open
        else:
            opens = breaker.failed(of)
            assert opens is (not was_open and breaker.opened_at == now)
    assert (breaker.opened_at is not None, breaker.openings, breaker.refused) == story[2:]


def test_an_open_breaker_has_the_seconds_since_it_opened() -> None:
    now = 0.0
    breaker = CircuitBreaker(lambda: now)
    assert breaker.open_for() == 0.0
    now = 5.0
    breaker.failed(0.0)
    now = 7.5
    assert breaker.open_for() == 2.5
    breaker.succeeded()
    assert breaker.open_for() == 0.0
