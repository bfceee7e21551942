"""Messages: posting, listing, by ids, one by one, deleting, popping (API sections 2.7-2.12, 3.2-3.6, 4.6-4.7)."""

from __future__ import annotations

from partition.api import message_text
from partition.api.answer import Answer, error, location, no_content, written
from partition.api.call import Call
from partition.api.node import Node
from partition.errors import BadInput, QueueChanged, QueueMissing, StorageUnavailable, bad_request
from partition.model import attributes
from partition.model.limits import DEFAULT_PAGE
from partition.model.message import Deletion, MessageQuery, NewMessage
from partition.model.queue import Metadata, Queue
from partition.validation import json_document, message_post
from partition.validation.query import check_messages_page, link

# The most times that a post is validated, if the queue changes during the validation.
_ATTEMPTS = 5

_UNDELETABLE = {
    Deletion.CLAIMED: (403, "This message is claimed; it cannot be deleted without a valid claim ID."),
    Deletion.NOT_CLAIMED: (400, "A claim was specified, but the message is not currently claimed."),
    Deletion.BAD_CLAIM: (400, "The specified claim does not exist or has expired."),
}


async def post(node: Node, call: Call) -> Answer:
    """Post messages. v2 validates them by their queue's attributes, and creates the queue first (API section 4.6)."""
    client = call.required_client()
    if call.dialect and call.dialect.attributes:
        ids = await _post_by_attributes(node, call, client)
    else:
        message_post.check_size(call.length, node.limits)
        new = _read(node, call, await call.body(node.limits.max_messages_post_size), {})
        ids = await _post(node, call, new, client)
    path = call.path
    resources = ", ".join([f'"{path}/{identifier}"' for identifier in ids])
    partial = "" if call.dialect and call.dialect.enveloped else ', "partial": false'
    return written(f'{{"resources": [{resources}]{partial}}}', 201, location(f"{path}?ids={','.join(ids)}"))


def _read(node: Node, call: Call, body: bytes | None, metadata: Metadata) -> list[NewMessage]:
    if call.dialect and call.dialect.enveloped:
        default = metadata.get(attributes.MESSAGE_TTL) or node.limits.default_message_ttl
        entries = message_post.enveloped(body)
        return message_post.messages(
            entries, node.limits, default_ttl=default, default_delay=attributes.delay(metadata)
        )
    return message_post.messages(json_document.parse_array(body), node.limits)


async def _post(node: Node, call: Call, new: list[NewMessage], client: bytes) -> list[str]:
    try:
        return await node.storage.post(call.key, new, client, None, call.epoch)
    except QueueMissing:
        if not (call.dialect and call.dialect.lazy):
            raise
    await node.storage.create_queue(call.key, {}, call.epoch)
    return await node.storage.post(call.key, new, client, None, call.epoch)


async def _post_by_attributes(node: Node, call: Call, client: bytes) -> list[str]:
    body: bytes | None = None
    for _ in range(_ATTEMPTS):
        queue = node.known.get(call.key) or await _known(node, call)
        try:
            message_post.check_size(call.length, node.limits, queue.metadata)
            if body is None:
                body = await call.body(node.limits.max_messages_post_size)
            new = _read(node, call, body, queue.metadata)
        except BadInput:
            # The attributes of the validation may be stale.
            fresh = await _known(node, call)
            if fresh.version == queue.version:
                raise
            continue
        try:
            return await node.storage.post(call.key, new, client, queue.version, call.epoch)
        except QueueChanged:
            node.known.pop(call.key, None)
    raise StorageUnavailable(f"queue {call.key.name} was changed {_ATTEMPTS} times during one post")


async def _known(node: Node, call: Call) -> Queue:
    """Return the present queue; create it if it is missing."""
    queue = await node.storage.get_queue(call.key)
    while queue is None:
        await node.storage.create_queue(call.key, {}, call.epoch)
        queue = await node.storage.get_queue(call.key)
    # Only what is needed: ten thousand queues with all their metadata would be hundreds of megabytes.
    known = node.known[call.key] = Queue(queue.name, queue.version, attributes.of_posting(queue.metadata))
    return known


async def get(node: Node, call: Call) -> Answer:
    """List messages, or get those of ``ids``."""
    ids = call.query.values("ids")
    return await _list(node, call) if ids is None else await _by_ids(node, call, ids)


