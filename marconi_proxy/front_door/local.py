"""The answers of the front door itself: the version document, liveness, readiness, and listings from the catalog.

A falcon application behind ``application``, which calls it only for well-formed requests. Route, project and query of
the request are in the ASGI scope under ``SCOPE_KEY``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import falcon.asgi
from falcon.asgi import Request, Response

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import API_VERSIONS
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.pages import QUEUES, TOPICS, ListingPages, PageLimits
from marconi_proxy.front_door.refusals import RequestRefused, from_fault
from marconi_proxy.routing.headers import VIA
from marconi_proxy.routing.listing_query import ListingQuery
from marconi_proxy.routing.route import ParsedRoute, RouteKind
from marconi_proxy.upstream.errors import UpstreamError
from serving.readiness import Condition, accepting, readiness_answer

SCOPE_KEY = "marconi.local"

Conditions = Callable[[], Iterable[Condition]]

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
    """One request, as ``application`` has parsed it. ``query`` only for listings."""

    route: ParsedRoute
    project: str
    request_id: bytes
    query: ListingQuery | None


def version_document(spoken: Iterable[str]) -> str:
    """Return the body of ``GET /``, with the versions that partitions speak; with all while none is known."""
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
    """``GET`` and ``HEAD`` of /v1/health, /v1.1/ping and /v2/ping: that this worker answers (API section 1.12)."""

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.status = falcon.HTTP_204

    on_head = on_get


class Readiness:
    """``GET`` and ``HEAD`` of /{v}/ready: whether this worker can serve, by ``conditions`` and its server."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.status, headers, resp.data = readiness_answer([*self._conditions(), accepting(req.scope)])
        resp.set_headers([(name.decode(), value.decode()) for name, value in headers])

    on_head = on_get


class Listing:
    """``GET`` of a version's queues or topics: one index range of the catalog, by name (API sections 2.1, 3.1, 4.2)."""

    def __init__(self, catalog: Catalog, pages: ListingPages) -> None:
        self._catalog = catalog
        self._pages = pages

    async def on_get(self, req: Request, resp: Response) -> None:
        call: LocalCall = req.scope[SCOPE_KEY]
        version, query = call.route.version, call.query
        assert query is not None
        namespace = TOPICS if call.route.rule.kind is RouteKind.TOPICS else QUEUES
        page = await self._pages.page(call.project, version, namespace, query)
        if not page.entries and version == "v1":
            resp.status = falcon.HTTP_204
            return
        path = f"/{version}/{namespace.member}"
        entries = [
            {"name": name, **({} if shown is None else {"metadata": shown}), "href": f"{path}/{name}"}
            for name, shown in page.entries
        ]
        links = [] if page.last is None else [{"rel": "next", "href": query.next_link(path, page.last)}]
        document: dict[str, Any] = {namespace.member: entries, "links": links}
        # The number of all queues, not only of the page; left out if it is 0 (API section 4.2).
        if query.counted:
            count = await self._catalog.placements.count_queues(call.project, namespace.prefix, namespace.end)
            document |= {"count": count} if count else {}
        resp.text = json.dumps(document)
        if version == "v1":
            resp.set_header("content-location", req.scope["target"].decode("latin-1"))


class _Stamp:
    """Adds the headers that mark an answer as the front door's own."""

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:
        call: LocalCall = req.scope[SCOPE_KEY]
        resp.set_header("via", VIA.decode())
        resp.set_header("x-openstack-request-id", call.request_id.decode("latin-1"))


async def _refuse(req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
    refused = error if isinstance(error, RequestRefused) else from_fault(error)
    status, headers, body = refused.answer()
    resp.status = status
    resp.set_headers([(name.decode(), value.decode()) for name, value in headers])
    resp.data = body


def make_local_application(
    catalog: Catalog, directory: Directory, limits: PageLimits, conditions: Conditions
) -> falcon.asgi.App[Request, Response]:
    """Return the falcon application. Its routes are those with ``local`` in ``routing.route.ROUTES``."""
    app = falcon.asgi.App(middleware=[_Stamp()])
    app.add_error_handler(RequestRefused, _refuse)
    app.add_error_handler(CatalogError, _refuse)
    app.add_error_handler(UpstreamError, _refuse)
    app.add_route("/", Versions(directory))
    liveness, readiness = Liveness(), Readiness(conditions)
    app.add_route("/v1/health", liveness)
    listing = Listing(catalog, ListingPages(catalog, directory, limits))
    for version in API_VERSIONS:
        app.add_route(f"/{version}/queues", listing)
        app.add_route(f"/{version}/ready", readiness)
        if version != "v1":
            app.add_route(f"/{version}/ping", liveness)
    app.add_route("/v2/topics", listing)
    return app
