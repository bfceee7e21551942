"""The two figures of the architecture, drawn as SVG: the life of a request, and the life of a move.

``python docs/figures.py`` draws them anew into ``docs/images``; ``tests/unit/test_generated_documents.py`` compares.
States and transitions of a move are those of the product's own table; this module adds only where each state stands.

A figure has a background of its own, so that it can be read on light and on dark pages. A canvas refuses text that
does not fit its box, labels that lie on each other or on a box, and arrows that do not begin and end at boxes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise, starmap
from pathlib import Path
from typing import NamedTuple

from catalog.model import MoveState
from marconi_proxy.moving.protocol.machine import ENDS, TABLE, Event, before_switch

DIRECTORY = Path(__file__).parent / "images"
COMMAND = "python docs/figures.py"

_INK, _SOFT, _PAPER, _LINE = "#1b1f24", "#57606a", "#ffffff", "#57606a"
_BLUE, _RED, _GREEN, _GREY, _WHITE = "#ddf4ff", "#ffdcd7", "#dafbe1", "#eaeef2", "#ffffff"
_FONT = "Verdana, 'DejaVu Sans', Arial, sans-serif"
# The width of a character as a share of the size of its font, at most, on the average of a text: bold ones are wider.
_WIDE, _BOLD = 0.6, 0.68
_TITLE, _TEXT, _LEADING, _PADDING = 13, 11, 15, 9
_HEAD = 7
_MARGIN = 20


class Rect(NamedTuple):
    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        return self.x + self.w

    @property
    def bottom(self) -> float:
        return self.y + self.h

    @property
    def cx(self) -> float:
        return self.x + self.w / 2

    @property
    def cy(self) -> float:
        return self.y + self.h / 2

    def overlaps(self, other: Rect) -> bool:
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def on_edge(self, x: float, y: float) -> bool:
        inside = self.x <= x <= self.right and self.y <= y <= self.bottom
        return inside and (x in (self.x, self.right) or y in (self.y, self.bottom))


class Misdrawn(ValueError):
    """The figure cannot be read as it is placed. The message says what lies on what."""


@dataclass(frozen=True)
class _Label:
    text: str
    rect: Rect


class Canvas:
    """``box`` everything, then ``arrow`` between boxes, then ask for the ``svg``."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._boxes: dict[str, Rect] = {}
        self._labels: list[_Label] = []
        self._lines: list[tuple[str, tuple[tuple[float, float], ...]]] = []
        self._parts: list[str] = []

    def __getitem__(self, name: str) -> Rect:
        return self._boxes[name]

    def box(self, name: str, rect: Rect, title: str, lines: Sequence[str], fill: str) -> None:
        """Draw a box, its title and lines of text. Raises Misdrawn if they do not fit, or if it lies on another."""
        for other, there in self._boxes.items():
            if rect.overlaps(there):
                raise Misdrawn(f"{name} lies on {other}")
        self._boxes[name] = rect
        self._parts.append(
            f'<rect x="{rect.x:g}" y="{rect.y:g}" width="{rect.w:g}" height="{rect.h:g}" rx="6" fill="{fill}" '
            f'stroke="{_LINE}"/>'
        )
        y = rect.cy - (_TITLE + _LEADING * len(lines)) / 2 + _TITLE - 2
        self._text(rect.cx, y, title, _TITLE, bold=True, within=rect)
        for line in lines:
            y += _LEADING
            self._text(rect.cx, y, line, _TEXT, within=rect)
        if y + _PADDING - 4 > rect.bottom:
            raise Misdrawn(f"{name} has more lines than there is room for")

    def arrow(self, name: str, *points: tuple[float, float]) -> None:
        """Draw a line from a box through all points to a box, where it has its head. Raises Misdrawn."""
        for x, y in (points[0], points[-1]):
            if not any(rect.on_edge(x, y) for rect in self._boxes.values()):
                raise Misdrawn(f"arrow {name} has an end at ({x:g}, {y:g}), where no box has its edge")
        self._lines.append((name, points))
        (px, py), (x, y) = points[-2:]
        dx, dy = (x > px) - (x < px), (y > py) - (y < py)
        path = " ".join(f"{'M' if n == 0 else 'L'}{a:g} {b:g}" for n, (a, b) in enumerate(points))
        side = 0.5 * _HEAD
        corners = ((x, y), (x - dx * _HEAD - dy * side, y - dy * _HEAD - dx * side))
        corners = (*corners, (x - dx * _HEAD + dy * side, y - dy * _HEAD + dx * side))
        head = " ".join(f"{a:g},{b:g}" for a, b in corners)
        self._parts.append(f'<path d="{path}" fill="none" stroke="{_LINE}" shape-rendering="crispEdges"/>')
        self._parts.append(f'<polygon points="{head}" fill="{_LINE}"/>')

    def label(self, x: float, y: float, text: str, anchor: str = "start", colour: str = _SOFT) -> None:
        """Write beside a line; ``y`` is that of the letters' feet."""
        self._text(x, y, text, _TEXT, anchor=anchor, colour=colour)

    def swatch(self, x: float, y: float, fill: str, text: str) -> None:
        """Draw a line of a legend."""
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" width="14" height="14" rx="3" fill="{fill}" stroke="{_LINE}"/>')
        self.label(x + 22, y + 11, text, colour=_INK)

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        *,
        anchor: str = "middle",
        bold: bool = False,
        colour: str = _INK,
        within: Rect | None = None,
    ) -> None:
        width = len(text) * size * (_BOLD if bold else _WIDE)
        left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
        rect = Rect(left, y - size + 2, width, size)
        if within is not None and (rect.x < within.x + 4 or rect.right > within.right - 4):
            raise Misdrawn(f"{text!r} is wider than its box")
        if rect.x < 0 or rect.y < 0:
            raise Misdrawn(f"{text!r} reaches out of the figure")
        if within is None:
            self._labels.append(_Label(text, rect))
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}"{weight} text-anchor="{anchor}" fill="{colour}">'
            f"{escape(text)}</text>"
        )

    def _check(self) -> None:
        for number, label in enumerate(self._labels):
            for other in self._labels[:number]:
                if label.rect.overlaps(other.rect):
                    raise Misdrawn(f"{label.text!r} lies on {other.text!r}")
            for name, rect in self._boxes.items():
                if label.rect.overlaps(rect):
                    raise Misdrawn(f"{label.text!r} lies on {name}")
        for name, points in self._lines:
            for stretch in starmap(_stretch, pairwise(points)):
                for label in self._labels:
                    if stretch.overlaps(label.rect):
                        raise Misdrawn(f"arrow {name} crosses {label.text!r}")
                for box, rect in self._boxes.items():
                    inner = Rect(rect.x + 1, rect.y + 1, rect.w - 2, rect.h - 2)
                    if stretch.overlaps(inner):
                        raise Misdrawn(f"arrow {name} crosses {box}")

    def svg(self) -> str:
        """Return the figure. Raises Misdrawn."""
        self._check()
        there = [*self._boxes.values(), *(label.rect for label in self._labels)]
        points = [point for _, line in self._lines for point in line]
        width = f"{max(*(rect.right for rect in there), *(x for x, _ in points)) + _MARGIN:.0f}"
        height = f"{max(*(rect.bottom for rect in there), *(y for _, y in points)) + _MARGIN:.0f}"
        return "\n".join(
            (
                f"<!-- Generated. Do not edit; run: {COMMAND} -->",
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" font-family="{_FONT}" role="img">',
                f"<title>{escape(self._title)}</title>",
                f'<rect width="{width}" height="{height}" fill="{_PAPER}"/>',
                *self._parts,
                "</svg>",
                "",
            )
        )


