"""The architecture: that its numbers can be cited, and that what it names of the code is there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from catalog.model import (
    AuditState,
    Ending,
    HeldWrites,
    Holder,
    Member,
    Move,
    MoveMeasurements,
    MovePlan,
    MoveProgress,
    Partition,
    Placement,
    PlannedMove,
    Progress,
    Seal,
    Segment,
    SubjectStatistics,
    Tenant,
    Walk,
)

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.rst").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^([0-9]+(?:\.[0-9]+)?)\.? .*\n[~-]+$", ARCHITECTURE, re.M)
# Values that the catalog stores, by the section of the architecture that describes them.
STORED = {
    "5.1": (Placement, Segment),
    "5.2": (Partition,),
    "5.3": (Tenant,),
    "5.4": (Member,),
    "5.5": (Move, MoveProgress, MoveMeasurements, Holder),
    "5.6": (MovePlan, Progress, PlannedMove, Ending),
    "5.7": (HeldWrites, SubjectStatistics, Walk, AuditState),
}
# The locks of walk and audit are described with that of a move.
_ELSEWHERE = {("5.7", "holder")}


def section(number: str) -> str:
    found = re.search(
        rf"^{re.escape(number)} [^\n]*\n[~-]+\n(.*?)(?=^\.\. _architecture-|\Z)", ARCHITECTURE, re.M | re.S
    )
    assert found is not None, f"there is no section {number}"
    return found[1]


@pytest.mark.parametrize("number", sorted(STORED))
def test_the_architecture_names_every_stored_field(number: str) -> None:
    names = {(number, field.name) for value in STORED[number] for field in fields(value)} - _ELSEWHERE
    text = section(number)
    assert [name for _, name in sorted(names) if f"``{name}``" not in text] == []


def test_the_architecture_names_the_fields_of_acknowledgements() -> None:
    assert [name for name in Seal._fields if f"``{name}``" not in section("5.4")] == []


def test_every_section_of_the_architecture_has_its_anchor() -> None:
    titles = re.findall(r"^\.\. _architecture-([0-9.]+):\n\n([0-9.]+?)\.? .*\n[~-]+\n", ARCHITECTURE, re.M)
    assert [title for _, title in titles] == HEADINGS
    assert [anchor for anchor, _ in titles] == HEADINGS
    assert [number for number in HEADINGS if "." not in number] == [str(n + 1) for n in range(11)]
