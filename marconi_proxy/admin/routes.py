"""Every verb of the admin API, one row each: the only way in which a handler gets a path and a policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import falcon
import falcon.asgi

from marconi_proxy.admin.policy import Rule
from marconi_proxy.metrics.exposition import CONTENT_TYPE as TEXT


@dataclass(frozen=True, slots=True)
class Route:
    """``handler`` is ``RESOURCE.METHOD``; ``policy`` the name of a rule of ``policy.rules``; ``media`` the type of its
    answers, but for errors."""

    method: str
    path: str
    handler: str
    policy: str
    doc: str
    media: str = falcon.MEDIA_JSON


ROUTES = (
    Route("GET", "/v1/partitions", "partitions.list", "admin", "All partitions, by name; 204 if there are none."),
    Route("GET", "/v1/partitions/{name}", "partitions.show", "admin", "One partition."),
    Route("PUT", "/v1/partitions/{name}", "partitions.register", "admin", "Register a partition; changes none."),
    Route("PATCH", "/v1/partitions/{name}", "partitions.change", "admin", "Change members of a partition."),
    Route("DELETE", "/v1/partitions/{name}", "partitions.remove", "admin", "Remove a partition that holds nothing."),
    Route("POST", "/v1/partitions/{name}/repin", "partitions.repin", "admin", "Pin its tenants to another one."),
    Route("GET", "/v1/tenants", "tenants.list", "admin", "Tenants for which anything was decided, in pages."),
    Route("GET", "/v1/tenants/{project}", "tenants.show", "admin", "Where a project's new queues go."),
    Route("PUT", "/v1/tenants/{project}", "tenants.put", "admin", "Decide where a project's new queues go."),
    Route("PATCH", "/v1/tenants/{project}", "tenants.change", "admin", "Change that in part."),
    Route("DELETE", "/v1/tenants/{project}", "tenants.remove", "admin", "Back to the defaults for a project."),
    Route("GET", "/v1/placements", "placements.list", "admin", "Placements by project and queue, in pages."),
    Route("GET", "/v1/placements/count", "placements.count", "admin", "How many there are; 503 if that takes long."),
    Route("GET", "/v1/placements/{project}/{queue}", "placements.show", "admin", "Where one queue lives."),
    Route("GET", "/v1/moves", "moves.list", "admin", "Moves by id, in pages; those of one queue, plan or state."),
    Route("POST", "/v1/moves", "moves.order", "admin", "Order that a queue goes to another partition."),
    Route("GET", "/v1/moves/{move}", "moves.show", "admin", "One move, with its log and why it is not done."),
    Route("GET", "/v1/moves/{move}/certificate", "moves.certificate", "admin", "What a finished move proves."),
    Route("POST", "/v1/moves/{move}/pause", "moves.pause", "admin", "Leave a move as it is."),
    Route("POST", "/v1/moves/{move}/resume", "moves.resume", "admin", "Go on with a move that is paused."),
    Route("POST", "/v1/moves/{move}/cancel", "moves.cancel", "admin", "Leave the queue where it is."),
    Route("POST", "/v1/moves/{move}/reverse", "moves.reverse", "admin", "Let writes go to the old partition again."),
    Route("GET", "/v1/plans", "plans.list", "admin", "Plans by id, in pages, with how far they are."),
    Route("POST", "/v1/plans", "plans.make", "admin", "Make a plan of many moves; nothing is moved yet."),
    Route("GET", "/v1/plans/{plan}", "plans.show", "admin", "One plan, and what will happen."),
    Route("GET", "/v1/plans/{plan}/progress", "plans.progress", "admin", "How far a plan is."),
    Route("POST", "/v1/plans/{plan}/apply", "plans.apply", "admin", "Carry out exactly the plan with this hash."),
    Route("POST", "/v1/plans/{plan}/pause", "plans.pause", "admin", "Begin no more moves of a plan for now."),
    Route("POST", "/v1/plans/{plan}/resume", "plans.resume", "admin", "Go on with a plan that is paused."),
    Route("POST", "/v1/plans/{plan}/stop", "plans.stop", "admin", "Give a plan up; moves that are begun go on."),
    Route("GET", "/v1/members", "members.list", "admin", "The front-door workers that are registered."),
    Route("DELETE", "/v1/members/{member}", "members.evict", "admin", "Forget a worker that is gone for good."),
    Route("GET", "/v1/statistics/partitions", "statistics.partitions", "admin", "What partitions hold, as last seen."),
    Route("GET", "/v1/statistics/projects", "statistics.projects", "admin", "What projects hold, as last seen."),
    Route("GET", "/v1/audit", "audit.show", "admin", "What a mover last found to be wrong, by kind."),
    Route("GET", "/metrics", "metrics.show", "admin", "What audit and statistics last found, for Prometheus.", TEXT),
    Route("GET", "/v1/health", "health.show", "admin", "Catalog, partition hosts and workers, as last seen."),
)


def add_routes(
    app: falcon.asgi.App[Any, Any],
    resources: Mapping[str, object],
    rules: Mapping[str, Rule],
    routes: tuple[Route, ...],
) -> None:
    """Give ``app`` every route. Raises KeyError or AttributeError for a row that names what there is not."""
    responders: dict[str, dict[str, Callable[..., Awaitable[None]]]] = {}
    for route in routes:
        resource, _, method = route.handler.partition(".")
        handler = getattr(resources[resource], method)
        responders.setdefault(route.path, {})[f"on_{route.method.lower()}"] = _guarded(rules[route.policy], handler)
    for path, methods in responders.items():
        app.add_route(path, SimpleNamespace(**methods))


def _guarded(rule: Rule, handler: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def responder(req: falcon.asgi.Request, resp: falcon.asgi.Response, **params: str) -> None:
        rule(req)
        await handler(req, resp, **params)

    return responder
