"""``/v1/placements``: where queues live. Read-only: placements change by using queues and by moving them.

A v2 topic is a queue written ``~name`` here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.model import Placement, PlacementState, QueueKey
from marconi_proxy.admin.query import bad_parameter, named_project, named_states, next_links, page_limit, parameters
from marconi_proxy.admin.tenants import parsed_project
from marconi_proxy.clock import iso
from marconi_proxy.project_text import from_url, shown, shown_project

FILTERS = ("project", "partition", "region", "state")


class PlacementsResource:
    """Handlers for the collection and for one placement. ``project`` and ``queue`` come percent-encoded."""

    def __init__(self, catalog: Catalog, *, count_timeout: float) -> None:
        """``count_timeout``: seconds that counting may take."""
        self._catalog = catalog
        self._count_timeout = count_timeout

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        found = parameters(req, (*FILTERS, "marker", "limit"))
        limit = page_limit(found)
        placements = await self._catalog.placements.find(
            project=named_project(found),
            partitions=await self._partitions(found),
            states=named_states(found, PlacementState),
            after=_key(found["marker"]) if "marker" in found else None,
            limit=limit,
        )
        links = next_links("/v1/placements", found, limit, _marker(placements[-1].key) if placements else None)
        resp.media = {"placements": [placement_json(p) for p in placements], "links": links}

    async def count(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        found = parameters(req, FILTERS)
        project, states = named_project(found), named_states(found, PlacementState)
        partitions = await self._partitions(found)
        try:
            async with asyncio.timeout(self._count_timeout):
                count = await self._catalog.placements.count(project=project, partitions=partitions, states=states)
        except TimeoutError:
            raise falcon.HTTPServiceUnavailable(
                title="Too many to count",
                description=f"Counting them takes longer than {self._count_timeout:g} seconds ([admin] count_timeout). "
                "Narrow it by project, partition, region or state, or look at stats, which are counted in the "
                "background.",
                retry_after=60,
            ) from None
        resp.media = {"count": count}

    async def _partitions(self, found: dict[str, str]) -> Sequence[str] | None:
        """Return the names of the partitions that are asked for, None if all are. Raises HTTPBadRequest."""
        name = found.get("partition")
        region = shown(found["region"]) if "region" in found else None  # regions are stored as they were written
        if name is None and region is None:
            return None
        partitions = await self._catalog.partitions.all()
        if name is not None and name not in {partition.name for partition in partitions}:
            raise bad_parameter(f"partition: there is no partition {shown(name)}.")
        if region is not None and region not in {partition.region for partition in partitions}:
            raise bad_parameter(f"region: no partition is in a region {region}.")
        return [p.name for p in partitions if name in (None, p.name) and region in (None, p.region)]

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, project: str, queue: str) -> None:
        placement = await self._catalog.placements.get(QueueKey(parsed_project(project), from_url(queue)))
        if placement is None:
            raise falcon.HTTPNotFound(
                title="Not found",
                description="No such queue has a placement. A project is written as its id, or as - for no project.",
            )
        resp.media = placement_json(placement)


def placement_json(placement: Placement) -> dict[str, Any]:
    """Return the catalog's JSON with the project in UTF-8 and the time in ISO 8601."""
    return placement.to_json() | {
        "project": shown_project(placement.project),
        "queue": shown(placement.queue),
        "since": iso(placement.since),
    }


def _marker(key: QueueKey) -> str:
    # A queue's name has no slash, so the last one separates, whatever the project is.
    return f"{key.project}/{key.queue}"


def _key(marker: str) -> QueueKey:
    project, slash, queue = marker.rpartition("/")
    if not slash:
        raise bad_parameter("marker: take it from the next link of the page before.")
    return QueueKey(project, queue)
