"""Messages as JSON text. Bodies are text already, and are put in as they are."""

from __future__ import annotations

from collections.abc import Iterable

from partition.api.dialects import Dialect
from partition.model.message import Message


def one(dialect: Dialect, queue_path: str, message: Message, claim_id: str | None) -> str:
    """A message as lists, gets and claims show it; ``claim_id`` goes into its href (API sections 2.8, 3.3)."""
    claimed = f"?claim_id={claim_id}" if claim_id else ""
    number = f'"id": "{message.id}", ' if dialect.enveloped else ""
    return (
        f'{{{number}"href": "{queue_path}/messages/{message.id}{claimed}", "ttl": {message.ttl}, '
        f'"age": {message.age}, "body": {message.body}}}'
    )


def shown(dialect: Dialect, queue_path: str, messages: Iterable[Message]) -> str:
    """Messages as reads show them, without the brackets of an array: v1 never shows that they are claimed."""
    if dialect.enveloped:
        return ", ".join([one(dialect, queue_path, message, message.claim_id) for message in messages])
    return ", ".join([one(dialect, queue_path, message, None) for message in messages])


def array(dialect: Dialect, queue_path: str, messages: Iterable[Message]) -> str:
    """Several messages as reads show them."""
    return f"[{shown(dialect, queue_path, messages)}]"


def claimed(dialect: Dialect, queue_path: str, messages: Iterable[Message], claim_id: str) -> str:
    """The messages of a claim, in every dialect."""
    return f"[{', '.join([one(dialect, queue_path, message, claim_id) for message in messages])}]"


def popped(message: Message) -> str:
    """A message as it is popped (API section 3.5)."""
    return (
        f'{{"id": "{message.id}", "age": {message.age}, "ttl": {message.ttl}, "claim_count": {message.claim_count}, '
        f'"body": {message.body}, "claim_id": null}}'
    )
