"""Every option: its name, type, default, bounds, and what an operator must know to change it.

A table and nothing else; ``options`` loads it. Names are part of the product: renaming one breaks configurations.
"""

from __future__ import annotations

from oslo_config import cfg

from marconi_proxy.option_types import AddressType, CatalogURIType
from marconi_proxy.upstream.limits import Limits

_CATALOG = (
    cfg.Opt(
        "uri",
        type=CatalogURIType(),
        secret=True,
        sample_default="sqlite:////var/lib/marconi-proxy/catalog.db",
        help="Where the catalog is: sqlite:////absolute/path or mongodb://HOST:PORT[,HOST:PORT]/DATABASE[?options]. "
        "Must be set, to the same value for every process of one installation: two catalogs are two proxies that "
        "place the same queue twice. SQLite serves the processes of one machine, MongoDB those of many. It may hold a "
        "password, so it is never logged whole; in this file a $ is written $$.",
    ),
)

_PUBLIC = (
    cfg.Opt(
        "bind",
        type=AddressType(),
        default="127.0.0.1:8888",
        help="HOST:PORT of the public API; [IPV6]:PORT for IPv6, port 0 for any free one. The default is reachable "
        "from this machine only, because with [auth] strategy = noauth whoever reaches it is believed.",
    ),
    cfg.IntOpt(
        "workers",
        default=2,
        min=1,
        max=1024,
        help="Worker processes of the public API. Each uses one core and keeps its own cache, connections and lease. "
        "More than there are cores adds memory and latency, not throughput.",
    ),
    cfg.IntOpt(
        "keepalive",
        default=75,
        min=1,
        max=3600,
        help="Seconds that a client's connection may stay idle between two requests before it is closed; for both "
        "listeners. Shorter than what clients or a load balancer in front keep theirs, some of their requests meet a "
        "closed connection; longer, idle clients hold file descriptors.",
    ),
    cfg.IntOpt(
        "graceful_timeout",
        default=30,
        min=1,
        max=3600,
        help="Seconds that requests under way get to finish when a listener is stopped; for both listeners. What is "
        "still running then is cut off, and its clients cannot know whether it happened.",
    ),
    cfg.IntOpt(
        "max_body",
        default=1048576,
        min=1024,
        max=1073741824,
        help="Bytes of the largest request body that is forwarded; a larger one is answered 400. It is held in memory "
        "while its call lasts. Partitions have limits of their own (262144 for posting messages, by default); below "
        "theirs, this one refuses what they would take.",
    ),
    cfg.FloatOpt(
        "body_timeout",
        default=60.0,
        min=1.0,
        max=3600.0,
        help="Seconds that a request's body may take to arrive whole; then the request is refused with 400. Too short, "
        "large posts over slow lines fail; too long, slow senders hold connections and memory.",
    ),
    cfg.IntOpt(
        "max_head",
        default=65536,
        min=1024,
        max=16777216,
        help="Bytes of the largest request line and headers together; more is answered 400 and the connection closed. "
        "For both listeners. It bounds the memory a client can take before its request is looked at. Bulk calls "
        "carry their ids in the request line, so do not go below 8192.",
    ),
    cfg.IntOpt(
        "head_timeout",
        default=30,
        min=1,
        max=3600,
        help="Seconds within which a request line and headers must be complete, from their first byte or, on a new "
        "connection, from its start; for both listeners. Without it, clients that trickle bytes hold connections for "
        "ever. Too short, clients on very slow links are cut off.",
    ),
    cfg.IntOpt(
        "max_connections",
        default=4096,
        min=1,
        max=1048576,
        help="Client connections per worker process; for both listeners. One more is answered 503 at once and closed, "
        "so that file descriptors remain for the partitions' connections and the catalog's. The hard limit "
        "of open files (ulimit -Hn) must be larger than this plus [upstream] max_concurrency for every partition.",
    ),
    cfg.BoolOpt(
        "trust_forwarded_for",
        default=False,
        help="Whether to keep the X-Forwarded-For of a request and append to it, instead of replacing it. "
        "X-Forwarded-Proto is always the scheme of the connection to this proxy. "
        "Set it only where everybody who can connect is a proxy that sets them itself; else clients "
        "choose which address partitions see.",
    ),
)

