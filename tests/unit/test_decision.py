"""What is done with a call: every state of a placement against every rule of the route table."""

from __future__ import annotations

import pytest

from catalog.model import Placement, PlacementState, Segment
from marconi_proxy.routing.decision import (
    Decision,
    Forward,
    Outcome,
    decide,
    decide_without_queue,
)
from marconi_proxy.routing.route import ROUTES, Effect, Kind, Route, Rule, parse

OLD, LAST = Segment(0, "p1", "q", sealed=True), Segment(1, "p2", "q")
HERE, UNSETTLED = Forward(LAST), Forward(LAST, unsettled=True)

# state: (a call that only reads, one that writes, one that may create the queue, one that deletes it)
TABLE: dict[PlacementState | None, tuple[Decision, Decision, Decision, Decision]] = {
    None: (Outcome.BY_RULE, Outcome.BY_RULE, Outcome.CREATE, Outcome.BY_RULE),
    PlacementState.RESERVED: (HERE, HERE, Outcome.CREATE, Outcome.DELETE),
    PlacementState.CREATING: (UNSETTLED, UNSETTLED, Outcome.CREATE, Outcome.DELETE),
    PlacementState.OPEN: (HERE, HERE, HERE, Outcome.DELETE),
    PlacementState.SEALING: (HERE, Outcome.HOLD, Outcome.HOLD, Outcome.DELETE),
    PlacementState.DELETING: (UNSETTLED, UNSETTLED, Outcome.CREATE, Outcome.DELETE),
}


def column(rule: Rule) -> int:
    if rule.effect is Effect.CREATES:
        return 2
    if rule.effect is Effect.DELETES:
        return 3
    return 1 if rule.writes else 0


RULES = {
    f"{method} {kind.name} of {'/'.join(versions)}": rule
    for (kind, versions), rules in ROUTES.items()
    if kind not in (Kind.ROOT, Kind.HOME, Kind.PING, Kind.HEALTH, Kind.QUEUES, Kind.TOPICS)
    for method, rule in {"any other method on": Rule(kind), **rules}.items()
} | {"a pop": parse("DELETE", b"/v2/queues/q/messages?pop=1").rule}


@pytest.mark.parametrize("state", TABLE, ids=lambda state: state or "no placement")
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_table(rule: Rule, state: PlacementState | None) -> None:
    placement = None if state is None else Placement("project", "q", 7, state, (OLD, LAST))
    assert decide(placement, Route(rule, "v2", "q", True)) == TABLE[state][column(rule)]


def test_the_table_has_every_state() -> None:
    assert TABLE.keys() == {None, *PlacementState}


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("PUT", b"/v1/queues/q", Outcome.CREATE),
        ("POST", b"/v1/queues/q/messages", Outcome.BY_RULE),
        ("POST", b"/v1.1/queues/q/messages", Outcome.CREATE),
        ("POST", b"/v2/queues/q/messages", Outcome.CREATE),
        ("POST", b"/v2/queues/q/subscriptions", Outcome.CREATE),
        ("POST", b"/v2/queues/q/claims", Outcome.BY_RULE),
        ("POST", b"/v2/queues/q/purge", Outcome.BY_RULE),
        ("PATCH", b"/v2/queues/q", Outcome.BY_RULE),
        ("PUT", b"/v1/queues/q/metadata", Outcome.BY_RULE),
        ("GET", b"/v2/queues/q", Outcome.BY_RULE),
        ("DELETE", b"/v2/queues/q", Outcome.BY_RULE),
        ("DELETE", b"/v2/queues/q/messages?pop=1", Outcome.BY_RULE),
        ("PUT", b"/v2/topics/t", Outcome.CREATE),
        ("POST", b"/v2/topics/t/messages", Outcome.CREATE),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else str(value),
)
def test_the_first_call_that_a_queue_ever_gets(method: str, target: bytes, expected: Decision) -> None:
    # API section 8.4: only these create a queue, so only these place one.
    assert decide(None, parse(method, target)) == expected


@pytest.mark.parametrize(
    ("method", "target", "well_formed", "expected"),
    [
        ("GET", b"/", True, Outcome.LOCAL),
        ("GET", b"/", False, Outcome.TO_ANY),
        ("POST", b"/", True, Outcome.TO_ANY),
        ("GET", b"/v2/", True, Outcome.TO_ANY),
        ("GET", b"/v2/ping", True, Outcome.LOCAL),
        ("HEAD", b"/v1.1/ping", True, Outcome.LOCAL),
        ("PUT", b"/v2/ping", True, Outcome.TO_ANY),
        ("GET", b"/v2/ping", False, Outcome.TO_ANY),
        ("GET", b"/v1/health", True, Outcome.LOCAL),
        ("GET", b"/v2/health", True, Outcome.NOT_FOUND),
        ("GET", b"/v1/queues", True, Outcome.LOCAL),
        ("GET", b"/v1/queues", False, Outcome.TO_ANY),
        ("HEAD", b"/v1/queues", True, Outcome.TO_ANY),
        ("OPTIONS", b"/v2/queues", True, Outcome.TO_ANY),
        ("GET", b"/v2/topics", True, Outcome.LOCAL),
        ("PUT", b"/v2/queues/", True, Outcome.TO_ANY),
        ("PUT", b"/v2/queues/not%20legal", False, Outcome.TO_ANY),
        ("GET", b"/v2/pools", True, Outcome.NOT_FOUND),
        ("GET", b"/v2/flavors/x", False, Outcome.NOT_FOUND),
        ("GET", b"/favicon.ico", False, Outcome.NOT_FOUND),
        ("GET", b"/v2/../", True, Outcome.BAD_PATH),
        ("GET", b"/v2/queues/..", False, Outcome.BAD_PATH),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else str(value),
)
def test_calls_that_no_queue_decides(method: str, target: bytes, well_formed: bool, expected: Decision) -> None:
    assert decide_without_queue(parse(method, target), well_formed=well_formed) == expected
