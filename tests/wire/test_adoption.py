"""Adoption of deployments that were in use before there was a proxy, by the commands of the operator."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.marconi import run_command
from tests.servers.zaqar import Zaqar
from tests.wire.keep_alive import KeepAlive
from tests.wire.raw_http import exchange
from tests.wire.script import CLIENT
from tests.wire.test_live_moves import PATIENCE, Mover, running

FILL = Path(__file__).with_name("clients") / "fill.py"
ALONE, BOTH = 130, 40
PRODUCERS, CONSUMERS = 2, 4
# Seconds between two posts of a producer: all share two cores with what is tested.
PAUSE = 0.05

# Posts in which a producer comes to each of its queues once.
PASS = (ALONE + BOTH) // PRODUCERS


def names(where: str, count: int) -> list[str]:
    return [f"{where}-{number:03}" for number in range(count)]


QUEUES = [*names("north", ALONE), *names("south", ALONE), *names("both", BOTH)]


@dataclass
class Ledger:
    """The knowledge of clients. ``doubtful``: posts without an answer, which may have succeeded."""

    acknowledged: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    delivered: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)


class Producer:
    """Posts to its queues in turn: to one of the Zaqars, and once ``goes_over`` is set, to the front door."""

    def __init__(self, name: str, zaqar: tuple[str, int], door: tuple[str, int], queues: list[str]) -> None:
        self.name = name
        self.goes_over = asyncio.Event()
        self._zaqar = zaqar
        self._door = door
        self._queues = queues
        self.posts = 0

    async def run(self, headers: dict[str, str], ledger: Ledger, stop: asyncio.Event) -> None:
        address, connection = self._zaqar, KeepAlive(self._zaqar, headers)
        while not stop.is_set():
            if self.goes_over.is_set() and address != self._door:
                connection.close()
                address, connection = self._door, KeepAlive(self._door, headers)
            queue = self._queues[self.posts % len(self._queues)]
            body = f"{self.name} {queue} {self.posts}"
            document = {"messages": [{"ttl": 3600, "body": body}]}
            reply = await connection.ask("POST", f"/v2/queues/{queue}/messages", document)
            self.posts += 1
            if reply is None or reply.status == 503:
                ledger.doubtful.add(body)
            elif reply.status == 201:
                ledger.acknowledged.add(body)
            else:
                ledger.troubles.append(f"POST {queue}: {reply}")
            await asyncio.sleep(PAUSE)
        connection.close()


async def consume(
    address: tuple[str, int], headers: dict[str, str], queues: list[str], ledger: Ledger, stop: asyncio.Event
) -> None:
    """Claim and delete, until there is nothing to come."""
    connection = KeepAlive(address, headers)
    while not stop.is_set():
        for queue in queues:
            reply = await connection.ask("POST", f"/v2/queues/{queue}/claims?limit=20", {"ttl": 600, "grace": 600})
            if reply is None or reply.status not in (201, 204):
                ledger.troubles.append(f"claim of {queue}: {reply}")
            if reply is None or reply.status != 201:
                continue
            claimed = reply.document["messages"]
            ledger.delivered.update(message["body"] for message in claimed)
            ids = ",".join(message["id"] for message in claimed)
            deleted = await connection.ask("DELETE", f"/v2/queues/{queue}/messages?ids={ids}")
            if deleted is None or deleted.status != 204:
                ledger.troubles.append(f"DELETE of {ids} in {queue}: {deleted}")
    connection.close()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is counted has no event of its own
        await asyncio.sleep(0.1)


@pytest.fixture
def both(zaqar16: Zaqar, second_zaqar16: Zaqar, tmp_path: Path) -> Iterator[Mover]:
    with running(tmp_path, {"north": zaqar16.url, "south": second_zaqar16.url}) as mover:
        yield mover


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_zaqars_in_use_are_adopted_and_no_message_is_lost_or_doubled(
    both: Mover, zaqar16: Zaqar, second_zaqar16: Zaqar, tmp_path: Path
) -> None:
    project = f"in-use-{uuid.uuid4().hex[:8]}"
    given = (project, zaqar16.url, second_zaqar16.url, str(ALONE), str(BOTH))
    command = (sys.executable, str(FILL), *given)
    filled = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    ledger = Ledger()
    ledger.acknowledged |= set(json.loads(filled.stdout))
    assert len(ledger.acknowledged) == 3 * (2 * ALONE + 2 * BOTH)
    asyncio.run(_adopted_in_use(both, zaqar16, second_zaqar16, project, ledger, tmp_path / "adoption.jsonl"))

    assert ledger.troubles == []
    assert {body: times for body, times in ledger.delivered.items() if times > 1} == {}
    assert ledger.acknowledged - ledger.delivered.keys() == set()
    assert ledger.delivered.keys() <= ledger.acknowledged | ledger.doubtful
    for queue in QUEUES:
        assert len(both.segments(project, queue)) == 1
    # The chains have no queue elsewhere any more.
    headers = {"Client-ID": CLIENT, "X-Project-Id": project}
    for zaqar, name in ((zaqar16, "north"), (second_zaqar16, "south")):
        for queue in names("both", BOTH):
            listed = exchange(zaqar.address, "GET", f"/v2/queues?marker={queue[:-1]}&limit=20", headers.items())
            there = queue in [entry["name"] for entry in json.loads(listed.body)["queues"]]
            assert there == (both.segments(project, queue) == [name])


async def _adopted_in_use(both: Mover, north: Zaqar, south: Zaqar, project: str, ledger: Ledger, plan: Path) -> None:
    headers = {"Client-ID": CLIENT, "X-Project-Id": project}
    door, catalog = both.door.proxy.public_address, both.door.proxy.catalog
    producers = [
        Producer(f"p{n}-{where}", zaqar.address, door, [*names(where, ALONE), *names("both", BOTH)][n::PRODUCERS])
        for where, zaqar in (("north", north), ("south", south))
        for n in range(PRODUCERS)
    ]

    async def adopt(*arguments: str) -> dict[str, object]:
        command = ("catalog", "adopt", *arguments, "--catalog", catalog, "-f", "json")
        found: dict[str, object] = json.loads(await asyncio.to_thread(run_command, *command))
        return found

    async def posted(more: int) -> None:
        """Wait until each producer has posted so many more."""
        before = {producer.name: producer.posts for producer in producers}
        await _until(lambda: all(producer.posts >= before[producer.name] + more for producer in producers))

    posted_enough, consumed = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for producer in producers:
            group.create_task(producer.run(headers, ledger, posted_enough))
        made = await adopt("plan", "north", "south", "--project", project, "-o", str(plan))
        assert (made["queues"], made["chain"]) == (2 * ALONE, BOTH)
        applied = await adopt("apply", str(plan))
        assert (applied["adopted"], applied["conflicts"], applied["chains"]) == (2 * ALONE + BOTH, 0, BOTH)
        for n in range(CONSUMERS):
            group.create_task(consume(door, headers, QUEUES[n::CONSUMERS], ledger, consumed))
        # Direct posts to queues that are adopted already are delivered too.
        await posted(PASS // 2)
        for producer in producers:
            producer.goes_over.set()
        await posted(PASS // 2)
        retired = await adopt("apply", str(plan), "--retire")
        assert (retired["there"], retired["retiring"]) == (2 * ALONE + BOTH, BOTH)
        await posted(20)
        posted_enough.set()
        await _until(lambda: ledger.acknowledged <= ledger.delivered.keys() or bool(ledger.troubles))
        # Whatever that takes: a mover looks at a queue that was long in draining every half minute.
        while await asyncio.to_thread(_unfinished, both):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.5)
        consumed.set()


def _unfinished(both: Mover) -> list[object]:
    _, document = both.door.admin("GET", "/v1/moves?state=unfinished&limit=100")
    found: list[object] = document["moves"]
    return found
