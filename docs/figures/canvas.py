"""A canvas for boxes, arrows and labels, which becomes SVG.

A figure has a background of its own, so that it can be read on light and on dark pages. A canvas refuses text that
does not fit its box, labels that lie on each other or on a box, and arrows that do not begin and end at boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise, starmap
from typing import NamedTuple

COMMAND = "python docs/figures"

_INK, _SOFT, _PAPER, _LINE = "#1b1f24", "#57606a", "#ffffff", "#57606a"
BLUE, RED, GREEN, GREY = "#ddf4ff", "#ffdcd7", "#dafbe1", "#eaeef2"
_FONT = "Verdana, 'DejaVu Sans', Arial, sans-serif"
# The width of a character as a share of the size of its font, at most, on the average of a text: bold ones are wider.
_WIDE, _BOLD = 0.6, 0.68
TITLE, _TEXT, LEADING, PADDING = 13, 11, 15, 9
_HEAD = 7
MARGIN = 20


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
    """The figure cannot be read as it is placed. The message names the parts that overlap."""


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
        y = rect.cy - (TITLE + LEADING * len(lines)) / 2 + TITLE - 2
        self._text(rect.cx, y, title, TITLE, bold=True, within=rect)
        for line in lines:
            y += LEADING
            self._text(rect.cx, y, line, _TEXT, within=rect)
        if y + PADDING - 4 > rect.bottom:
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
        width = f"{max(*(rect.right for rect in there), *(x for x, _ in points)) + MARGIN:.0f}"
        height = f"{max(*(rect.bottom for rect in there), *(y for _, y in points)) + MARGIN:.0f}"
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
