"""A Sphinx directive that shows the admin API's verbs from the table that serves them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from marconi_proxy.admin.routes import ROUTES


class AdminRoutes(Directive):
    """``.. admin-routes::``: method, path, policy and purpose of every verb."""

    def run(self) -> list[nodes.Node]:
        lines = [".. list-table::", "   :header-rows: 1", "", "   * - Verb", "     - Policy", "     - What it does"]
        for route in ROUTES:
            lines += [f"   * - ``{route.method} {route.path}``", f"     - {route.policy}", f"     - {route.doc}"]
        node = nodes.section()
        self.state.nested_parse(StringList([*lines, ""], "admin-routes"), self.content_offset, node)
        return node.children


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("admin-routes", AdminRoutes)
    return {"parallel_read_safe": True}
