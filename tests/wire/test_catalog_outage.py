"""A worker while the catalog does not answer, within the lease."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.mongodb.store import VERB_TIMEOUT
from catalog.sqlite.connection_thread import BUSY_TIMEOUT
from tests.servers.fake_partition import FakePartition, until
from tests.servers.marconi import marconi_proxy
from tests.wire.conftest import logged
from tests.wire.door import Door
from tests.wire.outage import catalog_outage

BODY = {"messages": [{"ttl": 300, "body": "b"}]}
CALLS = 20


@pytest.fixture
def partition() -> Iterator[FakePartition]:
    with FakePartition() as partition:
        yield partition


@pytest.mark.parametrize(("store", "patience"), [("sqlite", BUSY_TIMEOUT), ("mongodb", VERB_TIMEOUT)])
def test_only_the_first_call_waits_for_a_catalog_that_is_away(
    store: str, patience: float, partition: FakePartition, tmp_path: Path
) -> None:
    with (
        catalog_outage(store, tmp_path) as (uri, away),
        marconi_proxy(uri, tmp_path, workers=1) as proxy,
        logged(proxy.public, proxy.admin),
    ):
        door = Door(proxy)
        project = door.tenant(pinned=door.register(partition.url))
        with door.through(door.workers[0]) as client:
            assert client.ask("PUT", "/v2/queues/known", project).status == 201
            with away():
                # This worker has just created it.
                assert client.ask("POST", "/v2/queues/known/messages", project, BODY).status == 201
                assert client.ask("PUT", "/v2/queues/first", project).status == 503
                began = time.monotonic()
                for number in range(CALLS):
                    refused = client.ask("PUT", f"/v2/queues/new-{number}", project)
                    assert refused.status == 503
                    assert 5 <= int(refused.header("retry-after") or "") <= 10
                    assert b"was not processed" in refused.body
                # All of them together wait less than one of them would have.
                assert time.monotonic() - began < patience
                assert client.ask("POST", "/v2/queues/known/messages", project, BODY).status == 201
                assert client.ask("GET", "/v1/health", None).status == 204
                unready = client.ask("GET", "/v1/ready", None)
                assert unready.status == 503
                assert 1 <= int(unready.header("retry-after") or "") <= 2
                assert not json.loads(unready.body)["conditions"]["catalog"]["met"]
            until(lambda: client.ask("PUT", "/v2/queues/back", project).status == 201, "the catalog is back")
            until(lambda: client.ask("GET", "/v1/ready", None).status == 200, "the worker is ready")
        log = proxy.public.log.read_text()
        assert log.count("the catalog does not answer") == log.count("the catalog answers") == 1
