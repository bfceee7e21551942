"""Samples of what the catalog keeps: findings of the background audit, and contents of queues. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from catalog.model import AuditState, SubjectStatistics
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.metrics import names
from marconi_proxy.metrics.names import MetricSample


def audit_samples(audit: AuditState) -> Iterator[MetricSample]:
    """Yield nothing before the first audit round; zeros would read as "healthy"."""
    # A mover that died during the round has left its start time behind.
    if audit.since is not None and audit.holder is not None:
        yield MetricSample(names.AUDIT_UNDER_WAY, (), audit.since)
    if audit.begun is None or audit.ended is None:
        return
    # Every kind, so that a figure that falls to 0 is exported; and kinds of another release.
    for kind, count in {**{str(kind): 0 for kind in FindingKind}, **audit.findings}.items():
        yield MetricSample(names.AUDIT_FINDINGS, (kind,), count)
    yield MetricSample(names.AUDIT_QUEUES, (), audit.queues)
    yield MetricSample(names.AUDIT_CHANGED, (), audit.changed)
    yield MetricSample(names.AUDIT_SKIPPED, (), audit.skipped)
    yield MetricSample(names.AUDIT_UNREACHABLE, (), len(audit.unreachable))
    yield MetricSample(names.AUDIT_STARTED, (), audit.begun)
    yield MetricSample(names.AUDIT_FINISHED, (), audit.ended)


def partition_samples(partitions: Iterable[SubjectStatistics]) -> Iterator[MetricSample]:
    """Yield the samples of each of ``partitions``. Times and not ages: an earlier scrape stays correct."""
    for found in partitions:
        there = (found.name,)
        yield MetricSample(names.PARTITION_QUEUES, there, found.queues)
        yield MetricSample(names.PARTITION_UNKNOWN, there, found.unknown)
        yield MetricSample(names.PARTITION_MESSAGES, (found.name, "free"), found.free)
        yield MetricSample(names.PARTITION_MESSAGES, (found.name, "claimed"), found.claimed)
        if found.oldest is not None:
            yield MetricSample(names.PARTITION_OLDEST, there, found.oldest)
        yield MetricSample(names.PARTITION_FINISHED, there, found.ended)
