"""Samples of the contents of queues, for each partition. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from catalog.model import SubjectStatistics
from marconi_proxy.metrics import names
from marconi_proxy.metrics.names import MetricSample


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
