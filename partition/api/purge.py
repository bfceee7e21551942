"""Emptying a queue or topic (API section 4.9)."""

from __future__ import annotations

from partition.api.answer import Answer, no_content
from partition.api.call import Call
from partition.api.node import Node
from partition.validation import purge_body

_MAX_BODY = 65536


async def post(node: Node, call: Call) -> Answer:
    """Delete unclaimed messages, subscriptions, or both. A missing queue has neither."""
    document = await call.optional_document(_MAX_BODY)
    named = purge_body.RESOURCES if document is None else purge_body.resources(document)
    if "messages" in named:
        await node.storage.purge(call.key)
    if "subscriptions" in named:
        await node.storage.purge_subscriptions(call.key)
    return no_content()
