"""Ways to partitions are opened once, follow what is registered, and are paced one by one."""

from __future__ import annotations

from typing import Any

from catalog.model import Partition
from marconi_proxy.partition_client.call import own_call
from marconi_proxy.partition_client.upstreams import Paced, Upstreams
from marconi_proxy.upstream.exchange import UpstreamCall
from tests.unit.marconi_proxy.partition_client.test_inventory import FakeClock
from tests.unit.node_upstream import Given, Way

P1, P2 = Partition("p1", ("http://p1:8888",)), Partition("p2", ("http://p2:8888",))
ELSEWHERE = Partition("p1", ("http://other:8888",))
CALL = own_call("GET", "/", "")


async def done(call: UpstreamCall) -> Given:
    return Given(204)


def open_way(partition: Partition) -> Any:
    return Way(partition, {host: done for one in (P1, P2, ELSEWHERE) for host in one.hosts}, [])


def test_a_way_is_opened_once_and_follows_its_partition() -> None:
    ways = Upstreams(open_way)
    first = ways.of(P1)
    assert ways.of(P2) is not first
    assert ways.of(ELSEWHERE) is first
    assert first.partition == ELSEWHERE
    del ways["p1"]
    assert ways.of(P1) is not first


async def test_each_partition_has_its_pace() -> None:
    clock = FakeClock()
    paced = Paced(open_way, 2.0, clock)
    begun = clock.seconds
    for partition in (P1, P2, P1, P2, ELSEWHERE):
        await paced.open(partition).send(CALL)
    assert clock.seconds - begun == 1.0
    await paced.pacer("p1").turn()
    assert clock.seconds - begun == 1.5
    assert paced.open(P1).partition == P1
