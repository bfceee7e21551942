"""The whole table of requests, and the routes of the API that it must cover."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.wire.script import Script
from tests.wire.table import claims, messages, queues, service, subscriptions, topics

TABLE: tuple[Script, ...] = (
    *service.SCRIPTS,
    *queues.SCRIPTS,
    *messages.SCRIPTS,
    *claims.SCRIPTS,
    *subscriptions.SCRIPTS,
    *topics.SCRIPTS,
)


@dataclass(frozen=True)
class Route:
    """One row of API section 8.1: ``path`` matches what follows ``/{version}``, ``query`` must occur in the query."""

    method: str
    path: str
    versions: tuple[str, ...] = ("v1", "v1.1", "v2")
    query: str = ""

    def matches(self, version: str, method: str, target: str) -> bool:
        path, _, query = target.partition("?")
        return (
            method == self.method
            and version in self.versions
            and re.fullmatch(f"/{re.escape(version)}{self.path}", path) is not None
            and self.query in query
        )


_LATE = ("v1.1", "v2")
_V1 = ("v1",)
_V2 = ("v2",)
_QUEUE = "/queues/[^/]+"
_TOPIC = "/topics/[^/]+"

ROUTES: tuple[Route, ...] = (
    Route("GET", "/"),
    *(Route(method, "/health", _V1) for method in ("GET", "HEAD")),
    *(Route(method, "/ping", _LATE) for method in ("GET", "HEAD")),
    Route("GET", "/queues"),
    *(Route(method, _QUEUE) for method in ("PUT", "GET", "DELETE")),
    Route("HEAD", _QUEUE, _V1),
    Route("PATCH", _QUEUE, _V2),
    *(Route(method, _QUEUE + "/metadata", _V1) for method in ("GET", "PUT")),
    Route("GET", _QUEUE + "/stats"),
    *(Route(method, _QUEUE + "/messages") for method in ("POST", "GET")),
    *(Route(method, _QUEUE + "/messages", query="ids=") for method in ("GET", "DELETE")),
    Route("DELETE", _QUEUE + "/messages", _LATE, query="pop="),
    *(Route(method, _QUEUE + "/messages/[^/]+") for method in ("GET", "DELETE")),
    Route("POST", _QUEUE + "/claims"),
    *(Route(method, _QUEUE + "/claims/[^/]+") for method in ("GET", "PATCH", "DELETE")),
    Route("POST", _QUEUE + "/purge", _V2),
    Route("POST", _QUEUE + "/share", _V2),
    *(Route(method, _QUEUE + "/subscriptions", _V2) for method in ("GET", "POST")),
    *(Route(method, _QUEUE + "/subscriptions/[^/]+", _V2) for method in ("GET", "PATCH", "DELETE")),
    Route("PUT", _QUEUE + "/subscriptions/[^/]+/confirm", _V2),
    Route("GET", "/topics", _V2),
    *(Route(method, _TOPIC, _V2) for method in ("PUT", "GET", "PATCH", "DELETE")),
    Route("GET", _TOPIC + "/stats", _V2),
    Route("POST", _TOPIC + "/purge", _V2),
)
