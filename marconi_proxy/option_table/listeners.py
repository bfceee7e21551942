"""The options of the two listeners: the public API and the admin API, and the authentication of clients."""

from __future__ import annotations

from oslo_config import cfg

from marconi_proxy.option_types import AddressType

PUBLIC = (
    cfg.Opt(
        "bind",
        type=AddressType(),
        default="127.0.0.1:8888",
        help="HOST:PORT of the public API; [IPV6]:PORT for IPv6, port 0 for any free one. The default is reachable "
        "from this machine only, because [auth] strategy = noauth trusts every client that can connect.",
    ),
    cfg.IntOpt(
        "workers",
        default=2,
        min=1,
        max=1024,
        help="Worker processes of the public API. Each uses one core and has its own cache, connections and lease. "
        "More workers than cores add memory and latency, not throughput.",
    ),
    cfg.IntOpt(
        "keepalive",
        default=75,
        min=1,
        max=3600,
        help="Seconds that a client's connection may stay idle between two requests before it is closed; for both "
        "listeners. If it is shorter than the idle time of clients or of a load balancer in front, some of their "
        "requests meet a closed connection. If it is long, idle clients hold file descriptors.",
    ),
    cfg.FloatOpt(
        "drain_time",
        default=5.0,
        min=0.0,
        max=3600.0,
        help="Seconds for which a listener that is stopped with SIGTERM accepts requests; for both listeners. "
        "Meanwhile every answer ends its connection, so that clients and load balancers turn elsewhere without "
        "a failed request. A balancer needs two of its health checks to notice. SIGINT stops it "
        "without this time.",
    ),
    cfg.IntOpt(
        "worker_timeout",
        default=30,
        min=5,
        max=86400,
        help="Seconds without a heartbeat after which a worker process counts as hung, and is killed and replaced; for "
        "both listeners. It must be longer than a worker may stand still, for instance when its virtual machine is "
        "moved.",
    ),
    cfg.IntOpt(
        "graceful_timeout",
        default=30,
        min=1,
        max=3600,
        help="Seconds that requests in flight get to finish when a listener is stopped; for both listeners. "
        "Requests that take longer are cut off, and their clients cannot know whether they were processed.",
    ),
    cfg.IntOpt(
        "max_body",
        default=1048576,
        min=1024,
        max=1073741824,
        help="Bytes of the largest request body that is forwarded; a larger one is answered 400. The body is held in "
        "memory during its call. Partitions have limits of their own (262144 for posting messages, by default). A "
        "value below theirs refuses bodies that they would accept.",
    ),
    cfg.FloatOpt(
        "body_timeout",
        default=60.0,
        min=1.0,
        max=3600.0,
        help="Seconds that a request's body may take to arrive completely; then the request is refused with 400. If "
        "it is short, large posts over slow links fail; if it is long, slow senders hold connections and memory.",
    ),
    cfg.FloatOpt(
        "send_timeout",
        default=30.0,
        min=1.0,
        max=3600.0,
        help="Seconds that a client may read nothing, or less than a kilobyte a second, of an answer that is ready; "
        "then its connection is aborted. For both listeners. If it is short, clients on very slow links lose "
        "long answers; if it is long, clients that do not read hold memory.",
    ),
    cfg.IntOpt(
        "max_bodies",
        default=134217728,
        min=1048576,
        help="Bytes of request bodies that each worker process holds at a time, for both listeners. A request whose "
        "body does not fit is answered 503 and not processed. It must not be less than max_body.",
    ),
    cfg.IntOpt(
        "max_head",
        default=65536,
        min=1024,
        max=16777216,
        help="Bytes of the largest request line and headers together; more is answered 400 and the connection closed. "
        "For both listeners. This bounds the memory that a client can take before its request is parsed. Bulk calls "
        "carry their ids in the request line, so do not go below 8192.",
    ),
    cfg.IntOpt(
        "head_timeout",
        default=30,
        min=1,
        max=3600,
        help="Seconds within which a request line and headers must be complete, from their first byte or, on a new "
        "connection, from its start; for both listeners. This closes connections of clients that trickle bytes. If it "
        "is short, clients on very slow links are cut off.",
    ),
    cfg.IntOpt(
        "max_connections",
        default=4096,
        min=1,
        max=1048576,
        help="Client connections per worker process; for both listeners. For one more, the connection that has been "
        "idle for longest is closed; if none is idle, it is answered 503 and closed, so that file descriptors "
        "remain for the connections to partitions and to the catalog. The hard limit of open files (ulimit -Hn)"
        " must be larger than this plus [upstream] max_concurrency for every partition.",
    ),
    cfg.IntOpt(
        "max_connections_per_client",
        default=0,
        min=0,
        max=1048576,
        help="Connections per worker process from one address, 0 for any number; for both listeners. One more is "
        "answered 503 and closed. Set it where clients connect directly, so that none of them takes all "
        "connections.",
    ),
    cfg.ListOpt(
        "trusted_balancers",
        default=[],
        help="Addresses, separated by commas, that max_connections_per_client does not apply to, because many clients "
        "come from them.",
    ),
    cfg.BoolOpt(
        "trust_forwarded_for",
        default=False,
        help="Whether to keep the X-Forwarded-For of a request and append to it, instead of replacing it. "
        "X-Forwarded-Proto is always the scheme of the connection to this proxy. Set it only if all clients that can "
        "connect are proxies that set the header themselves; otherwise clients choose the address that partitions "
        "see.",
    ),
)

