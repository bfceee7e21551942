"""Queue metadata and its reserved attributes (API sections 2.5, 4.1)."""

from __future__ import annotations

from typing import Any

from partition.errors import BadInput, bad_request
from partition.model import attributes
from partition.model.limits import MIN_DELAY, MIN_MESSAGE_TTL, Limits
from partition.model.queue import Metadata
from partition.validation import json_document

_BACKOFFS = frozenset({"linear", "arithmetic", "exponential", "geometric"})
_RETRY_INTEGERS = (
    "retries_with_no_delay",
    "minimum_delay_retries",
    "minimum_delay",
    "maximum_delay",
    "maximum_delay_retries",
)
_MINIMUM_DELAY, _MAXIMUM_DELAY, _LEAST_SPAN = 5, 30, 10


def check_size(length: int | None, limits: Limits) -> None:
    """Raise BadInput if a body of ``length`` bytes is too large."""
    if length is not None and length > limits.max_queue_metadata:
        raise bad_request(f"Queue metadata is too large. Max size: {limits.max_queue_metadata}")


def check_growth(before: Metadata, after: Metadata, limits: Limits) -> None:
    """Raise BadInput if metadata became too large by small steps. Oversized metadata may shrink."""
    size = len(json_document.text(after).encode())
    if size > limits.max_queue_metadata and size > len(json_document.text(before).encode()):
        check_size(size, limits)


def check_unreserved(metadata: dict[str, Any]) -> None:
    """Raise BadInput if a key is reserved: v1 cannot set it."""
    if any(name.startswith("_") for name in metadata):
        raise bad_request('Reserved queue attributes in metadata (which names start with "_") can\'t be set in API v1.')


def check_attributes(metadata: dict[str, Any], limits: Limits) -> None:
    """Raise BadInput if a reserved attribute has an invalid value."""
    _check_integer(metadata, attributes.MESSAGE_TTL, MIN_MESSAGE_TTL, limits.max_message_ttl)
    _check_integer(metadata, attributes.POST_SIZE, 1, limits.max_messages_post_size)
    _check_integer(metadata, attributes.MAX_CLAIM_COUNT, None, None)
    _check_integer(metadata, attributes.DEAD_LETTER_TTL, MIN_MESSAGE_TTL, limits.max_message_ttl)
    _check_integer(metadata, attributes.DELAY, MIN_DELAY, limits.max_message_delay)
    encrypt = metadata.get(attributes.ENCRYPT)
    if encrypt is not None and not isinstance(encrypt, bool):
        raise bad_request(f"{attributes.ENCRYPT} must be boolean.")
    if encrypt:
        # Refused rather than stored in the clear, because the client would believe it to be encrypted.
        raise bad_request(f"{attributes.ENCRYPT} is not supported by this server: it does not encrypt messages.")
    check_retry_policy(metadata.get(attributes.RETRY_POLICY))


def _check_integer(metadata: dict[str, Any], name: str, least: int | None, most: int | None) -> None:
    value = metadata.get(name)
    if value is None:
        return
    if type(value) is not int:
        raise bad_request(f"{name} must be integer.")
    if least is not None and most is not None and not least <= value <= most:
        raise bad_request(f"{name} can not exceed {most}, and must be at least {least}.")


def check_retry_policy(policy: Any) -> None:
    """Raise BadInput unless ``policy`` is a retry policy (API section 4.11) or nothing."""
    if not policy:
        return
    if not isinstance(policy, dict):
        raise bad_request("retry_policy must be a dict.")
    for name in _RETRY_INTEGERS:
        if policy.get(name) is not None and type(policy[name]) is not int:
            raise bad_request(f"Retry policy: {name} must be a integer.")
    backoff = policy.get("retry_backoff_function")
    if backoff is not None and (not isinstance(backoff, str) or backoff not in _BACKOFFS):
        raise bad_request("invalid retry_backoff_function.")
    override = policy.get("ignore_subscription_override")
    if override is not None and not isinstance(override, bool):
        raise bad_request("Retry policy: ignore_subscription_override must be a boolean.")
    least, most = policy.get("minimum_delay"), policy.get("maximum_delay")
    if (_MAXIMUM_DELAY if most is None else most) - (_MINIMUM_DELAY if least is None else least) < _LEAST_SPAN:
        raise bad_request("invalid minimum_delay and maximum_delay.")


def as_body_fault(error: BadInput) -> BadInput:
    """The same fault under the title that PATCH uses (API section 4.5)."""
    return BadInput("Invalid request body", error.description)
