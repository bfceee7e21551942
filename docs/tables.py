"""Sphinx directives that show verbs, commands and the states of moves from the tables that serve them."""

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
        return _table(("Verb", "Policy", "What it does"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for cells in (head, *rows):
        for number, cell in enumerate(cells):
            yield f"   {' ' if number else '*'} - {cell}"


class Commands(_Generated):
    """``.. commands::``: what ``--help`` of every command prints."""

    def lines(self) -> Iterator[str]:
        app = MarconiProxy()
        for name in sorted(COMMANDS):
            factory, _, _ = app.command_manager.find_command(name.split())
            parser = factory(app, None, cmd_name=name).get_parser(f"marconi-proxy {name}")
            yield from (name, "-" * len(name), "", "::", "")
            yield from (f"    {line}" for line in parser.format_help().splitlines())
            yield ""


class AuditKinds(_Generated):
    """``.. audit-kinds::``: what catalog and partitions may disagree about, and what is done about it."""

    def lines(self) -> Iterator[str]:
        rows = (
            (f"``{kind}``", meaning.what, meaning.repair or "Nothing.", meaning.otherwise or "--")
            for kind, meaning in KINDS.items()
        )
        return _table(("Kind", "What it is", "What ``--repair`` does", "What is for you to do"), rows)


class Metrics(_Generated):
    """``.. metrics::``: every metric that can be scraped."""

    def lines(self) -> Iterator[str]:
        rows = (
            (f"``{metric.name}``", ", ".join(f"``{label}``" for label in metric.labels) or "--", metric.what)
            for metric in METRICS
        )
        return _table(("Metric", "Labels", "What it is"), rows)


class MoveStates(_Generated):
    """``.. move-states::``: what each state of a move means, and how it ends if nothing is done about it."""

    def lines(self) -> Iterator[str]:
        rows = ((f"``{state}``", place.meaning, place.way_out or "(an end)") for state, place in TABLE.items())
        return _table(("State", "What it means", "Way out"), rows)


class MoveEvents(_Generated):
    """``.. move-events::``: what can happen to a move."""

    def lines(self) -> Iterator[str]:
        return _table(("Event", "What it is"), ((f"``{event}``", words) for event, words in EVENTS.items()))


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
