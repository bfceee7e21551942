"""May this queue be moved there: every reason why not, and what is inserted if it may."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.model import FINISHED_STATES, MoveState, PartitionState, PlacementState
from marconi_proxy.moving.orders.direction import goes_back
from marconi_proxy.moving.orders.order import MoveRefused, MoveRequest, check_reverse, offers, onward, order
from tests.unit.catalog_stage import BORN, partition
from tests.unit.move_examples import catalog_view, cordoned, key, move, partitions, queue

IDS = ("m1", "m2", "m3", "m4")


def test_a_queue_goes_alone():
    request = MoveRequest(key("q"), "p2", max_pause_ms=100, created=7.0)
    (made,) = order(request, catalog_view([queue("q"), queue("other")]), IDS)
    assert (made.id, made.key, made.source, made.target) == ("m1", key("q"), "p1", "p2")
    assert (made.state, made.incarnation, made.max_pause_ms, made.created) == (MoveState.PLANNED, BORN, 100, 7.0)
    assert (made.group, made.destination, made.version) == ((), "p2", 1)


@pytest.mark.parametrize("asked", ["q", "dead", "deader"])
def test_a_queue_takes_its_dead_letter_queues_along_and_they_take_it(asked):
    placements = [queue("q"), queue("dead", group="q"), queue("deader", group="dead"), queue("other")]
    moves = order(MoveRequest(key(asked), "p2"), catalog_view(placements), IDS)
    assert (moves[0].queue, moves[0].id) == (asked, "m1")
    assert {m.queue for m in moves} == {"q", "dead", "deader"}
    for one in moves:
        assert set(one.group) == {"m1", "m2", "m3"} - {one.id}


def test_who_is_there_already_or_nowhere_yet_need_not_go_along():
    placements = [
        queue("q"),
        queue("dead", "p2", group="q"),
        queue("kept", group="q", state=PlacementState.RESERVED),
    ]
    assert [m.queue for m in order(MoveRequest(key("q"), "p2"), catalog_view(placements), IDS)] == ["q"]


def test_an_incomplete_group_is_refused_and_names_who_keeps_it():
    placements = [queue("q"), queue("dead", group="q", state=PlacementState.DELETING)]
    with pytest.raises(
        MoveRefused, match="dead, which belongs to its dead-letter group, cannot go: it is being deleted"
    ):
        order(MoveRequest(key("q"), "p2"), catalog_view(placements), IDS)


def test_groups_of_other_projects_are_no_groups():
    placements = [queue("q"), queue("dead", group="q", project="b")]
    assert len(order(MoveRequest(key("q"), "p2"), catalog_view(placements), IDS)) == 1


def test_too_few_ids_are_a_mistake():
    with pytest.raises(ValueError, match="ids: the group has 2 queues"):
        order(MoveRequest(key("q"), "p2"), catalog_view([queue("q"), queue("dead", group="q")]), ("m1",))


@pytest.mark.parametrize(
    ("placement", "reason"),
    [
        (None, "no such queue"),
        (queue("q", state=PlacementState.CREATING), "being created"),
        (queue("q", state=PlacementState.DELETING), "being deleted"),
        (queue("q", state=PlacementState.RESERVED, group="s"), "does not exist"),
        (queue("q", state=PlacementState.SEALING, move="m0"), "m0 is still under way"),
        (queue("q", "p3", "p1", move="m0"), "m0 is still under way"),
        (queue("q", "p2"), "is on partition p2 already"),
        (queue("q", "p1", "p3", "p1", "p3"), "chain is full: 4 segments of at most 4"),
        (queue("q", "gone"), "the API versions of partition gone are not known yet"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_queue_is_not_in_a_state_to_be_moved(placement, reason):
    with pytest.raises(MoveRefused, match=reason):
        order(MoveRequest(key("q"), "p2"), catalog_view([placement] if placement else []), IDS)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (None, "no partition p2"),
        (cordoned("p2"), "p2 is cordoned: it takes no more queues"),
        (partition("p2", state=PartitionState.DRAINED), "p2 is drained"),
        (partition("p2", state=PartitionState.DISABLED), "p2 is disabled"),
        (partition("p2", weight=0), "p2 has weight 0"),
        (partition("p2", versions=("v2",)), "p2 does not speak v1, v1.1, as p1 does"),
        (partition("p2", versions=()), "p2 does not speak v1, v1.1, v2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_target_is_not_fit(target, reason):
    parts = partitions("p1", **({"p2": target} if target else {}))
    with pytest.raises(MoveRefused, match=reason):
        order(MoveRequest(key("q"), "p2"), catalog_view([queue("q")], parts), IDS)


@pytest.mark.parametrize("state", sorted(set(MoveState) - FINISHED_STATES))
def test_a_move_under_way_is_named_with_what_can_be_done_about_it(state):
    chain = queue("q", "p1", "p2", move="m-q")
    with pytest.raises(MoveRefused, match=f"move m-q to p2 is still {state}") as refused:
        order(MoveRequest(key("q"), "p3"), catalog_view([chain], moves=[move("q", state)]), IDS)
    for event in ("cancel", "reverse"):
        assert (f"or {event} it" in str(refused.value)) == (event in offers(state))
    assert "full" not in str(refused.value)


def test_a_draining_move_with_a_full_chain_says_both():
    chain = queue("q", "p1", "p2", "p1", "p2", move="m-q")
    with pytest.raises(MoveRefused, match=r"still draining and the chain is full \(4 segments\)"):
        order(MoveRequest(key("q"), "p3"), catalog_view([chain], moves=[move("q", MoveState.DRAINING)]), IDS)


def test_a_move_that_was_switched_can_be_sent_on_while_the_chain_has_room():
    chain = queue("q", "p1", "p2", move="m-q")
    for state in MoveState:
        moves = [move("q", state)]
        sent = onward(MoveRequest(key("q"), "p3"), catalog_view([chain], moves=moves))
        again = state in (MoveState.DRAINING, MoveState.LINGERING, MoveState.SUSPENDED)
        assert sent == (tuple(moves) if again else ())


@pytest.mark.parametrize(
    ("placement", "target", "reason"),
    [
        (queue("q", "p1", "p2", "p1", "p2", move="m-q"), "p3", r"still draining and the chain is full \(4 segments\)"),
        (queue("q", "p1", "p2", move="m-q"), "p2", "writes go to partition p2 already; move m-q is draining"),
        (queue("q", "p1", "p2", move="m-q"), "p4", "no partition p4"),
        (queue("q", "p1", "p2", move="m-q"), "p5", "p5 is cordoned"),
        (queue("q", "p1", "p2", move="m-q", incarnation="ffff"), "p3", "was deleted"),
        (queue("q", "p1", "p2", state=PlacementState.DELETING), "p3", "being deleted"),
    ],
    ids=["full", "there", "unknown", "cordoned", "anew", "deleting"],
)
def test_what_cannot_be_sent_on(placement, target, reason):
    parts = partitions("p1", "p2", "p3", p5=cordoned("p5"))
    with pytest.raises(MoveRefused, match=reason):
        onward(MoveRequest(key("q"), target), catalog_view([placement], parts, [move("q", MoveState.DRAINING)]))


def test_a_dead_letter_queue_is_sent_on_with_its_source_or_neither_is():
    chains = [queue("q", "p1", "p2", move="m-q"), queue("dead", "p1", "p2", group="q", move="m-dead")]
    moves = [
        replace(move("q", MoveState.DRAINING), group=("m-dead",)),
        replace(move("dead", MoveState.LINGERING), group=("m-q",)),
    ]
    assert onward(MoveRequest(key("q"), "p3"), catalog_view(chains, moves=moves)) == tuple(moves)
    assert onward(MoveRequest(key("dead"), "p3"), catalog_view(chains, moves=moves)) == tuple(reversed(moves))
    with pytest.raises(MoveRefused, match="dead, which belongs to its dead-letter group, cannot go: it has no part"):
        onward(MoveRequest(key("q"), "p3"), catalog_view(chains, moves=moves[:1]))
    moves[1] = replace(moves[1], state=MoveState.RETIRED)
    with pytest.raises(
        MoveRefused, match="dead, which belongs to its dead-letter group, cannot go: move m-dead to p2 is"
    ):
        onward(MoveRequest(key("q"), "p3"), catalog_view(chains, moves=moves))


def test_a_reverse_leads_to_where_writes_went_before_also_if_the_move_was_sent_on():
    sent = replace(move("q", MoveState.DRAINING), source="p2", target="p3", destination="p3")
    assert check_reverse(sent, queue("q", "p1", "p2", "p3"), catalog_view()) == "p2"
    assert check_reverse(sent, queue("q", "p1", "p2"), catalog_view()) == "p1"


@pytest.mark.parametrize(("where", "back"), [(("p1", "p2"), "p1"), (("p1", "p2", "p1"), "p2")])
def test_a_reverse_goes_where_writes_do_not_go_now(where, back):
    assert check_reverse(move("q", MoveState.DRAINING), queue("q", *where), catalog_view()) == back


def test_a_reverse_may_go_to_a_cordoned_partition_for_it_came_from_there():
    parts = partitions("p2", p1=cordoned("p1"))
    assert check_reverse(move("q", MoveState.DRAINING), queue("q", "p1", "p2"), catalog_view(parts=parts)) == "p1"


@pytest.mark.parametrize(
    ("placement", "parts", "reason"),
    [
        (None, None, "was deleted"),
        (queue("q", "p1", "p2", incarnation="ffff"), None, "was deleted"),
        (queue("q", "p1", "p2"), partitions("p2"), "no partition p1 any more"),
        (queue("q", "p1", "p2"), partitions("p2", p1=partition("p1", state=PartitionState.DISABLED)), "disabled"),
        (queue("q", "p1", "p2", "p1", "p2"), None, "chain is full"),
    ],
    ids=["gone", "anew", "removed", "disabled", "full"],
)
def test_what_cannot_be_reversed(placement, parts, reason):
    with pytest.raises(MoveRefused, match=reason):
        check_reverse(move("q", MoveState.DRAINING), placement, catalog_view(parts=parts))


def group(*where):
    """A queue and its dead-letter queue, with their moves."""
    chains = [queue("q", *where, move="m-q"), queue("dead", *where, group="q", move="m-dead")]
    moves = [
        replace(move("q", MoveState.DRAINING), group=("m-dead",)),
        replace(move("dead", MoveState.DRAINING), group=("m-q",)),
    ]
    return chains, moves


def test_a_group_is_not_reversed_while_its_dead_letter_queue_has_a_place_there():
    chains, moves = group("p1", "p2")
    seen = catalog_view(chains, moves=moves)
    why = "it takes dead letters, so it keeps its name, and partition p1 still has .* done, order a new one there"
    with pytest.raises(MoveRefused, match=f"^dead, which belongs to its dead-letter group, cannot go: {why}"):
        check_reverse(moves[0], chains[0], seen)
    with pytest.raises(MoveRefused, match=f"^{why}"):
        check_reverse(moves[1], chains[1], seen)


def test_a_dead_letter_queue_that_has_its_name_free_there_is_reversed():
    chains, moves = group("p1", "p2")
    hidden = replace(chains[1].segments[0], backend_name="hidden")
    chains[1] = replace(chains[1], segments=(hidden, *chains[1].segments[1:]))
    assert check_reverse(moves[0], chains[0], catalog_view(chains, moves=moves)) == "p1"


@pytest.mark.parametrize(
    "dead",
    [
        queue("dead", "p1", "p2", group="q", state=PlacementState.RESERVED),
        queue("dead", "p1", "p2", group="q", incarnation="ffff"),
        queue("dead", "p1", group="q"),
        None,
    ],
    ids=["reserved", "anew", "there", "gone"],
)
def test_a_queue_is_reversed_without_those_that_need_not_go_along(dead):
    (chain, _), moves = group("p1", "p2")
    seen = catalog_view([chain] if dead is None else [chain, dead], moves=moves)
    assert check_reverse(moves[0], chain, seen) == "p1"


def test_a_queue_is_not_reversed_while_another_of_its_group_is_being_sent_on():
    chains, moves = group("p1", "p2")
    moves[0] = replace(moves[0], state=MoveState.REROUTE_PREPARING, source="p2", target="p3", destination="p3")
    with pytest.raises(
        MoveRefused, match="q, which belongs to its dead-letter group, cannot go: it is being sent on to"
    ):
        check_reverse(moves[1], replace(chains[1], group=None), catalog_view(chains, moves=moves))


@pytest.mark.parametrize(("destination", "back"), [("p1", True), ("p3", False)])
@pytest.mark.parametrize("tail", [None, 1])
def test_a_move_under_way_again_goes_back_or_on(destination, back, tail):
    again = replace(
        move("q", MoveState.REROUTE_SEALING), target=destination, source="p2", destination=destination, tail=tail
    )
    assert goes_back(again, queue("q", "p1", "p2")) is back
    # Switched, which its record does not show yet.
    assert tail is None or goes_back(again, queue("q", "p1", "p2", destination)) is back


def test_a_group_is_not_sent_on_to_where_its_dead_letter_queue_has_a_place():
    chains, moves = group("p1", "p2", "p3")
    for asked, start in (("q", "dead, which belongs to its dead-letter group, cannot go: "), ("dead", "")):
        with pytest.raises(
            MoveRefused, match=f"^{start}it takes dead letters, so it keeps its name, and partition p1 "
        ):
            onward(MoveRequest(key(asked), "p1"), catalog_view(chains, moves=moves))


def test_a_move_without_a_token_of_life_is_not_taken_for_another():
    old = replace(move("q", MoveState.DRAINING), incarnation="")
    assert check_reverse(old, queue("q", "p1", "p2"), catalog_view()) == "p1"
