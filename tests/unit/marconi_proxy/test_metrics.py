"""The figures of the catalog as metrics, read back by Prometheus' own library."""

from __future__ import annotations

import re

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from catalog.model import AuditState, Holder, StatisticsSubject, SubjectStatistics
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.metrics.exposition import exposition
from marconi_proxy.metrics.names import AUDIT_FINDINGS, METRICS, MetricSample
from marconi_proxy.metrics.samples import audit_samples, partition_samples

BEGUN, ENDED, SINCE = 1700000100.25, 1700000200.5, 1700000300.75
HOLDER = Holder("host/1/a", 1, 1700000900.0)
ENDED_ONCE = AuditState(BEGUN, ENDED, None, 7, 2, 1, {"ghost": 3, "of-a-later-release": 1}, {"north": "away"})


def read(text: bytes) -> dict[tuple[str, ...], float]:
    """Samples by their name and the values of their labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def partition(name: str, oldest: float | None) -> SubjectStatistics:
    return SubjectStatistics(StatisticsSubject.PARTITION, name, 3, 12, 1, oldest, 2, begun=BEGUN, ended=ENDED)


def test_every_metric_is_told_of_whether_or_not_there_are_samples():
    families = list(text_string_to_metric_families(exposition([]).decode()))
    assert [(family.name, family.type, family.documentation) for family in families] == [
        (metric.name, "gauge", metric.what) for metric in METRICS
    ]
    assert [family.samples for family in families] == [[]] * len(METRICS)


def test_names_are_as_prometheus_wants_them_and_no_label_grows_with_tenants():
    for metric in METRICS:
        # _total is for counters, _count, _sum and _bucket for histograms.
        assert re.fullmatch(r"marconi_[a-z_]*(?<!_total)(?<!_count)(?<!_sum)(?<!_bucket)", metric.name)
        assert ("timestamp" in metric.name) == metric.name.endswith("_timestamp_seconds")
        assert set(metric.labels) <= {"kind", "partition", "state"}
        assert metric.what.endswith(".")
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_a_round_that_has_ended():
    assert read(exposition(audit_samples(ENDED_ONCE))) == {
        **{("marconi_audit_findings", str(kind)): 0 for kind in FindingKind},
        ("marconi_audit_findings", "ghost"): 3,
        ("marconi_audit_findings", "of-a-later-release"): 1,
        ("marconi_audit_queues",): 7,
        ("marconi_audit_changed_queues",): 2,
        ("marconi_audit_untold_queues",): 1,
        ("marconi_audit_unseen_partitions",): 1,
        ("marconi_audit_started_timestamp_seconds",): BEGUN,
        ("marconi_audit_finished_timestamp_seconds",): ENDED,
    }


def test_of_a_round_that_never_was_there_is_no_zero():
    assert list(audit_samples(AuditState())) == []


@pytest.mark.parametrize("before", [AuditState(), ENDED_ONCE], ids=["the first", "another"])
def test_a_round_that_is_under_way(before):
    now = AuditState(**{name: getattr(before, name) for name in before.__slots__} | {"since": SINCE, "holder": HOLDER})
    under_way = {("marconi_audit_under_way_started_timestamp_seconds",): SINCE}
    assert read(exposition(audit_samples(now))) == read(exposition(audit_samples(before))) | under_way


def test_a_round_whose_mover_died_is_not_under_way():
    assert list(audit_samples(AuditState(since=SINCE))) == []


def test_what_partitions_hold():
    found = read(exposition(partition_samples([partition("north", BEGUN), partition("south.1", None)])))
    both = {
        ("marconi_partition_queues",): 3,
        ("marconi_partition_unknown_queues",): 2,
        ("marconi_partition_statistics_finished_timestamp_seconds",): ENDED,
    }
    assert found == {
        **{(name, there): value for (name,), value in both.items() for there in ("north", "south.1")},
        **{("marconi_partition_messages", there, "free"): 12 for there in ("north", "south.1")},
        **{("marconi_partition_messages", there, "claimed"): 1 for there in ("north", "south.1")},
        ("marconi_partition_oldest_message_timestamp_seconds", "north"): BEGUN,
    }


def test_values_of_labels_are_escaped():
    odd = 'a"b\\c\nd'
    assert read(exposition([MetricSample(AUDIT_FINDINGS, (odd,), 1)])) == {("marconi_audit_findings", odd): 1}


def test_nothing_is_kept_for_the_whole_process():
    exposition(audit_samples(ENDED_ONCE))
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("marconi")]
    assert read(exposition([])) == {}
