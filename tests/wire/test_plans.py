"""Plans as operators meet them: one command moves many queues, through real processes and under traffic.

``MARCONI_TEST_DEEP=1`` (nightly) moves a thousand queues of a tenant, and empties a partition of two hundred.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.model import Placement
from tests.checker.judge import judge
from tests.checker.record import History
from tests.depth import DEEP
from tests.servers.fake_partition import until
from tests.servers.marconi import CommandFailed
from tests.wire.estate import Estate, estate
from tests.wire.keep_alive import KeepAlive
from tests.wire.raw_http import exchange
from tests.wire.script import CLIENT
from tests.wire.soak import dialect
from tests.wire.soak.clients import PROJECT, Consumer, Journal, Producer, Subscriber
from tests.wire.soak.traffic import traffic

HEADERS = {"Client-ID": CLIENT, "X-Project-Id": PROJECT}
# As fast as it goes: what a plan may do at a time is what these tests would otherwise wait for.
GENEROUS = {"moving__at_once": 1000, "moving__seals_per_second": 1000.0}
TENANT, PARTITION = (1000, 200) if DEEP else (200, 60)
# Producers and as many consumers, each of some of the queues.
CLIENTS = 8
QUICKLY = ("--at-once", "400", "--seals-per-second", "1000", "--yes")


async def _put(address: tuple[str, int], names: list[str]) -> None:
    async def put(some: list[str]) -> None:
        connection = KeepAlive(address, HEADERS)
        for name in some:
            reply = await connection.ask("PUT", f"/v2/queues/{name}", {})
            assert reply is not None
            assert reply.status == 201, reply
        connection.close()

    async with asyncio.TaskGroup() as group:
        for n in range(8):
            group.create_task(put(names[n::8]))


def _placements(uri: str) -> list[Placement]:
    async def read() -> list[Placement]:
        catalog = await open_catalog(uri)
        try:
            return await catalog.placements.find(project=PROJECT, limit=10_000)
        finally:
            await catalog.close()

    return asyncio.run(read())


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Estate]:
    with estate(tmp_path, "north", "south", **GENEROUS) as both:
        yield both


def _pinned(here: Estate, partition: str) -> None:
    here.door.admin("PUT", f"/v1/tenants/{PROJECT}", {"spread": 1, "pinned": partition})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_tenant_with_many_queues_moves_whether_its_operator_looks_on_or_not(two: Estate) -> None:
    names = [f"q{number:04d}" for number in range(TENANT)]
    _pinned(two, "north")
    asyncio.run(_put(two.proxy.public_address, names))
    command = two.command("move", "tenant", PROJECT, "--to", "south", "--pin", *QUICKLY)
    until(lambda: re.search(rf": [1-9]\d*/{TENANT} switched", command.err), "some of the queues are switched")
    command.process.send_signal(signal.SIGINT)
    assert command.ended() == 4, command.err
    (plan,) = re.findall(r"interrupted while following (\S+); it continues. Follow it with: ", command.err)
    assert f"Follow it with: marconi-proxy move watch {plan}" in command.err
    assert two.proxy.query("plan", "show", plan)["state"] == "running"

    watching = two.command("move", "watch", plan, "-f", "json")
    assert watching.ended() == 0, watching.err
    shown = json.loads(watching.out)
    assert (shown["state"], shown["done"]) == ("done", TENANT)
    assert {p.queue: [s.partition for s in p.segments] for p in _placements(two.proxy.catalog)} == {
        name: ["south"] for name in names
    }
    # The plan leaves no queue behind.
    left = exchange(two.nodes["north"].address, "GET", "/v2/queues?limit=1", HEADERS.items())
    assert json.loads(left.body)["queues"] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nobody_notices_that_a_partition_is_emptied_deleted_and_stopped(tmp_path: Path) -> None:
    with estate(tmp_path, "east", "north", "south", **GENEROUS) as here:
        names = [f"q{number:03d}" for number in range(PARTITION)]
        _pinned(here, "east")
        asyncio.run(_put(here.proxy.public_address, names))
        here.door.admin("PUT", f"/v1/tenants/{PROJECT}", {"spread": 3, "pinned": None})
        asyncio.run(_while_clients_work(here, names))


async def _while_clients_work(here: Estate, names: list[str]) -> None:
    journal = Journal({name: History() for name in names})
    catalog = await open_catalog(here.proxy.catalog)
    address = here.proxy.public_address
    try:
        async with traffic(catalog, address, journal, _producers(address, journal), _readers(address, journal)):
            await _until(lambda: all(history.posts for history in journal.histories.values()))
            with pytest.raises(CommandFailed, match=f"east still has {PARTITION} placements"):
                await asyncio.to_thread(here.proxy.run, "partition", "delete", "east")
            drain = here.command("partition", "drain", "east", *QUICKLY)
            assert await asyncio.to_thread(drain.ended) == 0, drain.err
            assert "Next: marconi-proxy partition delete east" in drain.err
            await asyncio.to_thread(here.proxy.run, "partition", "delete", "east")
            here.nodes["east"].process.stop()
            stopped = len(journal.posts)
            await _until(lambda: len(journal.posts) > stopped + 500)
            # None of the judge's rules has nothing to look at.
            histories = journal.histories
            await _until(lambda: all(any(claim.taken for claim in history.claims) for history in histories.values()))
            await _until(lambda: all(any(page.seen for page in histories[name].pages) for name in names[::10]))
            await _until(lambda: all(history.placements[-1].segments[-1].n > 0 for history in histories.values()))
    finally:
        await catalog.close()
    assert [str(trouble) for trouble in journal.troubles] == []
    assert [str(violation) for history in journal.histories.values() for violation in judge(history)] == []
    placements = await asyncio.to_thread(_placements, here.proxy.catalog)
    assert len(placements) == PARTITION
    assert {segment.partition for placement in placements for segment in placement.segments} == {"north", "south"}


def _producers(address: tuple[str, int], journal: Journal) -> list[Producer]:
    names = list(journal.histories)
    return [
        Producer(f"p{n}", _version(n), address, journal, names[n::CLIENTS], random.Random(n), 0.1)
        for n in range(CLIENTS)
    ]


def _readers(address: tuple[str, int], journal: Journal) -> list[Consumer | Subscriber]:
    names = list(journal.histories)
    ttl = dict.fromkeys(names, float(dialect.CLAIM_TTL))
    consumers = [
        Consumer(f"c{n}", _version(n + 1), address, journal, names[n::CLIENTS], random.Random(n), ttl)
        for n in range(CLIENTS)
    ]
    some = names[::10]
    return [*consumers, Subscriber("s", address, journal, some, [_version(n) for n in range(len(some))])]


def _version(number: int) -> str:
    return dialect.VERSIONS[number % len(dialect.VERSIONS)]


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is counted has no event of its own
        await asyncio.sleep(0.1)
