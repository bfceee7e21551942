"""``/v1/placements``: where queues live. Read-only: placements change by using queues and by moving them.

A v2 topic is a queue written ``~name`` here.
"""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.model import Placement, QueueKey
from marconi_proxy.admin.project_text import from_url, project_named, shown, shown_project, to_url
from marconi_proxy.admin.query import integer, parameters
from marconi_proxy.admin.tenants import parsed_project
from marconi_proxy.admin.time_text import iso

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


class Placements:
    """Handlers for the collection and for one placement. ``project`` and ``queue`` come percent-encoded."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        found = parameters(req, ("project", "partition", "marker", "limit"))
        limit = integer(found, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        project = None
        if "project" in found:
            try:
                project = project_named(found["project"])
            except ValueError as error:
                raise _bad_parameter(f"project: {error}.") from error
        placements = await self._catalog.list_placements(
            project=project,
            partitions=[found["partition"]] if "partition" in found else None,
            after=_key(found["marker"]) if "marker" in found else None,
            limit=limit,
        )
        # A next link after every page that is not empty: an empty page is the end, as in the queue lists of v1.
        links = []
        if placements:
            kept = found | {"marker": _marker(placements[-1].key), "limit": str(limit)}
            query = "&".join(f"{name}={to_url(value)}" for name, value in kept.items())
            links.append({"rel": "next", "href": f"/v1/placements?{query}"})
        resp.media = {"placements": [placement_json(p) for p in placements], "links": links}

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, project: str, queue: str) -> None:
        placement = await self._catalog.get_placement(QueueKey(parsed_project(project), from_url(queue)))
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
        raise _bad_parameter("marker: take it from the next link of the page before.")
    return QueueKey(project, queue)


def _bad_parameter(description: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(title="Invalid parameter", description=description)
