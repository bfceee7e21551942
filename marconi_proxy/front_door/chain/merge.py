"""Merge the answers of several segments into one: messages by their ids, and stats."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from catalog.model import Segment
from marconi_proxy.front_door.chain.segment_client import Reply, SegmentClient
from marconi_proxy.routing.answer_text import outward_id_of
from marconi_proxy.routing.tags import known, tagged
from marconi_proxy.upstream.connection import UpstreamAnswer

# The answer "none of these": 204 in v1, 404 in the others (API sections 2.9, 3.4).
_NONE = (204, 404)
_COUNTS = ("claimed", "free", "total")


async def by_ids(client: SegmentClient, segments: tuple[Segment, ...], ids: tuple[str, ...]) -> UpstreamAnswer:
    """Return the messages of ``ids``, in that order. Raises as ``SegmentClient.send``.

    Every segment gets all ids, so that it checks their number; it knows no message under those of other segments.
    """
    replies = await client.ask_all(segments)
    for reply in replies:
        if reply.status != 200 and reply.status not in _NONE:
            return client.shown(reply)
    full = [reply for reply in replies if reply.status == 200]
    if not full:
        return client.shown(replies[-1])
    placement = client.placement
    order: dict[str, int] = {}
    for text in ids:
        n, plain = known(placement, text)
        order.setdefault(tagged(plain, n, placement.base), len(order))
    found: list[tuple[int, bytes]] = []
    for reply in full:
        for message in client.messages(reply):
            identifier = client.translate(reply, partial(outward_id_of, message))
            found.append((order.get(identifier, len(order)), message))
    found.sort(key=lambda entry: entry[0])
    listed = b", ".join(message for _, message in found)
    bare = client.route.version == "v1"
    return client.made(full[-1], b"[%b]" % listed if bare else b'{"messages": [%b]}' % listed)


async def stats(client: SegmentClient, segments: tuple[Segment, ...]) -> UpstreamAnswer:
    """Return the sums of the counts, with the oldest message of the first segment that has one and the newest of the
    last. Raises as ``SegmentClient.send``."""
    replies = await client.ask_all(segments)
    last = replies[-1]
    for reply in replies:
        # A sealed segment without its queue was retired a moment ago: it has nothing.
        if reply.status != 200 and (reply is last or reply.status != 404):
            return client.shown(reply)
    total: dict[str, Any] = {}
    for reply in replies:
        if reply.status == 200:
            _add(total, client.translate(reply, partial(_counted, client, reply)))
    return client.made(last, json.dumps({"messages": total}, ensure_ascii=False).encode())


def _counted(client: SegmentClient, reply: Reply) -> dict[str, Any]:
    found = json.loads(client.shown(reply).body)
    if not isinstance(found, dict) or not isinstance(found.get("messages"), dict):
        raise ValueError("no stats")
    counted: dict[str, Any] = found["messages"]
    if not all(isinstance(counted.get(name, 0), int) for name in _COUNTS):
        raise ValueError("a count is not a number")
    return counted


def _add(total: dict[str, Any], more: dict[str, Any]) -> None:
    for name in _COUNTS:
        if name in more:
            total[name] = total.get(name, 0) + more[name]
    if "oldest" in more:
        total.setdefault("oldest", more["oldest"])
    if "newest" in more:
        total["newest"] = more["newest"]
