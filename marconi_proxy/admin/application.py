"""The admin API as an ASGI application."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import falcon
import falcon.asgi
import httpx
from oslo_config import cfg

from catalog import Catalog, open_catalog
from catalog.errors import CatalogUnavailable
from marconi_proxy.admin.audit import AuditResource
from marconi_proxy.admin.health import HealthResource
from marconi_proxy.admin.members import MemberRoll, MembersResource
from marconi_proxy.admin.metrics import MetricsResource
from marconi_proxy.admin.moves import MovesResource, Rehearsal
from marconi_proxy.admin.partitions import PartitionsResource
from marconi_proxy.admin.placements import PlacementsResource
from marconi_proxy.admin.plans import PlansResource
from marconi_proxy.admin.policy import rules
from marconi_proxy.admin.prober import Prober
from marconi_proxy.admin.routes import ROUTES, add_routes
from marconi_proxy.admin.statistics import StatisticsResource
from marconi_proxy.admin.tenants import TenantsResource
from marconi_proxy.background import ended
from marconi_proxy.moving.factory import make_rehearsal
from marconi_proxy.partition_client.discovery import make_client
from marconi_proxy.upstream.pool import Pool
from marconi_proxy.upstream.transport import UpstreamTransport
from serving.retry_after import retry_after

LOG = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AdminService:
    """A falcon application that opens the catalog and starts the prober at the lifespan's startup.

    ``transport`` stands in for the network when partition hosts are asked.
    """

    def __init__(self, conf: cfg.ConfigOpts, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._conf = conf
        self._transport = transport
        self._open = AsyncExitStack()
        self._app: falcon.asgi.App[Any, Any] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is None:
            raise RuntimeError("the server does not run the ASGI lifespan protocol")
        else:
            # Falcon splits the path into parts, so it gets it undecoded: %2F in a project is no separator. Handlers
            # decode, each part once.
            raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
            await self._app({**scope, "path": raw_path.decode("latin-1")}, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._start()
        except Exception as error:
            LOG.error("the admin API cannot start: %s", error)
            await self._open.aclose()
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._open.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        conf = self._conf
        catalog = await open_catalog(conf.catalog.uri)
        self._open.push_async_callback(catalog.close)
        client = await self._open.enter_async_context(
            make_client(conf.admin.probe_timeout, self._transport or self._own_transport())
        )
        self.prober = prober = Prober(
            catalog, client, interval=conf.admin.probe_interval, timeout=conf.admin.probe_timeout
        )
        # With an injected transport, this process has no upstreams for rehearsals.
        rehearse = make_rehearsal(conf, catalog, self._open) if self._transport is None else None
        roll = MemberRoll(catalog)
        self._app = build(conf, catalog, prober, roll, rehearse)
        beside = [asyncio.create_task(prober.run(), name="prober"), asyncio.create_task(roll.run(), name="members")]
        self._open.push_async_callback(ended, beside)

    def _own_transport(self) -> httpx.AsyncBaseTransport:
        """Return the transport of forwarded calls, so that a probe meets the same conditions."""
        conf = self._conf
        pool = Pool(
            connect_timeout=conf.admin.probe_timeout,
            idle_timeout=conf.upstream.idle_timeout,
            max_head=conf.upstream.max_response_head,
            resolve_for=conf.upstream.resolve_for,
        )
        self._open.callback(pool.close)
        # Never a kept connection: a probe checks whether the host accepts new ones.
        return UpstreamTransport(pool, max_idle=0.0)


def make_application(conf: cfg.ConfigOpts) -> AdminService:
    """Return the admin API. It needs a server that runs the lifespan protocol."""
    return AdminService(conf)


def build(
    conf: cfg.ConfigOpts, catalog: Catalog, prober: Prober, roll: MemberRoll, rehearse: Rehearsal | None = None
) -> falcon.asgi.App[Any, Any]:
    """Return the falcon application over an open catalog. Its paths are expected undecoded.

    ``rehearse`` returns the obstacles of a move, None if this process cannot poll partitions.
    """
    longest = conf.moving.max_segments
    # Longer than a seal takes, with any result.
    patience = conf.moving.seal_timeout + 1.0
    app = falcon.asgi.App(middleware=[_Acceptable({route.path: route.media for route in ROUTES})])
    app.req_options.strip_url_path_trailing_slash = True
    app.set_error_serializer(_serialize)
    app.add_error_handler(Exception, _fault)
    app.add_error_handler(CatalogUnavailable, _catalog_unavailable)
    resources = {
        "partitions": PartitionsResource(catalog, prober),
        "tenants": TenantsResource(catalog),
        "placements": PlacementsResource(catalog, count_timeout=conf.admin.count_timeout),
        "moves": MovesResource(catalog, longest=longest, patience=patience, rehearse=rehearse),
        "plans": PlansResource(
            catalog, longest=longest, hold_max=conf.moving.hold_max, seal_timeout=conf.moving.seal_timeout
        ),
        "members": MembersResource(catalog, roll, lease=conf.directory.lease),
        "statistics": StatisticsResource(catalog, time.time),
        "audit": AuditResource(catalog, time.time),
        "metrics": MetricsResource(catalog),
        "health": HealthResource(catalog, prober, roll, lease=conf.directory.lease, timeout=conf.admin.probe_timeout),
    }
    add_routes(app, resources, rules(conf.admin.token), ROUTES)
    return app


class _Acceptable:
    """Check each request: ``Accept`` must admit the type of the answer, JSON (API section 1.2) unless ``media`` has
    another one for its path, and nothing in the request may contain NUL."""

    def __init__(self, media: Mapping[str, str]) -> None:
        self._media = media

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        media = self._media.get(req.path, falcon.MEDIA_JSON)
        if not req.client_accepts(media):
            raise falcon.HTTPNotAcceptable(title="Not acceptable", description=f"Answers are {media}.")
        # No header and no queue can carry it, and stores use it to separate the parts of a key.
        if "%00" in req.path or b"%00" in req.scope["query_string"]:
            raise falcon.HTTPBadRequest(title="Invalid request", description="No name contains a NUL character.")


def _serialize(req: falcon.asgi.Request, resp: falcon.asgi.Response, error: falcon.HTTPError) -> None:
    """Write every error as ``{"title", "description"}`` (API section 1.8), whatever ``Accept`` has."""
    document = {"title": error.title, "description": error.description or error.title}
    resp.data = json.dumps(document, ensure_ascii=False).encode()
    resp.content_type = falcon.MEDIA_JSON
    resp.append_header("Vary", "Accept")


async def _fault(
    req: falcon.asgi.Request, resp: falcon.asgi.Response, error: Exception, params: dict[str, Any]
) -> None:
    LOG.error("%s %s failed", req.method, req.path, exc_info=error)
    raise falcon.HTTPServiceUnavailable(
        title="Service temporarily unavailable",
        description="The admin API failed; its log has the cause. The request may have been processed; check before "
        "you repeat it.",
        retry_after=retry_after(5),
    )


async def _catalog_unavailable(
    req: falcon.asgi.Request, resp: falcon.asgi.Response, error: Exception, params: dict[str, Any]
) -> None:
    LOG.warning("%s %s: the catalog is not available: %s", req.method, req.path, error)
    raise falcon.HTTPServiceUnavailable(
        title="Catalog unavailable",
        description="The catalog did not answer. The request may have been processed; it is safe to repeat.",
        retry_after=retry_after(1),
    )