ADMIN = (
    cfg.Opt(
        "bind",
        type=AddressType(),
        default="127.0.0.1:8889",
        help="HOST:PORT of the admin API; [IPV6]:PORT for IPv6, port 0 for any free one. Every client that can "
        "connect controls the location of every tenant's queues, so an address other than loopback needs a token.",
    ),
    cfg.IntOpt(
        "workers",
        default=1,
        min=1,
        max=64,
        help="Worker processes of the admin API. Each probes every partition host by itself, so more workers send "
        "more probes; one is enough for hundreds of operator calls per second.",
    ),
    cfg.StrOpt(
        "token",
        secret=True,
        help="The value of X-Auth-Token that every call of the admin API must send; if unset, calls need none. The "
        "command line sends the token in the environment variable MARCONI_PROXY_ADMIN_TOKEN. It travels in the clear "
        "unless a TLS proxy stands in front.",
    ),
    cfg.BoolOpt(
        "allow_unauthenticated",
        default=False,
        help="Whether the admin API may listen on an address other than loopback without a token. Otherwise such a "
        "start is refused. Set it only if the network admits operators alone.",
    ),
    cfg.FloatOpt(
        "probe_interval",
        default=10.0,
        min=0.1,
        max=3600.0,
        help="Seconds between two rounds of probes, which read the API versions of every partition host. This is the "
        "greatest age of the health report and of learned versions. Probes are reported; they have no effect on "
        "forwarding.",
    ),
    cfg.FloatOpt(
        "probe_timeout",
        default=2.0,
        min=0.05,
        max=60.0,
        help="Seconds that a partition host gets to answer a probe; also when a partition is registered. A slower "
        "host is reported unreachable and its API versions stay as they were.",
    ),
    cfg.FloatOpt(
        "count_timeout",
        default=5.0,
        min=0.05,
        max=60.0,
        help="Seconds that counting placements may take; then the answer is 503. A count reads every placement that "
        "it counts, which slows other use of the catalog meanwhile.",
    ),
)

AUTH = (
    cfg.StrOpt(
        "strategy",
        default="noauth",
        choices=[("noauth", "X-Project-Id and the other identity headers are trusted as sent.")],
        help="How the project of a request is established. With noauth every client of the public API can name any "
        "project, so put it behind a service that authenticates or in a trusted network; the start logs this as a "
        "warning.",
    ),
)
