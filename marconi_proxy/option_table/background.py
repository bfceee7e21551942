"""The options of the work that movers do in the background: statistics and audit."""

from __future__ import annotations

from oslo_config import cfg

STATISTICS = (
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

AUDIT = (
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
