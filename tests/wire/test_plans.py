"""Plans as operators meet them: one command moves many queues, through real processes and under traffic."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.model import Placement
from tests.servers.fake_partition import until
from tests.servers.marconi import CommandFailed
from tests.wire.estate import Estate, estate
from tests.wire.keep_alive import KeepAlive
from tests.wire.queue_traffic import Traffic
from tests.wire.raw_http import exchange
from tests.wire.script import CLIENT

HEADERS = {"Client-ID": CLIENT, "X-Project-Id": "p"}
# As fast as it goes: what a plan may do at a time is what these tests would otherwise wait for.
GENEROUS = {"moving__at_once": 1000, "moving__seals_per_second": 1000.0}
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
            return await catalog.list_placements(project="p", limit=10_000)
        finally:
            await catalog.close()

    return asyncio.run(read())


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Estate]:
    with estate(tmp_path, "north", "south", **GENEROUS) as both:
        yield both


def _pinned(here: Estate, partition: str) -> None:
    here.door.admin("PUT", "/v1/tenants/p", {"spread": 1, "pinned": partition})


@pytest.mark.slow
def test_a_tenant_with_a_thousand_queues_moves_whether_its_operator_looks_on_or_not(two: Estate) -> None:
    names = [f"q{number:04d}" for number in range(1000)]
    _pinned(two, "north")
    asyncio.run(_put(two.proxy.public_address, names))
    command = two.command("move", "tenant", "p", "--to", "south", "--pin", *QUICKLY)
    until(lambda: re.search(r": [1-9]\d*/1000 switched", command.err), "some of the queues are switched")
    command.process.send_signal(signal.SIGINT)
    assert command.ended() == 4, command.err
    (plan,) = re.findall(r"interrupted while looking at (\S+); it goes on; look again with: ", command.err)
    assert f"look again with: marconi-proxy move watch {plan}" in command.err
    assert two.proxy.query("plan", "show", plan)["state"] == "running"

    watching = two.command("move", "watch", plan, "-f", "json")
    assert watching.ended() == 0, watching.err
    shown = json.loads(watching.out)
    assert (shown["state"], shown["done"]) == ("done", 1000)
    assert {p.queue: [s.partition for s in p.segments] for p in _placements(two.proxy.catalog)} == {
        name: ["south"] for name in names
    }
    # What it leaves behind is nothing.
    left = exchange(two.nodes["north"].address, "GET", "/v2/queues?limit=1", HEADERS.items())
    assert json.loads(left.body)["queues"] == []


@pytest.mark.slow
def test_nobody_notices_that_a_partition_is_emptied_deleted_and_stopped(tmp_path: Path) -> None:
    with estate(tmp_path, "east", "north", "south", **GENEROUS) as here:
        names = [f"q{number:03d}" for number in range(200)]
        _pinned(here, "east")
        asyncio.run(_put(here.proxy.public_address, names))
        here.door.admin("PUT", "/v1/tenants/p", {"spread": 3, "pinned": None})
        asyncio.run(_while_clients_work(here, names))


async def _while_clients_work(here: Estate, names: list[str]) -> None:
    # Each tenth queue has clients; what is read of the others is that they are empty.
    traffic = Traffic(here.proxy.public_address, names[::10])
    working = asyncio.create_task(traffic.run())
    try:
        await traffic.reaches(500)
        with pytest.raises(CommandFailed, match="east still has 200 placements"):
            await asyncio.to_thread(here.proxy.run, "partition", "delete", "east")
        drain = here.command("partition", "drain", "east", *QUICKLY)
        assert await asyncio.to_thread(drain.ended) == 0, drain.err
        assert "Next: marconi-proxy partition delete east" in drain.err
        await asyncio.to_thread(here.proxy.run, "partition", "delete", "east")
        here.nodes["east"].process.stop()
        await traffic.reaches(traffic.acknowledged + 500)
    finally:
        traffic.finish()
        await working
    assert traffic.refused == []
    assert traffic.violations() == []
    placements = await asyncio.to_thread(_placements, here.proxy.catalog)
    assert len(placements) == 200
    assert {segment.partition for placement in placements for segment in placement.segments} == {"north", "south"}
