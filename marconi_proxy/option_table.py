"""Every option: its name, type, default, bounds, and the knowledge that an operator needs to change it.

A table and nothing else; ``options`` loads it. Names are part of the product: renaming one breaks configurations.
"""

from __future__ import annotations

from oslo_config import cfg

from marconi_proxy.option_types import AddressType, CatalogURIType
from marconi_proxy.upstream.limits import UpstreamLimits

_CATALOG = (
    cfg.Opt(
        "uri",
        type=CatalogURIType(),
        secret=True,
        sample_default="sqlite:////var/lib/marconi-proxy/catalog.db",
        help="Where the catalog is: sqlite:////absolute/path or mongodb://HOST:PORT[,HOST:PORT]/DATABASE[?options]. "
        "Must be set, to the same value for every process of one installation: two catalogs are two proxies that "
        "place the same queue twice. SQLite serves the processes of one machine, MongoDB those of many. The URI may "
        "contain a password, so it is never logged whole; in this file a $ is written $$.",
    ),
)

_PUBLIC = (
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
        help="Client connections per worker process; for both listeners. One more is answered 503 at once and closed, "
        "so that file descriptors remain for the connections to partitions and to the catalog. The hard limit of open "
        "files (ulimit -Hn) must be larger than this plus [upstream] max_concurrency for every partition.",
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

_ADMIN = (
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

_LIMITS = UpstreamLimits()

_UPSTREAM = (
    cfg.FloatOpt(
        "connect_timeout",
        default=_LIMITS.connect_timeout,
        min=0.05,
        max=60.0,
        help="Seconds to connect to a partition host before another one is tried. The retry is always safe, because "
        "nothing was sent yet. Above [upstream] deadline it has no effect.",
    ),
    cfg.FloatOpt(
        "deadline",
        default=_LIMITS.deadline,
        min=0.1,
        max=3600.0,
        help="Seconds for one call to a partition, including all retries; then the client gets 503 with Retry-After. "
        "The call may have been processed nevertheless. A post may legally take tens of seconds on a contended "
        "partition, so a short deadline turns slow posts into duplicates.",
    ),
    cfg.IntOpt(
        "max_concurrency",
        default=_LIMITS.max_concurrency,
        min=1,
        max=1048576,
        help="Calls in flight at a time to one partition per worker process; one more gets 503 with Retry-After. This "
        "keeps a slow partition from taking all the memory and connections of the others.",
    ),
    cfg.FloatOpt(
        "idle_timeout",
        default=_LIMITS.idle_timeout,
        min=0.1,
        max=3600.0,
        help="Seconds that a connection to a partition host is kept idle before it is closed. Best a little shorter "
        "than the idle time of the host; if it is longer, calls meet connections that the host is closing.",
    ),
    cfg.FloatOpt(
        "fresh_idle",
        default=_LIMITS.fresh_idle,
        min=0.0,
        max=3600.0,
        help="Seconds of idleness after which a kept connection is not used for a call that must not be retried "
        "(posting, claiming): if the host closed the connection meanwhile, it would be unknown whether the call was "
        "processed. 0 gives every such call a new connection; a large value saves connects and risks more 503 "
        "answers.",
    ),
    cfg.IntOpt(
        "max_response_head",
        default=_LIMITS.max_response_head,
        min=16384,
        max=67108864,
        help="Bytes of the largest status line and headers accepted from a partition; more is answered 503. The "
        "answer to a post of many small messages has a Location of hundreds of kilobytes, so a small value fails such "
        "posts after the partition has processed them.",
    ),
    cfg.IntOpt(
        "eject_after",
        default=_LIMITS.eject_after,
        min=1,
        max=1000,
        help="Failures in a row after which a partition host gets no calls for [upstream] eject_for seconds. At 1 a "
        "single lost connection ejects a host; at a large value, many clients wait for a dead host before others are "
        "used.",
    ),
    cfg.FloatOpt(
        "eject_for",
        default=_LIMITS.eject_for,
        min=0.1,
        max=3600.0,
        help="Seconds that a failing partition host gets no calls while the partition has others. Then calls try it "
        "again. If it is long, a host that has recovered stays idle; if it is short, more calls are spent on probing "
        "a dead host.",
    ),
)

_DIRECTORY = (
    cfg.IntOpt(
        "cache_size",
        default=100000,
        min=1,
        max=100000000,
        help="Placements that each worker process caches in memory, with least-recently-used eviction. Roughly 250 "
        "bytes each. If it is smaller than the number of queues in use, each call on an uncached queue costs a "
        "catalog read.",
    ),
    cfg.FloatOpt(
        "member_interval",
        default=2.0,
        min=0.1,
        max=60.0,
        help="Seconds between two heartbeats of a worker, which renew its registration in the catalog: one small "
        "write per worker. At most a third of [directory] lease, so that one lost heartbeat does no harm.",
    ),
    cfg.FloatOpt(
        "lease",
        default=30.0,
        min=1.0,
        max=3600.0,
        deprecated_name="member_expiry",
        help="Seconds without a heartbeat after which a worker counts as gone, as watched by a mover on its own "
        "clock. Each worker promises in its registration to have stopped writing by then, by its own clock. A move "
        "waits this long for a dead worker. The lease should outlast an election of the catalog's replica set (about "
        "12 seconds).",
    ),
    cfg.FloatOpt(
        "takeover_after",
        default=30.0,
        min=10.0,
        max=86400.0,
        help="Seconds for which a worker must have watched an unfinished deletion, without a change and by its own "
        "clock, before it finishes the deletion; until then calls on that queue are answered 503. A worker that meets "
        "the queue for the first time begins to watch then, however old the deletion is. Not below [directory] lease, "
        "within which a worker that was cut off may still continue a deletion. A deletion gives up its own call after "
        "half of this time, because a late one would hit a queue created since; so the value is not below 10, which "
        "leaves a partition 5 seconds to answer.",
    ),
)

_MOVING = (
    cfg.FloatOpt(
        "hold_max",
        default=2.0,
        min=0.0,
        max=60.0,
        help="Seconds that a write waits while its queue is being switched to another partition; then it is answered "
        "503 with Retry-After, regardless of the mover: each worker measures by its own clock. A switch usually takes "
        "a fraction of a second. If the value is short, writes are refused that could have been served. If it is "
        "longer than the timeout of a client, the client gives up first.",
    ),
    cfg.IntOpt(
        "max_held",
        default=512,
        min=0,
        max=1048576,
        help="Held writes per worker process at a time; one more is answered 503 with Retry-After at once. Each keeps "
        "its request's body in memory. All of them resume at once after a switch, so more than [upstream] "
        "max_concurrency are of no use.",
    ),
    cfg.FloatOpt(
        "seal_overdue",
        default=5.0,
        min=0.1,
        max=3600.0,
        help="Seconds after which a worker aborts the seal of a queue that is still being switched, so that writes go "
        "where they went before: the mover is dead, or too slow, and starts again. Each worker measures from the "
        "moment when it saw the seal. If the value is shorter than a switch may take, it aborts switches that would "
        "have succeeded.",
    ),
    cfg.FloatOpt(
        "ambiguity",
        default=60.0,
        min=0.0,
        max=3600.0,
        help="Seconds that a write still counts as in flight after it was given up without an answer, because its "
        "partition may yet process it. During this time its queue cannot be switched to another partition; other "
        "queues can. If it is short, an unacknowledged message may be stored behind newer ones. If it is long, a "
        "partition that loses answers blocks moves of its queues. A move after an unanswered deletion lasts at least "
        "as long: until then the deleted name is not used again.",
    ),
)

_LISTING = (
    cfg.IntOpt(
        "default_page",
        default=10,
        min=1,
        max=10000,
        help="Queues on a page of GET /queues when the request has no limit. At most [listing] max_page. Clients of "
        "Marconi expect 10.",
    ),
    cfg.IntOpt(
        "max_page",
        default=20,
        min=1,
        max=10000,
        help="The largest limit that GET /queues accepts; larger ones are answered 400, as clients of Marconi expect. "
        "A page with detailed=true costs one call to partitions for every ten of its queues, or one for each queue if "
        "the partition has other queues in between.",
    ),
    cfg.IntOpt(
        "scan_limit",
        default=5000,
        min=1,
        max=1000000,
        help="Queues that a page of GET /v2/queues?name= examines in the catalog, matching or not. Then the page "
        "ends, with fewer matches than its limit or none, and its next link continues from there. This bounds the "
        "cost of one request to the catalog: some 4 milliseconds of a core for every 1000. If it is small, clients in "
        "search of a rare name get many empty pages, and some clients stop at an empty page.",
    ),
    cfg.IntOpt(
        "ask_limit",
        default=100,
        min=1,
        max=10000,
        help="Queues for which a page of GET /v2/queues with a filter by metadata requests the metadata from "
        "partitions; not below the page's limit. Then the page ends as with [listing] scan_limit. If it is large, one "
        "request can cause that many calls to partitions; if it is small, clients get many empty pages.",
    ),
    cfg.FloatOpt(
        "deadline",
        default=10.0,
        min=0.1,
        max=3600.0,
        help="Seconds for all calls to partitions that a page with detailed=true or a filter by metadata makes. Then "
        "the page is answered 503 with Retry-After, because a partial page is never returned. Not longer than the "
        "timeout of clients.",
    ),
)

_MOVER = (
    cfg.FloatOpt(
        "seal_timeout",
        default=1.5,
        min=0.1,
        max=60.0,
        help="Seconds that writes to a queue may be held while the mover waits until every worker has stopped writing "
        "to the old segment; then the mover aborts the seal, and retries later. The catalog calls that end an attempt "
        "come on top, so a write is bounded by [moving] hold_max of the workers. Keep this value below that, or "
        "clients are refused by then. If it is shorter than a worker needs to finish its writes in flight, busy "
        "queues are not moved.",
    ),
    cfg.FloatOpt(
        "back_off",
        default=5.0,
        min=0.1,
        max=300.0,
        help="Seconds within which a failed step of a move is retried; the limit doubles with each failure in a row, "
        "up to 300. The delay is random within the limit. If it is short, a frozen member makes writes wait often; if "
        "it is long, a move is slow after an accidental failure.",
    ),
    cfg.IntOpt(
        "give_up_after",
        default=20,
        min=1,
        max=1000000,
        help="Failures in a row after which a move that has not been switched is paused, with the reason, until an "
        "operator resumes or cancels it. If it is small, a short outage of the catalog pauses moves; if it is large, "
        "a move that cannot succeed is retried for hours.",
    ),
    cfg.FloatOpt(
        "linger",
        default=60.0,
        min=0.0,
        max=86400.0,
        help="Seconds between the two checks that must both find the older segments of a queue empty before they are "
        "deleted, by the clock of the mover that does both. Not below 60 in production: an unanswered write may be in "
        "flight for that long, and its message would be lost. If a worker has received nothing from the catalog for "
        "longer than this, and than [directory] lease, it refuses reads of queues that were moved: its cached "
        "segments may be deleted. A move of a dead-letter queue, which keeps its name, lasts at least as long after "
        "the deletion.",
    ),
    cfg.IntOpt(
        "max_segments",
        default=4,
        min=2,
        max=64,
        help="Segments that a queue may have: it gets one more if it moves again before consumers have emptied the "
        "old place. Consumers read through all of them, so many segments make every claim slow.",
    ),
    cfg.FloatOpt(
        "hold",
        default=15.0,
        min=1.0,
        max=600.0,
        help="Seconds that a mover holds the lock of a move without renewing it. When a mover dies, another takes the "
        "lock over once it has watched the lock for this time without a renewal, on its own clock. If it is shorter "
        "than a pause of the catalog, movers lose their locks and repeat steps.",
    ),
    cfg.IntOpt(
        "at_once",
        default=4,
        min=1,
        max=1000,
        help="Moves from or to one partition that are being prepared or switched at a time. Moves that wait for "
        "consumers do not count; a queue and its dead-letter queue go even if one is too many. More moves at once "
        "load the partition with creations of queues.",
    ),
    cfg.FloatOpt(
        "seals_per_second",
        default=10.0,
        min=0.01,
        max=1000.0,
        help="Queues that one mover seals per second, on average. Each seal makes every worker renew its registration "
        "at once, to acknowledge it; one renewal acknowledges all seals that the worker has seen by then. A higher "
        "rate is more work for the catalog.",
    ),
    cfg.IntOpt(
        "keep_finished",
        default=10000,
        min=0,
        max=10000000,
        help="The number of finished moves to keep at least, with records and certificates: the most recent ones. A "
        "mover removes others in the background, if they are also older than [moving] keep_finished_for; so a wrong "
        "clock removes no record of a recent move. A finished plan is removed with its moves; a plan that has begun "
        "none, applied or not, when later plans have that many moves. If it is large, backups and listings grow by "
        "some kilobytes for each move. If it is small, certificates are removed soon: marconi-proxy move export "
        "writes them to a file.",
    ),
    cfg.FloatOpt(
        "keep_finished_for",
        default=2592000.0,
        min=0.0,
        max=3153600000.0,
        help="Seconds for which to keep at least the records of finished moves, and plans that have begun none, by "
        "the times in them. All moves of this period are kept, however many. With 0 there are never many more than "
        "[moving] keep_finished, and a plan that was written to a file may be gone when it is to be applied.",
    ),
)

_STATISTICS = (
    cfg.FloatOpt(
        "requests_per_second",
        default=5.0,
        min=0.0,
        max=10000.0,
        help="The most requests per second with which movers poll partitions for the contents of each queue, for the "
        "statistics of partitions and projects; 0 switches this off. One mover at a time polls. It needs a request "
        "for each queue, so at 5 a million queues take two days and a half; the statistics have their age. A higher "
        "rate is more work for partitions.",
    ),
    cfg.FloatOpt(
        "interval",
        default=300.0,
        min=1.0,
        max=2592000.0,
        help="Seconds from the end of one round of polling all queues to the start of the next. With few queues this "
        "is the age of statistics; with many, a round takes longer than this. Each mover measures by its own clock, "
        "from when it saw the end. A mover that has just started assumes that a random part of the interval has "
        "passed.",
    ),
)

_AUDIT = (
    cfg.FloatOpt(
        "rate",
        default=0.0,
        min=0.0,
        max=10000.0,
        help="The most requests per second to each partition with which a mover compares catalog and partitions in "
        "the background, round after round, as marconi-proxy catalog verify does; 0 switches this off. One mover at a "
        "time compares. A round needs a request for each hundred queues of an inventory, or for each twenty queues of "
        "a listing where a partition has no inventory.",
    ),
    cfg.FloatOpt(
        "interval",
        default=3600.0,
        min=1.0,
        max=2592000.0,
        help="Seconds from the end of a round in the background to the start of the next. Damage may stay undetected "
        "for as long. Each mover measures by its own clock, from when it saw the end. A mover that has just started "
        "assumes that a random part of the interval has passed.",
    ),
    cfg.FloatOpt(
        "confirm_after",
        default=5.0,
        min=0.0,
        max=3600.0,
        help="Seconds between two checks of a suspected disagreement. It is a finding if all three checks agree, with "
        "no change in between. With 0, a queue that is being created or deleted is mistaken for a finding more "
        "easily.",
    ),
    cfg.FloatOpt(
        "clocks",
        default=60.0,
        min=0.0,
        max=86400.0,
        help="Seconds by which the clocks of movers, front doors and partitions may differ. A message counts as late "
        "only beyond this difference: a smaller value detects foreign writers sooner, and mistakes a wrong clock for "
        "one. Repairs do not depend on any such clock.",
    ),
)

_AUTH = (
    cfg.StrOpt(
        "strategy",
        default="noauth",
        choices=[("noauth", "X-Project-Id and the other identity headers are trusted as sent.")],
        help="How the project of a request is established. With noauth every client of the public API can name any "
        "project, so put it behind a service that authenticates or in a trusted network; the start logs this as a "
        "warning.",
    ),
)

_LOG = (
    cfg.StrOpt(
        "level",
        default="info",
        choices=["debug", "info", "warning", "error"],
        ignore_case=True,
        help="The least severe messages that are logged, to standard error. debug logs several lines per call and "
        "costs much throughput.",
    ),
)

GROUPS: dict[str, tuple[cfg.Opt, ...]] = {
    "admin": _ADMIN,
    "audit": _AUDIT,
    "auth": _AUTH,
    "catalog": _CATALOG,
    "directory": _DIRECTORY,
    "listing": _LISTING,
    "log": _LOG,
    "moving": (*_MOVING, *_MOVER),
    "public": _PUBLIC,
    "statistics": _STATISTICS,
    "upstream": _UPSTREAM,
}
