"""A plan's file: what is written comes back, and of changes all but those of rules are refused by line and name."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marconi_proxy.adoption.entries import Candidate, ConflictRule, QueueConflict, Single
from marconi_proxy.adoption.plan_file import BadPlan, Header, Writer, verified

HEADER = Header("20261121T080000-a1b2c3d4", "2026-11-21T08:00:00Z", {"north": "inventory", "south": "projects"}, 2)
RULES = (ConflictRule.CHAIN, ConflictRule.PREFER, ConflictRule.SKIP)
FOUND = (
    Candidate("north", 2, 1, 3, "2026-11-20T08:00:00Z", "2026-11-21T07:00:00Z", 1, dead_letters="dead"),
    Candidate("south"),
)
CONFLICT = QueueConflict("p", "a", ConflictRule.CHAIN, "south", RULES, FOUND, None, "a", None, ("Mind this.",))
DEAD = QueueConflict(
    "p", "dead", ConflictRule.CHAIN, "south", RULES, (Candidate("north"), Candidate("south", group="a")), None, "a"
)
SINGLES = [
    Single("", "plain", "north"),
    Single("\xc3\xa9", "a", "south", "s", "d"),
    Single("\xff", "~topic", "south"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "adoption.jsonl"
    with path.open("wb") as stream, Writer(stream, str(tmp_path)) as writer:
        # In any order.
        writer.add(SINGLES[0])
        writer.add(CONFLICT)
        for single in SINGLES[1:]:
            writer.add(single)
        writer.add(DEAD)
        writer.finish(HEADER)
    return path


def edited(path: Path, number: int, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the document in a line; a result that is a text replaces the line."""
    lines = path.read_text().splitlines()
    document = json.loads(lines[number - 1])
    result = change(document)
    lines[number - 1] = result if isinstance(result, str) else json.dumps(document)
    path.write_text("\n".join(lines) + "\n")


def refusal(path: Path) -> str:
    with pytest.raises(BadPlan) as caught:
        verified(path)
    return str(caught.value)


def test_what_is_written_comes_back_with_conflicts_first(path: Path) -> None:
    plan = verified(path)
    assert (plan.id, plan.conflicts, plan.singles) == (HEADER.id, 2, 3)
    assert [entry for _, entry in plan.entries()] == [CONFLICT, DEAD, *SINGLES]
    assert [number for number, _ in plan.entries()] == [2, 3, 4, 5, 6]
    header = json.loads(path.read_text().splitlines()[0])
    assert header["partitions"] == {"north": "inventory", "south": "projects"}
    assert header["rules"].keys() == {"chain", "prefer", "skip"}


def test_an_empty_plan_is_one(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    with path.open("wb") as stream, Writer(stream, str(tmp_path)) as writer:
        writer.finish(HEADER)
    plan = verified(path)
    assert (plan.conflicts, plan.singles, list(plan.entries())) == (0, 0, [])


def test_without_finish_nothing_is_written(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with Writer(stream, str(tmp_path)) as writer:
        writer.add(SINGLES[0])
    assert stream.getvalue() == b""
    assert list(tmp_path.iterdir()) == []


def test_rules_may_be_edited(path: Path) -> None:
    edited(path, 2, lambda line: line.update(rule="prefer", keep="north"))
    edited(path, 3, lambda line: line.update(rule="skip"))
    found = [entry for _, entry in verified(path).entries() if isinstance(entry, QueueConflict)]
    assert [(conflict.rule, conflict.keep) for conflict in found] == [
        (ConflictRule.PREFER, "north"),
        (ConflictRule.SKIP, "south"),
    ]


@pytest.mark.parametrize(
    ("number", "change", "says"),
    [
        (2, lambda line: line.update(rule="merge"), "line 2: rule: 'merge' is none of chain, prefer, skip"),
        (2, lambda line: line.update(rule=None), "line 2: rule: None"),
        (2, lambda line: line.update(rule=["chain"]), "line 2: rule: "),
        (
            2,
            lambda line: line.update(keep="west"),
            "line 2: keep: 'west' is none of the partitions it is on (north, south)",
        ),
        (2, lambda line: line.__delitem__("keep"), "line 2: keep: "),
        (2, lambda line: line.update(rule="prefer", keep="north"), "line 3: rule of dead: it would go to south and a,"),
        (2, lambda line: line.update(rules=["chain"]), "only 'rule' and 'keep'"),
        (2, lambda line: line.update(chain=["south", "north"]), "only 'rule' and 'keep'"),
        (2, lambda line: line["found"][0].update(partition="west"), "only 'rule' and 'keep'"),
        (2, lambda line: line["found"][0].pop("messages"), "line 2: messages: "),
        (2, lambda line: line.update(found=[]), "line 2: found: "),
        (2, lambda line: line.update(found=[7]), "line 2: found: "),
        (2, lambda line: line.update(more=1), "line 2: more: there is no such member"),
        (2, lambda line: line.update(project=""), "line 2: project: "),
        (4, lambda line: line.update(partition="south"), "only 'rule' and 'keep'"),
        (4, lambda line: line.update(partition=7), "line 4: partition: "),
        (4, lambda line: line.update(rule="skip"), "line 4: rule: there is no such member"),
        (4, lambda line: line.__delitem__("queue"), "line 4: queue: "),
        (4, lambda line: "nonsense", "line 4: is not one whole JSON object"),
        (4, lambda line: "[]", "line 4: is not one whole JSON object"),
        (1, lambda line: line.update(format="something"), "line 1: format: "),
        (1, lambda line: line.update(id="../x"), "only 'rule' and 'keep'"),
        (7, lambda line: line.update(sha256="0" * 64), "only 'rule' and 'keep'"),
        (7, lambda line: line.update(queues=4), "a line is missing"),
        (7, lambda line: json.dumps(line) + "\n{}", "line 8: there is something after the end"),
    ],
)
def test_what_was_edited_wrongly_is_refused(path: Path, number: int, change: Any, says: str) -> None:
    edited(path, number, change)
    assert says in refusal(path)


def test_rules_that_are_not_possible_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    with path.open("wb") as stream, Writer(stream, str(tmp_path)) as writer:
        writer.add(QueueConflict("p", "a", ConflictRule.SKIP, "south", (ConflictRule.SKIP,), FOUND, "south"))
        writer.finish(HEADER)
    edited(path, 2, lambda line: line.update(rule="chain"))
    assert "line 2: rule: chain is not possible here (skip)" in refusal(path)


def test_lines_can_be_neither_left_out_nor_doubled(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))
    assert "a line is missing" in refusal(path)
    path.write_text("".join(lines[:4] + lines[3:]))
    assert "a line is missing" in refusal(path)
    path.write_text("".join([*lines[:3], lines[4], lines[3], *lines[5:]]))
    assert "only 'rule' and 'keep'" in refusal(path)


def test_a_file_that_was_cut_off_is_none(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert "it was cut off" in refusal(path)
    path.write_text(text[:-1])
    assert "line 7: is not one whole JSON object" in refusal(path)
    path.write_text("")
    assert "it was cut off" in refusal(path)


def test_a_file_that_changes_while_it_is_applied_is_noticed(path: Path) -> None:
    plan = verified(path)
    edited(path, 4, lambda line: line.update(partition="south"))
    with pytest.raises(BadPlan, match="changed while it was applied"):
        list(plan.entries())
