"""Progress on a terminal. The only user of rich, imported when there is a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from marconi_proxy.cli.counts import counted
from marconi_proxy.cli.watch import View, duration, text_of


class Bars:
    """A bar of the completed part, a bar of the remaining messages with their rate and time, and the rest in words."""

    def __init__(self, stream: TextIO, width: int | None = None) -> None:
        console = Console(file=stream, force_terminal=True, width=width)
        # Names of queues are no markup.
        title, rest = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[rest]}"))
        self._progress = Progress(title, BarColumn(), rest, console=console)
        self._main = self._progress.add_task("", total=1, rest="", visible=False)
        self._messages = self._progress.add_task("messages", total=1, rest="", visible=False)
        self._words = Text()
        self._live = Live(Group(self._progress, self._words), console=console, refresh_per_second=4)
        self._most = 0

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._live.stop()

    def show(self, view: View, rate: float, eta: float | None) -> None:
        self._progress.update(
            self._main,
            description=view.title,
            completed=view.done,
            total=view.total,
            rest=f"{view.done}/{view.total} {view.unit}",
            visible=True,
        )
        self._words.plain = "\n".join(part for part in (text_of(view), view.pause) if part)
        if view.left is None:
            return
        # The number may grow: more queues are switched, or late writes arrive.
        self._most = max(self._most, view.left)
        time_left = f"; {rate:.0f}/s, about {duration(eta)}" if rate and eta is not None else ""
        self._progress.update(
            self._messages,
            completed=self._most - view.left,
            total=self._most or 1,
            rest=f"{view.left} left{time_left}",
            visible=True,
        )


class CountBar:
    """A bar of the completed part of a count, or a pulsing bar while the total is unknown."""

    def __init__(self, stream: TextIO, width: int | None = None, unit: str = "documents") -> None:
        console = Console(file=stream, force_terminal=True, width=width)
        self._unit = unit
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rest]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, refresh_per_second=4)
        self._task = self._progress.add_task("", total=None, rest="")

    def __enter__(self) -> CountBar:
        self._progress.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._progress.stop()

    def show(self, title: str, count: int, part: float | None) -> None:
        self._progress.update(
            self._task,
            description=title,
            completed=part or 0,
            total=None if part is None else 1.0,
            rest=counted(count, part, self._unit),
        )