def _stretch(one: tuple[float, float], other: tuple[float, float]) -> Rect:
    """Return a piece of a line, horizontal or vertical, as a thin rectangle."""
    (x, y), (u, v) = one, other
    if x != u and y != v:
        raise Misdrawn(f"a line is neither horizontal nor vertical: {one} to {other}")
    return Rect(min(x, u) - 0.5, min(y, v) - 0.5, abs(x - u) + 1, abs(y - v) + 1)


# -- the life of a request ---------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One step of the story, with its number in the architecture. ``modules`` are of ``marconi_proxy``."""

    title: str
    modules: tuple[str, ...]
    text: str

    @property
    def lines(self) -> tuple[str, ...]:
        return (", ".join(self.modules), self.text) if self.modules else (self.text,)


BEFORE = {
    "receive": Step("1. Receive", ("serving.protocol",), "bytes to one request; ambiguous framing is refused"),
    "parse": Step(
        "2. Parse",
        ("routing.headers", "routing.identity", "routing.route"),
        "version, project, queue, kind of call; raw target kept",
    ),
    "count": Step(
        "3. Count the write", ("front_door.write_gate",), "ticket in the fence, term of the lease (writes only)"
    ),
    "look": Step("4. Look up", ("front_door.directory",), "placement from the cache, else one coalesced read"),
    "decide": Step("5. Decide", ("routing.decision",), "pure: placement and route to an outcome"),
}
OUTCOMES = {
    "forward": Step("Forward", ("front_door.application",), "a segment, or by rule"),
    "chain": Step("Spread", ("front_door.chain",), "queue with history"),
    "lifecycle": Step("Create, Delete", ("front_door.lifecycle",), "writes placements"),
    "local": Step("Local", ("front_door.local",), "listings, health"),
    "hold": Step("Hold", ("front_door.write_holds",), "waits for a switch"),
}
AFTER = {
    "exchange": Step(
        "7. Exchange",
        ("upstream.exchange", "upstream.balance", "upstream.pool"),
        "a host, a connection, retries under one deadline",
    ),
    "host": Step("Partition host", (), "a Zaqar, or a node, which refuses stale epochs"),
    "check": Step("8. Check and end", ("front_door.write_gate",), "still the same term? then give the ticket back"),
    "relay": Step("9. Relay", ("front_door.relay",), "status, headers and body of the partition's answer"),
}