_ADMIN = (
    cfg.Opt(
        "bind",
        type=AddressType(),
        default="127.0.0.1:8889",
        help="HOST:PORT of the admin API; [IPV6]:PORT for IPv6, port 0 for any free one. Whoever reaches it can decide "
        "where every tenant's queues live; an address other than loopback therefore needs a token.",
    ),
    cfg.IntOpt(
        "workers",
        default=1,
        min=1,
        max=64,
        help="Worker processes of the admin API. Each probes every partition host by itself, so more of them means "
        "more probes; one is enough for hundreds of operator calls per second.",
    ),
    cfg.StrOpt(
        "token",
        secret=True,
        help="What every call of the admin API must carry in X-Auth-Token; unset, calls need none. The command line "
        "sends the one in the environment variable MARCONI_PROXY_ADMIN_TOKEN. It travels in the clear unless "
        "something in front speaks TLS.",
    ),
    cfg.BoolOpt(
        "allow_unauthenticated",
        default=False,
        help="Whether the admin API may listen on an address other than loopback without a token. Without it such a "
        "start is refused. Set it only where the network lets nobody but operators through.",
    ),
    cfg.FloatOpt(
        "probe_interval",
        default=10.0,
        min=0.1,
        max=3600.0,
        help="Seconds between two rounds in which every partition host is asked for its API versions. It is how old "
        "the health report and learned versions can be. Probes are reported; they decide nothing about forwarding.",
    ),
    cfg.FloatOpt(
        "probe_timeout",
        default=2.0,
        min=0.05,
        max=60.0,
        help="Seconds that a partition host gets to answer a probe; also when a partition is registered. A slower host "
        "is reported unreachable and its API versions stay as they were.",
    ),
    cfg.FloatOpt(
        "count_timeout",
        default=5.0,
        min=0.05,
        max=60.0,
        help="Seconds that counting placements may take; then the answer is 503. All that is counted is walked, which "
        "takes from others' use of the catalog meanwhile.",
    ),
)

_LIMITS = Limits()

_UPSTREAM = (
    cfg.FloatOpt(
        "connect_timeout",
        default=_LIMITS.connect_timeout,
        min=0.05,
        max=60.0,
        help="Seconds to connect to a partition host before another one is tried. Nothing was sent yet, so the other "
        "try is always safe. Above [upstream] deadline it has no effect.",
    ),
    cfg.FloatOpt(
        "deadline",
        default=_LIMITS.deadline,
        min=0.1,
        max=3600.0,
        help="Seconds for one call to a partition, all tries together; then the client gets 503 with Retry-After. The "
        "call may have happened nevertheless. A post may legally take tens of seconds when a partition is contended, "
        "so a short deadline turns slow posts into duplicates.",
    ),
    cfg.IntOpt(
        "max_concurrency",
        default=_LIMITS.max_concurrency,
        min=1,
        max=1048576,
        help="Calls under way at a time to one partition per worker process; one more gets 503 with Retry-After. "
        "It keeps a slow partition from taking all the memory and connections of the others.",
    ),
    cfg.FloatOpt(
        "idle_timeout",
        default=_LIMITS.idle_timeout,
        min=0.1,
        max=3600.0,
        help="Seconds that a connection to a partition host is kept idle before it is closed. Best a little shorter "
        "than what the host keeps it; longer, calls meet connections that the host is just closing.",
    ),
    cfg.FloatOpt(
        "fresh_idle",
        default=_LIMITS.fresh_idle,
        min=0.0,
        max=3600.0,
        help="Seconds of idleness after which a kept connection is not used for a call that must not be sent twice "
        "(posting, claiming): if the host closed it meanwhile, nobody could tell whether the call happened. 0 gives "
        "every such call a new connection; larger saves connects and risks more 503 answers.",
    ),
    cfg.IntOpt(
        "max_response_head",
        default=_LIMITS.max_response_head,
        min=16384,
        max=67108864,
        help="Bytes of the largest status line and headers taken from a partition; more is answered 503. Posting many "
        "small messages is answered with a Location of hundreds of kilobytes, so a small value breaks such posts "
        "after they were done.",
    ),
    cfg.IntOpt(
        "eject_after",
        default=_LIMITS.eject_after,
        min=1,
        max=1000,
        help="Failures in a row after which a partition host gets no calls for [upstream] eject_for seconds. At 1 a "
        "single lost connection takes a host out; large, many clients wait for a dead host before others are used.",
    ),
    cfg.FloatOpt(
        "eject_for",
        default=_LIMITS.eject_for,
        min=0.1,
        max=3600.0,
        help="Seconds that a failing partition host gets no calls while the partition has others. Then calls try it "
        "again. Long, a host that has recovered stays idle; short, more calls are spent on finding out.",
    ),
)

