"""``/v1/tenants``: what an operator decided for projects' queues that are still to be created."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.model import MAX_SPREAD, Tenant
from marconi_proxy.admin.body import read_object, refuse_unknown
from marconi_proxy.admin.query import integer, named_project, next_links, page_limit, parameters
from marconi_proxy.project_text import from_url, project_named, shown_project, written

MEMBERS = ("spread", "pinned")


class TenantsResource:
    """Handlers for the collection and for one tenant. ``project`` comes percent-encoded."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        found = parameters(req, ("pinned", "spread", "marker", "limit"))
        limit = page_limit(found)
        pinned = found.get("pinned")
        tenants = await self._catalog.tenants.find(
            pinned=pinned,
            spread=integer(found, "spread", 1, 1, MAX_SPREAD) if "spread" in found else None,
            after=named_project(found, "marker"),
            limit=limit,
        )
        links = next_links("/v1/tenants", found, limit, written(tenants[-1].project) if tenants else None)
        shown = [
            {"project": shown_project(tenant.project), "spread": tenant.spread, "pinned": tenant.pinned}
            for tenant in tenants
        ]
        resp.media = {"tenants": shown, "links": links}

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, project: str) -> None:
        name = parsed_project(project)
        tenant = await self._catalog.tenants.get(name)
        shown = tenant or Tenant(name)
        resp.media = {
            "project": shown_project(name),
            "spread": shown.spread,
            "pinned": shown.pinned,
            "set": tenant is not None,
        }

    async def put(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, project: str) -> None:
        tenant = await self._parsed(parsed_project(project), await read_object(req))
        await self._catalog.tenants.put(tenant)
        resp.status = falcon.HTTP_204

    async def change(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, project: str) -> None:
        name = parsed_project(project)
        document = await read_object(req)
        await self._parsed(name, document)
        if not document:
            raise _invalid(f"The body must have at least one of {', '.join(MEMBERS)}.")
        await self._catalog.tenants.change(name, members=document)
        resp.status = falcon.HTTP_204

    async def remove(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, project: str) -> None:
        await self._catalog.tenants.remove(parsed_project(project))
        resp.status = falcon.HTTP_204

    async def _parsed(self, project: str, document: dict[str, Any]) -> Tenant:
        """The tenant that ``document`` describes, with defaults for what it does not name. Raises HTTPBadRequest."""
        refuse_unknown(document, MEMBERS)
        pinned = document.get("pinned")
        if pinned is not None and not isinstance(pinned, str):
            raise _invalid("pinned: must be the name of a partition, or null.")
        try:
            tenant = Tenant(project, **document)
        except ValueError as error:
            raise _invalid(f"{error}.") from error
        # Checked for the operator's sake only: the partition may be removed the moment after.
        if tenant.pinned is not None and await self._catalog.partitions.get(tenant.pinned) is None:
            raise _invalid(f"pinned: {tenant.pinned} is not a registered partition.")
        return tenant


def parsed_project(encoded: str) -> str:
    """Return the project that a part of a path names. Raises HTTPBadRequest."""
    try:
        return project_named(from_url(encoded))
    except ValueError as error:
        raise falcon.HTTPBadRequest(title="Invalid project", description=f"{error}.") from error


def _invalid(description: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(title="Invalid tenant", description=description)
