"""Every option: its name, type, default, bounds, and the knowledge that an operator needs to change it.

Limits have their upstream names, also the older ones (API section 1.7), so that a zaqar.conf means the same here.
"""

from __future__ import annotations

from typing import Any

from oslo_config import cfg, types

from partition.model.limits import Limits

_LIMITS = Limits()


class AddressType(types.ConfigType):  # type: ignore[misc,unused-ignore]
    """``HOST:PORT`` or ``[IPV6]:PORT``, as a (host, port) pair."""

    def __init__(self) -> None:
        super().__init__(type_name="host:port value")

    def __call__(self, value: Any) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        text = str(value)
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            colon = ""
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT or [IPV6]:PORT")
        return host, int(port)

    def __repr__(self) -> str:
        return "Address"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AddressType)

    __hash__ = None  # type: ignore[assignment]

    def _formatter(self, value: Any) -> str:
        return str(value)


_STORAGE = (
    cfg.StrOpt(
        "uri",
        secret=True,
        sample_default="sqlite:////var/lib/marconi-partition/messages.db",
        help="Where messages are stored. The scheme names the driver: sqlite:////absolute/path is a file that the "
        "processes of one machine share; mongodb://HOST:PORT[,HOST:PORT]/DATABASE[?options] is a separate database in "
        "a replica set, which any number of machines share. Must be set. The URI may contain a password, so it is "
        "never logged whole; in this file a $ is written $$.",
    ),
    cfg.FloatOpt(
        "sweep_interval",
        default=1.0,
        min=0.05,
        max=3600.0,
        help="Seconds between two rounds in which each worker removes a bounded number of expired entries and of "
        "entries of deleted queues. No answer depends on it; if it is long, the store stays larger and stats count "
        "more.",
    ),
)

_SERVER = (
    cfg.Opt(
        "bind",
        type=AddressType(),
        default="127.0.0.1:8888",
        help="HOST:PORT of the API; [IPV6]:PORT for IPv6, port 0 for any free one. The project that a client names is "
        "trusted, so the default is reachable from this machine only.",
    ),
    cfg.Opt(
        "admin_bind",
        type=AddressType(),
        help="HOST:PORT of a second listener, for the operator alone: GET /v1/inventory there shows all projects and "
        "queues. Off unless it is set. This listener has no authentication, so it must be out of reach of tenants: "
        "127.0.0.1, or a network of operators. Its port must differ from that of bind.",
    ),
    cfg.IntOpt(
        "workers",
        default=1,
        min=1,
        max=256,
        help="Worker processes. Each uses one core for HTTP and JSON. With SQLite all of them share one write lock, "
        "so more than a few add little.",
    ),
    cfg.IntOpt(
        "keepalive",
        default=75,
        min=1,
        max=3600,
        help="Seconds that a client's connection may stay idle between two requests before it is closed. If it is "
        "shorter than the idle time of clients or of a proxy in front, some of their requests meet a closed "
        "connection.",
    ),
    cfg.FloatOpt(
        "request_timeout",
        default=60.0,
        min=0.1,
        max=3600.0,
        help="Seconds in which a request must have arrived completely, and in which a client must continue to read. A "
        "slower connection is closed; otherwise a few slow clients would use up all connections.",
    ),
    cfg.IntOpt(
        "max_head",
        default=65536,
        min=1024,
        max=16777216,
        help="Bytes of the largest request line and headers together; more is answered 400 and the connection closed. "
        "This bounds the memory that a client can take before its request is parsed. Bulk calls carry their ids in "
        "the request line, so do not go below 8192.",
    ),
    cfg.IntOpt(
        "max_connections",
        default=4096,
        min=1,
        max=1048576,
        help="Connections per worker process. For one more, the connection that has been idle for longest is closed;"
        " if none is idle, it is answered 503 and closed. Each worker of a front door keeps up to [upstream] "
        "max_concurrency connections.",
    ),
    cfg.IntOpt(
        "max_bodies",
        default=134217728,
        min=1048576,
        help="Bytes of request bodies that each worker process holds at a time. A request with a body that does not "
        "fit is answered 503 and not processed. It must not be less than [transport] max_messages_post_size and "
        "max_queue_metadata.",
    ),
    cfg.FloatOpt(
        "drain_time",
        default=5.0,
        min=0.0,
        max=3600.0,
        help="Seconds for which a server that is stopped with SIGTERM accepts requests. Meanwhile every answer ends "
        "its connection, so that clients turn elsewhere without a failed request. SIGINT stops it without "
        "this time.",
    ),
    cfg.IntOpt(
        "worker_timeout",
        default=30,
        min=5,
        max=86400,
        help="Seconds without a heartbeat after which a worker process counts as hung, and is killed and replaced.",
    ),
    cfg.IntOpt(
        "graceful_timeout",
        default=30,
        min=1,
        max=3600,
        help="Seconds that requests in flight get to finish when the server is stopped.",
    ),
)

