"""The decision about a call: every state of a placement against every rule of the route table."""

from __future__ import annotations

import pytest

from catalog.model import API_VERSIONS, Placement, PlacementState, Segment
from marconi_proxy.routing.decision import (
    Action,
    All,
    Decision,
    FirstNonEmpty,
    Forward,
    Merge,
    Mirror,
    One,
    Paginate,
    Sum,
    decide,
    decide_without_queue,
)
from marconi_proxy.routing.route import ROUTES, Effect, ParsedRoute, RouteKind, RouteRule, parse

HERE_ALONE = Segment(0, "p1", "q")
HERE, UNSETTLED = Forward(HERE_ALONE), Forward(HERE_ALONE, unsettled=True)

SEALING = PlacementState.SEALING

# state: (a call that only reads, one that writes, one that may create the queue, one that deletes it), of a queue that
# was never moved.
TABLE: dict[PlacementState | None, tuple[Decision, Decision, Decision, Decision]] = {
    None: (Action.BY_RULE, Action.BY_RULE, Action.CREATE, Action.BY_RULE),
    PlacementState.RESERVED: (HERE, HERE, Action.CREATE, Action.DELETE),
    PlacementState.CREATING: (UNSETTLED, UNSETTLED, Action.CREATE, Action.DELETE),
    PlacementState.OPEN: (HERE, HERE, HERE, Action.DELETE),
    PlacementState.DELETING: (UNSETTLED, UNSETTLED, Action.CREATE, Action.DELETE),
}


def column(rule: RouteRule) -> int:
    if rule.effect is Effect.CREATES:
        return 2
    if rule.effect is Effect.DELETES:
        return 3
    return 1 if rule.writes else 0


_WITHOUT_QUEUE = frozenset(
    {
        *(RouteKind.ROOT, RouteKind.HOME, RouteKind.PING, RouteKind.HEALTH, RouteKind.READY),
        *(RouteKind.QUEUES, RouteKind.TOPICS),
    }
)
RULES = {
    f"{method} {kind.name} of {'/'.join(versions)}": rule
    for (kind, versions), rules in ROUTES.items()
    if kind not in _WITHOUT_QUEUE
    for method, rule in {"any other method on": RouteRule(kind), **rules}.items()
} | {"a pop": parse("DELETE", b"/v2/queues/q/messages?pop=1").rule}


@pytest.mark.parametrize("state", TABLE, ids=lambda state: state or "no placement")
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_table(rule: RouteRule, state: PlacementState | None) -> None:
    placement = None if state is None else Placement("project", "q", 7, state, (HERE_ALONE,))
    assert decide(placement, ParsedRoute(rule, "v2", "q", True), b"/v2/queues/q/x/y") == TABLE[state][column(rule)]


def test_the_table_has_every_state() -> None:
    assert {*TABLE, SEALING} == {None, *PlacementState}


# -- queues with history -----------------------------------------------------------------------------------------------

# Segment 1 was retired.
FIRST, MIDDLE, LAST = Segment(0, "p1", "q", sealed=True), Segment(2, "p2", "q", sealed=True), Segment(3, "p3", "q")
CHAIN = (FIRST, MIDDLE, LAST)

