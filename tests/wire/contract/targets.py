"""The servers that speak the API and get the same requests: our node on every store, real Zaqar, our front door.

Every installed storage driver is tested, including those of other packages. Another test has the list of our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from tests.depth import DEEP
from tests.servers.partition import storage_drivers


class Make(Enum):
    """The program that answers."""

    NODE = auto()
    ZAQAR = auto()
    FRONT_DOOR = auto()


@dataclass(frozen=True)
class Name:
    """A target that can be started; ``store`` is the scheme of the driver under our nodes."""

    make: Make
    store: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.make.name.lower(), self.store) if part)


@dataclass(frozen=True)
class Target:
    """A running one."""

    name: Name
    address: tuple[str, int]


def names() -> list[Name]:
    """Every target there is. The front door is asked over one kind of node, and in the nightly run over every kind:
    what is under its partitions is nothing to it."""
    drivers = storage_drivers()
    return [
        *(Name(Make.NODE, driver) for driver in drivers),
        Name(Make.ZAQAR),
        *(Name(Make.FRONT_DOOR, driver) for driver in (drivers if DEEP else ["sqlite"])),
    ]
