"""Tenants: what was decided for a project."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from catalog.model import Tenant


class TenantStore(ABC):
    """``Catalog.tenants``."""

    @abstractmethod
    async def get(self, project: str) -> Tenant | None: ...

    @abstractmethod
    async def find(
        self, *, pinned: str | None = None, spread: int | None = None, after: str | None = None, limit: int
    ) -> list[Tenant]:
        """Tenants by project, after the project ``after`` (exclusive), at most limit; None filters nothing.

        ``pinned`` keeps those that are pinned to this partition, ``spread`` those with this spread: index ranges.
        """

    @abstractmethod
    async def put(self, tenant: Tenant) -> None:
        """Store it, whatever was there."""

    @abstractmethod
    async def change(self, project: str, *, members: Mapping[str, Any]) -> None:
        """Give the named members of the project's tenant these values, in one step; the others stay as they are.

        Raises ValueError for a value that no Tenant can have, TypeError for a member that it has not.
        """

    @abstractmethod
    async def remove(self, project: str) -> None:
        """Forget it; nothing to forget is success."""