_DIRECTORY = (
    cfg.IntOpt(
        "cache_size",
        default=100000,
        min=1,
        max=100000000,
        help="Placements that each worker process keeps in memory, the least recently used going first. Roughly 250 "
        "bytes each. Smaller than the number of queues in use, each call on one that is not kept costs a catalog read.",
    ),
    cfg.FloatOpt(
        "member_interval",
        default=2.0,
        min=0.1,
        max=60.0,
        help="Seconds between two renewals of a worker's registration in the catalog: one small write per worker. At "
        "most a third of [directory] lease, so that losing one renewal does no harm.",
    ),
    cfg.FloatOpt(
        "lease",
        default=30.0,
        min=1.0,
        max=3600.0,
        deprecated_name="member_expiry",
        help="Seconds without a renewal after which a worker counts as gone, as a mover has watched it on its own "
        "clock. Each worker promises this for itself, in its registration: by then it has stopped writing, by its own "
        "clock. A move waits as long for a worker that vanished. It should outlast an election of the catalog's "
        "replica set (about 12 seconds).",
    ),
    cfg.FloatOpt(
        "takeover_after",
        default=30.0,
        min=10.0,
        max=86400.0,
        help="Seconds for which a worker must have watched a deletion that was begun and not finished, without a "
        "change and by its own clock, before it finishes it; until then calls on that queue are answered 503. A worker "
        "that meets the queue for the first time begins to watch then, however old the deletion is. Not below "
        "[directory] lease, within which a worker that was cut off may still go on with a deletion. A deletion gives "
        "up its own call after half of it, for a late one would hit a queue created since; so it is not below 10, "
        "which leaves a partition 5 seconds to answer.",
    ),
)

_MOVING = (
    cfg.FloatOpt(
        "hold_max",
        default=2.0,
        min=0.0,
        max=60.0,
        help="Seconds that a write waits while its queue is being switched to another partition; then it is answered "
        "503 with Retry-After, whatever the mover does: each worker counts by its own clock. Usually a switch takes a "
        "fraction of a second. Shorter, clients are refused that might have been served; longer than a client waits "
        "for its answer, it waits in vain.",
    ),
    cfg.IntOpt(
        "max_held",
        default=512,
        min=0,
        max=1048576,
        help="Writes per worker process that wait so at a time; one more is answered 503 with Retry-After at once. "
        "Each keeps its request's body in memory. All of them go on at once when a switch is made, so more than "
        "[upstream] max_concurrency are of no use.",
    ),
    cfg.FloatOpt(
        "seal_overdue",
        default=5.0,
        min=0.1,
        max=3600.0,
        help="Seconds after which a worker that sees a queue still being switched lets writes go on where they went: "
        "whoever was switching it is gone, or too slow, and begins anew. Counted by each worker from when it saw the "
        "queue being switched. Shorter than a switch may take, it undoes switches that were going well.",
    ),
    cfg.FloatOpt(
        "ambiguity",
        default=60.0,
        min=0.0,
        max=3600.0,
        help="Seconds that a write may still be done by its partition after it was given up without an answer. For so "
        "long its queue cannot be switched to another partition; other queues can. Too short, a message that nobody "
        "was told of may come in behind newer ones; long, a partition that loses answers keeps its queues from being "
        "moved away. After a deletion that was not answered, a move lasts at least as long: until then the name that "
        "was deleted is not used again.",
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
        "A page with detailed=true costs a call to partitions for every ten of its queues, and one for each of them "
        "where a partition has others in between.",
    ),
    cfg.IntOpt(
        "scan_limit",
        default=5000,
        min=1,
        max=1000000,
        help="Queues that a page of GET /v2/queues?name= looks at in the catalog, whether they match or not. Then the "
        "page ends, with fewer matches than its limit or none, and its next link goes on from there. It bounds what "
        "one request can cost the catalog: some 4 milliseconds of a core for every 1000. Small, clients that look for "
        "a rare name get many empty pages, at which some of them stop.",
    ),
    cfg.IntOpt(
        "ask_limit",
        default=100,
        min=1,
        max=10000,
        help="Queues whose metadata a page of GET /v2/queues with a filter by metadata asks partitions for; not below "
        "the page's limit. Then the page ends as with [listing] scan_limit. Large, one request can cause that many "
        "calls to partitions; small, clients get many empty pages.",
    ),
    cfg.FloatOpt(
        "deadline",
        default=10.0,
        min=0.1,
        max=3600.0,
        help="Seconds for all calls to partitions that a page with detailed=true or a filter by metadata makes; then "
        "it is answered 503 with Retry-After, for a page is never shown in part. Not longer than clients wait for an "
        "answer.",
    ),
)

