"""Every metric there is, in one table, which the documentation shows. Partitions are labels; projects and queues are
too many to be."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """A gauge. ``what`` is its help text."""

    name: str
    labels: tuple[str, ...]
    what: str


class Sample(NamedTuple):
    """``labels`` are the values of those of ``metric``, in their order."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


AUDIT_FINDINGS = Metric(
    "marconi_audit_findings", ("kind",), "What the last whole round of the audit found to be wrong, by kind."
)
AUDIT_QUEUES = Metric("marconi_audit_queues", (), "Queues that the last whole round of the audit compared.")
AUDIT_CHANGED = Metric(
    "marconi_audit_changed_queues",
    (),
    "Those of them that were changing whenever that round looked, of which it found nothing therefore.",
)
AUDIT_UNTOLD = Metric(
    "marconi_audit_untold_queues",
    (),
    "Those of them that looked wrong and that their partitions could not be asked for.",
)
AUDIT_UNSEEN = Metric(
    "marconi_audit_unseen_partitions", (), "Partitions that could not be asked in that round, or not for everything."
)
AUDIT_STARTED = Metric(
    "marconi_audit_started_timestamp_seconds", (), "When the last whole round of the audit began, since 1970."
)
AUDIT_FINISHED = Metric(
    "marconi_audit_finished_timestamp_seconds", (), "When the last whole round of the audit ended, since 1970."
)
AUDIT_UNDER_WAY = Metric(
    "marconi_audit_under_way_started_timestamp_seconds",
    (),
    "When the round of the audit began that a mover is at, since 1970; no sample if none is.",
)
PARTITION_QUEUES = Metric(
    "marconi_partition_queues",
    ("partition",),
    "Queues and topics with any part on the partition, when all queues were asked last.",
)
PARTITION_UNKNOWN = Metric(
    "marconi_partition_unknown_queues",
    ("partition",),
    "Those of them that did not tell what they hold: their messages are not counted.",
)
PARTITION_MESSAGES = Metric(
    "marconi_partition_messages", ("partition", "state"), "Messages that they held then, free or claimed."
)
PARTITION_OLDEST = Metric(
    "marconi_partition_oldest_message_timestamp_seconds",
    ("partition",),
    "When the oldest of these messages was posted, since 1970; no sample if there was none.",
)
PARTITION_FINISHED = Metric(
    "marconi_partition_statistics_finished_timestamp_seconds",
    ("partition",),
    "When asking all queues came to its end, since 1970: how old the figures of the partition are.",
)

METRICS = (
    AUDIT_FINDINGS,
    AUDIT_QUEUES,
    AUDIT_CHANGED,
    AUDIT_UNTOLD,
    AUDIT_UNSEEN,
    AUDIT_STARTED,
    AUDIT_FINISHED,
    AUDIT_UNDER_WAY,
    PARTITION_QUEUES,
    PARTITION_UNKNOWN,
    PARTITION_MESSAGES,
    PARTITION_OLDEST,
    PARTITION_FINISHED,
)