def request() -> str:
    """Return the figure of a request's life."""
    left, wide, tall, gap = _MARGIN, 540, 62, 28
    canvas = Canvas("The life of a request, from the client's connection to a partition and back")
    small = Rect(left + wide / 2 - 60, 16, 120, 32)
    canvas.box("client", small, "client", (), _GREY)
    y = small.bottom + gap
    for name, step in BEFORE.items():
        canvas.box(name, Rect(left, y, wide, tall), step.title, step.lines, _BLUE)
        y += tall + gap
    catalog = Rect(left + wide + 140, canvas["look"].y, 180, tall)
    canvas.box("catalog", catalog, "Catalog", ("MongoDB or SQLite",), _GREY)
    trunk = y
    y += gap + 6
    step_x = 178
    for number, (name, step) in enumerate(OUTCOMES.items()):
        rect = Rect(left + number * step_x, y, 166, tall)
        canvas.box(name, rect, step.title, step.lines, _RED if name == "hold" else _GREEN)
    y += tall + gap + 8
    for name, step in AFTER.items():
        fill = _GREY if name == "host" else _BLUE
        canvas.box(name, Rect(left, y, canvas["lifecycle"].right - left, tall), step.title, step.lines, fill)
        y += tall + gap
    canvas.box("answered", small._replace(y=y), "client", (), _GREY)

    down = ("client", *BEFORE)
    for one, other in pairwise(down):
        canvas.arrow(f"{one} to {other}", (small.cx, canvas[one].bottom), (small.cx, canvas[other].y))
    for name in OUTCOMES:
        x = canvas[name].cx
        start = (small.cx, canvas["decide"].bottom)
        canvas.arrow(f"decide to {name}", start, (small.cx, trunk), (x, trunk), (x, canvas[name].y))
    canvas.label(small.cx + 10, trunk - 10, "6. Carry out what was decided")
    for name in ("forward", "chain", "lifecycle"):
        x = canvas[name].cx
        canvas.arrow(f"{name} to exchange", (x, canvas[name].bottom), (x, canvas["exchange"].y))
    down = (*AFTER, "answered")
    for one, other in pairwise(down):
        canvas.arrow(f"{one} to {other}", (small.cx, canvas[one].bottom), (small.cx, canvas[other].y))
    canvas.label(small.cx + 10, canvas["host"].y - 9, "request")
    canvas.label(small.cx + 10, canvas["check"].y - 9, "reply")
    local, end = canvas["local"], canvas["answered"]
    canvas.arrow("local to client", (local.cx, local.bottom), (local.cx, end.cy), (end.right, end.cy))

    look, hold, count = canvas["look"], canvas["hold"], canvas["count"]
    canvas.arrow("read", (look.right, look.y + 20), (catalog.x, look.y + 20))
    canvas.label(look.right + 12, look.y + 14, "read, if not cached")
    canvas.arrow("feed", (catalog.x, look.y + 44), (look.right, look.y + 44))
    canvas.label(look.right + 12, look.y + 38, "change feed")
    turn = hold.right + 8
    canvas.arrow("hold to count", (hold.right, hold.cy), (turn, hold.cy), (turn, count.cy), (count.right, count.cy))
    canvas.label(count.right + 12, count.cy - 6, "after the switch, from step 3")
    notes = (
        "A call that needs no waiting goes through",
        "steps 2 to 9 at once, before ASGI, without",
        "a task (FrontDoor.try_fast_path). A call that names",
        "no queue skips steps 3 and 4.",
    )
    for number, line in enumerate(notes):
        canvas.label(count.right + 12, canvas["receive"].y + 12 + number * _LEADING, line)
    return canvas.svg()


