"""Stats of queues and topics (API sections 2.6, 4.12, 6.7)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from partition.api.answer import Answer, document
from partition.api.call import Call
from partition.api.node import Node
from partition.errors import QueueMissing
from partition.model.clock import MILLISECONDS
from partition.model.message import Edge, Stats
from partition.model.queue import Kind

_NOTHING = {"claimed": 0, "free": 0, "total": 0}


async def get(node: Node, call: Call) -> Answer:
    """Show the counts, and the oldest and newest message if there are any."""
    try:
        stats = await node.storage.stats(call.key)
    except QueueMissing:
        if not (call.dialect and call.dialect.lazy):
            raise
        return document({"messages": _NOTHING})
    shown: dict[str, Any] = _counts(stats, call.key.kind)
    if stats.oldest is not None and stats.newest is not None:
        shown |= {"oldest": _edge(call, stats.oldest), "newest": _edge(call, stats.newest)}
    return document({"messages": shown}, 200, *call.path_location)


def _counts(stats: Stats, kind: Kind) -> dict[str, Any]:
    if kind is Kind.TOPIC:
        return {"total": stats.total}
    return {"claimed": stats.claimed, "free": stats.free, "total": stats.total}


def _edge(call: Call, edge: Edge) -> dict[str, Any]:
    created = datetime.fromtimestamp(edge.created // MILLISECONDS, UTC)
    return {
        "age": edge.age,
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "href": f"{call.collection}/messages/{edge.id}",
    }
