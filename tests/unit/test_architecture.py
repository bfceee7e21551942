"""The architecture: that its numbers can be cited, and that what it names of the code is there."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest

from catalog.model import (
    Audit,
    Ending,
    HeldWrites,
    Holder,
    Member,
    Move,
    Partition,
    Placement,
    Plan,
    PlannedMove,
    Progress,
    Seal,
    Segment,
    Statistics,
    Tenant,
    Walk,
)

ARCHITECTURE = (Path(__file__).parents[2] / "docs" / "architecture.rst").read_text(encoding="utf-8")
# Values that the catalog stores, by the section of the architecture that describes them.
STORED = {
    "5.1": (Placement, Segment),
    "5.2": (Partition,),
    "5.3": (Tenant,),
    "5.4": (Member,),
    "5.5": (Move, Holder),
    "5.6": (Plan, Progress, PlannedMove, Ending),
    "5.7": (HeldWrites, Statistics, Walk, Audit),
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
    titles = re.findall(r"^\.\. _architecture-([0-9-]+):\n\n([0-9.]+?)\.? .*\n[~-]+\n", ARCHITECTURE, re.M)
    headings = re.findall(r"^([0-9]+(?:\.[0-9]+)?)\.? .*\n[~-]+$", ARCHITECTURE, re.M)
    assert [title for _, title in titles] == headings
    assert [anchor.replace("-", ".") for anchor, _ in titles] == headings
    assert [number for number in headings if "." not in number] == [str(n + 1) for n in range(11)]


def test_the_modules_that_the_architecture_names_exist() -> None:
    pattern = r"``((?:serving|upstream|routing|front_door|moving|admin|driving)\.[a-z_.]+)"
    missing = []
    for name in sorted(set(re.findall(pattern, ARCHITECTURE))):
        parts = ("moving." if name.startswith("driving.") else "") + name
        # What follows a module may be a name in it.
        there = any(_exists(".".join(parts.split(".")[:size])) for size in range(2, parts.count(".") + 2))
        if not there:
            missing.append(name)
    assert missing == []


def _exists(name: str) -> bool:
    try:
        return find_spec(f"marconi_proxy.{name}") is not None
    except ModuleNotFoundError:
        return False
