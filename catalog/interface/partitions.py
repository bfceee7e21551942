"""Partitions: the registered backend deployments."""

from __future__ import annotations

from abc import ABC, abstractmethod

from catalog.model import Partition


class PartitionStore(ABC):
    """``Catalog.partitions``."""

    @abstractmethod
    async def get(self, name: str) -> Partition | None: ...

    @abstractmethod
    async def all(self) -> list[Partition]:
        """Return all partitions by name."""

    @abstractmethod
    async def insert(self, partition: Partition) -> None:
        """Store a new partition (``version`` 1).

        Raises PartitionConflict(current) if the name is taken, unless exactly ``partition`` is stored already and not
        being removed (a repeated write). Raises HostTaken if another partition has one of its hosts, in any spelling
        (``address_of``), also if both are stored concurrently.
        """

    @abstractmethod
    async def replace(self, partition: Partition) -> None:
        """Compare-and-set on ``partition.version - 1``.

        Raises PartitionConflict(current or None), unless exactly ``partition`` is stored already (a repeated write).
        Raises HostTaken as ``insert`` does, but only for new hosts: releases with schema version 3 allowed the same
        host in several partitions.
        """

    @abstractmethod
    async def remove(self, name: str) -> None:
        """Remove the partition. Succeeds also if there is none.

        Raises PartitionInUse if a placement names it, or a move in one of ``COMING_STATES``. After an interrupted
        removal the partition is listed and takes no placements, until the removal is repeated or ``replace`` revives
        it.
        """
