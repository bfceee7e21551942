from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from catalog import open_catalog
from catalog.errors import CatalogUnavailable
from marconi_proxy.admin.prober import Prober
from marconi_proxy.partition_client.discovery import make_client
from tests.unit.admin_api import network, our_node, put_partition, versions

NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
async def catalog(tmp_path):
    catalog = await open_catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield catalog
    await catalog.close()


@pytest.fixture
async def prober(catalog):
    """A prober of a network with hosts that a test may change."""
    hosts = {}
    async with make_client(5, network(hosts)) as client:
        prober = Prober(catalog, client, interval=1, timeout=5, now=lambda: NOW)
        prober.hosts = hosts
        yield prober


async def test_a_round_learns_versions(catalog, prober):
    await put_partition(catalog, "p", "http://one", "http://two")
    prober.hosts |= {"one": versions("1", "2"), "two": versions("1", "1.1", "2", "9")}
    await prober.round()
    stored = await catalog.partitions.get("p")
    assert (stored.api_versions, stored.api_versions_set, stored.version) == (("v1", "v2"), False, 2)
    await prober.round()
    assert (await catalog.partitions.get("p")).version == 2


async def test_versions_that_an_operator_set_stay(catalog, prober):
    partition = await put_partition(catalog, "p", "http://one")
    await catalog.partitions.replace(replace(partition, api_versions=("v1",), api_versions_set=True, version=2))
    prober.hosts["one"] = versions("2")
    await prober.round()
    assert (await catalog.partitions.get("p")).api_versions == ("v1",)


async def test_versions_stay_when_no_host_tells(catalog, prober):
    await put_partition(catalog, "p", "http://one")
    prober.hosts["one"] = versions("2")
    await prober.round()
    prober.hosts["one"] = lambda request: httpx.Response(200, text="hello")
    await prober.round()
    assert (await catalog.partitions.get("p")).api_versions == ("v2",)


async def test_a_round_learns_the_store_and_its_fences(catalog, prober):
    async def stored():
        partition = await catalog.partitions.get("p")
        return partition.fences, partition.store

    await put_partition(catalog, "p", "http://one", "http://two")
    prober.hosts |= {"one": our_node("0a")}
    await prober.round()
    assert await stored() == (False, "0a")  # it is unknown whether the other host fences
    prober.hosts["two"] = our_node("0a")
    await prober.round()
    assert await stored() == (True, "0a")
    del prober.hosts["one"]
    await prober.round()
    assert await stored() == (True, "0a")  # it is down, which changes nothing
    prober.hosts["two"] = our_node("0a", fences=False)
    await prober.round()
    assert await stored() == (False, "0a")
    prober.hosts |= dict.fromkeys(("one", "two"), versions("2"))
    await prober.round()
    assert await stored() == (False, None)


async def test_one_store_seen_twice_is_logged_once(catalog, prober, caplog):
    def complaints():
        found = [record.getMessage() for record in caplog.records if "store" in record.getMessage()]
        caplog.clear()
        return found

    caplog.set_level(logging.WARNING)
    for name in ("p", "q"):
        await put_partition(catalog, name, f"http://{name}")
        prober.hosts[name] = our_node("0a")
    await prober.round()
    (complaint,) = complaints()
    assert complaint.startswith("partitions p, q are over one store, 0a:")
    await prober.round()
    assert complaints() == []
    prober.hosts["q"] = our_node("0b")
    await prober.round()
    prober.hosts["q"] = our_node("0a")
    await prober.round()
    assert len(complaints()) == 1


async def test_hosts_over_different_stores_are_logged_and_nothing_is_learned(catalog, prober, caplog):
    await put_partition(catalog, "p", "http://one", "http://two")
    prober.hosts |= {"one": our_node("0a"), "two": our_node("0b")}
    await prober.round()
    assert "hosts of partition p serve different stores: 0a, 0b" in caplog.text
    assert (await catalog.partitions.get("p")).store is None


@pytest.mark.parametrize("told", ["", "x" * 65, "a b"])
async def test_what_is_no_name_of_a_store(catalog, prober, told):
    await put_partition(catalog, "p", "http://one")
    prober.hosts["one"] = our_node(told)
    await prober.round()
    assert (await catalog.partitions.get("p")).store is None


