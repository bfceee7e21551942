"""Calls of our own to a partition: does it have this queue, what is its metadata, is there a free message in it, and
delete it.

They carry a client id of this worker and the queue's project, as a client's call would.
"""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import quote

from catalog.model import TOPIC_PREFIX, QueueKey
from marconi_proxy.routing import json_text
from marconi_proxy.upstream.errors import BadAnswer
from marconi_proxy.upstream.exchange import Call, Guard, Upstream

_CLIENT_ID = uuid.uuid4().hex.encode()


def _call(method: bytes, target: str, key: QueueKey) -> Call:
    lines = b"client-id: %b\r\naccept: application/json\r\nuser-agent: marconi-proxy\r\n" % _CLIENT_ID
    if key.project:
        lines += b"x-project-id: %b\r\n" % key.project.encode("latin-1")
    return Call(method, target.encode("ascii"), lines, b"", repeatable=True)


def _collection(upstream: Upstream, key: QueueKey) -> tuple[str, str]:
    """Return (path of the collection, its member in the answer), in a version that the partition speaks."""
    if key.queue.startswith(TOPIC_PREFIX):
        return "/v2/topics", "topics"
    versions = upstream.partition.api_versions
    # Only v1 has calls without a project.
    if not key.project or "v2" not in versions:
        version = "v1" if not key.project or "v1.1" not in versions else "v1.1"
        return f"/{version}/queues", "queues"
    return "/v2/queues", "queues"


def just_before(name: str) -> str:
    """Return a marker with no legal name between it and ``name``: the next name after it is ``name``, if that exists.

    ``~`` sorts after every character of a name, so what starts like the shorter neighbour lies before the marker.
    """
    return f"{name[:-1]}{chr(ord(name[-1]) - 1)}~"


async def exists(upstream: Upstream, key: QueueKey, physical: str) -> bool:
    """Ask a partition whether it has the queue, by listing the one that follows ``just_before`` it.

    Listing is the only route that tells in every version: v1.1 and v2 show a missing queue like an empty one. Raises
    UpstreamError, BadAnswer among them if the partition answers with anything but a listing.
    """
    path, member = _collection(upstream, key)
    marker = just_before(physical)
    answer = await upstream.send(_call(b"GET", f"{path}?marker={quote(marker, safe='')}&limit=1", key))
    body = await answer.read()
    if answer.status == 204:
        return False
    if answer.status != 200:
        raise BadAnswer(f"partition {upstream.partition.name} answered {answer.status} to a listing")
    try:
        names = [str(entry["name"]) for entry in json.loads(body)[member]]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise BadAnswer(f"partition {upstream.partition.name} answered a listing with something else") from None
    if any(name <= marker for name in names):
        # Zaqar's Redis store begins anew at a marker that is no queue (API section 6.3), and so tells nothing.
        raise BadAnswer(f"partition {upstream.partition.name} does not list from a marker")
    return physical in names


async def metadata(upstream: Upstream, key: QueueKey, physical: str, version: str) -> dict[str, Any] | None:
    """Return a queue's metadata as ``version`` shows it in a detailed listing, None if the queue is gone.

    Raises UpstreamError.
    """
    kind = "topics" if key.queue.startswith(TOPIC_PREFIX) else "queues"
    part = "/metadata" if version == "v1" else ""
    answer = await upstream.send(_call(b"GET", f"/{version}/{kind}/{physical}{part}", key))
    body = await answer.read()
    if answer.status == 404:
        return None
    try:
        found = json.loads(body) if answer.status == 200 else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadAnswer(f"partition {upstream.partition.name} answered {answer.status} to a question for metadata")
    return found


async def has_free_message(
    upstream: Upstream, key: QueueKey, physical: str, version: str, *, delayed: bool, within: float
) -> bool:
    """Tell whether a queue has a message that is not claimed, by listing one, whoever posted it.

    ``delayed``: one that is not due yet counts too. ``within``: seconds after which it is given up. Raises
    UpstreamError.
    """
    query = "limit=1&echo=true" + ("&include_delayed=true" if delayed and version == "v2" else "")
    answer = await upstream.send(_call(b"GET", f"/{version}/queues/{physical}/messages?{query}", key), within=within)
    body = await answer.read()
    if answer.status in (204, 404):  # so some stores say that there is no queue (API section 2.8)
        return False
    try:
        messages = json_text.member(body, json_text.whole(body), "messages") if answer.status == 200 else None
        if messages is not None:
            return bool(json_text.elements(body, messages))
    except ValueError:
        pass
    raise BadAnswer(f"partition {upstream.partition.name} answered {answer.status} to a question for messages")


async def delete(
    upstream: Upstream, key: QueueKey, physical: str, *, within: float, guard: Guard | None = None
) -> None:
    """Delete a queue from a partition, giving up after ``within`` seconds. Raises UpstreamError unless it is gone."""
    path, _ = _collection(upstream, key)
    call = _call(b"DELETE", f"{path}/{physical}", key)
    answer = await upstream.send(call._replace(guard=guard), within=within)
    await answer.read()
    if answer.status not in (200, 204, 404):
        raise BadAnswer(f"partition {upstream.partition.name} answered {answer.status} to a deletion")
