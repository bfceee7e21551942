"""The collection of tenants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from catalog.interface.tenants import TenantStore
from catalog.model import Tenant
from catalog.mongodb.documents import read_tenant, tenant_document

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Collection


class MongoDBTenants(TenantStore):
    """``Catalog.tenants``."""

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        self._stored: Collection = store.database["tenants"]

    async def get(self, project: str) -> Tenant | None:
        """Return the tenant of the project, None if there is none."""
        async with self._store.conversation() as session:
            document = await self._stored.find_one({"_id": project}, session=session)
        return None if document is None else self._read(document)

    async def find(
        self, *, pinned: str | None = None, spread: int | None = None, after: str | None = None, limit: int
    ) -> list[Tenant]:
        filters = {"pinned": pinned, "spread": spread}
        condition: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        if after is not None:
            condition["_id"] = {"$gt": after}
        documents = await self._store.page(self._stored, condition, limit)
        return [self._read(document) for document in documents]

    async def put(self, tenant: Tenant) -> None:
        """Store the tenant, and replace an existing one."""
        async with self._store.conversation() as session:
            # If two concurrent upserts both find no document, the server repeats the second one.
            await self._stored.replace_one(
                {"_id": tenant.project}, tenant_document(tenant), upsert=True, session=session
            )

    async def change(self, project: str, *, members: Mapping[str, Any]) -> None:
        document = tenant_document(replace(Tenant(project), **members))
        changed = {member: document.pop(member) for member in members}
        async with self._store.conversation() as session:
            await self._stored.update_one(
                {"_id": document.pop("_id")}, {"$set": changed, "$setOnInsert": document}, upsert=True, session=session
            )

    async def remove(self, project: str) -> None:
        """Remove the tenant, if it exists."""
        async with self._store.conversation() as session:
            await self._stored.delete_one({"_id": project}, session=session)

    def _read(self, document: Mapping[str, Any]) -> Tenant:
        return self._store.read("tenants", read_tenant, document)
