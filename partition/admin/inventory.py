"""``GET /v1/inventory``: the queues and topics of all projects, page by page.

A topic is written ``~name``, so that ``queue`` sorts as the pages do; no project is null. A project is the bytes of
``X-Project-Id`` as UTF-8; a byte that is not UTF-8 is a lone surrogate (``\\udcff``). ``marker`` is a project and a
queue with a ``/`` between them, percent-encoded: in any spelling, because the queue need not exist.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

from partition.api.answer import JSON, Answer
from partition.api.node import Node
from partition.errors import QueueMissing, bad_request
from partition.model.clock import MILLISECONDS
from partition.model.queue import NO_PROJECT, Kind, Queue, QueueKey

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
# With members that can be large, or are counted queue by queue.
LARGEST_FULL_PAGE = 100
_TOPIC = "~"
_KNOWN = ("marker", "limit", "metadata", "detailed")
_BOOLEANS = {"true": True, "false": False}


class InventoryQuery(NamedTuple):
    """The content of a page: its start and size, and whether it has metadata and the contents of queues."""

    after: QueueKey | None = None
    limit: int = DEFAULT_PAGE
    metadata: bool = False
    detailed: bool = False

    @staticmethod
    def of(raw: bytes) -> InventoryQuery:
        """Read a query string. Raises BadInput naming the parameter at fault."""
        # Each byte becomes one character, as in the header: a marker need not be UTF-8.
        given = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, encoding="latin-1"))
        unknown = sorted(given.keys() - set(_KNOWN))
        if unknown:
            raise bad_request(f"{unknown[0]}: is not a parameter here; known are {', '.join(_KNOWN)}.")
        metadata, detailed = (_boolean(given, name) for name in ("metadata", "detailed"))
        most = LARGEST_FULL_PAGE if metadata or detailed else LARGEST_PAGE
        text = given.get("limit", "") or str(DEFAULT_PAGE)
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
            raise bad_request(f"limit: must be an integer from 1 to {most}.")
        return InventoryQuery(_after(given.get("marker", "")), int(text), metadata, detailed)


def _boolean(given: dict[str, str], name: str) -> bool:
    text = given.get(name, "") or "false"
    if text not in _BOOLEANS:
        raise bad_request(f"{name}: must be true or false.")
    return _BOOLEANS[text]


def _after(marker: str) -> QueueKey | None:
    if not marker:
        return None
    project, slash, name = marker.rpartition("/")
    if not slash or "\0" in marker:
        raise bad_request("marker: must be a project and a queue with a / between them.")
    kind = Kind.TOPIC if name.startswith(_TOPIC) else Kind.QUEUE
    return QueueKey(project, name.removeprefix(_TOPIC), kind)


async def page(node: Node, query: InventoryQuery) -> Answer:
    """Show a page. The last one has no link."""
    found = await node.storage.inventory(query.after, query.limit + 1)
    shown, more = found[: query.limit], len(found) > query.limit
    document: dict[str, Any] = {
        "queues": [await _entry(node, key, queue, query) for key, queue in shown],
        "links": [{"rel": "next", "href": _link(query, shown[-1][0])}] if more else [],
    }
    # Escaped, because lone surrogates have no other spelling.
    return Answer(200, (JSON,), json.dumps(document).encode())


async def _entry(node: Node, key: QueueKey, queue: Queue, query: InventoryQuery) -> dict[str, Any]:
    project = None if key.project == NO_PROJECT else key.project.encode("latin-1").decode("utf-8", "surrogateescape")
    entry: dict[str, Any] = {"project": project, "queue": _named(key)}
    if query.metadata:
        entry["metadata"] = queue.metadata
    if query.detailed:
        entry |= await _holds(node, key)
    return entry


async def _holds(node: Node, key: QueueKey) -> dict[str, Any]:
    try:
        stats = await node.storage.stats(key)
    except QueueMissing:
        # Deleted since the page was read.
        return {"messages": {"free": 0, "claimed": 0, "total": 0}, "oldest": None}
    oldest = None
    if stats.oldest is not None:
        created = datetime.fromtimestamp(stats.oldest.created // MILLISECONDS, UTC)
        oldest = {"age": stats.oldest.age, "created": created.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {"messages": {"free": stats.free, "claimed": stats.claimed, "total": stats.total}, "oldest": oldest}


def _named(key: QueueKey) -> str:
    return f"{_TOPIC}{key.name}" if key.kind is Kind.TOPIC else key.name


def _link(query: InventoryQuery, last: QueueKey) -> str:
    marker = quote(f"{last.project}/{_named(last)}", safe="", encoding="latin-1")
    flags = "".join(f"&{name}=true" for name in ("metadata", "detailed") if getattr(query, name))
    return f"/v1/inventory?limit={query.limit}{flags}&marker={marker}"