_MOVER = (
    cfg.FloatOpt(
        "seal_timeout",
        default=1.5,
        min=0.1,
        max=60.0,
        help="Seconds that writes to a queue may be held while the mover waits until every worker has stopped writing "
        "to where the queue was; then it begins to let them go on there, and tries again later. The calls to the "
        "catalog that end an attempt come on top, so what bounds a write is [moving] hold_max of the workers. Below "
        "that, or clients are refused by then. Shorter than a worker needs to end the writes that it has begun, busy "
        "queues are not moved.",
    ),
    cfg.FloatOpt(
        "back_off",
        default=5.0,
        min=0.1,
        max=300.0,
        help="Seconds within which a move that could not go on is tried again; the limit doubles with each failure in "
        "a row, up to 300. The time is drawn from all of it. Short, a member that is frozen makes writes wait often; "
        "long, a move that failed by accident takes its time.",
    ),
    cfg.IntOpt(
        "give_up_after",
        default=20,
        min=1,
        max=1000000,
        help="Failures in a row after which a move that has not been switched is paused, with the reason, until an "
        "operator resumes or cancels it. Small, a short trouble of the catalog stops moves for good; large, one that "
        "cannot succeed is tried for hours.",
    ),
    cfg.FloatOpt(
        "linger",
        default=60.0,
        min=0.0,
        max=86400.0,
        help="Seconds between the two looks that must both find the older segments of a queue empty before they are "
        "deleted, by the clock of the mover that does both. Not below 60 in production: so long a write may still be "
        "under way that nobody can tell of, and its message would be lost. A worker that has heard nothing of the "
        "catalog for longer than this, and than [directory] lease, refuses reads of queues that were moved: what it "
        "knows of them may lead to segments that are deleted. A move of a dead-letter queue, which keeps its name, "
        "lasts at least as long after the deletion.",
    ),
    cfg.IntOpt(
        "max_segments",
        default=4,
        min=2,
        max=64,
        help="Segments that a queue may have: moved again before consumers have emptied where it was, it has one more. "
        "Consumers look through all of them, so many make every claim slow.",
    ),
    cfg.FloatOpt(
        "hold",
        default=15.0,
        min=1.0,
        max=600.0,
        help="Seconds that a mover holds a move without renewing its lock. When one dies, another takes the lock over "
        "once it has watched it without a renewal for so long, on its own clock. Shorter than a pause of the catalog, "
        "movers lose what they hold and begin steps anew.",
    ),
    cfg.IntOpt(
        "at_once",
        default=4,
        min=1,
        max=1000,
        help="Moves from or to one partition that are being prepared or switched at a time. Those that wait for "
        "consumers do not count; a queue and its dead-letter queue go even if one is too many. More of them "
        "load the partition with the making of queues.",
    ),
    cfg.FloatOpt(
        "seals_per_second",
        default=10.0,
        min=0.01,
        max=1000.0,
        help="Queues that one mover seals in a second, on the average. Each makes every worker renew its registration "
        "at once, to acknowledge it; a worker acknowledges in one renewal all that it was shown by then. More is more "
        "work for the catalog.",
    ),
    cfg.IntOpt(
        "keep_finished",
        default=10000,
        min=0,
        max=10000000,
        help="Finished moves whose records and certificates are kept, at least: those that ended last. A mover removes "
        "others in the background, if they are also older than [moving] keep_finished_for; so a clock that is set "
        "wrong removes nothing that has just finished. A finished plan goes with its moves; one that has begun none, "
        "applied or not, when those made after it have so many. Large, backups and listings grow by some kilobytes "
        "for each move. Small, certificates are gone soon: marconi-proxy move export writes them to a file.",
    ),
    cfg.FloatOpt(
        "keep_finished_for",
        default=2592000.0,
        min=0.0,
        max=3153600000.0,
        help="Seconds for which records of finished moves, and plans that have begun none, are kept, at least, by the "
        "times in them. Many moves in this time are all kept; with 0 there are never many more than [moving] "
        "keep_finished, and a plan that is written to a file may be gone when it is to be applied.",
    ),
)

