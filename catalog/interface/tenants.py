"""Tenants: the decisions of operators for projects."""

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
        """Return tenants by project, after the project ``after`` (exclusive), at most ``limit``; None filters nothing.

        ``pinned`` keeps those pinned to this partition, ``spread`` those with this spread: index ranges.
        """

    @abstractmethod
    async def put(self, tenant: Tenant) -> None:
        """Store the tenant, and replace an existing one."""

    @abstractmethod
    async def change(self, project: str, *, members: Mapping[str, Any]) -> None:
        """Set the named members of the project's tenant in one atomic step; the others stay.

        Raises ValueError for a value that no Tenant can have, TypeError for an unknown member.
        """

    @abstractmethod
    async def remove(self, project: str) -> None:
        """Remove the tenant. Succeeds also if there is none."""
