"""Claims (API sections 2.13-2.16, 3.7, 4.8)."""

from __future__ import annotations

from partition.api import message_text
from partition.api.answer import Answer, location, no_content, written
from partition.api.call import Call
from partition.api.node import Node
from partition.model.limits import DEFAULT_PAGE
from partition.validation import claim_body

# The reference has no limit of its own here; that of metadata is generous for two integers.
_MAX_BODY = 65536


async def post(node: Node, call: Call) -> Answer:
    """Claim messages: 201 with them, or 204 without a body if there are none."""
    dialect, limits = call.dialect, node.limits
    assert dialect is not None
    limit = call.query.integer("limit")
    if dialect.enveloped:
        document = await call.optional_document(_MAX_BODY)
        lease = claim_body.lease(document or {}, limits.default_claim_ttl, limits.default_claim_grace)
    else:
        lease = claim_body.lease(await call.document(_MAX_BODY), None, None)
    claim_body.check_new(lease, limit, limits)
    claim = await node.storage.claim(call.key, lease, DEFAULT_PAGE if limit is None else limit)
    if claim is None:
        return no_content()
    messages = message_text.claimed(dialect, call.collection, claim.messages, claim.id)
    body = f'{{"messages": {messages}}}' if dialect.enveloped else messages
    return written(body, 201, location(f"{call.path}/{claim.id}"))


async def get_one(node: Node, call: Call) -> Answer:
    """Show a claim and its remaining messages."""
    assert call.dialect is not None
    claim = await node.storage.get_claim(call.key, call.item)
    messages = message_text.claimed(call.dialect, call.collection, claim.messages, claim.id)
    return written(
        f'{{"age": {claim.age}, "ttl": {claim.ttl}, "messages": {messages}, "href": "{call.path}"}}',
        200,
        *call.location,
    )


async def patch(node: Node, call: Call) -> Answer:
    """Renew a claim. The body is validated before the claim is looked up."""
    document = await call.document(_MAX_BODY)
    if call.dialect and call.dialect.enveloped:
        lease = claim_body.lease(document, node.limits.default_claim_ttl, node.limits.default_claim_grace)
    else:
        lease = claim_body.lease(document, None, 0)
    claim_body.check_renewal(lease, node.limits)
    await node.storage.renew_claim(call.key, call.item, lease)
    return no_content()


async def delete_one(node: Node, call: Call) -> Answer:
    """Release a claim."""
    await node.storage.release_claim(call.key, call.item)
    return no_content()