# (method, target): what is done with it. Every rule of the route table is in here.
SPREAD: dict[tuple[str, bytes], Decision] = {
    ("PUT", b"/v1/queues/q"): One(LAST),
    ("GET", b"/v1/queues/q"): One(LAST),
    ("HEAD", b"/v1/queues/q"): One(LAST),
    ("PATCH", b"/v2/queues/q"): Mirror(CHAIN),
    ("DELETE", b"/v2/queues/q"): Action.DELETE,
    ("OPTIONS", b"/v2/queues/q/messages"): One(LAST),
    ("GET", b"/v1/queues/q/metadata"): One(LAST),
    ("PUT", b"/v1/queues/q/metadata"): Mirror(CHAIN),
    ("GET", b"/v1/queues/q/stats"): Sum(CHAIN),
    ("POST", b"/v1/queues/q/messages"): One(LAST),
    ("POST", b"/v1.1/queues/q/messages"): One(LAST),
    ("GET", b"/v2/queues/q/messages"): Paginate(CHAIN, None),
    ("GET", b"/v2/queues/q/messages?marker=&ids="): Paginate(CHAIN, None),
    ("GET", b"/v2/queues/q/messages?marker=5"): Paginate(CHAIN, "5"),
    ("GET", b"/v2/queues/q/messages?marker=s1-5"): Paginate((MIDDLE, LAST), None),
    ("GET", b"/v2/queues/q/messages?marker=s2-5"): Paginate((MIDDLE, LAST), "5"),
    ("GET", b"/v2/queues/q/messages?marker=s4-5"): Action.LOOK,
    ("GET", b"/v1/queues/q/messages?ids=a"): One(FIRST),
    ("GET", b"/v1/queues/q/messages?ids=a,b&marker=s4-5"): One(FIRST),
    ("GET", b"/v1/queues/q/messages?ids=s3-a,b"): Merge((FIRST, LAST), ("s3-a", "b")),
    ("GET", b"/v1/queues/q/messages?ids=s1-a,b"): One(FIRST),
    ("GET", b"/v1/queues/q/messages?ids=s1-a"): One(LAST),
    ("GET", b"/v1/queues/q/messages?ids=s4-a,b"): Action.LOOK,
    ("DELETE", b"/v1/queues/q/messages?ids=s2-a,s2-b"): One(MIDDLE),
    ("DELETE", b"/v1/queues/q/messages?ids=s2-a,b"): All((FIRST, MIDDLE)),
    ("DELETE", b"/v1/queues/q/messages?ids=s1-a"): One(LAST),
    ("DELETE", b"/v1/queues/q/messages"): One(LAST),
    ("DELETE", b"/v1/queues/q/messages?pop=1"): One(LAST),
    ("DELETE", b"/v1/queues/q/messages?pop=1&ids=a"): One(FIRST),
    ("DELETE", b"/v2/queues/q/messages?ids=s2-a,b"): All((FIRST, MIDDLE)),
    ("DELETE", b"/v2/queues/q/messages?ids=s4-a"): Action.LOOK,
    ("DELETE", b"/v2/queues/q/messages?pop=1"): FirstNonEmpty(CHAIN),
    ("DELETE", b"/v2/queues/q/messages?%70op=1"): FirstNonEmpty(CHAIN),
    ("DELETE", b"/v2/queues/q/messages?pop=1&ids=a"): One(LAST),
    ("GET", b"/v2/queues/q/messages/a"): One(FIRST),
    ("GET", b"/v2/queues/q/messages/s2-a"): One(MIDDLE),
    ("GET", b"/v2/queues/q/messages/s1-a"): One(LAST),
    ("GET", b"/v2/queues/q/messages/s4-a"): Action.LOOK,
    ("GET", b"/v2/queues/q/messages/s0-s2-a"): One(FIRST),
    ("DELETE", b"/v2/queues/q/messages/s2%2Da?claim_id=c"): One(MIDDLE),
    ("POST", b"/v1/queues/q/claims"): FirstNonEmpty(CHAIN),
    ("GET", b"/v2/queues/q/claims/s2-c"): One(MIDDLE),
    ("PATCH", b"/v2/queues/q/claims/c"): One(FIRST),
    ("DELETE", b"/v2/queues/q/claims/s4-c"): Action.LOOK,
    ("POST", b"/v2/queues/q/purge"): All(CHAIN),
    ("POST", b"/v2/queues/q/share"): One(LAST),
    ("GET", b"/v2/queues/q/subscriptions?marker=s4-5"): One(LAST),
    ("POST", b"/v2/queues/q/subscriptions"): One(LAST),
    ("PATCH", b"/v2/queues/q/subscriptions/s4-x"): One(LAST),
    ("DELETE", b"/v2/queues/q/subscriptions/x"): One(LAST),
    ("PUT", b"/v2/queues/q/subscriptions/x/confirm"): One(LAST),
    ("PUT", b"/v2/topics/q"): One(LAST),
    ("PATCH", b"/v2/topics/q"): Mirror(CHAIN),
    ("DELETE", b"/v2/topics/q"): Action.DELETE,
    # Topics have no claims, and none but our own node keeps messages in them: they are where the last segment is.
    ("POST", b"/v2/topics/q/messages"): One(LAST),
    ("DELETE", b"/v2/topics/q/messages"): One(LAST),
    ("POST", b"/v2/topics/q/subscriptions"): One(LAST),
    ("POST", b"/v2/topics/q/purge"): One(LAST),
    ("PUT", b"/v2/topics/q/subscriptions/x/confirm"): One(LAST),
    ("PATCH", b"/v2/topics/q/subscriptions/x"): One(LAST),
    ("DELETE", b"/v2/topics/q/subscriptions/x"): One(LAST),
}

