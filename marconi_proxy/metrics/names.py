"""Every metric, in one table, which the documentation shows. Partitions are labels; there are too many projects and
queues for labels."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """A gauge. ``what`` is its help text."""

    name: str
    labels: tuple[str, ...]
    what: str


class MetricSample(NamedTuple):
    """``labels`` are the values of the labels of ``metric``, in their order."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


AUDIT_FINDINGS = Metric(
    "marconi_audit_findings", ("kind",), "Findings of the last complete round of the audit, by kind."
)
AUDIT_QUEUES = Metric("marconi_audit_queues", (), "Queues that the last complete round of the audit compared.")
AUDIT_CHANGED = Metric(
    "marconi_audit_changed_queues",
    (),
    "Queues of these that were changing at each check of that round, so that it has no finding for them.",
)
AUDIT_SKIPPED = Metric(
    "marconi_audit_untold_queues",
    (),
    "Suspected queues of these that could not be read from their partitions.",
)
AUDIT_UNREACHABLE = Metric(
    "marconi_audit_unseen_partitions", (), "Partitions that could not be read in that round, or not completely."
)
AUDIT_STARTED = Metric(
    "marconi_audit_started_timestamp_seconds",
    (),
    "When the last complete round of the audit began, in seconds since 1970.",
)
AUDIT_FINISHED = Metric(
    "marconi_audit_finished_timestamp_seconds",
    (),
    "When the last complete round of the audit ended, in seconds since 1970.",
)
AUDIT_UNDER_WAY = Metric(
    "marconi_audit_under_way_started_timestamp_seconds",
    (),
    "When the present round of the audit began, in seconds since 1970; no sample if none is under way.",
)
PARTITION_QUEUES = Metric(
    "marconi_partition_queues",
    ("partition",),
    "Queues and topics with any segment on the partition, when all queues were polled last.",
)
PARTITION_UNKNOWN = Metric(
    "marconi_partition_unknown_queues",
    ("partition",),
    "Queues of these that could not be polled: their messages are not counted.",
)
PARTITION_MESSAGES = Metric(
    "marconi_partition_messages", ("partition", "state"), "Messages in these queues at that time, free or claimed."
)
PARTITION_OLDEST = Metric(
    "marconi_partition_oldest_message_timestamp_seconds",
    ("partition",),
    "When the oldest of these messages was posted, in seconds since 1970; no sample if there was none.",
)
PARTITION_FINISHED = Metric(
    "marconi_partition_statistics_finished_timestamp_seconds",
    ("partition",),
    "When the last poll of all queues ended, in seconds since 1970: the age of the figures of the partition.",
)

METRICS = (
    AUDIT_FINDINGS,
    AUDIT_QUEUES,
    AUDIT_CHANGED,
    AUDIT_SKIPPED,
    AUDIT_UNREACHABLE,
    AUDIT_STARTED,
    AUDIT_FINISHED,
    AUDIT_UNDER_WAY,
    PARTITION_QUEUES,
    PARTITION_UNKNOWN,
    PARTITION_MESSAGES,
    PARTITION_OLDEST,
    PARTITION_FINISHED,
)
