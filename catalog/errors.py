"""What can go wrong with the catalog, named by whose fault it is.

``CatalogError`` is the root. Drivers translate every exception of their store into one of these, once, at their edge
(``raise ... from``), so that nobody above them knows which store is in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.model import Partition, Placement


class CatalogError(Exception):
    """Root of everything the catalog raises."""


class BadCatalogURI(CatalogError):
    """The operator's fault: the URI names no catalog. The message quotes what is accepted, never a password."""


class NotInitialised(CatalogError):
    """The operator's fault: the store was never prepared by ``marconi-proxy catalog init``."""


class WrongSchema(CatalogError):
    """The operator's fault: the store was prepared by a release with another schema version."""


class CatalogUnavailable(CatalogError):
    """The store's fault: it did not answer, or not in time.

    A write that ends so *may* have happened. Every write of the interface is safe to repeat: compare-and-set and
    insert-or-get tell afterwards which way it went.
    """


class Conflict(CatalogError):
    """A compare-and-set met another epoch than it expected. ``current`` is what is stored now, None if nothing is."""

    def __init__(self, current: Placement | None) -> None:
        super().__init__(f"the stored placement is {current}" if current else "there is no such placement any more")
        self.current = current


class PartitionConflict(CatalogError):
    """A partition of this name is there with other content or version. ``current`` is it, None if it is gone."""

    def __init__(self, name: str, current: Partition | None) -> None:
        super().__init__(f"partition {name} was changed by somebody else" if current else f"no partition {name}")
        self.name = name
        self.current = current


class PartitionUnknown(CatalogError):
    """A placement named a partition that is not registered, or that is being removed right now."""

    def __init__(self, name: str) -> None:
        super().__init__(f"partition {name} is not registered")
        self.name = name


class PartitionInUse(CatalogError):
    """A partition cannot be removed: ``placements`` (at least 1) placements still name it."""

    def __init__(self, name: str, placements: int) -> None:
        super().__init__(f"partition {name} still has {placements} placement{'s' if placements != 1 else ''}")
        self.name = name
        self.placements = placements