# The calls that wait while the queue is being switched.
HELD = {
    *(("PUT", b"/v1/queues/q"), ("PATCH", b"/v2/queues/q"), ("PUT", b"/v1/queues/q/metadata")),
    *(("POST", b"/v1/queues/q/messages"), ("POST", b"/v1.1/queues/q/messages"), ("POST", b"/v2/queues/q/purge")),
    *(("POST", b"/v2/queues/q/subscriptions"), ("PATCH", b"/v2/queues/q/subscriptions/s4-x")),
    *(("DELETE", b"/v2/queues/q/subscriptions/x"), ("PUT", b"/v2/queues/q/subscriptions/x/confirm")),
    *(("PUT", b"/v2/topics/q"), ("PATCH", b"/v2/topics/q"), ("POST", b"/v2/topics/q/messages")),
    *(("DELETE", b"/v2/topics/q/messages"), ("POST", b"/v2/topics/q/subscriptions"), ("POST", b"/v2/topics/q/purge")),
    *(
        ("PUT", b"/v2/topics/q/subscriptions/x/confirm"),
        ("PATCH", b"/v2/topics/q/subscriptions/x"),
        ("DELETE", b"/v2/topics/q/subscriptions/x"),
    ),
}


def written(call: tuple[str, bytes]) -> str:
    return f"{call[0]} {call[1].decode()}"


def of_chain(state: PlacementState, segments: tuple[Segment, ...], call: tuple[str, bytes], **latest: bool) -> Decision:
    return decide(Placement("project", "q", 7, state, segments), parse(*call), call[1], **latest)


@pytest.mark.parametrize("call", SPREAD, ids=written)
def test_a_queue_with_history(call: tuple[str, bytes]) -> None:
    assert of_chain(PlacementState.OPEN, CHAIN, call) == SPREAD[call]


@pytest.mark.parametrize("call", SPREAD, ids=written)
def test_a_queue_with_history_that_is_being_switched(call: tuple[str, bytes]) -> None:
    assert of_chain(SEALING, CHAIN, call) == (Action.HOLD if call in HELD else SPREAD[call])


@pytest.mark.parametrize("state", [PlacementState.RESERVED, PlacementState.CREATING, PlacementState.DELETING])
@pytest.mark.parametrize("call", SPREAD, ids=written)
def test_a_queue_with_history_of_which_nobody_knows_whether_it_exists(
    call: tuple[str, bytes], state: PlacementState
) -> None:
    creates = parse(*call).rule.effect is Effect.CREATES
    assert of_chain(state, CHAIN, call) == (Action.CREATE if creates else SPREAD[call])


@pytest.mark.parametrize("call", [call for call in SPREAD if SPREAD[call] is Action.LOOK], ids=written)
def test_what_the_catalog_does_not_know_either_is_from_before_the_first_move(call: tuple[str, bytes]) -> None:
    decision = of_chain(PlacementState.OPEN, CHAIN, call, latest=True)
    assert decision in (One(FIRST), Paginate(CHAIN, "s4-5"), Merge((FIRST,), ()))


@pytest.mark.parametrize("call", SPREAD, ids=written)
def test_the_one_segment_that_is_left_of_a_chain(call: tuple[str, bytes]) -> None:
    # Its ids are tagged for ever, for those of the base are not.
    decision = of_chain(PlacementState.OPEN, (LAST,), call)
    if isinstance(SPREAD[call], Action):
        assert decision is SPREAD[call]
    elif isinstance(SPREAD[call], Paginate):
        assert decision == Paginate((LAST,), None)
    else:
        assert decision in (One(LAST), FirstNonEmpty((LAST,)))


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", b"/v2/queues/q", One(HERE_ALONE)),
        ("POST", b"/v2/queues/q/claims", One(HERE_ALONE)),
        ("GET", b"/v2/queues/q/messages/a", One(HERE_ALONE)),
        ("DELETE", b"/v2/queues/q/messages/s1-a", Action.LOOK),
        ("GET", b"/v2/queues/q/messages?marker=s1-5", Action.LOOK),
        ("POST", b"/v2/queues/q/messages", Action.HOLD),
    ],
)
def test_the_first_switch_of_a_queue_may_be_news_that_has_not_come(
    method: str, target: bytes, expected: Decision
) -> None:
    assert of_chain(SEALING, (HERE_ALONE,), (method, target)) == expected


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("DELETE", b"/v2/queues/q/messages/a?claim_id=c", HERE),
        ("DELETE", b"/v2/queues/q/messages/s1-a?claim_id=s1-c", Action.LOOK),
        ("DELETE", b"/v2/queues/q/messages/s0-s1-a", HERE),
        ("DELETE", b"/v2/queues/q/messages/s1%2Da", Action.LOOK),
        ("DELETE", b"/v2/queues/q/messages?ids=a,s2-b", Action.LOOK),
        ("DELETE", b"/v2/queues/q/messages?ids=a%2Cs2-b", HERE),
        ("GET", b"/v2/queues/q/messages/s1-a", Action.LOOK),
        ("GET", b"/v2/queues/q/messages?ids=s1-a", Action.LOOK),
        ("GET", b"/v2/queues/q/messages?marker=s1-5", Action.LOOK),
        ("GET", b"/v2/queues/q/messages?limit=5&marker=5-6", HERE),
        ("PATCH", b"/v2/queues/q/claims/s1-c", Action.LOOK),
        ("DELETE", b"/v2/queues/q/claims/s1-c", Action.LOOK),
        ("POST", b"/v2/queues/q/messages", HERE),
        ("DELETE", b"/v2/queues/q/messages?pop=1", HERE),
        ("PATCH", b"/v2/queues/q/subscriptions/s1-x", HERE),
    ],
)
def test_a_worker_that_was_paused_may_know_of_no_move_at_all(method: str, target: bytes, expected: Decision) -> None:
    """Its lease lasts by its own clock, and a deletion of what it does not know would be answered 204 and not done."""
    assert of_chain(PlacementState.OPEN, (HERE_ALONE,), (method, target)) == expected
    assert of_chain(PlacementState.OPEN, (HERE_ALONE,), (method, target), latest=True) == HERE


