"""Many producers and consumers over two worker processes, with every store there is; and the same with kill -9.

Asserted of 16 consumers that claim and delete thousands of messages of 8 producers:

* every acknowledged message is handed out, and none twice: no claim ends by itself during the run;
* only posted messages are handed out; of a post without an answer, either all messages are there or none;
* in each claim the messages of one producer ascend, and a claim that was requested after another one's answer has only
  later messages of each producer;
* a message is never handed out, listed or counted again after the answer 204 to its deletion.

With the master and all workers killed several times, the answer to a claim may be lost. Its messages stay hidden until
it ends, so they must be in the list that includes claimed ones, under claims that no consumer knows, and nothing else
may be there. Waiting for the end is replaced by releasing these claims; then the same rules hold for all messages
together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from partition.serving.cli import Exit, main
from tests.depth import DEEP
from tests.servers.partition import PartitionNode, start_partition, storage_drivers
from tests.wire.conftest import logged
from tests.wire.partition_traffic import Traffic

# Thousands of messages, one by one in part: on a machine that is busy with other things that is minutes.
pytestmark = pytest.mark.timeout(900)

KILLS = 5 if DEEP else 3
PRODUCERS = 8
CONSUMERS = 16
MESSAGES = 20_000 if DEEP else 8_000
WORKERS = 2


@pytest.fixture(params=storage_drivers())
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a new store, of each kind that is installed."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'messages.db'}"
    uri: str = request.getfixturevalue(f"{request.param}_database_uri")
    return uri


class Restarted:
    """A node that is killed and started again on the same port, over the same store."""

    def __init__(self, storage: str, directory: Path) -> None:
        self._directory = directory
        self.node = start_partition(storage, directory, workers=WORKERS)

    def kill_and_start(self) -> None:
        """Kill the node and start it again. This blocks the loop: without a server, clients have nothing to do."""
        self.node.kill()
        self.node = start_partition(self.node.storage, self._directory, workers=WORKERS, port=self.node.port)


@contextmanager
def restarted(storage: str, directory: Path) -> Iterator[Restarted]:
    server = Restarted(storage, directory)
    try:
        with logged(server.node.process):
            yield server
    finally:
        server.node.process.stop()


def traffic_to(node: PartitionNode) -> Traffic:
    return Traffic(node.address, producers=PRODUCERS, consumers=CONSUMERS, messages=MESSAGES)


def in_order(storage: str) -> bool:
    """Whether the operator's check finds nothing."""
    return main(["check", "--storage", storage]) == Exit.DONE


def test_each_message_is_delivered_once_and_in_order(storage: str, tmp_path: Path) -> None:
    async def run() -> None:
        traffic = traffic_to(server.node)
        await traffic.run()
        assert traffic.record.faults() == {}
        assert len(traffic.record.delivered) == MESSAGES
        assert await traffic.remaining() == {}
        assert await traffic.total() == 0

    with restarted(storage, tmp_path) as server:
        asyncio.run(run())
    assert in_order(storage)


def test_two_servers_over_one_store(storage: str, tmp_path: Path) -> None:
    """As during a rolling upgrade on two ports: their workers take turns like those of one."""

    async def run() -> None:
        addresses = first.node.address, second.node.address
        traffic = Traffic(*addresses, producers=PRODUCERS, consumers=CONSUMERS, messages=MESSAGES // 4)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(traffic.run())
            await traffic.reaches(MESSAGES // 8)
            assert not running.done()
            second.kill_and_start()
        for claim in set((await traffic.remaining()).values()) - {None}:
            await traffic.release(str(claim))
        await traffic.consume_the_rest()
        assert traffic.record.faults() == {}

    (tmp_path / "second").mkdir()
    with restarted(storage, tmp_path) as first, restarted(storage, tmp_path / "second") as second:
        asyncio.run(run())
    assert in_order(storage)


def test_kill_9_loses_nothing_and_brings_nothing_back(storage: str, tmp_path: Path) -> None:
    async def run() -> None:
        traffic = traffic_to(server.node)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(traffic.run())
            for kill in range(1, KILLS + 1):
                await traffic.reaches(MESSAGES * kill // (KILLS + 1))
                assert not running.done()
                server.kill_and_start()
        left = await traffic.remaining()
        assert left.keys() & set(traffic.record.delivered) == set(), "handed out, and not deleted or back"
        assert None not in left.values(), "free, and not handed out"
        for claim in set(left.values()):
            await traffic.release(str(claim))
        await traffic.consume_the_rest()
        assert traffic.record.faults() == {}
        assert len(traffic.record.acknowledged) == MESSAGES
        assert await traffic.remaining() == {}
        assert await traffic.total() == 0

    with restarted(storage, tmp_path) as server:
        asyncio.run(run())
    assert in_order(storage)
