"""Queues, topics and their metadata (API sections 2.1-2.5, 3.1, 4.2-4.5, 4.9, 4.12). Topics are a kind of queue."""

from __future__ import annotations

from typing import Any

from partition.api.answer import JSON, Answer, document, location, no_content
from partition.api.call import Call
from partition.api.node import Node
from partition.errors import BadInput, QueueChanged, QueueMissing, StorageUnavailable, bad_body, bad_request
from partition.model import attributes
from partition.model.limits import DEFAULT_PAGE
from partition.model.queue import Kind, Queue, QueueQuery
from partition.validation import json_document, metadata, metadata_patch
from partition.validation.query import Query, check_page, link
from partition.validation.queue import RESOURCES, purged_resources

_ATTEMPTS = 5
_MAX_PURGE_BODY = 65536
_PAGING = frozenset({"marker", "limit", "detailed", "name"})


async def list_all(node: Node, call: Call) -> Answer:
    """List a page of the project's queues, or topics."""
    dialect, query = call.dialect, call.query
    assert dialect is not None
    kind = call.key.kind
    marker, limit, detailed = query.text("marker"), query.integer("limit"), query.boolean("detailed")
    parameters: dict[str, int | bool | str | None] = {"limit": limit, "detailed": detailed}
    name, with_count = None, None
    filters: tuple[tuple[str, int | str], ...] = ()
    if dialect.attributes:
        name = parameters["name"] = query.text("name")
        if kind is Kind.QUEUE:
            with_count = parameters["with_count"] = query.boolean("with_count")
        filters = _filters(query, kind)
    check_page(limit, node.limits.max_queues_per_page)
    found = await node.storage.list_queues(
        QueueQuery(
            call.project,
            kind,
            DEFAULT_PAGE if limit is None else limit,
            after=marker or "",
            name_part=name or "",
            filters=filters,
        )
    )
    if not found and not dialect.enveloped:
        return no_content()
    entries = [_entry(node, call, queue, bool(detailed)) for queue in found]
    links = []
    if found:
        following = link(call.path, parameters, found[-1].name, marker_first=marker is not None)
        links.append({"rel": "next", "href": following})
    page: dict[str, Any] = {"queues" if kind is Kind.QUEUE else "topics": entries, "links": links}
    if with_count:
        count = await node.storage.count_queues(call.project, kind)
        page |= {"count": count} if count else {}
    return document(page, 200, *call.location)


def _entry(node: Node, call: Call, queue: Queue, detailed: bool) -> dict[str, Any]:
    shown = {"metadata": _shown(node, call, queue)} if detailed else {}
    return {"name": queue.name, **shown, "href": f"{call.path}/{queue.name}"}


def _shown(node: Node, call: Call, queue: Queue | None) -> dict[str, Any]:
    stored = {} if queue is None else queue.metadata
    if call.dialect and call.dialect.attributes:
        return attributes.filled_in(stored, node.limits, call.key.kind)
    return dict(stored)


def _filters(query: Query, kind: Kind) -> tuple[tuple[str, int | str], ...]:
    """Return unknown parameters as filters by metadata (API section 4.2). Raises BadInput."""
    known = _PAGING | {"with_count"} if kind is Kind.QUEUE else _PAGING
    filters: list[tuple[str, int | str]] = []
    for name in query.names():
        if name in known:
            continue
        values = query.values(name) or []
        if len(values) > 1:
            raise bad_request(f'The filter "{name}" is given more than once.')
        try:
            filters.append((name, int(values[0])))
        except ValueError:
            filters.append((name, values[0]))
    return tuple(filters)


async def put(node: Node, call: Call) -> Answer:
    """Create the queue. For an existing queue, metadata is validated and then ignored; v1 ignores the body."""
    given: dict[str, Any] = {}
    if call.dialect and call.dialect.enveloped:
        metadata.check_size(call.length, node.limits)
        given = await call.optional_document(node.limits.max_queue_metadata) or {}
        metadata.check_attributes(given, node.limits)
    created = await node.storage.create_queue(call.key, given, call.epoch)
    if created:
        return Answer(201, (location(call.path), JSON))
    return no_content(location(call.path))


