"""Tenants pinned to a partition: their names if it takes no new queues, and a change of their pins."""

from __future__ import annotations

from collections.abc import Sequence

from catalog import Catalog
from catalog.model import Partition, Tenant
from marconi_proxy.moving.orders.order import takes
from marconi_proxy.moving.plans.survey import all_tenants
from marconi_proxy.project_text import shown_project

# The most tenants that a message names.
NAMED = 100
_SAID = 10


async def stranded(catalog: Catalog, partition: Partition) -> dict[str, object]:
    """Return the tenants that cannot create queues, because they are pinned to a partition that takes none.

    ``pinned``: the first of them as JSON names projects, ``more``: whether there are others.
    """
    if takes(partition):
        return {"pinned": [], "more": False}
    found = await catalog.tenants.find(pinned=partition.name, limit=NAMED + 1)
    return {"pinned": [shown_project(tenant.project) for tenant in found[:NAMED]], "more": len(found) > NAMED}


def named(found: Sequence[Tenant]) -> str:
    """Return how some tenants are named in a sentence that goes on with what they are: the first of them."""
    names = ", ".join(shown_project(tenant.project) or "-" for tenant in found[:_SAID])
    if len(found) == 1:
        return f"tenant {names} is"
    more = "" if len(found) <= _SAID else " and others"
    return f"tenants {names}{more} are"


async def change(catalog: Catalog, name: str, to: str) -> int:
    """Pin all tenants that are pinned to partition ``name`` to another one; return how many there were.

    Each by itself, and only its pin: what is decided about a tenant meanwhile stays. Broken off, it can be repeated.
    """
    changed = 0
    async for tenant in all_tenants(catalog, pinned=name):
        now = await catalog.tenants.get(tenant.project)
        if now is not None and now.pinned == name:
            await catalog.tenants.change(tenant.project, members={"pinned": to})
            changed += 1
    return changed
