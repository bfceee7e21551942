"""The body of a post (API sections 2.7, 3.2, 4.6)."""

from __future__ import annotations

from typing import Any

from partition.errors import bad_body, bad_request
from partition.model import attributes
from partition.model.limits import MIN_DELAY, MIN_MESSAGE_TTL, Limits
from partition.model.message import NewMessage
from partition.model.queue import Metadata
from partition.validation import json_document


def check_size(length: int | None, limits: Limits, metadata: Metadata | None = None) -> None:
    """Raise BadInput if a body of ``length`` bytes is too large for the server, or for the queue."""
    if length is None:
        return
    own = (metadata or {}).get(attributes.POST_SIZE)
    if own and length > min(own, limits.max_messages_post_size):
        raise bad_request(
            f"Message collection size is too large. The max size for current queue is "
            f"{min(own, limits.max_messages_post_size)}. It is calculated by max size = "
            f"min(max_messages_post_size_config: {limits.max_messages_post_size}, max_messages_post_size_queue: {own})."
        )
    if length > limits.max_messages_post_size:
        raise bad_request(f"Message collection size is too large. Max size {limits.max_messages_post_size}")


def enveloped(body: bytes | None) -> list[Any]:
    """Return the array under ``messages`` (v1.1, v2). Raises BadInput."""
    document = json_document.parse(body)
    if not isinstance(document, dict) or "messages" not in document:
        raise bad_request("No messages were found in the request body.")
    entries = document["messages"]
    if not isinstance(entries, list):
        raise json_document.unsupported()
    return entries


def messages(
    entries: list[Any], limits: Limits, *, default_ttl: int | None = None, default_delay: int = 0
) -> list[NewMessage]:
    """Return the messages of a post.

    ``default_ttl`` None makes the ttl required. With a ``default_delay`` of 0 delays are dropped unread (API section
    4.6). Types are checked for all messages before ranges are. Raises BadInput.
    """
    for entry in entries:
        if not isinstance(entry, dict):
            raise json_document.unsupported()
    typed = [_typed(entry, default_ttl, default_delay) for entry in entries]
    if not typed:
        raise bad_request("No messages to enqueu.")
    for message in typed:
        if not MIN_MESSAGE_TTL <= message.ttl <= limits.max_message_ttl:
            raise bad_request(
                f"The TTL for a message may not exceed {limits.max_message_ttl} seconds, and must be at least "
                f"{MIN_MESSAGE_TTL} seconds long."
            )
        if not MIN_DELAY <= message.delay <= limits.max_message_delay:
            raise bad_request(
                f"The Delay TTL for a message may not exceed {limits.max_message_delay} seconds,and must be at least "
                f"{MIN_DELAY} seconds long."
            )
    return typed


def _typed(entry: dict[str, Any], default_ttl: int | None, default_delay: int) -> NewMessage:
    ttl = json_document.integer_member(entry, "ttl", default_ttl)
    if "body" not in entry:
        raise json_document.missing_member("body")
    delay = json_document.integer_member(entry, "delay", default_delay) if default_delay else 0
    try:
        return NewMessage(ttl, json_document.text(entry["body"]), delay)
    except RecursionError:
        raise bad_body("Request body could not be parsed.") from None
