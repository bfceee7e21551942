"""The transitions of a placement by moves: each in each state, with its refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from catalog.model import Placement, PlacementState, Seal, Segment
from marconi_proxy.fencing.transitions import (
    AlreadyThere,
    ChainFull,
    NotOpen,
    NotReserved,
    NotSealed,
    NotSealing,
    TransitionRefused,
    UnderWay,
    abort,
    bar,
    hidden_name,
    prepare,
    rehome,
    retire,
    seal,
    switch,
    withdraw,
)

ONE = Placement(
    "project", "orders", 7, PlacementState.OPEN, (Segment(4, "p1", "orders"),), base=4, since=1.0, incarnation="b"
)
SEALED = seal(ONE, "m", 2.0, 4)
TWO = switch(SEALED, "m", "p2", "orders", 3.0)
BACK = switch(seal(TWO, "m", 4.0, 4), "m", "p1", "orders.6", 5.0)

EVERY: dict[str, Callable[[Placement], Placement]] = {
    "seal": lambda placement: seal(placement, "m", 9.0, 4),
    "switch": lambda placement: switch(placement, "m", "p9", "orders", 9.0),
    "abort": lambda placement: abort(placement, 9.0),
    "bar": lambda placement: bar(placement, 9.0),
    "retire": lambda placement: retire(placement, placement.segments[0].n, 9.0),
    "rehome": lambda placement: rehome(placement, "p9", 9.0),
}


def test_a_seal_holds_writes_and_changes_no_segment() -> None:
    assert replace(ONE, epoch=8, state=PlacementState.SEALING, since=2.0, move="m") == SEALED


def test_a_preparation_is_announced_until_it_is_withdrawn() -> None:
    prepared = prepare(ONE, "m")
    assert prepared == replace(ONE, epoch=8, move="m")
    assert prepared.preparation == Seal("project", "orders", "b", 8)
    assert withdraw(prepared) == replace(ONE, epoch=9)
    sealed = seal(prepared, "m", 2.0, 4)
    assert sealed.seal is not None
    assert sealed.seal.preparation == prepared.preparation
    ends = (ONE, sealed, abort(sealed, 3.0), switch(sealed, "m", "p2", "orders", 3.0), bar(prepared, 3.0), TWO)
    assert [placement.preparation for placement in ends] == [None] * len(ends)


def test_a_queue_is_prepared_once_and_for_one_move() -> None:
    for other in ("m", "another"):
        with pytest.raises(UnderWay):
            prepare(prepare(ONE, "m"), other)
    with pytest.raises(NotOpen):
        prepare(SEALED, "m")


def test_a_leftover_preparation_is_in_the_way_of_no_other_move() -> None:
    assert seal(prepare(ONE, "m"), "another", 2.0, 4).move == "another"


def test_a_switch_opens_a_segment_behind_the_last() -> None:
    segments = (Segment(4, "p1", "orders", sealed=True), Segment(5, "p2", "orders"))
    assert replace(ONE, epoch=9, since=3.0, move="m", segments=segments) == TWO


def test_an_aborted_seal_leaves_nothing_behind() -> None:
    assert abort(SEALED, 3.0) == replace(ONE, epoch=9, since=3.0)


def test_an_aborted_way_back_leaves_the_move_under_way() -> None:
    assert abort(seal(TWO, "m", 4.0, 4), 5.0) == replace(TWO, epoch=11, since=5.0)


def test_a_move_is_reversed_by_itself() -> None:
    assert [(s.n, s.partition, s.backend_name, s.sealed) for s in BACK.segments] == [
        (4, "p1", "orders", True),
        (5, "p2", "orders", True),
        (6, "p1", "orders.6", False),
    ]
    assert BACK.partition == "p1"


@pytest.mark.parametrize("order", [(4, 5), (5, 4)])
def test_the_move_ends_with_the_last_sealed_segment(order: tuple[int, int]) -> None:
    first, second = order
    between = retire(BACK, first, 6.0)
    assert (between.epoch, between.move, len(between.segments)) == (BACK.epoch + 1, "m", 2)
    after = retire(between, second, 7.0)
    assert after.segments == (Segment(6, "p1", "orders.6"),)
    assert (after.epoch, after.move, after.base, after.incarnation) == (BACK.epoch + 2, None, 4, "b")


def test_numbers_are_never_used_again() -> None:
    placement, used = ONE, {4}
    for number in range(5, 10):
        placement = switch(seal(placement, "m", 0.0, 2), "m", f"p{number}", "orders", 0.0)
        assert placement.segments[-1].n not in used
        used.add(placement.segments[-1].n)
        placement = retire(placement, placement.segments[0].n, 0.0)


@pytest.mark.parametrize(("placement", "after"), [(ONE, ONE), (TWO, TWO), (SEALED, abort(SEALED, 9.0))])
def test_a_bar_voids_what_was_decided_before(placement: Placement, after: Placement) -> None:
    assert bar(placement, 9.0) == replace(after, epoch=placement.epoch + 1, since=9.0)


def test_a_reserved_place_gets_a_new_number_elsewhere() -> None:
    reserved = replace(ONE, queue="~orders", state=PlacementState.RESERVED)
    found = rehome(reserved, "p2", 9.0)
    assert found == replace(reserved, epoch=8, since=9.0, segments=(Segment(5, "p2", "orders"),))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("state", PlacementState)
@pytest.mark.parametrize("segments", [ONE.segments, BACK.segments], ids=["one", "three"])
def test_what_each_state_allows(name: str, state: PlacementState, segments: tuple[Segment, ...]) -> None:
    placement = replace(ONE, state=state, segments=segments, move="m")
    allowed = {
        PlacementState.OPEN: {"seal", "bar"} | ({"retire"} if len(segments) > 1 else set()),
        PlacementState.SEALING: {"switch", "abort", "bar"},
        PlacementState.RESERVED: {"rehome"},
    }
    if name in allowed.get(state, set()):
        after = EVERY[name](placement)
        assert after.epoch == placement.epoch + 1
        assert (after.incarnation, after.base, after.key) == (placement.incarnation, placement.base, placement.key)
        assert [s.sealed for s in after.segments] == [True] * (len(after.segments) - 1) + [False]
    else:
        with pytest.raises(TransitionRefused):
            EVERY[name](placement)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: seal(SEALED, "m", 0.0, 4), NotOpen, "sealing"),
        (lambda: seal(TWO, "other", 0.0, 4), UnderWay, "the move m of this queue is still under way"),
        (lambda: seal(BACK, "m", 0.0, 3), ChainFull, "3 segments already, of at most 3"),
        (lambda: switch(ONE, "m", "p2", "orders", 0.0), NotSealing, "open"),
        (lambda: switch(SEALED, "other", "p2", "orders", 0.0), UnderWay, "the move m"),
        (lambda: switch(SEALED, "m", "p1", "orders", 0.0), AlreadyThere, "p1 already"),
        (lambda: abort(TWO, 0.0), NotSealing, "open"),
        (lambda: retire(SEALED, 4, 0.0), NotOpen, "sealing"),
        (lambda: retire(TWO, 5, 0.0), NotSealed, "takes the writes"),
        (lambda: retire(TWO, 3, 0.0), NotSealed, "no segment 3"),
        (lambda: rehome(ONE, "p2", 0.0), NotReserved, "open"),
        (lambda: bar(replace(ONE, state=PlacementState.DELETING), 0.0), NotOpen, "deleting"),
    ],
)
def test_refusals_say_why(act: Callable[[], Placement], error: type[TransitionRefused], words: str) -> None:
    with pytest.raises(error, match=words):
        act()


@pytest.mark.parametrize("queue", ["q", "q" * 64, "a.b", "A_b-c"])
def test_a_hidden_name_is_legal_and_tells_segments_lives_and_queues_apart(queue: str) -> None:
    names = {
        hidden_name(project, name, incarnation, n)
        for project in ("", "p", "p\x20")
        for name in (queue, queue[:-1] + "x")
        for incarnation in ("b1", "b2")
        for n in (1, 2)
    }
    assert len(names) == 3 * len({queue, queue[:-1] + "x"}) * 4
    assert all(1 <= len(name) <= 64 for name in names)
    assert all(name.removeprefix(queue[:40])[-15:].replace("-", "").isalnum() for name in names)


def test_a_topic_has_another_hidden_name_than_a_queue_and_without_its_mark() -> None:
    assert hidden_name("p", "~news", "b", 1).startswith("news-1-")
    assert hidden_name("p", "~news", "b", 1) != hidden_name("p", "news", "b", 1)
