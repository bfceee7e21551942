"""The three versions of the API, with their names for the same things."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tests.checker.record import Body, Shown
from tests.wire.keep_alive import Reply

VERSIONS = ("v1", "v1.1", "v2")
# Of messages: no run takes so long.
TTL = 7200
# Of claims, in seconds: the shortest that Zaqar takes, so that what an answer was lost for comes back soon.
CLAIM_TTL = 60
_ID = re.compile(r"/messages/([A-Za-z0-9_-]+)(?:\?|\Z)")


def queue_path(version: str, queue: str) -> str:
    return f"/{version}/queues/{queue}"


def post(version: str, bodies: Sequence[Body]) -> object:
    """Return the document that posts these."""
    messages = [{"ttl": TTL, "body": str(body)} for body in bodies]
    return messages if version == "v1" else {"messages": messages}


CLAIM = {"ttl": CLAIM_TTL, "grace": 60}


def messages(reply: Reply) -> list[dict[str, Any]]:
    """Return the messages in the answer to a list or a claim."""
    if reply.status == 204:
        return []
    document = reply.document
    found: list[dict[str, Any]] = document if isinstance(document, list) else document["messages"]
    return found


def shown(message: dict[str, Any]) -> Shown:
    """Return the producer and number in a message, and its id, which v1 has only in the href."""
    producer, _, number = message["body"].partition("#")
    found = _ID.search(message["href"])
    assert found is not None, message
    assert message.get("id", found[1]) == found[1], message
    return Shown(Body(producer, int(number)), found[1])


def next_page(reply: Reply) -> str | None:
    """Return where a list goes on, None if the page is empty."""
    links = [] if reply.status == 204 else reply.document["links"]
    return links[0]["href"] if links else None


def nothing_was_done(reply: Reply) -> bool:
    """Whether a refusal promises that."""
    return b"The request was not processed" in reply.body
