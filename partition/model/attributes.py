"""Reserved metadata (API section 4.1): its keys, the values shown for them, and their effects."""

from __future__ import annotations

from typing import Any

from partition.model.limits import Limits
from partition.model.queue import Kind, Metadata, well_named

MESSAGE_TTL = "_default_message_ttl"
POST_SIZE = "_max_messages_post_size"
DELAY = "_default_message_delay"
DEAD_LETTER_QUEUE = "_dead_letter_queue"
DEAD_LETTER_TTL = "_dead_letter_queue_messages_ttl"
MAX_CLAIM_COUNT = "_max_claim_count"
ENCRYPT = "_enable_encrypt_messages"
RETRY_POLICY = "_retry_policy"


def defaults(limits: Limits, kind: Kind) -> dict[str, Any]:
    """The values that v2 shows for absent or falsy attributes, in the order of v2."""
    shown: dict[str, Any] = {
        POST_SIZE: limits.max_messages_post_size,
        MESSAGE_TTL: limits.default_message_ttl,
        DELAY: limits.default_message_delay,
    }
    if kind is Kind.QUEUE:
        shown |= {DEAD_LETTER_QUEUE: None, DEAD_LETTER_TTL: None, MAX_CLAIM_COUNT: None, ENCRYPT: False}
    return shown


def filled_in(metadata: Metadata, limits: Limits, kind: Kind) -> dict[str, Any]:
    """Metadata as v2 shows it: attributes with a default are filled in where absent or falsy, and come last if new."""
    shown = dict(metadata)
    for name, value in defaults(limits, kind).items():
        if not shown.get(name):
            shown[name] = value
    return shown


def of_posting(metadata: Metadata) -> Metadata:
    """The part of metadata that a post is validated by: a few integers, however large the rest is."""
    return {name: metadata[name] for name in (POST_SIZE, MESSAGE_TTL, DELAY) if name in metadata}


def delay(metadata: Metadata) -> int:
    """Seconds that a message without a delay of its own waits; 0 means that the queue honours no delays at all."""
    return int(metadata.get(DELAY) or 0)


def dead_letters(metadata: Metadata) -> tuple[str, int, int | None] | None:
    """(queue name, claims allowed, new ttl or None) if over-claimed messages are to be moved (API section 6.9).

    Neither value is checked when it is set. A queue with an unaddressable name gets no messages. If
    less than one claim is allowed, no message could ever be claimed, so the value means the same as 0.
    """
    queue, count = metadata.get(DEAD_LETTER_QUEUE), metadata.get(MAX_CLAIM_COUNT)
    if not isinstance(queue, str) or not well_named(queue) or not count or count < 1:
        return None
    return queue, int(count), metadata.get(DEAD_LETTER_TTL) or None
