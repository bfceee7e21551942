"""The guide to the admin API names every member of the JSON that it describes, and the commands show every one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from catalog.model import Member, MoveState, Partition
from marconi_proxy.admin import move_json, partition_json
from marconi_proxy.admin.members import Observed, member_json
from marconi_proxy.admin.placements import placement_json
from marconi_proxy.cli import partitions
from tests.unit.catalog_stage import placement
from tests.unit.move_examples import move

GUIDE = (Path(__file__).parents[2] / "docs" / "admin-api.rst").read_text(encoding="utf-8")
PARTITION = partition_json.shown(Partition("p", ("http://one",)), {}, name=True)
# By the title of the section.
DOCUMENTS: Mapping[str, dict[str, Any]] = {
    "Partitions": PARTITION,
    "Placements": placement_json(placement("orders")),
    "Moves": move_json.whole(move("orders", MoveState.DRAINING), 0.0),
    "Health": member_json(Observed(Member("host/1/boot"), 0.0), 30.0),
}


def section(title: str) -> str:
    _, _, rest = GUIDE.partition(f"\n{title}\n{'-' * len(title)}\n")
    return rest.partition("\n---")[0]


@pytest.mark.parametrize("title", DOCUMENTS)
def test_the_guide_names_every_member_of_a_document(title: str) -> None:
    text = section(title)
    named = {name for name in DOCUMENTS[title] if f'"{name}"' in text or f"``{name}``" in text}
    assert DOCUMENTS[title].keys() - named == set()


def test_the_commands_show_every_member_of_a_partition() -> None:
    assert set(partitions.COLUMNS) == PARTITION.keys()
