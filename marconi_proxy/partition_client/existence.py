"""Calls about some queues of a partition: list them, check existence, read metadata, check for a free message, and
delete a queue.
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
    """Return the marker directly before ``name``: no legal name sorts between the two.

    ``~`` sorts after every character of a name, so all names that begin like the shorter neighbour precede the marker.
    """
    return f"{name[:-1]}{chr(ord(name[-1]) - 1)}~"


class MarkerIgnored(BadAnswer):
    """The partition does not list from a marker that is no queue or the first queue, like Zaqar's Redis store (API
    section 6.3). ``first``: the first name that it lists instead."""

    def __init__(self, partition: str, first: str) -> None:
        super().__init__(f"partition {partition} does not list from a marker")
        self.first = first


async def listed(
    upstream: Upstream, key: QueueKey, path: str, *, marker: str, limit: int, more: str = ""
) -> list[dict[str, Any]]:
    """Return one page of a partition's listing in the project of ``key``, ordered by name.

    ``path``: of the collection. ``more``: appended to the query unchanged. Raises UpstreamError: BadAnswer if the
    answer is no listing, MarkerIgnored if the listing does not begin after the marker.
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
        raise BadAnswer(f"partition {name} returned an invalid listing")
    if any(name <= marker for name in names):
        raise MarkerIgnored(name, names[0])
    if names != sorted(names):
        raise BadAnswer(f"partition {name} does not list in the order of names")
    return entries


async def listed_of(
    upstream: Upstream, key: QueueKey, path: str, names: Sequence[str], more: str = ""
) -> tuple[list[dict[str, Any]], list[str]]:
    """List several queues in one call, by their sorted backend names.

    Return the entries that exist, and the names beyond the end of the page, which is always fewer than ``names``. Other
    arguments and errors: as ``listed``.
    """
    entries = await listed(upstream, key, path, marker=just_before(names[0]), limit=len(names), more=more)
    # The page is conclusive up to its last entry. It covers at least one name, as none sorts before that.
    last = entries[-1]["name"] if entries else names[-1]
    if last < names[0]:
        raise BadAnswer(f"partition {upstream.partition.name} lists what is no name of a queue")
    asked = frozenset(names)
    return [entry for entry in entries if entry["name"] in asked], [name for name in names if name > last]


async def existing(upstream: Upstream, keys: Sequence[QueueKey]) -> tuple[list[QueueKey], list[QueueKey]]:
    """Check in one call which of several queues a partition has under their own names.

    ``keys``: sorted, at most twenty, of one project, and either all queues or all topics. Return the existing ones, and
    those that need another call. Raises UpstreamError, as ``listed``.
    """
    names = {key.queue.removeprefix(TOPIC_PREFIX): key for key in keys}
    entries, left = await listed_of(upstream, keys[0], _collection(upstream, keys[0]), list(names))
    return [names[entry["name"]] for entry in entries], [names[name] for name in left]


async def exists(upstream: Upstream, key: QueueKey, backend_name: str) -> bool:
    """Return whether a partition has the queue, by a listing from ``just_before`` its name.

    Only a listing shows this in every version: v1.1 and v2 show a missing queue like an empty one. Raises
    UpstreamError, as ``listed``.
    """
    path = _collection(upstream, key)
    try:
        entries = await listed(upstream, key, path, marker=just_before(backend_name), limit=1)
    except MarkerIgnored:
        # Use the queue itself as the marker: the store honours it unless it is missing, or the first of all.
        try:
            await listed(upstream, key, path, marker=backend_name, limit=1)
        except MarkerIgnored as again:
            return again.first == backend_name
        return True
    return any(entry["name"] == backend_name for entry in entries)


async def metadata(upstream: Upstream, key: QueueKey, backend_name: str, version: str) -> dict[str, Any] | None:
    """Return a queue's metadata as ``version`` shows it, None if the queue is missing, which only v1 shows.

    For partitions without usable listings. Raises UpstreamError.
    """
    kind = "topics" if key.queue.startswith(TOPIC_PREFIX) else "queues"
    part = "/metadata" if version == "v1" else ""
    status, found = await answer_to(upstream, own_call("GET", f"/{version}/{kind}/{backend_name}{part}", key.project))
    if status == 404:
        return None
    if status != 200 or not isinstance(found, dict):
        raise BadAnswer(f"partition {upstream.partition.name} answered {status} to a request for metadata")
    return found


async def has_free_message(
    upstream: Upstream, key: QueueKey, backend_name: str, version: str, *, delayed: bool, within: float
) -> bool:
    """Return whether a queue has an unclaimed message, of any client, by listing one.

    ``delayed``: count delayed messages too. ``within``: timeout in seconds. Raises UpstreamError.
    """
    query = "limit=1&echo=true" + ("&include_delayed=true" if delayed and version == "v2" else "")
    target = f"/{version}/queues/{backend_name}/messages?{query}"
    answer = await upstream.send(own_call("GET", target, key.project), within=within)
    body = await answer.read()
    if answer.status in (204, 404):  # 404: some stores, for a missing queue (API section 2.8)
        return False
    try:
        messages = json_text.member(body, json_text.whole(body), "messages") if answer.status == 200 else None
        if messages is not None:
            return bool(json_text.elements(body, messages))
    except ValueError:
        pass
    raise BadAnswer(f"partition {upstream.partition.name} answered {answer.status} to a request for messages")


async def delete(
    upstream: Upstream, key: QueueKey, backend_name: str, *, within: float, guard: Guard | None = None
) -> None:
    """Delete a queue from a partition; a missing one is no error. ``within``: seconds. Raises UpstreamError."""
    call = own_call("DELETE", f"{_collection(upstream, key)}/{backend_name}", key.project)
    status, _ = await answer_to(upstream, call._replace(guard=guard), within=within)
    if status not in (200, 204, 404):
        raise BadAnswer(f"partition {upstream.partition.name} answered {status} to a deletion")
