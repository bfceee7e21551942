"""Every limit of API section 1.7, under its upstream name."""

from __future__ import annotations

from dataclasses import dataclass

# Not configurable upstream either.
MIN_MESSAGE_TTL = 60
MIN_CLAIM_TTL = 60
MIN_CLAIM_GRACE = 60
MIN_SUBSCRIPTION_TTL = 60
MIN_DELAY = 0
DEFAULT_PAGE = 10
# Seconds that lead from now to before the year 9999, whatever the year is now: no clock goes further.
LONGEST = 200_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits and the defaults of requests. Sizes in bytes, times in seconds."""

    max_queues_per_page: int = 20
    max_messages_per_page: int = 20
    max_messages_per_claim_or_pop: int = 20
    max_subscriptions_per_page: int = 20
    max_queue_metadata: int = 65536
    max_messages_post_size: int = 262144
    max_message_ttl: int = 1209600
    max_message_delay: int = 900
    max_claim_ttl: int = 43200
    max_claim_grace: int = 43200
    default_message_ttl: int = 3600
    default_message_delay: int = 0
    default_claim_ttl: int = 300
    default_claim_grace: int = 60
    default_subscription_ttl: int = 3600
    subscriber_types: tuple[str, ...] = ("http", "https", "mailto", "trust+http", "trust+https")
    message_delete_with_claim_id: bool = False
    client_id_uuid_safe: str = "strict"
    min_length_client_id: int = 10
    max_length_client_id: int = 36
