"""Samples as text that Prometheus reads, by its own library."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from marconi_proxy.metrics.names import METRICS, MetricSample

# The format that every release of Prometheus reads, even if the library knows newer ones.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Given(Collector):
    def __init__(self, samples: Iterable[MetricSample]) -> None:
        self._families = {
            metric.name: GaugeMetricFamily(metric.name, metric.what, labels=metric.labels) for metric in METRICS
        }
        for sample in samples:
            self._families[sample.metric.name].add_metric(sample.labels, sample.value)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families.values()


def exposition(samples: Iterable[MetricSample]) -> bytes:
    """Return the text: name, type and help of every metric, whether or not there are samples of it."""
    registry = CollectorRegistry()
    registry.register(_Given(samples))
    return generate_latest(registry)
