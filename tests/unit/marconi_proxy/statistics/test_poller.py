"""The poller of partitions: its calls, their rate, and the meaning of the answers."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from catalog.model import Partition, PartitionState, QueueKey, Segment
from marconi_proxy.clock import Pacer
from marconi_proxy.statistics.poller import LEFT_ALONE, Poller
from marconi_proxy.statistics.totals import QueueCounts
from marconi_proxy.upstream.errors import ConnectFailed
from tests.unit.catalog_stage import partition
from tests.unit.moving_world import START, FakeClock

KEY, SEGMENT = QueueKey("project", "orders"), Segment(1, "p1", "orders.1")
P1 = partition("p1")


class _Answer:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    async def read(self, limit: int) -> bytes:
        return self._body


class _Upstream:
    """Answers everything alike, and keeps what it was asked."""

    def __init__(self, partition: Partition, status: int, body: bytes) -> None:
        self.partition = partition
        self.answer: _Answer | Exception = _Answer(status, body)
        self.calls: list[Any] = []

    def update(self, partition: Partition) -> None:
        self.partition = partition

    async def send(self, call: Any, within: float) -> _Answer:
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Stage:
    def __init__(self, status: int = 200, document: object = None, body: bytes | None = None) -> None:
        self.clock = FakeClock()
        data = json.dumps(document).encode() if body is None else body
        self.upstream = _Upstream(P1, status, data)
        opened = iter([self.upstream])  # once
        self.poller = Poller(lambda _: next(opened), self.clock, Pacer(5.0, self.clock))  # type: ignore[arg-type, return-value]

    async def ask(self, key: QueueKey = KEY, of: Partition | None = P1) -> QueueCounts | None:
        return await self.poller.poll(key, SEGMENT, of)

    @property
    def targets(self) -> list[str]:
        return [call.target.decode() for call in self.upstream.calls]


def counts(**given: object) -> dict[str, object]:
    return {"messages": given}


OLDEST = {"href": "/v1/queues/orders/messages/1", "age": 91, "created": "2014-03-01T09:30:00Z"}


@pytest.mark.parametrize(
    ("status", "document", "holding"),
    [
        (200, counts(free=12, claimed=3, total=15, oldest=OLDEST, newest=OLDEST), QueueCounts(12, 3, START - 91)),
        (200, counts(free=0, claimed=0, total=0), QueueCounts()),
        (200, counts(total=4), QueueCounts(4)),
        (200, counts(free=4, claimed=-1, total=3), QueueCounts(4)),
        (200, counts(free=1, claimed=0, total=1, oldest={"age": "?"}), QueueCounts(1)),
        (200, counts(free=1, claimed=0, total=1, oldest={"age": 10**400}), QueueCounts(1)),
        (200, counts(free=1, claimed=0, total=1, oldest={"age": -3}), QueueCounts(1, 0, START)),
        (200, counts(free="4", claimed=0, total=4), None),
        (200, counts(free=4, claimed=None, total=4), None),
        (200, counts(free=4, claimed=0, total=10**400), None),
        (200, counts(free=2**40, claimed=0, total=2**40), None),
        (404, {"title": "Not found"}, QueueCounts()),
        (503, {"title": "Queue stats unavailable"}, None),
        (200, {"messages": 3}, None),
        (200, [1], None),
        (204, None, None),
    ],
)
async def test_what_an_answer_means(status: int, document: object, holding: QueueCounts | None) -> None:
    assert await Stage(status, document).ask() == holding


async def test_no_json() -> None:
    assert await Stage(body=b"<html>").ask() is None


@pytest.mark.parametrize(
    ("key", "versions", "target"),
    [
        (KEY, ("v1", "v1.1", "v2"), "/v2/queues/orders.1/stats"),
        (KEY, ("v1", "v1.1"), "/v1.1/queues/orders.1/stats"),
        (KEY, ("v1",), "/v1/queues/orders.1/stats"),
        (QueueKey("", "orders"), ("v1", "v2"), "/v1/queues/orders.1/stats"),
        (QueueKey("project", "~orders"), ("v1", "v2"), "/v2/topics/orders.1/stats"),
    ],
)
async def test_partitions_are_asked_in_a_version_that_they_speak(key: QueueKey, versions: Any, target: str) -> None:
    stage = Stage(200, counts(total=0))
    await stage.ask(key)
    await stage.ask(key, partition("p1", versions=versions))
    assert stage.targets[-1] == target
    assert (b"x-project-id: project" in stage.upstream.calls[-1].lines) == bool(key.project)


@pytest.mark.parametrize("of", [None, partition("p1", state=PartitionState.DISABLED)], ids=["gone", "disabled"])
async def test_some_are_not_asked_at_all(of: Partition | None) -> None:
    stage = Stage(200, counts(total=0))
    assert await stage.ask(of=of) is None
    assert stage.targets == []


@pytest.mark.parametrize("state", [PartitionState.CORDONED, PartitionState.DRAINED])
async def test_those_that_take_no_new_queues_are_asked(state: PartitionState) -> None:
    assert await Stage(200, counts(total=1)).ask(of=partition("p1", state=state)) == QueueCounts(1)


async def test_one_that_does_not_answer_is_left_alone_for_a_while_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(200, counts(total=1))
    answer, stage.upstream.answer = stage.upstream.answer, ConnectFailed("connection refused")
    with caplog.at_level(logging.INFO, "marconi_proxy.statistics"):
        assert [await stage.ask() for _ in range(5)] == [None] * 5
        assert len(stage.targets) == 1
        stage.clock.time += LEFT_ALONE + 1
        assert [await stage.ask() for _ in range(5)] == [None] * 5
        assert len(stage.targets) == 2
        stage.upstream.answer = answer
        stage.clock.time += LEFT_ALONE + 1
        assert [await stage.ask() for _ in range(2)] == [QueueCounts(1)] * 2
    assert [record.getMessage().split(":")[1].split(" until")[0] for record in caplog.records] == [
        " contents of partition p1 are unknown",
        " partition p1 answers again",
    ]


async def test_requests_begin_one_after_the_other() -> None:
    stage = Stage(200, counts(total=0))
    for _ in range(11):
        await stage.ask()
    assert stage.clock.slept == pytest.approx(2.0)
    # Turns that were not used are not made up for.
    stage.clock.time += 100
    for _ in range(2):
        await stage.ask()
    assert stage.clock.slept == pytest.approx(2.2)