def test_every_rule_is_in_the_table_of_queues_with_history() -> None:
    assert {parse(*call).rule for call in SPREAD} >= {rule for rule in RULES.values() if rule != RouteRule(rule.kind)}


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("PUT", b"/v1/queues/q", Action.CREATE),
        ("POST", b"/v1/queues/q/messages", Action.BY_RULE),
        ("POST", b"/v1.1/queues/q/messages", Action.CREATE),
        ("POST", b"/v2/queues/q/messages", Action.CREATE),
        ("POST", b"/v2/queues/q/subscriptions", Action.CREATE),
        ("POST", b"/v2/queues/q/claims", Action.BY_RULE),
        ("POST", b"/v2/queues/q/purge", Action.BY_RULE),
        ("PATCH", b"/v2/queues/q", Action.BY_RULE),
        ("PUT", b"/v1/queues/q/metadata", Action.BY_RULE),
        ("GET", b"/v2/queues/q", Action.BY_RULE),
        ("DELETE", b"/v2/queues/q", Action.BY_RULE),
        ("DELETE", b"/v2/queues/q/messages?pop=1", Action.BY_RULE),
        ("PUT", b"/v2/topics/t", Action.CREATE),
        ("POST", b"/v2/topics/t/messages", Action.CREATE),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else str(value),
)
def test_the_first_call_that_a_queue_ever_gets(method: str, target: bytes, expected: Decision) -> None:
    # API section 8.4: only these create a queue, so only these place one.
    assert decide(None, parse(method, target), target) == expected


@pytest.mark.parametrize(
    ("method", "target", "well_formed", "expected"),
    [
        ("GET", b"/", True, Action.LOCAL),
        ("GET", b"/", False, Action.TO_ANY),
        ("POST", b"/", True, Action.TO_ANY),
        ("GET", b"/v2/", True, Action.TO_ANY),
        ("GET", b"/v2/ping", True, Action.LOCAL),
        ("HEAD", b"/v1.1/ping", True, Action.LOCAL),
        ("PUT", b"/v2/ping", True, Action.TO_ANY),
        ("GET", b"/v2/ping", False, Action.TO_ANY),
        ("GET", b"/v1/health", True, Action.LOCAL),
        ("GET", b"/v2/health", True, Action.NOT_FOUND),
        *(("GET", f"/{version}/ready".encode(), False, Action.LOCAL) for version in API_VERSIONS),
        ("HEAD", b"/v1/ready", False, Action.LOCAL),
        ("POST", b"/v1/ready", True, Action.LOCAL),
        ("GET", b"/v1/queues", True, Action.LOCAL),
        ("GET", b"/v1/queues", False, Action.TO_ANY),
        ("HEAD", b"/v1/queues", True, Action.TO_ANY),
        ("OPTIONS", b"/v2/queues", True, Action.TO_ANY),
        ("GET", b"/v2/topics", True, Action.LOCAL),
        ("PUT", b"/v2/queues/", True, Action.TO_ANY),
        ("PUT", b"/v2/queues/not%20legal", False, Action.TO_ANY),
        ("GET", b"/v2/pools", True, Action.NOT_FOUND),
        ("GET", b"/v2/flavors/x", False, Action.NOT_FOUND),
        ("GET", b"/favicon.ico", False, Action.NOT_FOUND),
        ("GET", b"/v2/../", True, Action.BAD_PATH),
        ("GET", b"/v2/queues/..", False, Action.BAD_PATH),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else str(value),
)
def test_calls_that_no_queue_decides(method: str, target: bytes, well_formed: bool, expected: Decision) -> None:
    assert decide_without_queue(parse(method, target), well_formed=well_formed) == expected
