"""Probes of hosts: the partitions that are probed, and the results for the choice of a host."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from catalog.model import Partition, PartitionState
from marconi_proxy.partition_client.host_probes import HostProbes, probe_of
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.faults.evil_host import (
    CLOSE,
    NO_CONTENT,
    OK,
    READ,
    STALL,
    EvilHost,
    Step,
    answer,
    ever,
    say,
    settled,
    unused_port,
)

PATIENCE = 30.0
ALIVE = [ever(READ, say(NO_CONTENT))]


class Ticks:
    """A clock whose sleeps end when the test ticks."""

    def __init__(self) -> None:
        self._tick = asyncio.Event()
        self.slept: list[float] = []

    def now(self) -> float:
        raise AssertionError

    def monotonic(self) -> float:
        raise AssertionError

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._tick.wait()
        self._tick.clear()

    def tick(self) -> None:
        self._tick.set()


class Stage:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = Ticks()
        self.upstreams: list[Upstream] = []
        self.probes = HostProbes(lambda: self.upstreams, 2.0, self.clock, random.Random(1))

    def register(self, *hosts: str, connect_timeout: float = PATIENCE, **members: Any) -> Upstream:
        partition = Partition("p1", hosts, **{"api_versions": ("v1", "v1.1", "v2"), **members})
        limits = UpstreamLimits(eject_for=PATIENCE, connect_timeout=connect_timeout)
        self.upstreams.append(Upstream(partition, self.pool, limits, random.Random(1)))
        return self.upstreams[-1]

    async def rounds(self, number: int) -> None:
        for _ in range(number):
            self.probes.round()
            await settled(lambda: not self.probes._under_way)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    pool = Pool(connect_timeout=PATIENCE, idle_timeout=60.0, max_head=65536)
    stage = Stage(pool)
    yield stage
    await stage.probes.stop()
    pool.close()
    await settled(lambda: not pool._all)


def out(upstream: Upstream) -> list[bool]:
    return [bool(host.ejected_until) for host in upstream.hosts]


A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("members", "target"),
    [
        ({"api_versions": ("v1", "v1.1", "v2")}, b"/v2/ping"),
        ({"api_versions": ("v1", "v1.1")}, b"/v1.1/ping"),
        ({"api_versions": ("v1",)}, b"/v1/health"),
        ({"api_versions": ()}, None),
        ({"hosts": (A,)}, None),
        ({"state": PartitionState.DISABLED}, None),
        ({"state": PartitionState.CORDONED}, b"/v2/ping"),
    ],
)
async def test_the_probe_of_a_partition(stage: Stage, members: dict[str, Any], target: bytes | None) -> None:
    hosts = members.pop("hosts", (A, B))
    call = probe_of(stage.register(*hosts, **members))
    assert (call and call.target) == target


DEAD: dict[str, list[Step]] = {
    "503": [READ, say(answer(503)), CLOSE],
    "closes": [READ, CLOSE],
    "nonsense": [READ, say(b"nonsense"), CLOSE],
    "frozen": [READ, STALL],
}


@pytest.mark.parametrize("script", DEAD.values(), ids=DEAD)
async def test_a_dead_host_is_ejected_without_a_call(stage: Stage, script: list[Step]) -> None:
    async with EvilHost(script) as dead, EvilHost(ALIVE) as alive:
        upstream = stage.register(dead.url, alive.url, connect_timeout=0.1)
        await stage.rounds(1)
        assert out(upstream) == [False, False]
        await stage.rounds(1)
        assert out(upstream) == [True, False]


async def test_a_host_that_refuses_is_ejected(stage: Stage) -> None:
    async with EvilHost(ALIVE) as alive:
        upstream = stage.register(f"http://127.0.0.1:{unused_port()}", alive.url)
        await stage.rounds(2)
        assert out(upstream) == [True, False]


@pytest.mark.parametrize("status", [200, 204, 300, 400, 401, 404])
async def test_any_other_answer_shows_that_a_host_lives(stage: Stage, status: int) -> None:
    async with EvilHost([ever(READ, say(answer(status)))]) as one, EvilHost(ALIVE) as other:
        upstream = stage.register(one.url, other.url)
        await stage.rounds(3)
        assert out(upstream) == [False, False]
        # Over kept connections, without a place.
        assert one.connections <= 3
        assert upstream._places.taken == 0


async def test_a_host_that_answers_again_gets_the_next_call(stage: Stage) -> None:
    bad = [READ, say(answer(500)), CLOSE]
    async with EvilHost(bad, bad, [ever(READ, say(OK))]) as host, EvilHost(ALIVE) as other:
        upstream = stage.register(host.url, other.url)
        await stage.rounds(2)
        assert out(upstream) == [True, False]
        await stage.rounds(1)
        first = upstream._balancer.pick(asyncio.get_running_loop().time(), safe=False)
        assert first is upstream.hosts[0]


async def test_a_slow_host_is_not_probed_twice_at_a_time(stage: Stage) -> None:
    async with EvilHost([READ, STALL]) as slow, EvilHost(ALIVE) as other:
        stage.register(slow.url, other.url)
        stage.probes.start()
        await settled(lambda: stage.clock.tick() or len(other.requests) >= 3)
        assert len(slow.requests) == 1
        assert all(1.4 <= seconds <= 2.6 for seconds in stage.clock.slept)


async def test_no_probes(stage: Stage) -> None:
    probes = HostProbes(lambda: stage.upstreams, 0.0, stage.clock, random.Random(1))
    probes.start()
    await probes.stop()
    assert stage.clock.slept == []