async def get(node: Node, call: Call) -> Answer:
    """Show the metadata; a missing queue looks like one without any."""
    return document(_shown(node, call, await node.storage.get_queue(call.key)))


async def exists(node: Node, call: Call) -> Answer:
    """v1: whether the queue exists, and nothing else (API section 2.3)."""
    if await node.storage.get_queue(call.key) is None:
        return Answer(404, (*call.path_location, JSON))
    return no_content(*call.path_location)


async def delete(node: Node, call: Call) -> Answer:
    """Delete the queue with all its messages."""
    await node.storage.delete_queue(call.key)
    return no_content()


async def purge(node: Node, call: Call) -> Answer:
    """Delete unclaimed messages, subscriptions, or both. A missing queue has neither."""
    asked = await call.optional_document(_MAX_PURGE_BODY)
    resources = RESOURCES if asked is None else purged_resources(asked)
    if "messages" in resources:
        await node.storage.purge(call.key)
    if "subscriptions" in resources:
        await node.storage.purge_subscriptions(call.key)
    return no_content()


async def fence(node: Node, call: Call) -> Answer:
    """Refuse writes of the life in X-Marconi-Epoch with a lower epoch from here on. The queue need not exist.

    For the proxy in front (docs/partition.rst, Fences).
    """
    if call.epoch is None:
        raise bad_request("The X-Marconi-Epoch header is required: LIFE/EPOCH.")
    await node.storage.fence(call.key, call.epoch)
    return no_content()


async def get_metadata(node: Node, call: Call) -> Answer:
    """v1: show the metadata of a queue that exists."""
    queue = await node.storage.get_queue(call.key)
    if queue is None:
        raise QueueMissing(call.key.name)
    return document(_shown(node, call, queue), 200, *call.path_location)


async def put_metadata(node: Node, call: Call) -> Answer:
    """v1: replace the metadata."""
    metadata.check_size(call.length, node.limits)
    given = await call.document(node.limits.max_queue_metadata)
    metadata.check_unreserved(given)
    await node.storage.replace_metadata(call.key, given, None, call.epoch)
    return no_content(location(call.path))


async def patch(node: Node, call: Call) -> Answer:
    """v2: change the metadata, all operations or none (API section 4.5)."""
    try:
        metadata.check_size(call.length, node.limits)
    except BadInput as error:
        raise metadata.as_body_fault(error) from None
    if call.headers.get(b"content-type") != metadata_patch.MEDIA_TYPE:
        return unsupported()
    body = await call.body(node.limits.max_queue_metadata)
    if not body:
        raise bad_body("PATCH body could not be empty for update.")
    operations = metadata_patch.parse(json_document.parse_array(body))
    known = attributes.defaults(node.limits, call.key.kind)
    for _ in range(_ATTEMPTS):
        queue = await node.storage.get_queue(call.key)
        if queue is None:
            raise QueueMissing(call.key.name)
        changed = metadata_patch.apply(operations, queue.metadata, known)
        try:
            metadata.check_attributes(changed, node.limits)
            metadata.check_growth(queue.metadata, changed, node.limits)
        except BadInput as error:
            raise metadata.as_body_fault(error) from None
        try:
            # Of two concurrent patches, the second is applied again to the result of the first.
            await node.storage.replace_metadata(call.key, changed, queue.version, call.epoch)
        except QueueChanged:
            continue
        return document(attributes.filled_in(changed, node.limits, call.key.kind))
    raise StorageUnavailable(f"queue {call.key.name} was changed {_ATTEMPTS} times during one patch")


def unsupported() -> Answer:
    """PATCH with another media type."""
    accepted = f"{{'Accept-Patch': '{metadata_patch.MEDIA_TYPE.decode()}'}}"
    return document({"title": f"Accepted media type for PATCH: {accepted}."}, 415, (b"vary", b"Accept"))