# -- the life of a move ------------------------------------------------------------------------------------------------

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
    if state in ENDS:
        return _GREY
    if TABLE[state].holds_writes:
        return _RED
    return _BLUE if before_switch(state) else _GREEN


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
        _PADDING * 2 + _TITLE + _LEADING * max(len(written(state)) for state, at in PLACES.items() if at[1] == row)
        for row in range(rows)
    ]
    tops = [_MARGIN + sum(heights[:row]) + gap * row for row in range(rows)]
    canvas = Canvas("The life of a move: its states, and what leads from one to the next")
    for state, (column, row) in PLACES.items():
        rect = Rect(_MARGIN + column * (wide + between), tops[row], wide, heights[row])
        canvas.box(state, rect, state, written(state), fill_of(state))
    for state, events in ARROWS.items():
        for event in events:
            _connect(canvas, state, event, TABLE[state].next[event])
    draining, back = canvas[MoveState.DRAINING], canvas[MoveState.REROUTE_PREPARING]
    assert {TABLE[MoveState.DRAINING].next[event] for event in _AROUND} == {MoveState.REROUTE_PREPARING}
    x, y = draining.right + 36, draining.bottom - 8
    canvas.arrow("around", (draining.right, y), (x, y), (x, back.cy), (back.x, back.cy))
    for number, event in enumerate(_AROUND):
        canvas.label(x + 8, canvas[MoveState.REROUTE_ARMED].cy + number * _LEADING, event)
    legend = (
        (_BLUE, "before the switch"),
        (_RED, "writes are held"),
        (_GREEN, "after the switch"),
        (_GREY, "an end"),
    )
    for number, (fill, text) in enumerate(legend):
        canvas.swatch(_MARGIN, _MARGIN + number * 24, fill, text)
    for number, text in enumerate(("Written in a box: its transitions", "that have no arrow.")):
        canvas.label(_MARGIN, _MARGIN + 4 * 24 + 14 + number * _LEADING, text)
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


FIGURES: Mapping[str, Callable[[], str]] = {"request.svg": request, "move.svg": move}


def main() -> int:
    DIRECTORY.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        (DIRECTORY / name).write_text(draw(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