@pytest.mark.parametrize(
    ("answer", "reachable", "error"),
    [
        (httpx.Response(300, json={"versions": []}), True, None),
        (httpx.Response(200, json={"versions": [{"id": "v2"}]}), True, None),
        (httpx.Response(404), True, "answered 404 without a version document"),
        (httpx.Response(302, headers={"location": "http://one/v1"}), True, "answered 302 without a version document"),
        (httpx.Response(503), False, "answered 503"),
        (httpx.Response(200, text="[" * 100000), True, "sent something that is not a version document"),
        (httpx.Response(200, json={"versions": [1]}), True, "sent something that is not a version document"),
        (httpx.Response(200, json=[]), True, "sent something that is not a version document"),
        (httpx.Response(200, content=b" " * 1048577), True, "sent a version document of more than 1 MiB"),
        (httpx.ReadTimeout("slow"), False, "slow"),
        (httpx.RemoteProtocolError(""), False, "RemoteProtocolError"),
    ],
)
async def test_what_a_host_can_answer(catalog, prober, answer, reachable, error):
    def host(request):
        if isinstance(answer, Exception):
            raise answer
        return answer

    await put_partition(catalog, "p", "http://one")
    prober.hosts["one"] = host
    await prober.round()
    health = prober.latest["http://one"]
    assert (health.sighting.reachable, health.sighting.error, health.checked) == (reachable, error, NOW)


async def test_a_stuck_host_delays_no_other(catalog):
    """The stuck one answers only when the other's news has arrived in the catalog."""
    learned = asyncio.Event()

    async def answer(request):
        if request.url.host == "stuck":
            await learned.wait()
        return versions("2")(request)

    await put_partition(catalog, "a", "http://stuck")
    await put_partition(catalog, "b", "http://quick")
    async with make_client(60, httpx.MockTransport(answer)) as client:
        prober = Prober(catalog, client, interval=1, timeout=60)
        probing = asyncio.create_task(prober.round())
        while (await catalog.partitions.get("b")).api_versions != ("v2",):  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not probing.done()
        learned.set()
        await probing
    assert (await catalog.partitions.get("a")).api_versions == ("v2",)


async def test_a_host_that_never_answers_is_given_up(catalog):
    async def answer(request):
        await asyncio.Event().wait()

    await put_partition(catalog, "p", "http://stuck")
    async with make_client(60, httpx.MockTransport(answer)) as client:
        prober = Prober(catalog, client, interval=1, timeout=0.05)
        await prober.round()
    assert prober.latest["http://stuck"].sighting.error == "did not answer within 0.05 s"


async def test_only_crossings_are_logged(catalog, prober, caplog):
    def logged():
        texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        caplog.clear()
        return texts

    await put_partition(catalog, "p", "http://one")
    prober.hosts["one"] = versions("1")
    await prober.round()
    assert logged() == []
    del prober.hosts["one"]
    await prober.round()
    await prober.round()
    assert logged() == ["host http://one of partition p is down: connection refused"]
    prober.hosts["one"] = versions("1")
    await prober.round()
    await prober.round()
    assert logged() == ["host http://one of partition p is up again"]


async def test_hosts_that_are_gone_are_forgotten(catalog, prober):
    partition = await put_partition(catalog, "p", "http://one")
    await prober.round()
    await catalog.partitions.replace(replace(partition, hosts=("http://two",), version=2))
    await prober.round()
    assert prober.latest.keys() == {"http://two"}


async def test_a_catalog_that_fails_ends_no_probing(catalog, prober, monkeypatch):
    """The first round fails, the second one works."""
    await put_partition(catalog, "p", "http://one")
    prober.hosts["one"] = versions("2")
    work = catalog.partitions.all
    failures = iter([CatalogUnavailable("gone"), RuntimeError("a bug")])

    async def list_partitions():
        for failure in failures:
            raise failure
        return await work()

    monkeypatch.setattr(catalog.partitions, "all", list_partitions)
    rounds = []

    async def sleep(seconds):
        rounds.append(seconds)
        if len(rounds) == 3:
            raise asyncio.CancelledError

    prober._sleep = sleep
    with pytest.raises(asyncio.CancelledError):
        await prober.run()
    assert rounds == [1, 1, 1]
    assert prober.latest["http://one"].sighting.reachable
