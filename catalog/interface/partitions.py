"""Partitions: which there are."""

from __future__ import annotations

from abc import ABC, abstractmethod

from catalog.model import Partition


class PartitionStore(ABC):
    """``Catalog.partitions``."""

    @abstractmethod
    async def get(self, name: str) -> Partition | None: ...

    @abstractmethod
    async def all(self) -> list[Partition]:
        """All of them, by name."""

    @abstractmethod
    async def insert(self, partition: Partition) -> None:
        """Store a new partition (``version`` 1). Raises PartitionConflict(current) if the name is taken.

        Unless exactly ``partition`` is stored already, and not being removed (a repeated write). Raises HostTaken if
        another partition has one of its hosts, in any spelling (``address_of``), also if both are stored at once.
        """

    @abstractmethod
    async def replace(self, partition: Partition) -> None:
        """Compare-and-set on ``partition.version - 1``. Raises PartitionConflict(current or None).

        Unless exactly ``partition`` is stored already (a repeated write). Raises HostTaken as ``insert``, of
        hosts that it did not have before: releases with schema version 3 let several partitions have the same.
        """

    @abstractmethod
    async def remove(self, name: str) -> None:
        """Remove it; nothing to remove is success. Raises PartitionInUse if a placement names it, or a move
        that may still bring it one (``COMING_STATES``).

        A removal that was interrupted leaves the partition listed but taking no placements, until the removal is
        repeated or ``replace`` revives it.
        """
