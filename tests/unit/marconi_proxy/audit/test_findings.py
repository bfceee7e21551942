"""Findings, kind by kind: the disagreements that count, those that do not, and those that are worth a look."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from catalog.model import LogEntry, Move, MoveProgress, MoveState, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.audit.findings import AuditBounds, judge, needs_inspection
from marconi_proxy.audit.kinds import KINDS, FindingKind
from marconi_proxy.audit.observation import Observation, SegmentObservation, UnexpectedCopy

NOW = 10_000.0
BOUNDS = AuditBounds(unfinished=100.0, late=60.0)
KEY = QueueKey("p", "q")
ONE = (Segment(0, "north", "q"),)
TWO = (Segment(0, "north", "q", sealed=True), Segment(1, "south", "q"))
SWITCHED = 9_000.0

OPEN, CREATING, DELETING, SEALING, RESERVED = (
    PlacementState.OPEN,
    PlacementState.CREATING,
    PlacementState.DELETING,
    PlacementState.SEALING,
    PlacementState.RESERVED,
)


def placed(state: PlacementState = OPEN, segments: tuple[Segment, ...] = ONE, **members: Any) -> Placement:
    given = {"since": NOW - 1000.0, "incarnation": "b", "move": "m" if len(segments) > 1 else None} | members
    return Placement("p", "q", 3, state, segments, **given)


def moved(state: MoveState = MoveState.DRAINING, first: MoveState = MoveState.PLANNED, **members: Any) -> Move:
    log = (LogEntry(8_000.0, first, "first"), LogEntry(SWITCHED, state, "then"))
    given: dict[str, Any] = {"log": log, "incarnation": "b", "progress": MoveProgress(switched_at=SWITCHED)} | members
    return Move("m", "p", "q", "north", "south", state, **given)


def observed(placement: Placement | None = None, **members: Any) -> Observation:
    """Return an observation; a chain has its own move by default."""
    chained = placement is not None and placement.move is not None
    return Observation(KEY, NOW, placement, **({"move": moved()} if chained else {}) | members)


def part(**members: Any) -> SegmentObservation:
    return SegmentObservation("north", "q", **members)


# Newest message of age 900: from 100 seconds after the switch.
FOREIGN = {"parts": (part(age=900),)}

CASES = {
    "nothing at all": (observed(), []),
    "open, and there": (observed(placed(), there=True), []),
    "open, and nobody asked": (observed(placed()), []),
    "open, and not there": (observed(placed(), there=False), [(FindingKind.GHOST, "north", True)]),
    "moved, and not where it went": (observed(placed(segments=TWO), there=False), [(FindingKind.GHOST, "south", True)]),
    "sealing, and nobody asked": (observed(placed(SEALING, since=NOW - 1), move=moved(MoveState.SEALING)), []),
    "creating for long": (observed(placed(CREATING)), [(FindingKind.UNFINISHED, "north", True)]),
    "creating just now": (observed(placed(CREATING, since=NOW - 99)), []),
    "creating by a clock that is ahead": (observed(placed(CREATING, since=NOW + 999)), []),
    "deleting for long": (observed(placed(DELETING)), [(FindingKind.UNFINISHED, "north", True)]),
    "deleting a chain for long": (observed(placed(DELETING, TWO)), [(FindingKind.UNFINISHED, "south", True)]),
    "sealing for long": (observed(placed(SEALING)), [(FindingKind.UNFINISHED, "north", True)]),
    "reserved for ever": (observed(placed(RESERVED, since=0.0)), []),
    "other metadata": (
        observed(placed(segments=TWO), there=True, parts=(part(unlike="add /metadata/a 1"),)),
        [(FindingKind.DRIFT, "north", True)],
    ),
    "a post after the switch": (
        observed(placed(segments=TWO), move=moved(), there=True, **FOREIGN),
        [(FindingKind.FOREIGN_WRITER, "north", False)],
    ),
    "both": (
        observed(placed(segments=TWO), move=moved(), there=True, parts=(part(age=1, unlike="x"),)),
        [(FindingKind.DRIFT, "north", True), (FindingKind.FOREIGN_WRITER, "north", False)],
    ),
    "the last moment of a late write": (
        observed(placed(segments=TWO), move=moved(), parts=(part(age=int(NOW - SWITCHED - 60)),)),
        [],
    ),
    "no message": (observed(placed(segments=TWO), move=moved(), parts=(part(),)), []),
    "dead letters": (observed(placed(segments=TWO), move=moved(), dead_letters=True, **FOREIGN), []),
    "a dead-letter queue": (observed(placed(segments=TWO, group="source"), move=moved(), **FOREIGN), []),
    "of no move that is known": (
        observed(placed(segments=TWO), move=None, **FOREIGN),
        [(FindingKind.STRANDED, "south", True)],
    ),
    "of another move": (
        observed(placed(segments=TWO), move=replace(moved(), id="other"), **FOREIGN),
        [(FindingKind.STRANDED, "south", True)],
    ),
    "a chain of no move": (
        observed(placed(segments=TWO, move=None), there=True),
        [(FindingKind.STRANDED, "south", True)],
    ),
    "a chain that waits for its next move": (
        observed(placed(segments=TWO, move=None), move=moved(MoveState.PLANNED), there=True),
        [],
    ),
    "one part, of a move that is over": (
        observed(placed(move="m"), move=None, there=True),
        [(FindingKind.STRANDED, "north", True)],
    ),
    "of another life": (observed(placed(segments=TWO), move=moved(incarnation="c"), **FOREIGN), []),
    "a move that forgot": (observed(placed(segments=TWO), move=moved(progress=MoveProgress()), **FOREIGN), []),
    "adopted, and clients go over": (
        observed(placed(segments=TWO), move=moved(MoveState.SUSPENDED, MoveState.SUSPENDED), **FOREIGN),
        [],
    ),
    "adopted, and none writes directly any more": (
        observed(placed(segments=TWO), move=moved(MoveState.DRAINING, MoveState.SUSPENDED), **FOREIGN),
        [(FindingKind.FOREIGN_WRITER, "north", False)],
    ),
    "suspended after its switch": (
        observed(placed(segments=TWO), move=moved(MoveState.SUSPENDED), **FOREIGN),
        [(FindingKind.FOREIGN_WRITER, "north", False)],
    ),
    "nowhere in the catalog": (
        observed(unexpected_copies=(UnexpectedCopy("north"),)),
        [(FindingKind.ORPHAN, "north", False)],
    ),
    "where it is reserved": (
        observed(placed(RESERVED), unexpected_copies=(UnexpectedCopy("north"),)),
        [(FindingKind.ORPHAN, "north", False)],
    ),
    "on two, and nowhere in the catalog": (
        observed(unexpected_copies=(UnexpectedCopy("north"), UnexpectedCopy("west"))),
        [(FindingKind.DOUBLE, "north", False), (FindingKind.DOUBLE, "west", False)],
    ),
    "on another one too": (
        observed(placed(), there=True, unexpected_copies=(UnexpectedCopy("west"),)),
        [(FindingKind.DOUBLE, "west", False)],
    ),
    "left by a move": (
        observed(unexpected_copies=(UnexpectedCopy("north", "m"),)),
        [(FindingKind.LEFTOVER, "north", True)],
    ),
    "left by a move, with messages": (
        observed(unexpected_copies=(UnexpectedCopy("north", "m", 3),)),
        [(FindingKind.LEFTOVER, "north", False)],
    ),
    "everything": (
        observed(
            placed(segments=TWO),
            there=False,
            move=moved(),
            parts=(part(age=1, unlike="x"),),
            unexpected_copies=(UnexpectedCopy("west"),),
        ),
        [
            (FindingKind.DOUBLE, "west", False),
            (FindingKind.DRIFT, "north", True),
            (FindingKind.FOREIGN_WRITER, "north", False),
            (FindingKind.GHOST, "south", True),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong(case: str) -> None:
    seen, expected = CASES[case]
    found = sorted(judge(seen, BOUNDS), key=lambda finding: (finding.kind, finding.partition))
    assert [(finding.kind, finding.partition, finding.repairable) for finding in found] == expected
    assert all((finding.key, finding.backend_name) == (KEY, "q") and finding.words for finding in found)


@pytest.mark.parametrize("kind", [FindingKind.GHOST, FindingKind.UNFINISHED, FindingKind.DRIFT])
def test_it_is_another_finding_when_the_placement_was_changed_in_between(kind: FindingKind) -> None:
    state = DELETING if kind is FindingKind.UNFINISHED else OPEN
    segments = TWO if kind is FindingKind.DRIFT else ONE
    parts = (part(unlike="x"),) if kind is FindingKind.DRIFT else ()
    before = placed(state, segments)
    first = judge(observed(before, there=kind is not FindingKind.GHOST, parts=parts), BOUNDS)
    assert [finding.kind for finding in first] == [kind]
    assert first == judge(
        replace(observed(before, there=kind is not FindingKind.GHOST, parts=parts), now=NOW + 5), BOUNDS
    )
    for changed in (replace(before, epoch=4), replace(before, incarnation="c")):
        assert not first & judge(observed(changed, there=kind is not FindingKind.GHOST, parts=parts), BOUNDS)


@pytest.mark.parametrize("member", ["unlike", "digest"])
def test_another_difference_is_another_finding(member: str) -> None:
    one, other = (
        judge(observed(placed(segments=TWO), parts=(part(**{"unlike": "x", member: differs}),)), BOUNDS)
        for differs in "yz"
    )
    assert one
    assert not one & other


def test_every_kind_is_explained() -> None:
    assert set(KINDS) == set(FindingKind)
    assert all(meaning.what and (meaning.repair or meaning.otherwise) for meaning in KINDS.values())
    repaired = {kind for _, found in CASES.values() for kind, _, repairable in found if repairable}
    assert repaired == {kind for kind, meaning in KINDS.items() if meaning.repair}


ALL = frozenset({"north", "south", "west"})
HIDDEN = (Segment(0, "north", "q", sealed=True), Segment(1, "south", "q", sealed=True), Segment(2, "north", "q-2-x"))

WORTH = {
    "as it should be": (placed(), ["north"], ALL, False, ()),
    "not there": (placed(), [], ALL, True, ()),
    "not listed": (placed(), [], ALL - {"north"}, True, ()),
    "on another one": (placed(), ["north", "south"], ALL, True, ("south",)),
    "unknown": (None, ["north"], ALL, True, ("north",)),
    "gone": (None, [], ALL, False, ()),
    "of a move": (placed(move="m"), ["north"], ALL, True, ()),
    "a chain": (placed(segments=TWO), ["north", "south"], ALL, True, ()),
    "a chain and one more": (placed(segments=TWO), ["north", "south", "west"], ALL, True, ("west",)),
    "by a hidden name": (placed(segments=HIDDEN[2:]), [], ALL, True, ()),
    "by a hidden name, and its own": (placed(segments=HIDDEN[2:]), ["north"], ALL, True, ("north",)),
    "reserved": (placed(RESERVED), [], ALL, False, ()),
    "reserved, and there": (placed(RESERVED), ["north"], ALL, True, ("north",)),
    "creating": (placed(CREATING, since=NOW), ["north"], ALL, False, ()),
    "creating, not there yet": (placed(CREATING, since=NOW), [], ALL, False, ()),
    "creating for long": (placed(CREATING), [], ALL, True, ()),
    "deleting a chain": (placed(DELETING, TWO, since=NOW), ["north"], ALL, False, ()),
    "sealing": (placed(SEALING, since=NOW), ["north"], ALL, False, ()),
    "sealing, and prepared elsewhere": (placed(SEALING, since=NOW), ["north", "south"], ALL, True, ("south",)),
}


@pytest.mark.parametrize("case", WORTH)
def test_what_is_worth_a_look(case: str) -> None:
    placement, found_on, listed, wanted, unexpected_copies = WORTH[case]
    assert needs_inspection(placement, "q", found_on, listed, ALL, NOW, BOUNDS) == (wanted, unexpected_copies)


def test_what_is_on_partitions_that_nobody_asked_about_is_left_alone() -> None:
    assert needs_inspection(placed(), "q", [], {"west"}, {"west"}, NOW, BOUNDS) == (False, ())
    assert needs_inspection(placed(segments=TWO), "q", [], {"west"}, {"west"}, NOW, BOUNDS) == (False, ())
    assert needs_inspection(placed(segments=TWO), "q", ["north"], {"north"}, {"north"}, NOW, BOUNDS) == (True, ())
