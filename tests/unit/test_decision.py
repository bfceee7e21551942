"""What is done with a call: every state of a placement against every rule of the route table."""

from __future__ import annotations

import pytest

from catalog.model import Placement, PlacementState, Segment
from marconi_proxy.routing.decision import (
    BadPath,
    Create,
    Decision,
    Delete,
    Forward,
    ForwardByRule,
    ForwardToAny,
    Hold,
    Local,
    NotFound,
    decide,
    decide_without_queue,
)
from marconi_proxy.routing.route import ROUTES, Effect, Kind, Route, Rule, parse

OLD, LAST = Segment(0, "p1", "q", sealed=True), Segment(1, "p2", "q")
HERE, UNSETTLED = Forward(LAST), Forward(LAST, unsettled=True)

# state: (a call that only reads, one that writes, one that may create the queue, one that deletes it)
TABLE: dict[PlacementState | None, tuple[Decision, Decision, Decision, Decision]] = {
    None: (ForwardByRule(), ForwardByRule(), Create(), ForwardByRule()),
    PlacementState.RESERVED: (HERE, HERE, Create(), Delete()),
    PlacementState.CREATING: (UNSETTLED, UNSETTLED, Create(), Delete()),
    PlacementState.OPEN: (HERE, HERE, HERE, Delete()),
    PlacementState.SEALING: (HERE, Hold(), Hold(), Delete()),
    PlacementState.DELETING: (UNSETTLED, UNSETTLED, Create(), Delete()),
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
        ("PUT", b"/v1/queues/q", Create()),
        ("POST", b"/v1/queues/q/messages", ForwardByRule()),
        ("POST", b"/v1.1/queues/q/messages", Create()),
        ("POST", b"/v2/queues/q/messages", Create()),
        ("POST", b"/v2/queues/q/subscriptions", Create()),
        ("POST", b"/v2/queues/q/claims", ForwardByRule()),
        ("POST", b"/v2/queues/q/purge", ForwardByRule()),
        ("PATCH", b"/v2/queues/q", ForwardByRule()),
        ("PUT", b"/v1/queues/q/metadata", ForwardByRule()),
        ("GET", b"/v2/queues/q", ForwardByRule()),
        ("DELETE", b"/v2/queues/q", ForwardByRule()),
        ("DELETE", b"/v2/queues/q/messages?pop=1", ForwardByRule()),
        ("PUT", b"/v2/topics/t", Create()),
        ("POST", b"/v2/topics/t/messages", ForwardByRule()),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else str(value),
)
def test_the_first_call_that_a_queue_ever_gets(method: str, target: bytes, expected: Decision) -> None:
    # API section 8.4: only these create a queue, so only these place one.
    assert decide(None, parse(method, target)) == expected


@pytest.mark.parametrize(
    ("method", "target", "well_formed", "expected"),
    [
        ("GET", b"/", True, Local()),
        ("GET", b"/", False, ForwardToAny()),
        ("POST", b"/", True, ForwardToAny()),
        ("GET", b"/v2/", True, ForwardToAny()),
        ("GET", b"/v2/ping", True, Local()),
        ("HEAD", b"/v1.1/ping", True, Local()),
        ("PUT", b"/v2/ping", True, ForwardToAny()),
        ("GET", b"/v2/ping", False, ForwardToAny()),
        ("GET", b"/v1/health", True, Local()),
        ("GET", b"/v2/health", True, NotFound()),
        ("GET", b"/v1/queues", True, Local()),
        ("GET", b"/v1/queues", False, ForwardToAny()),
        ("HEAD", b"/v1/queues", True, ForwardToAny()),
        ("OPTIONS", b"/v2/queues", True, ForwardToAny()),
        ("GET", b"/v2/topics", True, Local()),
        ("PUT", b"/v2/queues/", True, ForwardToAny()),
        ("PUT", b"/v2/queues/not%20legal", False, ForwardToAny()),
        ("GET", b"/v2/pools", True, NotFound()),
        ("GET", b"/v2/flavors/x", False, NotFound()),
        ("GET", b"/favicon.ico", False, NotFound()),
        ("GET", b"/v2/../", True, BadPath()),
        ("GET", b"/v2/queues/..", False, BadPath()),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else str(value),
)
def test_calls_that_no_queue_decides(method: str, target: bytes, well_formed: bool, expected: Decision) -> None:
    assert decide_without_queue(parse(method, target), well_formed=well_formed) == expected
