"""The body of a subscription (API section 4.11)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from partition.errors import bad_request
from partition.model.limits import MIN_SUBSCRIPTION_TTL, Limits
from partition.model.subscription import NewSubscription, SubscriptionChange
from partition.validation import metadata

# Up to the year 9999, whatever the year is now.
_LONGEST = 200_000_000_000


def new(document: dict[str, Any], limits: Limits) -> NewSubscription:
    """Return the requested subscription. Raises BadInput."""
    if "subscriber" not in document:
        raise bad_request("Missing parameter subscriber in body.")
    asked = change(document, limits)
    if asked.subscriber is None:
        raise bad_request("Missing parameter subscriber in body.")
    ttl = limits.default_subscription_ttl if asked.ttl is None else asked.ttl
    return NewSubscription(asked.subscriber, ttl, asked.options or {})


def change(document: dict[str, Any], limits: Limits) -> SubscriptionChange:
    """Return the requested change. Raises BadInput."""
    subscriber, ttl, options = document.get("subscriber"), document.get("ttl"), document.get("options")
    if subscriber is None and ttl is None and options is None:
        raise bad_request("No subscription to create.")
    if subscriber is not None:
        _check_subscriber(subscriber, limits)
    if options is not None and not isinstance(options, dict):
        raise bad_request("Options must be a dict.")
    metadata.check_retry_policy((options or {}).get("_retry_policy"))
    if ttl is not None:
        _check_ttl(ttl)
    return SubscriptionChange(subscriber, ttl, options)


def confirmation(document: dict[str, Any]) -> bool:
    """Return whether a body confirms or revokes. Raises BadInput."""
    confirmed = document.get("confirmed")
    if not isinstance(confirmed, bool):
        raise bad_request("The 'confirmed' should be boolean.")
    return confirmed


def _check_subscriber(subscriber: Any, limits: Limits) -> None:
    try:
        scheme = urlsplit(subscriber).scheme if isinstance(subscriber, str) else ""
        # JSON can escape half of a surrogate pair, but no store can keep it, and no URI has one.
        str(subscriber).encode()
    except ValueError:
        scheme = ""
    if not limits.subscriber_types:
        raise bad_request("This server does not deliver to subscribers, so it takes no subscriptions.")
    if scheme not in limits.subscriber_types:
        raise bad_request(
            f"The subscriber type of subscription must be supported in the list {list(limits.subscriber_types)}."
        )


def _check_ttl(ttl: Any) -> None:
    if type(ttl) is not int:
        raise bad_request("TTL must be an integer.")
    if ttl < MIN_SUBSCRIPTION_TTL:
        raise bad_request(f"The TTL for a subscription must be at least {MIN_SUBSCRIPTION_TTL} seconds long.")
    if ttl > _LONGEST:
        raise bad_request("The TTL seconds for a subscription plus current time must be less than 9999-12-31.")