_SIGNED_URL = (
    cfg.StrOpt(
        "secret_key",
        secret=True,
        help="The key that signs shared URLs; the same on every server that is to accept them. If unset, no URL can "
        "be shared, and requests with a signature are answered 404.",
    ),
)


def _limit(name: str, help_text: str, *older: str, least: int = 1) -> cfg.IntOpt:
    return cfg.IntOpt(
        name,
        default=getattr(_LIMITS, name),
        min=least,
        max=2**31 - 1,
        deprecated_opts=[cfg.DeprecatedOpt(old, group="limits:transport") for old in older],
        help=help_text,
    )


_TRANSPORT = (
    _limit(
        "max_queues_per_page",
        "The largest limit of a listing of queues or topics; a larger one is answered 400.",
        "queue_paging_uplimit",
    ),
    _limit(
        "max_messages_per_page",
        "The largest limit of a list of messages, and the most ids that one bulk get or delete may name.",
        "message_paging_uplimit",
    ),
    _limit(
        "max_messages_per_claim_or_pop",
        "The most messages that one claim or pop may ask for.",
        "max_messages_per_claim",
    ),
    _limit(
        "max_subscriptions_per_page", "The largest limit of a list of subscriptions.", "subscription_paging_uplimit"
    ),
    _limit(
        "max_queue_metadata",
        "Bytes of the largest body that sets metadata; a larger one is answered 400.",
        "metadata_size_uplimit",
    ),
    _limit(
        "max_messages_post_size",
        "Bytes of the largest body that posts messages; a larger one is answered 400. The body is held in memory "
        "during its request. The answer to many small messages in one body has a Location of hundreds of kilobytes.",
        "message_size_uplimit",
        "max_message_size",
    ),
    _limit("max_message_ttl", "Seconds of the longest life of a message.", "message_ttl_max", least=60),
    _limit("max_message_delay", "Seconds of the longest delay of a message.", least=0),
    _limit("max_claim_ttl", "Seconds of the longest claim.", "claim_ttl_max", least=60),
    _limit("max_claim_grace", "Seconds of the longest grace of a claim.", "claim_grace_max", least=60),
    _limit(
        "default_message_ttl",
        "Seconds that a message lives if neither the message nor its queue sets a TTL (v1.1, v2).",
        least=60,
    ),
    _limit("default_message_delay", "Seconds of delay that v2 shows for a queue without a delay of its own.", least=0),
    _limit("default_claim_ttl", "Seconds that a claim lasts if it sets no TTL (v1.1, v2).", least=60),
    _limit("default_claim_grace", "Seconds of grace of a claim that sets none (v1.1, v2).", least=60),
    _limit("default_subscription_ttl", "Seconds that a subscription lasts if it sets no TTL.", least=60),
    cfg.ListOpt(
        "subscriber_types",
        default=[],
        help="Schemes of subscribers that are accepted, such as http,https; others are refused with 400. The default "
        "is none, because this server stores and shows subscriptions but does not deliver to subscribers yet: allow "
        "schemes only if another service delivers.",
    ),
    cfg.BoolOpt(
        "message_delete_with_claim_id",
        default=_LIMITS.message_delete_with_claim_id,
        help="Whether deleting messages by ids must name, in claim_ids, the claims on them (v1.1, v2).",
    ),
    cfg.StrOpt(
        "client_id_uuid_safe",
        default=_LIMITS.client_id_uuid_safe,
        choices=[("strict", "Client-ID must be a UUID."), ("off", "Client-ID may be any text of allowed length.")],
        help="The permitted form of a Client-ID.",
    ),
    _limit("min_length_client_id", "The shortest Client-ID with client_id_uuid_safe = off."),
    _limit("max_length_client_id", "The longest Client-ID with client_id_uuid_safe = off."),
)

_LOG = (
    cfg.StrOpt(
        "level",
        default="info",
        choices=["debug", "info", "warning", "error"],
        help="The least severe messages that are logged, to standard error. Requests are not logged at any level.",
    ),
)

GROUPS: dict[str, tuple[cfg.Opt, ...]] = {
    "storage": _STORAGE,
    "server": _SERVER,
    "transport": _TRANSPORT,
    "signed_url": _SIGNED_URL,
    "log": _LOG,
}
