"""Calls of our own to a partition: what queues does it list, does it have this one, what is its metadata, is there a
free message in it, and delete it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from catalog.model import TOPIC_PREFIX, QueueKey
from marconi_proxy.partition_client.call import answer_to, own_call
from marconi_proxy.routing import json_text
from marconi_proxy.upstream.errors import BadAnswer
from marconi_proxy.upstream.exchange import Guard, Upstream


def _collection(upstream: Upstream, key: QueueKey) -> str:
    """Return the path of the collection, in a version that the partition speaks."""
    if key.queue.startswith(TOPIC_PREFIX):
        return "/v2/topics"
    versions = upstream.partition.api_versions
    # Only v1 has calls without a project.
    if not key.project or "v2" not in versions:
        version = "v1" if not key.project or "v1.1" not in versions else "v1.1"
        return f"/{version}/queues"
    return "/v2/queues"


def just_before(name: str) -> str:
    """Return a marker with no legal name between it and ``name``: the next name after it is ``name``, if that exists.

    ``~`` sorts after every character of a name, so what starts like the shorter neighbour lies before the marker.
    """
    return f"{name[:-1]}{chr(ord(name[-1]) - 1)}~"


class MarkerIgnored(BadAnswer):
    """The partition does not list from a marker that is no queue, or the first of all, as Zaqar's Redis store (API
    section 6.3). ``first`` is what it lists from instead."""

    def __init__(self, partition: str, first: str) -> None:
        super().__init__(f"partition {partition} does not list from a marker")
        self.first = first


async def listed(
    upstream: Upstream, key: QueueKey, path: str, *, marker: str, limit: int, more: str = ""
) -> list[dict[str, Any]]:
    """Return the entries of a page of a partition's listing, in the project of ``key``, by name.

    ``path`` is that of the collection, ``more`` is added to the query as it is. Raises UpstreamError: BadAnswer if the
    partition answers with anything but a listing, MarkerIgnored if with one from another place.
    """
    target = f"{path}?marker={quote(marker, safe='')}&limit={limit}{more}"
    status, document = await answer_to(upstream, own_call("GET", target, key.project))
    if status == 204:
        return []
    name = upstream.partition.name
    if status != 200:
        raise BadAnswer(f"partition {name} answered {status} to a listing")
    try:
        entries = [dict(entry) for entry in document[path.rpartition("/")[2]]]
        names = [entry["name"] for entry in entries]
    except (ValueError, LookupError, TypeError):
        names = [None]
    if not all(isinstance(name, str) for name in names):
        raise BadAnswer(f"partition {name} answered a listing with something else")
    if any(name <= marker for name in names):
        raise MarkerIgnored(name, names[0])
    if names != sorted(names):
        raise BadAnswer(f"partition {name} does not list by name")
    return entries


async def listed_of(
    upstream: Upstream, key: QueueKey, path: str, names: Sequence[str], more: str = ""
) -> tuple[list[dict[str, Any]], list[str]]:
    """Ask for several queues at once, by their names there, which are sorted: return the entries of those that are
    listed, and the names that the answer does not reach, at least one fewer. The rest as ``listed``."""
    entries = await listed(upstream, key, path, marker=just_before(names[0]), limit=len(names), more=more)
    # It has told all about those up to the last that it lists; so about one at least, for no name comes between.
    last = entries[-1]["name"] if entries else names[-1]
    if last < names[0]:
        raise BadAnswer(f"partition {upstream.partition.name} lists what is no name of a queue")
    asked = frozenset(names)
    return [entry for entry in entries if entry["name"] in asked], [name for name in names if name > last]


async def existing(upstream: Upstream, keys: Sequence[QueueKey]) -> tuple[list[QueueKey], list[QueueKey]]:
    """Ask at once which of several queues a partition has by their own names.

    ``keys`` are sorted, of one project, and all queues or all topics; twenty at most. Returns those that are there, and
    those that are to be asked for again. Raises UpstreamError, as ``listed``.
    """
    names = {key.queue.removeprefix(TOPIC_PREFIX): key for key in keys}
    entries, left = await listed_of(upstream, keys[0], _collection(upstream, keys[0]), list(names))
    return [names[entry["name"]] for entry in entries], [names[name] for name in left]


async def exists(upstream: Upstream, key: QueueKey, backend_name: str) -> bool:
    """Ask a partition whether it has the queue, by listing the one that follows ``just_before`` it.

    Listing is the only route that tells in every version: v1.1 and v2 show a missing queue like an empty one. Raises
    UpstreamError, as ``listed``.
    """
    path = _collection(upstream, key)
    try:
        entries = await listed(upstream, key, path, marker=just_before(backend_name), limit=1)
    except MarkerIgnored:
        # Some queue comes before it. Then it is found by what follows it, if it is one.
        try:
            await listed(upstream, key, path, marker=backend_name, limit=1)
        except MarkerIgnored as again:
            return again.first == backend_name
        return True
    return any(entry["name"] == backend_name for entry in entries)


async def metadata(upstream: Upstream, key: QueueKey, backend_name: str, version: str) -> dict[str, Any] | None:
    """Return a queue's metadata as ``version`` shows it, None if the queue is gone, which only v1 tells.

    For partitions that cannot be asked by listing. Raises UpstreamError.
    """
    kind = "topics" if key.queue.startswith(TOPIC_PREFIX) else "queues"
    part = "/metadata" if version == "v1" else ""
    status, found = await answer_to(upstream, own_call("GET", f"/{version}/{kind}/{backend_name}{part}", key.project))
    if status == 404:
        return None
    if status != 200 or not isinstance(found, dict):
        raise BadAnswer(f"partition {upstream.partition.name} answered {status} to a question for metadata")
    return found


async def has_free_message(
    upstream: Upstream, key: QueueKey, backend_name: str, version: str, *, delayed: bool, within: float
) -> bool:
    """Tell whether a queue has a message that is not claimed, by listing one, whoever posted it.

    ``delayed``: one that is not due yet counts too. ``within``: seconds after which it is given up. Raises
    UpstreamError.
    """
    query = "limit=1&echo=true" + ("&include_delayed=true" if delayed and version == "v2" else "")
    target = f"/{version}/queues/{backend_name}/messages?{query}"
    answer = await upstream.send(own_call("GET", target, key.project), within=within)
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
    upstream: Upstream, key: QueueKey, backend_name: str, *, within: float, guard: Guard | None = None
) -> None:
    """Delete a queue from a partition, giving up after ``within`` seconds. Raises UpstreamError unless it is gone."""
    call = own_call("DELETE", f"{_collection(upstream, key)}/{backend_name}", key.project)
    status, _ = await answer_to(upstream, call._replace(guard=guard), within=within)
    if status not in (200, 204, 404):
        raise BadAnswer(f"partition {upstream.partition.name} answered {status} to a deletion")
