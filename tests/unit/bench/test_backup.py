"""bench.backup names differences, and the limits that are exceeded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.backup import MEMORY, PATIENCE, RARE, CommandFailed, Filled, Run, differences, faults, lived, missing, run
from bench.catalog_contents import placement
from catalog.backup.lines import value_line
from catalog.model import MoveState, PlacementState

FINE = Run("import", "sqlite", 2000, PATIENCE, MEMORY, 1, 5.0)


def backup(path: Path, lines: list[bytes], time: str = "t", sha256: str = "s") -> Path:
    header = json.dumps({"format": "marconi-proxy catalog", "time": time}).encode()
    end = json.dumps({"counts": {"placement": len(lines)}, "kind": "end", "sha256": sha256}, separators=(",", ":"))
    path.write_bytes(b"".join([header + b"\n", *lines, end.encode() + b"\n"]))
    return path


def test_placements_have_lived() -> None:
    filled = Filled()
    placements = list(filled.placements(2 * RARE))
    states = [move.state for move in filled.moves]
    assert states == [MoveState.DRAINING, MoveState.DONE] * 2
    assert [len(one.segments) for one in placements].count(2) == 2
    assert [one.state for one in placements].count(PlacementState.RESERVED) == 2
    assert {one.move for one in placements} == {None, filled.moves[0].id, filled.moves[2].id}
    assert filled.counts == {"placement": 2 * RARE}


def test_backups_of_the_same_are_equal_but_for_their_time(tmp_path: Path) -> None:
    one = backup(tmp_path / "1", [b"a\n", b"b\n"], "now", "x")
    assert differences(one, backup(tmp_path / "2", [b"a\n", b"b\n"], "later", "y")) == []


def test_an_import_may_raise_epochs_and_floors_and_nothing_else(tmp_path: Path) -> None:
    orders = placement("a", "orders", 1)
    one = backup(tmp_path / "1", [value_line(orders)])
    assert differences(one, backup(tmp_path / "2", [value_line(orders.restored(1.7e9))])) == []
    assert differences(one, backup(tmp_path / "3", [value_line(replace(orders, incarnation="x"))])) != []


@pytest.mark.parametrize("lines", [[b"a\n", b"c\n"], [b"a\n"], [b"a\n", b"b\n", b"c\n"], [b"b\n", b"a\n"]])
def test_backups_that_differ(lines: list[bytes], tmp_path: Path) -> None:
    one, other = backup(tmp_path / "1", [b"a\n", b"b\n"]), backup(tmp_path / "2", lines)
    line = 2 if lines[0] == b"b\n" else 4 if len(lines) == 3 else 3
    assert differences(one, other) == [f"1 and 2 differ from line {line} on"]


def test_what_was_filled_in_is_missing(tmp_path: Path) -> None:
    filled = Filled()
    ones = [placement("a", f"queue-{n}", n) for n in range(3)]
    for one in ones:
        filled.add("placement", one)
    lines = [value_line(one) for one in reversed(ones)]
    assert missing(filled, backup(tmp_path / "1", lines)) == []
    assert missing(filled, backup(tmp_path / "2", lines[1:])) == ["2 has 2 of 3 placements"]
    changed = [*lines[1:], value_line(lived(ones[0], 0)[0])]
    assert missing(filled, backup(tmp_path / "3", changed)) == [
        "3 has as many lines as were filled in, but not the same"
    ]


def test_nothing_is_broken() -> None:
    assert faults([FINE]) == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Run("import", "sqlite", 2000, 1.0, MEMORY + 1, 1, 1.0), "import of sqlite needed 129 MB, more than 128"),
        (Run("import", "sqlite", 2000, PATIENCE, 9.0, 0, 1.0), "import of sqlite took 30 s and showed no progress"),
    ],
)
def test_what_is_broken(broken: Run, told: str) -> None:
    assert faults([FINE, broken]) == [told]


def test_a_command_that_fails(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"catalog export ended with status 1: .*there is no catalog"):
        run("export", f"sqlite:///{tmp_path}/none.db", 1)
