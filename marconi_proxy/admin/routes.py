"""Every verb of the admin API, one row each: the only way in which a handler gets a path and a policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import falcon
import falcon.asgi

from marconi_proxy.admin.policy import PolicyRule
from marconi_proxy.metrics.exposition import CONTENT_TYPE as TEXT


@dataclass(frozen=True, slots=True)
class AdminRoute:
    """``handler`` is ``RESOURCE.METHOD``; ``policy`` the name of a rule of ``policy.rules``; ``media`` the type of its
    answers, but for errors."""

    method: str
    path: str
    handler: str
    policy: str
    doc: str
    media: str = falcon.MEDIA_JSON


ROUTES = (
    AdminRoute("GET", "/v1/partitions", "partitions.list", "admin", "All partitions, by name; 204 if there are none."),
    AdminRoute("GET", "/v1/partitions/{name}", "partitions.show", "admin", "One partition."),
    AdminRoute("PUT", "/v1/partitions/{name}", "partitions.register", "admin", "Register a partition; changes none."),
    AdminRoute("PATCH", "/v1/partitions/{name}", "partitions.change", "admin", "Change members of a partition."),
    AdminRoute("DELETE", "/v1/partitions/{name}", "partitions.remove", "admin", "Remove a partition without queues."),
    AdminRoute("POST", "/v1/partitions/{name}/repin", "partitions.repin", "admin", "Pin its tenants to another one."),
    AdminRoute("GET", "/v1/tenants", "tenants.list", "admin", "Tenants with settings, in pages."),
    AdminRoute("GET", "/v1/tenants/{project}", "tenants.show", "admin", "Where a project's new queues go."),
    AdminRoute("PUT", "/v1/tenants/{project}", "tenants.put", "admin", "Set where a project's new queues go."),
    AdminRoute("PATCH", "/v1/tenants/{project}", "tenants.change", "admin", "Change some of these settings."),
    AdminRoute("DELETE", "/v1/tenants/{project}", "tenants.remove", "admin", "Restore the defaults for a project."),
    AdminRoute("GET", "/v1/placements", "placements.list", "admin", "Placements by project and queue, in pages."),
    AdminRoute(
        "GET", "/v1/placements/count", "placements.count", "admin", "Count placements; 503 if it takes too long."
    ),
    AdminRoute("GET", "/v1/placements/{project}/{queue}", "placements.show", "admin", "Where one queue lives."),
    AdminRoute("GET", "/v1/moves", "moves.list", "admin", "Moves by id, in pages; those of one queue, plan or state."),
    AdminRoute("POST", "/v1/moves", "moves.order", "admin", "Order the move of a queue to another partition."),
    AdminRoute("GET", "/v1/moves/{move}", "moves.show", "admin", "One move, with its log and why it is not done."),
    AdminRoute(
        "GET", "/v1/moves/{move}/certificate", "moves.certificate", "admin", "The measurements of a finished move."
    ),
    AdminRoute("POST", "/v1/moves/{move}/pause", "moves.pause", "admin", "Pause a move."),
    AdminRoute("POST", "/v1/moves/{move}/resume", "moves.resume", "admin", "Resume a paused move."),
    AdminRoute("POST", "/v1/moves/{move}/cancel", "moves.cancel", "admin", "Cancel a move before its switch."),
    AdminRoute("POST", "/v1/moves/{move}/reverse", "moves.reverse", "admin", "Send writes back to the old partition."),
    AdminRoute("GET", "/v1/plans", "plans.list", "admin", "Plans by id, in pages, with their progress."),
    AdminRoute("POST", "/v1/plans", "plans.make", "admin", "Make a plan of many moves; nothing is moved yet."),
    AdminRoute("GET", "/v1/plans/{plan}", "plans.show", "admin", "One plan, with a summary of its effects."),
    AdminRoute("GET", "/v1/plans/{plan}/progress", "plans.progress", "admin", "The progress of a plan."),
    AdminRoute("POST", "/v1/plans/{plan}/apply", "plans.apply", "admin", "Apply exactly the plan with this hash."),
    AdminRoute("POST", "/v1/plans/{plan}/pause", "plans.pause", "admin", "Begin no more moves of a plan for now."),
    AdminRoute("POST", "/v1/plans/{plan}/resume", "plans.resume", "admin", "Resume a paused plan."),
    AdminRoute(
        "POST", "/v1/plans/{plan}/stop", "plans.stop", "admin", "Give a plan up; moves that have begun continue."
    ),
    AdminRoute("GET", "/v1/members", "members.list", "admin", "The registered front-door workers."),
    AdminRoute("DELETE", "/v1/members/{member}", "members.evict", "admin", "Remove a dead worker."),
    AdminRoute(
        "GET", "/v1/statistics/partitions", "statistics.partitions", "admin", "Contents of partitions, as last counted."
    ),
    AdminRoute(
        "GET", "/v1/statistics/projects", "statistics.projects", "admin", "Contents of projects, as last counted."
    ),
    AdminRoute("GET", "/v1/audit", "audit.show", "admin", "The findings of the last audit, by kind."),
    AdminRoute("GET", "/metrics", "metrics.show", "admin", "Audit and statistics, for Prometheus.", TEXT),
    AdminRoute("GET", "/v1/health", "health.show", "admin", "Catalog, partition hosts and workers, as last seen."),
)


def add_routes(
    app: falcon.asgi.App[Any, Any],
    resources: Mapping[str, object],
    rules: Mapping[str, PolicyRule],
    routes: tuple[AdminRoute, ...],
) -> None:
    """Give ``app`` every route. Raises KeyError or AttributeError for a row that names a missing handler or rule."""
    responders: dict[str, dict[str, Callable[..., Awaitable[None]]]] = {}
    for route in routes:
        resource, _, method = route.handler.partition(".")
        handler = getattr(resources[resource], method)
        responders.setdefault(route.path, {})[f"on_{route.method.lower()}"] = _guarded(rules[route.policy], handler)
    for path, methods in responders.items():
        app.add_route(path, SimpleNamespace(**methods))


def _guarded(rule: PolicyRule, handler: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def responder(req: falcon.asgi.Request, resp: falcon.asgi.Response, **params: str) -> None:
        rule(req)
        await handler(req, resp, **params)

    return responder