_STATISTICS = (
    cfg.FloatOpt(
        "requests_per_second",
        default=5.0,
        min=0.0,
        max=10000.0,
        help="Requests in a second, at most, by which movers ask partitions what each queue holds, for the statistics "
        "of partitions and projects; 0 asks nothing. One mover at a time asks. It needs a request for each queue, so "
        "at 5 a million queues take two days and a half: the statistics say how old they are. More is more work for "
        "partitions.",
    ),
    cfg.FloatOpt(
        "interval",
        default=300.0,
        min=1.0,
        max=2592000.0,
        help="Seconds from when all queues have been asked to when they are asked anew. With few queues it is how old "
        "statistics are; with many, asking takes longer than this. Each mover counts by its own clock, from when it "
        "saw the end; one that has just started takes some part of it, drawn by chance, to have passed.",
    ),
)

_AUDIT = (
    cfg.FloatOpt(
        "rate",
        default=0.0,
        min=0.0,
        max=10000.0,
        help="Requests in a second to each partition, at most, by which a mover compares catalog and partitions in the "
        "background, round after round, as marconi-proxy catalog verify does; 0 compares nothing. One mover at a time "
        "does. A round needs a request for each hundred queues of an inventory, or for each twenty that a partition "
        "without one lists.",
    ),
    cfg.FloatOpt(
        "interval",
        default=3600.0,
        min=1.0,
        max=2592000.0,
        help="Seconds from the end of a round in the background to the beginning of the next. What is damaged in "
        "between is not known for as long. Each mover counts by its own clock, from when it saw the end; one that has "
        "just started takes some part of it, drawn by chance, to have passed.",
    ),
    cfg.FloatOpt(
        "confirm_after",
        default=5.0,
        min=0.0,
        max=3600.0,
        help="Seconds between two looks at what seems to be wrong. It counts if it is so at each of three looks, with "
        "nothing changed in between. With 0, what is just being created or deleted is mistaken more easily.",
    ),
    cfg.FloatOpt(
        "clocks",
        default=60.0,
        min=0.0,
        max=86400.0,
        help="Seconds by which the clocks of movers, front doors and partitions may differ. What is said to be late is "
        "so by more than that: smaller finds foreign writers sooner, and takes a clock that is wrong for one. Repairs "
        "go by no such clock.",
    ),
)

_AUTH = (
    cfg.StrOpt(
        "strategy",
        default="noauth",
        choices=[("noauth", "X-Project-Id and the other identity headers are believed as they were sent.")],
        help="How the project of a request is established. With noauth anybody who reaches the public API can name any "
        "project, so it belongs behind something that authenticates or in a trusted network; it is logged as a warning "
        "at start.",
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
