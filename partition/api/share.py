"""Handing out signed URLs (API section 4.10)."""

from __future__ import annotations

from partition import signing
from partition.api.answer import Answer, document
from partition.api.call import Call
from partition.api.node import Node
from partition.errors import bad_request
from partition.model.clock import MILLISECONDS

_MAX_BODY = 65536


async def post(node: Node, call: Call) -> Answer:
    """Sign paths below the queue, which need not exist."""
    asked = await call.document(_MAX_BODY)
    grant = signing.grant(asked, call.collection, call.project, node.clock() // MILLISECONDS)
    if node.secret is None:
        raise bad_request(
            "This server has no key to sign with: [signed_url] secret_key is not set. The request was not processed."
        )
    return document(
        {
            "paths": list(grant.paths),
            "methods": list(grant.methods),
            "project": grant.project,
            "expires": grant.expires,
            "signature": signing.signature(node.secret, grant),
        }
    )
