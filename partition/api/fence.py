"""Closing a queue or topic to writes of earlier epochs (docs/partition.rst, Fences): for the proxy in front."""

from __future__ import annotations

from partition.api.answer import Answer, no_content
from partition.api.call import Call
from partition.api.node import Node
from partition.errors import bad_request


async def put(node: Node, call: Call) -> Answer:
    """Refuse writes of the life in X-Marconi-Epoch with a lower epoch from here on. The queue need not exist."""
    if call.epoch is None:
        raise bad_request("The X-Marconi-Epoch header is required: LIFE/EPOCH.")
    await node.storage.fence(call.key, call.epoch)
    return no_content()
