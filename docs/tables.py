"""Sphinx directives that show verbs and commands from the tables that serve them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from marconi_proxy.admin.routes import ROUTES
from marconi_proxy.cli.commands import COMMANDS
from marconi_proxy.cli.main import MarconiProxy


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
        yield from (".. list-table::", "   :header-rows: 1", "")
        for cells in (("Verb", "Policy", "What it does"), *_cells()):
            for number, cell in enumerate(cells):
                yield f"   {' ' if number else '*'} - {cell}"


def _cells() -> Iterator[tuple[str, str, str]]:
    for route in ROUTES:
        yield f"``{route.method} {route.path}``", route.policy, route.doc


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


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("admin-routes", AdminRoutes)
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
