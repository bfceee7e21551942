"""The one table of routes, and the lookup of the row for a path.

Matching is exact, as in late releases of the reference (API section 1.1); only home documents may lack their slash.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from partition.api import claims, messages, queues, service, share, stats, subscriptions
from partition.api.answer import Answer
from partition.api.call import Call
from partition.api.dialects import DIALECTS, V1, V1_1, V2, Dialect
from partition.api.node import Node
from partition.model.queue import Kind

Handler = Callable[[Node, Call], Awaitable[Answer]]

_LATE = (V1_1, V2)


class Row(NamedTuple):
    """``path`` is the rest after the version; the first {} in it is the queue or topic, the second an identifier."""

    method: str
    path: str
    dialects: tuple[Dialect, ...]
    handler: Handler


ROWS: tuple[Row, ...] = (
    Row("GET", "/", DIALECTS, service.home_document),
    Row("GET", "/health", (V1,), service.alive),
    Row("HEAD", "/health", (V1,), service.alive),
    Row("GET", "/ping", _LATE, service.alive),
    Row("HEAD", "/ping", _LATE, service.alive),
    Row("GET", "/queues", DIALECTS, queues.list_all),
    Row("PUT", "/queues/{}", DIALECTS, queues.put),
    Row("GET", "/queues/{}", (V1,), queues.exists),
    Row("HEAD", "/queues/{}", (V1,), queues.exists),
    Row("GET", "/queues/{}", _LATE, queues.get),
    Row("DELETE", "/queues/{}", DIALECTS, queues.delete),
    Row("PATCH", "/queues/{}", (V2,), queues.patch),
    Row("GET", "/queues/{}/metadata", (V1,), queues.get_metadata),
    Row("PUT", "/queues/{}/metadata", (V1,), queues.put_metadata),
    Row("GET", "/queues/{}/stats", DIALECTS, stats.get),
    Row("POST", "/queues/{}/messages", DIALECTS, messages.post),
    Row("GET", "/queues/{}/messages", DIALECTS, messages.get),
    Row("DELETE", "/queues/{}/messages", DIALECTS, messages.delete),
    Row("GET", "/queues/{}/messages/{}", DIALECTS, messages.get_one),
    Row("DELETE", "/queues/{}/messages/{}", DIALECTS, messages.delete_one),
    Row("POST", "/queues/{}/claims", DIALECTS, claims.post),
    Row("GET", "/queues/{}/claims/{}", DIALECTS, claims.get_one),
    Row("PATCH", "/queues/{}/claims/{}", DIALECTS, claims.patch),
    Row("DELETE", "/queues/{}/claims/{}", DIALECTS, claims.delete_one),
    Row("POST", "/queues/{}/purge", (V2,), queues.purge),
    Row("POST", "/queues/{}/share", (V2,), share.post),
    Row("GET", "/queues/{}/subscriptions", (V2,), subscriptions.get),
    Row("POST", "/queues/{}/subscriptions", (V2,), subscriptions.post),
    Row("GET", "/queues/{}/subscriptions/{}", (V2,), subscriptions.get_one),
    Row("PATCH", "/queues/{}/subscriptions/{}", (V2,), subscriptions.patch),
    Row("DELETE", "/queues/{}/subscriptions/{}", (V2,), subscriptions.delete_one),
    Row("PUT", "/queues/{}/subscriptions/{}/confirm", (V2,), subscriptions.confirm),
    # Not in the reference: the proxy in front calls it, and forwards no client's call of it.
    Row("PUT", "/queues/{}/fence", DIALECTS, queues.fence),
    Row("PUT", "/topics/{}/fence", (V2,), queues.fence),
    Row("GET", "/topics", (V2,), queues.list_all),
    Row("PUT", "/topics/{}", (V2,), queues.put),
    Row("GET", "/topics/{}", (V2,), queues.get),
    Row("PATCH", "/topics/{}", (V2,), queues.patch),
    Row("DELETE", "/topics/{}", (V2,), queues.delete),
    Row("GET", "/topics/{}/stats", (V2,), stats.get),
    Row("POST", "/topics/{}/purge", (V2,), queues.purge),
    # The reference fails on the following ones (API section 4.12); here they behave as for a queue.
    Row("POST", "/topics/{}/messages", (V2,), messages.post),
    Row("GET", "/topics/{}/messages", (V2,), messages.get),
    Row("DELETE", "/topics/{}/messages", (V2,), messages.delete),
    Row("GET", "/topics/{}/messages/{}", (V2,), messages.get_one),
    Row("DELETE", "/topics/{}/messages/{}", (V2,), messages.delete_one),
    Row("GET", "/topics/{}/subscriptions", (V2,), subscriptions.get),
    Row("POST", "/topics/{}/subscriptions", (V2,), subscriptions.post),
    Row("GET", "/topics/{}/subscriptions/{}", (V2,), subscriptions.get_one),
    Row("PATCH", "/topics/{}/subscriptions/{}", (V2,), subscriptions.patch),
    Row("DELETE", "/topics/{}/subscriptions/{}", (V2,), subscriptions.delete_one),
    Row("PUT", "/topics/{}/subscriptions/{}/confirm", (V2,), subscriptions.confirm),
)


class Route(NamedTuple):
    """A known path, with the handler of each method. ``dialect`` is None for the version document."""

    dialect: Dialect | None
    kind: Kind
    handlers: dict[str, Handler]

    @property
    def allow(self) -> str:
        return ", ".join(sorted(self.handlers))


class Match(NamedTuple):
    """A route, with the names in the path: the queue or topic, and the identifier below it."""

    route: Route
    queue: str | None
    item: str


# Paths differ by their number of segments, and by the segments that are words.
_Shape = tuple[int, str, str, str, str]


def _shape(parts: list[str]) -> _Shape:
    count = len(parts)
    return (
        count,
        parts[1],
        parts[2] if count > 2 else "",
        parts[4] if count > 4 else "",
        parts[6] if count > 6 else "",
    )


def _table() -> dict[_Shape, Route]:
    table: dict[_Shape, Route] = {(2, "", "", "", ""): Route(None, Kind.QUEUE, {"GET": service.versions})}
    for row in ROWS:
        for dialect in row.dialects:
            shape = _shape(f"/{dialect.prefix}{row.path}".split("/"))
            kind = Kind.TOPIC if row.path.startswith("/topics") else Kind.QUEUE
            table.setdefault(shape, Route(dialect, kind, {})).handlers[row.method] = row.handler
            if row.path == "/":
                table.setdefault((2, dialect.prefix, "", "", ""), Route(dialect, kind, {})).handlers[row.method] = (
                    row.handler
                )
    return table


_TABLE = _table()


def match(path: str) -> Match | None:
    """Return the match of the decoded ``path``; None if there is none."""
    parts = path.split("/")
    if len(parts) < 2:
        return None
    route = _TABLE.get(_shape(parts))
    if route is None:
        return None
    return Match(route, parts[3] if len(parts) > 3 else None, parts[5] if len(parts) > 5 else "")
