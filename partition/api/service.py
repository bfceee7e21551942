"""Routes without a queue: the version document, home documents, liveness (API sections 1.10-1.12)."""

from __future__ import annotations

import json

from partition.api import home
from partition.api.answer import JSON, Answer, no_content
from partition.api.call import Call
from partition.api.node import Node

_VERSIONS = json.dumps(
    {
        "versions": [
            {
                "id": number,
                "status": status,
                "updated": updated,
                "media-types": [
                    {"base": "application/json", "type": f"application/vnd.openstack.messaging-v{media}+json"}
                ],
                "links": [{"href": f"/v{number}/", "rel": "self"}],
            }
            for number, media, status, updated in (
                ("1", "1", "DEPRECATED", "2014-9-11T17:47:05Z"),
                ("1.1", "1_1", "DEPRECATED", "2016-7-29T02:22:47Z"),
                ("2", "2", "CURRENT", "2014-9-24T04:06:47Z"),
            )
        ]
    }
).encode()

_HOME_HEADERS = ((b"content-type", b"application/json-home"), (b"cache-control", b"max-age=86400"))


async def versions(node: Node, call: Call) -> Answer:
    """The version document. For a proxy, headers identify the store and announce fences."""
    ours = ((b"x-marconi-store", node.storage.identity.encode()), (b"x-marconi-fences", b"epoch"))
    return Answer(300, (JSON, *ours), _VERSIONS)


async def home_document(node: Node, call: Call) -> Answer:
    """The home document of a version."""
    assert call.dialect is not None
    return Answer(200, _HOME_HEADERS, home.DOCUMENTS[call.dialect.prefix])


async def alive(node: Node, call: Call) -> Answer:
    """Whether this process answers; ``serving.lifespan`` has readiness, which depends on the storage."""
    return no_content()
