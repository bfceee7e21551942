"""The options of moves: first those that front doors read, then those of movers."""

from __future__ import annotations

from oslo_config import cfg

MOVING = (
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
