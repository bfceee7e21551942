"""What of the documentation is generated from the code: that the committed files are what the code says now."""

from __future__ import annotations

import difflib
import runpy
from pathlib import Path
from typing import Any

import pytest

from catalog.model import MoveState
from marconi_proxy.admin.routes import ROUTES
from marconi_proxy.audit.kinds import KINDS
from marconi_proxy.cli.commands import COMMANDS
from marconi_proxy.metrics.names import METRICS
from marconi_proxy.option_table import GROUPS
from partition.serving.option_table import GROUPS as PARTITION_GROUPS

DOCS = Path(__file__).parents[2] / "docs"
TABLES: dict[str, Any] = runpy.run_path(str(DOCS / "tables.py"))
REFERENCE = DOCS / "reference"
# What each page must name, whatever else it has.
NAMED = {
    "admin-routes.rst": {f"{route.method} {route.path}" for route in ROUTES},
    "audit-kinds.rst": set(KINDS),
    "metrics.rst": {metric.name for metric in METRICS},
    "move-states.rst": set(MoveState),
    "options.rst": {opt.dest for opts in GROUPS.values() for opt in opts},
    "partition-options.rst": {opt.dest for opts in PARTITION_GROUPS.values() for opt in opts},
}


def assert_current(kept: Path, made: str, command: str) -> None:
    before = kept.read_text(encoding="utf-8") if kept.exists() else ""
    changes = difflib.unified_diff(before.splitlines(True), made.splitlines(True), "committed", "generated")
    difference = "".join(changes)
    assert not difference, f"{kept.name} is not what the code says now. Run: {command}\n{difference}"


@pytest.mark.parametrize("name", sorted(TABLES["PAGES"]))
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    assert_current(REFERENCE / name, TABLES["text_of"](name), TABLES["COMMAND"])


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_reference_page_names_everything(name: str) -> None:
    text = TABLES["text_of"](name)
    assert [word for word in NAMED[name] if f"``{word}``" not in text] == []


def test_every_command_has_a_section_with_a_usage_line() -> None:
    lines = TABLES["text_of"]("commands.rst").splitlines()
    assert [name for name in COMMANDS if f"    marconi-proxy {name}" not in "\n".join(lines)] == []
    assert [lines[n - 1] for n, line in enumerate(lines) if line and set(line) == {"-"}] == sorted(COMMANDS)


def test_the_pages_are_the_same_on_any_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TABLES["text_of"]("commands.rst")
    monkeypatch.setenv("COLUMNS", "40")
    assert TABLES["text_of"]("commands.rst") == before


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("a * b and `c` | d_", r"a \* b and \`c\` \| d\_"),
        ("with --repair, or -f", "with ``--repair``, or ``-f``"),
        ("see 'partition set --inventory'", "see ``partition set --inventory``"),
        ("OS_<GROUP>__<OPTION> or $MARCONI_URL", "``OS_<GROUP>__<OPTION>`` or ``$MARCONI_URL``"),
        ("- for no project", r"\- for no project"),
        ("snake_case is no reference", "snake_case is no reference"),
    ],
)
def test_text_becomes_markup_that_means_the_same(text: str, marked: str) -> None:
    assert TABLES["plain"](text) == marked
