"""The figure of the life of a move.

States and transitions are those of the product's own table; this module adds only where each state stands.
"""

from __future__ import annotations

from collections.abc import Mapping

from canvas import BLUE, GREEN, GREY, LEADING, MARGIN, PADDING, RED, TITLE, Canvas, Misdrawn, Rect

from catalog.model import FINISHED_STATES, MoveState
from marconi_proxy.moving.protocol.machine import TABLE, Event, before_switch

_LEFT, _MIDDLE, _RIGHT = range(3)
# (column, row) of every state.
PLACES: Mapping[MoveState, tuple[int, int]] = {
    MoveState.PLANNED: (_MIDDLE, 0),
    MoveState.PREPARING: (_MIDDLE, 1),
    MoveState.ARMED: (_MIDDLE, 2),
    MoveState.SEALING: (_MIDDLE, 3),
    MoveState.DRAINING: (_MIDDLE, 4),
    MoveState.LINGERING: (_MIDDLE, 5),
    MoveState.RETIRED: (_MIDDLE, 6),
    MoveState.DONE: (_MIDDLE, 7),
    MoveState.PAUSED: (_RIGHT, 0),
    MoveState.UNDOING: (_RIGHT, 1),
    MoveState.CANCELLED: (_RIGHT, 2),
    MoveState.SUSPENDED: (_LEFT, 4),
    MoveState.VOID: (_LEFT, 5),
    MoveState.REROUTE_SEALING: (_RIGHT, 4),
    MoveState.REROUTE_ARMED: (_RIGHT, 5),
    MoveState.REROUTE_PREPARING: (_RIGHT, 6),
    MoveState.REROUTE_UNDOING: (_RIGHT, 7),
}
# The events that have arrows, of states that stand beside each other. All others are written into their boxes.
ARROWS: Mapping[MoveState, tuple[Event, ...]] = {
    MoveState.PLANNED: (Event.START, Event.PAUSE),
    MoveState.PREPARING: (Event.PREPARED, Event.BACK_OFF, Event.CANCEL),
    MoveState.ARMED: (Event.SEALED,),
    MoveState.SEALING: (Event.SWITCHED, Event.ABORTED),
    MoveState.DRAINING: (Event.EMPTY, Event.PAUSE),
    MoveState.LINGERING: (Event.RETIRED, Event.NOT_EMPTY, Event.GONE),
    MoveState.RETIRED: (Event.CLEANED,),
    MoveState.PAUSED: (Event.RESUME,),
    MoveState.UNDOING: (Event.CLEANED,),
    MoveState.SUSPENDED: (Event.RESUME,),
    MoveState.REROUTE_SEALING: (Event.SWITCHED, Event.ABORTED),
    MoveState.REROUTE_ARMED: (Event.SEALED, Event.BACK_OFF),
    MoveState.REROUTE_PREPARING: (Event.PREPARED, Event.CANCEL),
}
# These two have one arrow together, around a corner.
_AROUND = (Event.REVERSE, Event.ONWARD)


def fill_of(state: MoveState) -> str:
    if state in FINISHED_STATES:
        return GREY
    if TABLE[state].holds_writes:
        return RED
    return BLUE if before_switch(state) else GREEN


def written(state: MoveState) -> list[str]:
    """Return the transitions of a state that have no arrow, those to one state in one line."""
    drawn = ARROWS.get(state, ()) + (_AROUND if state is MoveState.DRAINING else ())
    targets: dict[MoveState, list[str]] = {}
    for event, target in TABLE[state].next.items():
        if event not in drawn:
            targets.setdefault(target, []).append(event)
    return [f"{', '.join(events)} → {target}" for target, events in targets.items()]


def move() -> str:
    """Return the figure of a move's life."""
    wide, between, gap = 244, 120, 46
    rows = 1 + max(row for _, row in PLACES.values())
    heights = [
        PADDING * 2 + TITLE + LEADING * max(len(written(state)) for state, at in PLACES.items() if at[1] == row)
        for row in range(rows)
    ]
    tops = [MARGIN + sum(heights[:row]) + gap * row for row in range(rows)]
    canvas = Canvas("The life of a move: its states, and what leads from one to the next")
    for state, (column, row) in PLACES.items():
        rect = Rect(MARGIN + column * (wide + between), tops[row], wide, heights[row])
        canvas.box(state, rect, state, written(state), fill_of(state))
    for state, events in ARROWS.items():
        for event in events:
            _connect(canvas, state, event, TABLE[state].next[event])
    draining, back = canvas[MoveState.DRAINING], canvas[MoveState.REROUTE_PREPARING]
    assert {TABLE[MoveState.DRAINING].next[event] for event in _AROUND} == {MoveState.REROUTE_PREPARING}
    x, y = draining.right + 36, draining.bottom - 8
    canvas.arrow("around", (draining.right, y), (x, y), (x, back.cy), (back.x, back.cy))
    for number, event in enumerate(_AROUND):
        canvas.label(x + 8, canvas[MoveState.REROUTE_ARMED].cy + number * LEADING, event)
    legend = (
        (BLUE, "before the switch"),
        (RED, "writes are held"),
        (GREEN, "after the switch"),
        (GREY, "an end"),
    )
    for number, (fill, text) in enumerate(legend):
        canvas.swatch(MARGIN, MARGIN + number * 24, fill, text)
    for number, text in enumerate(("Written in a box: its transitions", "that have no arrow.")):
        canvas.label(MARGIN, MARGIN + 4 * 24 + 14 + number * LEADING, text)
    return canvas.svg()


def _connect(canvas: Canvas, state: MoveState, event: Event, target: MoveState) -> None:
    """Draw the arrow of a transition to the state above, below or beside. Those that go back have a lane of their own,
    to the right or below."""
    one, other = canvas[state], canvas[target]
    name = f"{state} {event}"
    (column, row), (to_column, to_row) = PLACES[state], PLACES[target]
    if column == to_column and abs(row - to_row) == 1:
        down = to_row > row
        x = one.cx + (-30 if down else 30)
        start, end = (one.bottom, other.y) if down else (one.y, other.bottom)
        canvas.arrow(name, (x, start), (x, end))
        canvas.label(x + (-8 if down else 8), (start + end) / 2 + 4, event, "end" if down else "start")
    elif row == to_row and abs(column - to_column) == 1:
        y = one.y + (30 if event is Event.RESUME else 12 if event is Event.PAUSE else 20)
        start, end = (one.right, other.x) if to_column > column else (one.x, other.right)
        canvas.arrow(name, (start, y), (end, y))
        # Clear of the lane around the corner.
        canvas.label((start + end) / 2, y - 4, event, "middle")
    else:
        raise Misdrawn(f"{target} does not stand beside {state}")
