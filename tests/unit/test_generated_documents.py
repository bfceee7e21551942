"""The generated documents: the committed files are those that the code generates now."""

from __future__ import annotations

import difflib
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from catalog.model import MoveState
from marconi_proxy.admin.routes import ROUTES
from marconi_proxy.audit.kinds import KINDS
from marconi_proxy.cli.commands import COMMANDS
from marconi_proxy.metrics.names import METRICS
from marconi_proxy.moving.protocol.machine import TABLE
from marconi_proxy.option_table import GROUPS
from partition.serving.option_table import GROUPS as PARTITION_GROUPS

DOCS = Path(__file__).parents[2] / "docs"
TABLES: dict[str, Any] = runpy.run_path(str(DOCS / "tables.py"))
FIGURES: dict[str, Any] = runpy.run_path(str(DOCS / "figures"))
REFERENCE, IMAGES = DOCS / "reference", DOCS / "images"
ARCHITECTURE = (DOCS / "architecture.rst").read_text(encoding="utf-8")
# The names that each page must have.
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


@pytest.mark.parametrize("name", sorted(TABLES["NAMESPACES"]))
def test_a_sample_configuration_is_what_the_code_says(name: str) -> None:
    assert_current(TABLES["SAMPLES"] / name, TABLES["sample"](TABLES["NAMESPACES"][name]), TABLES["COMMAND"])


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


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FIGURES["FIGURES"]))
def test_a_figure_is_what_the_code_draws(name: str) -> None:
    assert_current(IMAGES / name, FIGURES["FIGURES"][name](), FIGURES["COMMAND"])
    assert f".. image:: images/{name}\n" in ARCHITECTURE


def test_every_transition_of_a_move_is_an_arrow_or_is_written_in_its_box() -> None:
    drawn = {(state, event) for state, events in FIGURES["move_life"].ARROWS.items() for event in events}
    drawn |= {(MoveState.DRAINING, event) for event in FIGURES["move_life"]._AROUND}
    assert drawn <= {(state, event) for state, place in TABLE.items() for event in place.next}
    svg = FIGURES["move_life"].move()
    for state, place in TABLE.items():
        assert f">{state}</text>" in svg
        for event, target in place.next.items():
            written = [line for line in FIGURES["move_life"].written(state) if line.endswith(f"→ {target}")]
            listed = any(event in line.partition(" →")[0].split(", ") for line in written)
            assert listed != ((state, event) in drawn), f"{state}: {event}"
            assert all(f">{line}</text>" in svg for line in written)


def test_the_modules_in_the_figure_of_a_request_exist() -> None:
    steps = [
        step for part in ("BEFORE", "OUTCOMES", "AFTER") for step in getattr(FIGURES["request_life"], part).values()
    ]
    named = {module for step in steps for module in step.modules}
    assert [name for name in sorted(named) if not (find_spec(f"marconi_proxy.{name}") or find_spec(name))] == []


def test_a_figure_that_cannot_be_read_is_refused() -> None:
    rect, misdrawn = FIGURES["canvas"].Rect, FIGURES["canvas"].Misdrawn
    canvas = FIGURES["canvas"].Canvas("two boxes")
    canvas.box("a", rect(0, 0, 100, 40), "a", (), "#fff")
    with pytest.raises(misdrawn, match="b lies on a"):
        canvas.box("b", rect(50, 20, 100, 40), "b", (), "#fff")
    with pytest.raises(misdrawn, match="wider than its box"):
        canvas.box("c", rect(0, 100, 60, 40), "much too long", (), "#fff")
    with pytest.raises(misdrawn, match="more lines than there is room for"):
        canvas.box("d", rect(0, 200, 100, 40), "d", ("1", "2", "3"), "#fff")
    with pytest.raises(misdrawn, match="where no box has its edge"):
        canvas.arrow("nowhere", (100, 20), (130, 20))

    def with_label(x: float, y: float) -> str:
        canvas = FIGURES["canvas"].Canvas("two boxes and an arrow")
        canvas.box("a", rect(0, 0, 100, 40), "a", (), "#fff")
        canvas.box("b", rect(0, 100, 100, 40), "b", (), "#fff")
        canvas.arrow("down", (50, 40), (50, 100))
        canvas.label(x, y, "label")
        return str(canvas.svg())

    assert "label" in with_label(60, 70)
    with pytest.raises(misdrawn, match="arrow down crosses 'label'"):
        with_label(40, 70)
    with pytest.raises(misdrawn, match="'label' lies on b"):
        with_label(60, 110)
