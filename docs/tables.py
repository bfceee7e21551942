"""Sphinx directives that show verbs, commands and the states of moves from the tables in the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from marconi_proxy.admin.routes import ROUTES
from marconi_proxy.audit.kinds import KINDS
from marconi_proxy.cli.commands import COMMANDS
from marconi_proxy.cli.main import MarconiProxy
from marconi_proxy.metrics.names import METRICS
from marconi_proxy.moving.protocol.machine import EVENTS, TABLE, picture


class _Generated(Directive):
    def lines(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        node = nodes.Element()
        lines = StringList(list(self.lines()), type(self).__name__)
        self.state.nested_parse(lines, self.content_offset, node, match_titles=True)
        return node.children


class AdminRoutes(_Generated):
    """``.. admin-routes::``: method, path, policy and purpose of every verb of the admin API."""

    def lines(self) -> Iterator[str]:
        rows = ((f"``{route.method} {route.path}``", route.policy, route.doc) for route in ROUTES)
        return _table(("Verb", "Policy", "Purpose"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for cells in (head, *rows):
        for number, cell in enumerate(cells):
            yield f"   {' ' if number else '*'} - {cell}"


class Commands(_Generated):
    """``.. commands::``: the ``--help`` of every command."""

    def lines(self) -> Iterator[str]:
        app = MarconiProxy()
        for name in sorted(COMMANDS):
            factory, _, _ = app.command_manager.find_command(name.split())
            parser = factory(app, None, cmd_name=name).get_parser(f"marconi-proxy {name}")
            yield from (name, "-" * len(name), "", "::", "")
            yield from (f"    {line}" for line in parser.format_help().splitlines())
            yield ""


class AuditKinds(_Generated):
    """``.. audit-kinds::``: the disagreements of catalog and partitions, and their repairs."""

    def lines(self) -> Iterator[str]:
        rows = (
            (f"``{kind}``", meaning.what, meaning.repair or "Nothing.", meaning.otherwise or "--")
            for kind, meaning in KINDS.items()
        )
        return _table(("Kind", "Meaning", "Effect of ``--repair``", "Your action"), rows)


class Metrics(_Generated):
    """``.. metrics::``: every metric that can be scraped."""

    def lines(self) -> Iterator[str]:
        rows = (
            (f"``{metric.name}``", ", ".join(f"``{label}``" for label in metric.labels) or "--", metric.what)
            for metric in METRICS
        )
        return _table(("Metric", "Labels", "Meaning"), rows)


class MoveStates(_Generated):
    """``.. move-states::``: the meaning of each state of a move, and its end without intervention."""

    def lines(self) -> Iterator[str]:
        rows = ((f"``{state}``", place.meaning, place.way_out or "(an end)") for state, place in TABLE.items())
        return _table(("State", "Meaning", "Way out"), rows)


class MoveEvents(_Generated):
    """``.. move-events::``: the events of a move."""

    def lines(self) -> Iterator[str]:
        return _table(("Event", "Meaning"), ((f"``{event}``", words) for event, words in EVENTS.items()))


class MovePicture(_Generated):
    """``.. move-picture::``: the machine, drawn."""

    def lines(self) -> Iterator[str]:
        yield from (".. code-block:: text", "")
        yield from (f"   {line}" for line in picture())


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("admin-routes", AdminRoutes)
    app.add_directive("audit-kinds", AuditKinds)
    app.add_directive("commands", Commands)
    app.add_directive("metrics", Metrics)
    app.add_directive("move-states", MoveStates)
    app.add_directive("move-events", MoveEvents)
    app.add_directive("move-picture", MovePicture)
    return {"parallel_read_safe": True}
