"""Metrics over the admin API."""

from __future__ import annotations

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import AuditState, StatisticsSubject, SubjectStatistics
from catalog.sqlite.lock import SQLiteLockedValue
from catalog.sqlite.partitions import SQLitePartitions
from catalog.sqlite.statistics import SQLiteStatistics
from tests.unit.admin_api import admin_api, put_partition
from tests.unit.marconi_proxy.test_metrics import BEGUN, ENDED, ENDED_ONCE, SINCE, partition, read

# As Prometheus 3 sends it.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path) as api:
        yield api


async def scrape(api) -> dict[tuple[str, ...], float]:
    answer = await api.client.get("/metrics", headers={"accept": ACCEPT})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return read(answer.content)


async def test_before_anything_was_looked_at_there_is_no_sample(api):
    await put_partition(api.catalog, "north")
    assert await scrape(api) == {}


async def test_the_audit(api):
    holder = (await api.catalog.audit.acquire("host/1/a", 60)).holder
    await api.catalog.audit.save(AuditState(since=SINCE), holder.token, 60)
    assert await scrape(api) == {("marconi_audit_under_way_started_timestamp_seconds",): SINCE}
    await api.catalog.audit.save(ENDED_ONCE, holder.token, 60)
    found = await scrape(api)
    assert found["marconi_audit_findings", "ghost"] == 3
    assert found["marconi_audit_findings", "orphan"] == 0
    assert found["marconi_audit_finished_timestamp_seconds",] == ENDED


async def test_partitions_are_those_that_are_registered(api):
    for name in ("north", "south"):
        await put_partition(api.catalog, name)
    sums = [partition("north", BEGUN), partition("gone", BEGUN)]
    await api.catalog.statistics.put(StatisticsSubject.PARTITION, sums, since="", until=None)
    found = await scrape(api)
    assert {key[1] for key in found} == {"north"}
    assert found["marconi_partition_messages", "north", "free"] == 12


async def test_projects_are_never_shown(api):
    sums = [SubjectStatistics(StatisticsSubject.PROJECT, "secret", 3, begun=BEGUN, ended=ENDED)]
    await api.catalog.statistics.put(StatisticsSubject.PROJECT, sums, since="", until=None)
    assert "secret" not in (await api.client.get("/metrics")).text


@pytest.mark.parametrize(
    ("noun", "verb"), [(SQLiteLockedValue, "get"), (SQLitePartitions, "all"), (SQLiteStatistics, "find")]
)
async def test_without_the_catalog_it_is_503_and_no_figures(api, monkeypatch, noun, verb):
    async def away(*_, **__):
        raise CatalogUnavailable("gone")

    monkeypatch.setattr(noun, verb, away)
    answer = await api.client.get("/metrics")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] in ("1", "2")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["title"] == "Catalog unavailable"


@pytest.mark.parametrize("accept", ["", "*/*", "text/*", "text/plain", "text/plain;version=0.0.4", ACCEPT])
async def test_who_takes_text_gets_it(api, accept):
    assert (await api.client.get("/metrics", headers={"accept": accept})).status_code == 200


async def test_who_takes_only_json_gets_none(api):
    answer = await api.client.get("/metrics", headers={"accept": "application/json"})
    assert answer.status_code == 406
    assert "text/plain" in answer.json()["description"]


async def test_it_has_no_parameters(api):
    assert (await api.client.get("/metrics?project=p")).status_code == 400