async def _list(node: Node, call: Call) -> Answer:
    dialect, query = call.dialect, call.query
    assert dialect is not None
    client = call.required_client()
    marker, limit = query.text("marker"), query.integer("limit")
    echo, claimed = query.boolean("echo"), query.boolean("include_claimed")
    delayed = query.boolean("include_delayed") if dialect.attributes else None
    check_messages_page(limit, node.limits.max_messages_per_page)
    page, queue = await node.storage.list_messages(
        call.key,
        MessageQuery(
            limit=DEFAULT_PAGE if limit is None else limit,
            marker=marker,
            hidden_from=None if echo else client,
            include_claimed=bool(claimed),
            include_delayed=bool(delayed),
        ),
    )
    if not page:
        return written('{"messages": [], "links": []}') if dialect.enveloped else no_content(*call.location)
    if dialect.attributes and queue is not None and not attributes.delay(queue.metadata):
        delayed = True  # API section 4.7: the link has it, though the request did not
    parameters: dict[str, int | bool | str | None] = {
        "limit": limit,
        "echo": echo,
        "include_claimed": claimed,
        "include_delayed": delayed,
    }
    following = link(call.path, parameters, page[-1].marker, marker_first=marker is not None)
    messages = message_text.array(dialect, call.collection, page)
    return written(
        f'{{"messages": {messages}, "links": [{{"rel": "next", "href": "{following}"}}]}}', 200, *call.location
    )


async def _by_ids(node: Node, call: Call, ids: list[str]) -> Answer:
    assert call.dialect is not None
    check_messages_page(len(ids), node.limits.max_messages_per_page)
    found = await node.storage.get_messages(call.key, ids)
    if call.dialect.enveloped:
        if not found:
            where = f"found in the queue {call.key.name} for project {call.project}."
            return error(404, "Not found", f"No messages with IDs: {ids} {where}")
        return written(f'{{"messages": {message_text.array(call.dialect, call.collection, found)}}}')
    if not found:
        return no_content(*call.location)
    return written(message_text.array(call.dialect, call.collection, found), 200, *call.location)


async def get_one(node: Node, call: Call) -> Answer:
    """Get one message, claimed or delayed as it may be."""
    assert call.dialect is not None
    found = await node.storage.get_messages(call.key, (call.item,))
    if not found:
        where = f"in queue {call.key.name} for project {call.project or None}"
        return error(404, "Not found", f"Message {call.item} does not exist {where}")
    return written(message_text.shown(call.dialect, call.collection, found[:1]), 200, *call.location)


async def delete_one(node: Node, call: Call) -> Answer:
    """Delete one message, as its claim allows (API section 2.12)."""
    outcome = await node.storage.delete_message(call.key, call.item, call.query.text("claim_id"))
    if outcome is Deletion.DONE:
        return no_content()
    status, description = _UNDELETABLE[outcome]
    return error(status, "Unable to delete", description)


async def delete(node: Node, call: Call) -> Answer:
    """Delete the messages of ``ids``, or pop."""
    ids = call.query.values("ids")
    if not (call.dialect and call.dialect.enveloped):
        if ids is None:
            raise BadInput("Missing parameter", 'The "ids" parameter is required.')
        check_messages_page(len(ids), node.limits.max_messages_per_page)
        await node.storage.delete_messages(call.key, ids)
        return no_content()
    pop = call.query.integer("pop")
    named = call.query.values("claim_ids") if node.limits.message_delete_with_claim_id else None
    _check_deletion(node, ids, pop, named)
    if ids is None:
        popped = await node.storage.pop(call.key, pop or 0)
        return written(f'{{"messages": [{", ".join(map(message_text.popped, popped))}]}}')
    if not await node.storage.delete_messages(call.key, ids, named):
        raise bad_request("Not all of the messages are under one of the claims in claim_ids.")
    return no_content()


def _check_deletion(node: Node, ids: list[str] | None, pop: int | None, claim_ids: list[str] | None) -> None:
    if pop is not None and ids is not None:
        raise bad_request("pop and id params cannot be present together in the delete request.")
    if pop is None and ids is None:
        raise bad_request(
            'The request should have either "ids" or "pop" parameter in the request, to be able to delete.'
        )
    if ids and node.limits.message_delete_with_claim_id and claim_ids is None:
        raise bad_request(
            'The request should have both "ids" and "claim_ids" parameter in the request when '
            "message_delete_with_claim_id is True."
        )
    if pop is not None and not 0 < pop <= node.limits.max_messages_per_claim_or_pop:
        raise bad_request(
            f"Pop value must be at least 1 and may not be greater than {node.limits.max_messages_per_claim_or_pop}."
        )
    if ids is not None and not 0 < len(ids) <= node.limits.max_messages_per_page:
        raise bad_request(
            f"ids parameter should have at least 1 and not greater than {node.limits.max_messages_per_page} values."
        )
