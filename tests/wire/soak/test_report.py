"""The report finds fault with what no kill explains, and with a soak in which nothing happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from catalog.model import LogEntry, Move, MoveState, Placement, PlacementState, Segment
from tests.checker.record import Body, Claim, Deletion, History, Outcome, Page, Post, Shown
from tests.wire.soak.clients import PATIENCE, Journal, Took, Trouble, Wait
from tests.wire.soak.report import LONGEST_WAIT, Hours, Kill, Soak, switches_of

VICTIMS = ("worker", "mover", "primary", "north", "south")
# One after the other, 100 s apart, from 1000 on.
KILLS = [Kill(victim, victim, 1000.0 + 100.0 * n, 1005.0 + 100.0 * n) for n, victim in enumerate(VICTIMS)]
WORKER, MOVER = KILLS[0], KILLS[1]


def placement(*partitions: str) -> Placement:
    last = len(partitions) - 1
    segments = tuple(Segment(n, name, "q", sealed=n < last) for n, name in enumerate(partitions))
    return Placement("p", "q", len(partitions), PlacementState.OPEN, segments, incarnation="b")


def good() -> Soak:
    """One in which all is well: there and back again while some are killed, and a message each half second."""
    history = History(placements=[placement("north"), placement("north", "south", "north")])
    for n in range(1000):
        body, at = Body("p", n), 1000.0 + n / 2
        shown = (Shown(body, str(n)),)
        history.posts.append(Post((body,), at, at + 0.1, Outcome.ACKNOWLEDGED))
        history.claims.append(Claim("c", at + 0.2, at + 0.3, Outcome.ACKNOWLEDGED, 60.0, shown))
        history.pages.append(Page("s", at + 0.2, at + 0.3, shown))
        history.deletions.append(Deletion(n, body, at + 0.4, at + 0.5, Outcome.ACKNOWLEDGED))
    soak = Soak(Journal({"q": history}), {"q": ("north", "south")}, VICTIMS, 1, aftermath=15.0)
    soak.kills = list(KILLS)
    soak.hours = Hours(900.0, 1000.0, 1500.0, 1600.0)
    soak.answers = {("pause", 200): 1, ("resume", 200): 1}
    return soak


def test_all_is_well() -> None:
    assert good().faults() == {}


@pytest.mark.parametrize(
    ("asked", "when", "status", "explained"),
    [
        (1010.0, 1011.0, 503, True),
        (990.0, 1001.0, 503, True),
        (1019.0, 1030.0, 503, True),
        (990.0, 999.0, 503, False),
        (1021.0, 1022.0, 503, False),
        (1590.0, 1591.0, 503, False),
        (1010.0, 1011.0, 0, True),
        # A mover answers no client.
        (1110.0, 1111.0, 0, False),
        (1110.0, 1111.0, 503, True),
        (1010.0, 1011.0, 500, False),
        (1010.0, 1011.0, 404, False),
    ],
)
def test_what_a_kill_explains(asked: float, when: float, status: int, explained: bool) -> None:
    soak = good()
    soak.journal.troubles.append(Trouble(asked, when, "p", "POST /", status, b""))
    assert list(soak.faults()) == ([] if explained else ["errors that no kill explains"])


def of(state: MoveState, reason: str) -> Move:
    move = Move("m", "p", "q", "north", "south", state=state)
    return move.entered(LogEntry(1.0, state, reason))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kills": KILLS[:-1]}, "no south came to harm"),
        ({"quiet_switches": 2}, "of 2 switches 2 were before the first kill"),
        ({"hours": Hours(900.0, 1495.0, 2500.0, 2600.0)}, "10 messages were acknowledged"),
        ({"homes": {"q": ("north", "south", "zaqar")}}, "nothing was switched to zaqar"),
        ({"answers": {("pause", 200): 1, ("resume", 409): 1}}, "no resume of a move was accepted"),
        ({"stuck": ["m"]}, "stuck moves"),
        ({"undrained": ["q"]}, "queues that do not drain"),
        ({"moves": [of(MoveState.PAUSED, "failed 20 times in a row")]}, "failed 20 times in a row"),
    ],
)
def test_what_is_missing(change: dict[str, Any], fault: str) -> None:
    soak = good()
    for name, value in change.items():
        setattr(soak, name, value)
    assert fault in str(soak.faults())


def test_an_operator_may_pause_a_move() -> None:
    soak = good()
    soak.moves = [of(MoveState.PAUSED, "an operator: pause")]
    assert soak.faults() == {}


@pytest.mark.parametrize(
    ("placements", "fault"),
    [
        ([placement("north")], "there were 0 switches of 1 queues"),
        ([placement("north", "south")], "nothing was switched away from south"),
    ],
)
def test_queues_have_to_move(placements: Sequence[Placement], fault: str) -> None:
    soak = good()
    soak.journal.histories["q"].placements = list(placements)
    assert fault in str(soak.faults())


def test_what_takes_too_long() -> None:
    soak = good()
    soak.journal.posts.append(Took("q", 1.0, PATIENCE))
    soak.journal.waits.append(Wait(1.0, LONGEST_WAIT + 1.0))
    told = str(soak.faults())
    assert f"1 posts were not answered within {PATIENCE:g} s" in told
    assert f"a producer tried for {LONGEST_WAIT + 1.0:.1f} s" in told


def test_more_posts_of_unknown_fate_than_kills_explain() -> None:
    soak = good()
    posts = soak.journal.histories["q"].posts
    # There are four kills of processes that answer, and one producer.
    posts += [Post((Body("p", 2000 + n),), 2000.0, 2001.0, Outcome.UNKNOWN) for n in range(4)]
    assert soak.faults() == {}
    posts.append(Post((Body("p", 3000),), 2000.0, 2001.0, Outcome.UNKNOWN))
    assert "of 5 posts the fate is unknown, more than 4" in str(soak.faults())


def test_switches() -> None:
    history = History(placements=[placement("a", "b"), placement("a", "b", "a")])
    assert switches_of(history) == [("a", "b"), ("b", "a")]
    assert switches_of(History()) == []


def test_that_a_clock_is_set_explains_nothing() -> None:
    soak = good()
    soak.kills.append(Kill("clock", "set the clock of mover 0 by +60 s", 1550.0, 1550.0))
    soak.journal.troubles.append(Trouble(1550.0, 1551.0, "p", "POST /", 503, b""))
    assert list(soak.faults()) == ["errors that no kill explains"]
