"""What the front door answers itself: the version document, liveness, and listings from the catalog.

A falcon application behind the raw one, which calls it only for well-formed requests and leaves what it has found out
(route, project, query) in the ASGI scope under ``SCOPE_KEY``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import falcon.asgi
from falcon.asgi import Request, Response

from catalog.errors import CatalogError, CatalogUnavailable
from catalog.interface import Catalog
from catalog.model import API_VERSIONS, TOPIC_PREFIX, Placement
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.existence import metadata
from marconi_proxy.front_door.refusals import Refused, from_fault, unavailable
from marconi_proxy.routing.headers import VIA
from marconi_proxy.routing.listing_query import ListingQuery
from marconi_proxy.routing.route import Kind, Route
from marconi_proxy.upstream.errors import UpstreamError

SCOPE_KEY = "marconi.local"

# How many questions for metadata one listing has under way.
_AT_A_TIME = 8

# API section 1.10.
_DOCUMENTS: dict[str, dict[str, Any]] = {
    version: {
        "id": number,
        "status": status,
        "updated": updated,
        "media-types": [{"base": "application/json", "type": f"application/vnd.openstack.messaging-v{media}+json"}],
        "links": [{"href": f"/{version}/", "rel": "self"}],
    }
    for version, number, media, status, updated in (
        ("v1", "1", "1", "DEPRECATED", "2014-9-11T17:47:05Z"),
        ("v1.1", "1.1", "1_1", "DEPRECATED", "2016-7-29T02:22:47Z"),
        ("v2", "2", "2", "CURRENT", "2014-9-24T04:06:47Z"),
    )
}


class LocalCall(NamedTuple):
    """What the raw application hands over. ``query`` only for listings."""

    route: Route
    project: str
    request_id: bytes
    query: ListingQuery | None


def version_document(spoken: Iterable[str]) -> str:
    """Return the body of ``GET /`` for the versions that the partitions speak; for all of them while none is known."""
    versions = set(spoken) or set(API_VERSIONS)
    return json.dumps({"versions": [_DOCUMENTS[v] for v in API_VERSIONS if v in versions]})


class Versions:
    """``GET /``"""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def on_get(self, req: Request, resp: Response) -> None:
        spoken = [version for p in self._directory.partitions for version in p.api_versions]
        resp.status = falcon.HTTP_300
        resp.text = version_document(spoken)


class Liveness:
    """``GET`` and ``HEAD`` of /v1/health, /v1.1/ping, /v2/ping: can this worker do its work (API section 1.12)."""

    def __init__(self, catalog: Catalog, directory: Directory) -> None:
        self._catalog = catalog
        self._directory = directory

    async def on_get(self, req: Request, resp: Response) -> None:
        # In step with the catalog: then it can be reached, and nothing needs to be asked for every probe.
        if not self._directory.synced:
            raise CatalogUnavailable("the change feed is cut")
        resp.status = falcon.HTTP_204

    async def on_head(self, req: Request, resp: Response) -> None:
        resp.status = falcon.HTTP_204


class Listing:
    """``GET`` of a version's queues or topics: one index range of the catalog, by name (API sections 2.1, 3.1, 4.2)."""

    def __init__(self, catalog: Catalog, directory: Directory) -> None:
        self._catalog = catalog
        self._directory = directory

    async def on_get(self, req: Request, resp: Response) -> None:
        call: LocalCall = req.scope[SCOPE_KEY]
        query = call.query
        assert query is not None
        prefix, end = (TOPIC_PREFIX, "\x7f") if call.route.rule.kind is Kind.TOPICS else ("", TOPIC_PREFIX)
        placements = await self._catalog.list_queues(call.project, prefix + query.after, end, query.limit)
        path = f"/{call.route.version}/{'topics' if prefix else 'queues'}"
        entries = [_entry(path, placement) for placement in placements]
        if query.detailed:
            entries = await self._with_metadata(call.route.version, placements, entries)
        if not placements and call.route.version == "v1":
            resp.status = falcon.HTTP_204
            return
        last = placements[-1].queue.removeprefix(TOPIC_PREFIX) if placements else ""
        links = [{"rel": "next", "href": query.next_link(path, last)}] if placements else []
        document: dict[str, Any] = {"topics" if prefix else "queues": entries, "links": links}
        # The number of all queues, whatever the page; left out when it is 0 (API section 4.2).
        if query.counted and (count := await self._catalog.count_queues(call.project, prefix, end)):
            document["count"] = count
        resp.text = json.dumps(document)
        if call.route.version == "v1":
            resp.set_header("content-location", req.scope["target"].decode("latin-1"))

    async def _with_metadata(
        self, version: str, placements: list[Placement], entries: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Add each queue's metadata, from its partition, a few at a time. A page is whole or it is refused: raises
        UpstreamError if any of the partitions does not answer. A queue that was deleted meanwhile is left out."""
        turn = asyncio.Semaphore(_AT_A_TIME)

        async def ask(placement: Placement) -> dict[str, Any] | None:
            segment = placement.segments[-1]
            async with turn:
                upstream = await self._directory.upstream(segment.partition)
                if upstream is None:
                    raise unavailable("The partition of a queue is not registered any more.", 30)
                return await metadata(upstream, placement.key, segment.physical, version)

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(placement)) for placement in placements]
        answers = [task.result() for task in asked]
        return [
            {"name": entry["name"], "metadata": found, "href": entry["href"]}
            for entry, found in zip(entries, answers, strict=True)
            if found is not None
        ]


def _entry(path: str, placement: Placement) -> dict[str, Any]:
    name = placement.queue.removeprefix(TOPIC_PREFIX)
    return {"name": name, "href": f"{path}/{name}"}


class _Stamp:
    """Marks answers as ours."""

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:
        call: LocalCall = req.scope[SCOPE_KEY]
        resp.set_header("via", VIA.decode())
        resp.set_header("x-openstack-request-id", call.request_id.decode("latin-1"))


async def _refuse(req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
    refused = error if isinstance(error, Refused) else from_fault(error)
    status, headers, body = refused.answer()
    resp.status = status
    resp.set_headers([(name.decode(), value.decode()) for name, value in headers])
    resp.data = body


async def _refuse_first(req: Request, resp: Response, error: ExceptionGroup, params: dict[str, Any]) -> None:
    """Of several questions that failed, the first tells the client enough."""
    first = error.exceptions[0]
    if not isinstance(first, Refused | CatalogError | UpstreamError):
        raise error
    await _refuse(req, resp, first, params)


def make_local_application(catalog: Catalog, directory: Directory) -> falcon.asgi.App[Request, Response]:
    """Return the falcon application. Its routes are those with ``local`` in ``routing.route.ROUTES``."""
    app = falcon.asgi.App(middleware=[_Stamp()])
    app.add_error_handler(Refused, _refuse)
    app.add_error_handler(CatalogError, _refuse)
    app.add_error_handler(UpstreamError, _refuse)
    app.add_error_handler(ExceptionGroup, _refuse_first)
    app.add_route("/", Versions(directory))
    liveness = Liveness(catalog, directory)
    app.add_route("/v1/health", liveness)
    for version in API_VERSIONS:
        app.add_route(f"/{version}/queues", Listing(catalog, directory))
        if version != "v1":
            app.add_route(f"/{version}/ping", liveness)
    app.add_route("/v2/topics", Listing(catalog, directory))
    return app
