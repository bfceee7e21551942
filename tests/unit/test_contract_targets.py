"""The targets of the black-box contract suite: none is missing unnoticed, and no known difference is idle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.depth import DEEP
from tests.servers.partition import storage_drivers
from tests.wire.contract import quirks
from tests.wire.contract.quirks import Quirk
from tests.wire.contract.targets import Make, names

SUITE = Path(quirks.__file__).parent
QUIRKS = {name for name, value in vars(quirks).items() if isinstance(value, Quirk)}


def test_our_own_drivers_are_among_the_installed_ones() -> None:
    assert {"sqlite", "mongodb"} <= set(storage_drivers())


def test_every_driver_is_tested_beside_zaqar_and_the_front_door_over_one() -> None:
    found = [(name.make, name.store) for name in names()]
    drivers = storage_drivers()
    wanted = [(Make.NODE, driver) for driver in drivers]
    wanted += [(Make.FRONT_DOOR, driver) for driver in (drivers if DEEP else ["sqlite"])]
    assert sorted(found, key=str) == sorted([*wanted, (Make.ZAQAR, "")], key=str)


@pytest.mark.parametrize("quirk", sorted(QUIRKS))
def test_every_quirk_is_asserted_by_a_test(quirk: str) -> None:
    tests = [path.read_text() for path in SUITE.rglob("*.py") if path.name != "quirks.py"]
    assert any(f"quirks.{quirk}" in text for text in tests)
