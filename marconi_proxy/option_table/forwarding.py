"""The options of forwarding: calls to partitions, the cache of placements with the lease of a worker, and listings."""

from __future__ import annotations

from oslo_config import cfg

from marconi_proxy.upstream.limits import UpstreamLimits

_LIMITS = UpstreamLimits()

UPSTREAM = (
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
    cfg.FloatOpt(
        "try_timeout",
        default=_LIMITS.try_timeout,
        min=0.05,
        max=3600.0,
        help="Seconds after which a GET or HEAD is given up at one host and tried on another, if the partition has "
        "another one that is not ejected. A frozen host costs reads this long until it is ejected. If it is shorter "
        "than slow reads take, these are done twice. From [upstream] deadline on it has no effect.",
    ),
    cfg.BoolOpt(
        "hedge",
        default=_LIMITS.hedge,
        help="Send a GET or HEAD to a second host, if the partition has one that is not ejected, when the first has "
        "not answered within the time that 95 % of the answers take; the first answer counts. This shortens the "
        "longest waits where single hosts pause, at the price of one read in twenty done twice, within the budget of "
        "retries, and of more CPU for each read.",
    ),
    cfg.IntOpt(
        "max_concurrency",
        default=_LIMITS.max_concurrency,
        min=1,
        max=1048576,
        help="Calls in flight at a time to one partition per worker process; one more waits for a place "
        "([upstream] max_waiting). This keeps a slow partition from taking all the memory and connections of the "
        "others. As many calls of departed clients are counted apart: writes that go on, and reads of clients that "
        "have closed their side only.",
    ),
    cfg.IntOpt(
        "max_waiting",
        default=_LIMITS.max_waiting,
        min=0,
        max=1048576,
        help="Calls to one partition per worker process that wait while [upstream] max_concurrency are in flight; one "
        "more gets 503 with Retry-After. Projects take turns, and the project with the most waiting calls is the one "
        "refused. 0 refuses at once, and lets one project with many calls keep out the others.",
    ),
    cfg.FloatOpt(
        "wait_timeout",
        default=_LIMITS.wait_timeout,
        min=0.01,
        max=3600.0,
        help="Seconds that such a call waits before it gets 503 with Retry-After, or up to a fourth more. If it is "
        "long, clients of a stuck partition wait for nothing; if it is short, a burst of calls is refused that would "
        "have been served. A call with less time left than this does not wait.",
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
        help="Failures in a row after which a partition host gets no calls for [upstream] eject_for seconds. Failures "
        "are connections that cannot be made or break, answers that do not come in time, and statuses from 500. At 1 a "
        "single lost connection ejects a host; at a large value, many clients wait for a dead host before others are "
        "used.",
    ),
    cfg.FloatOpt(
        "eject_errors",
        default=_LIMITS.eject_errors,
        min=0.01,
        max=1.0,
        help="The share of failures, of at least 20 calls within 10 seconds, that ejects a partition host too. So a "
        "host is ejected that fails often but not in a row. If it is small, a host is ejected for the requests of one "
        "client that always fail.",
    ),
    cfg.FloatOpt(
        "eject_for",
        default=_LIMITS.eject_for,
        min=0.1,
        max=3600.0,
        help="Seconds that a failing partition host gets no calls while the partition has others. Then one call tries "
        "it, a read if there is any. Each further ejection lasts twice as long, until the host has been back for as "
        "long as its last ejection. If it is long, a host that has recovered stays idle; if it is short, more calls "
        "are spent on a dead host.",
    ),
    cfg.FloatOpt(
        "eject_for_max",
        default=_LIMITS.eject_for_max,
        min=0.1,
        max=86400.0,
        help="The most seconds of one ejection; not below [upstream] eject_for. A host that fails for hours and is "
        "repaired gets its first call after this time at the latest, or at once if probes have seen it dead and alive "
        "again.",
    ),
    cfg.FloatOpt(
        "eject_share",
        default=_LIMITS.eject_share,
        min=0.0,
        max=1.0,
        help="The share of a partition's hosts that may be ejected. If more are, no ejection has effect and all hosts "
        "get calls: then the fault is one of the network or the store, and to spare hosts would take away a partition "
        "that still answers. At 0 no host is ever left out; at 1 all calls go to the last host that answers, which may "
        "be too many for it.",
    ),
    cfg.FloatOpt(
        "slow_start",
        default=_LIMITS.slow_start,
        min=0.0,
        max=3600.0,
        help="Seconds in which the share of a host that was ejected grows from a tenth to that of others. A server "
        "that has just started fails again if it gets all its calls at once. 0 gives it its full share.",
    ),
    cfg.FloatOpt(
        "probe_interval",
        default=_LIMITS.probe_interval,
        min=0.0,
        max=3600.0,
        help="Seconds between two probes of a partition host by each worker process: GET of ping, or of health in v1, "
        "of a version that the partition speaks. A partition with one host is not probed. Two failed probes in a row "
        "eject a host, so that no call has to find out, and it gets no call until a probe succeeds. A probe fails "
        "without an answer within [upstream] connect_timeout, and with a status from 500. 0 makes no probes: then "
        "calls of clients try ejected hosts.",
    ),
    cfg.FloatOpt(
        "resolve_for",
        default=_LIMITS.resolve_for,
        min=0.1,
        max=86400.0,
        help="Seconds that the addresses of a partition host's name are used before the name is resolved again, in the "
        "background. Connections to an address that is no longer among them are closed when they are idle. While a "
        "name cannot be resolved, its last addresses are used. If it is long, calls go to a host's old address after "
        "it has moved; if it is short, the name server gets more questions.",
    ),
)

DIRECTORY = (
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

LISTING = (
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
