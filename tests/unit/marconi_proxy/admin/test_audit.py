"""The findings of the audit in the background, over the admin API."""

from __future__ import annotations

import pytest

from catalog.model import AuditState
from marconi_proxy.audit.kinds import FindingKind
from tests.unit.admin_api import admin_api_at

NOW = 1700000600.0


@pytest.fixture
async def api(tmp_path, monkeypatch):
    async with admin_api_at(NOW, tmp_path, monkeypatch) as api:
        yield api


async def test_there_was_no_round_yet(api):
    answer = await api.client.get("/v1/audit")
    assert answer.status_code == 200
    assert answer.json() == dict.fromkeys(
        ("begun", "ended", "age", "queues", "changed", "untold", "findings", "since", "holder")
    ) | {"unseen": []}


async def test_the_last_round_is_shown_while_the_next_is_under_way(api):
    holder = (await api.catalog.audit.acquire("host/1/a", 60)).holder
    found = AuditState(
        NOW - 300, NOW - 200, NOW - 100, 7, 2, 1, {"ghost": 3, "of-a-later-release": 1}, {"north": "away"}
    )
    await api.catalog.audit.save(found, holder.token, 60)
    assert (await api.client.get("/v1/audit")).json() == {
        "begun": "2023-11-14T22:18:20.000Z",
        "ended": "2023-11-14T22:20:00.000Z",
        "age": 200.0,
        "queues": 7,
        "changed": 2,
        "untold": 1,
        "findings": dict.fromkeys(FindingKind, 0) | {"ghost": 3, "of-a-later-release": 1},
        "unseen": [{"partition": "north", "why": "away"}],
        "since": "2023-11-14T22:21:40.000Z",
        "holder": "host/1/a",
    }


async def test_a_mover_that_is_gone_is_not_at_it(api):
    holder = (await api.catalog.audit.acquire("host/1/a", 60)).holder
    await api.catalog.audit.save(AuditState(NOW - 300, NOW - 200, NOW - 100), holder.token, 60)
    await api.catalog.audit.release(holder.token)
    answer = (await api.client.get("/v1/audit")).json()
    assert (answer["since"], answer["holder"], answer["queues"]) == (None, None, 0)


async def test_it_is_for_operators(api):
    del api.client.headers["x-auth-token"]
    assert (await api.client.get("/v1/audit")).status_code == 401


async def test_it_has_no_parameters(api):
    assert (await api.client.get("/v1/audit?project=p")).status_code == 400
