"""The mover's calls to partitions, at real Zaqar and at our node: a queue comes to be on one as it is on the other."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from catalog import Catalog, open_catalog
from catalog.model import Partition, QueueKey, Segment
from marconi_proxy.clock import SystemClock
from marconi_proxy.moving.execution.steps.real import RealSteps
from marconi_proxy.partition_client.outcome import Look, Unready
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.wire.door import request_headers
from tests.wire.raw_http import Answer, exchange

ALL = ("v1", "v1.1", "v2")
# (from, to): every way between the servers that speak the same versions, and to one that speaks less for v2's sake.
WAYS = [("zaqar16", "second_zaqar16"), ("zaqar16", "node"), ("node", "zaqar16"), ("zaqar23", "zaqar23-itself")]
METADATA = {"colour": "red", "a/b~c": [1, None], "_default_message_ttl": 300, "_max_claim_count": 3}
QUEUE = "orders"


@dataclass
class Ends:
    """Two servers and the steps between them."""

    steps: RealSteps
    catalog: Catalog
    key: QueueKey
    source: Segment
    target: Segment
    addresses: dict[str, tuple[str, int]]

    def ask(self, segment: Segment, method: str, below: str = "", body: Any = None, version: str = "v2") -> Answer:
        data = None if body is None else json.dumps(body).encode()
        path = f"/{version}/queues/{segment.backend_name}{below}"
        headers = request_headers(self.key.project, {}).items()
        return exchange(self.addresses[segment.partition], method, path, headers, data)

    def metadata(self, segment: Segment) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask(segment, "GET").body)
        return found

    async def bring(self) -> None:
        await self.steps.sync_metadata(self.key, self.source, self.target, 30.0)

    async def look(self) -> Look:
        return await self.steps.look(self.key, self.source)


@pytest.fixture(params=WAYS, ids=" to ".join)
async def ends(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ends]:
    names = request.param
    addresses: dict[str, tuple[str, int]] = {}
    for name in names:
        if name == "node":
            addresses[name] = request.getfixturevalue("nodes")("sqlite", 0).address
        else:
            addresses[name] = request.getfixturevalue(name.removesuffix("-itself")).address
    async with AsyncExitStack() as stack:
        catalog = await open_catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
        stack.push_async_callback(catalog.close)
        await catalog.init()
        for name, (address, port) in addresses.items():
            versions = ("v2",) if "23" in name else ALL
            # No two partitions have the same host, by its name.
            host = "localhost" if name.endswith("-itself") else address
            await catalog.partitions.insert(Partition(name, (f"http://{host}:{port}",), api_versions=versions))
        pool = Pool(connect_timeout=2.0, idle_timeout=5.0, max_head=65536)
        stack.callback(pool.close)
        steps = RealSteps(catalog, _opening(pool), SystemClock())
        key = QueueKey(f"project-{secrets.token_hex(4)}", QUEUE)
        source, target = Segment(0, names[0], QUEUE, True), Segment(1, names[1], f"{QUEUE}-1-hidden")
        yield Ends(steps, catalog, key, source, target, addresses)


def _opening(pool: Pool) -> Callable[[Partition], Upstream]:
    return lambda partition: Upstream(partition, pool, UpstreamLimits(deadline=30.0), random.Random(1))


async def _ask(ends: Ends, *args: Any) -> Answer:
    return await asyncio.to_thread(ends.ask, *args)


async def test_a_queue_comes_to_be_with_its_metadata_and_follows_its_changes(ends: Ends) -> None:
    assert (await _ask(ends, ends.source, "PUT", "", METADATA)).status == 201
    await ends.bring()
    assert ends.metadata(ends.target) == ends.metadata(ends.source)
    assert ends.metadata(ends.target)["a/b~c"] == [1, None]
    # As after an earlier attempt, and changes since then.
    await _ask(ends, ends.source, "DELETE")
    await _ask(ends, ends.source, "PUT", "", {"colour": "blue", "_default_message_ttl": 600, "shape": {"x": 1}})
    await ends.bring()
    assert ends.metadata(ends.target) == ends.metadata(ends.source)
    assert ends.metadata(ends.target)["colour"] == "blue"


async def test_metadata_that_changed_are_set_in_v1_where_nothing_is_newer_than_v1_1(ends: Ends) -> None:
    """v1.1 itself sets them only when it creates, and a queue that may have messages soon is never deleted for that."""
    if "23" in ends.source.partition:
        assert (await _ask(ends, ends.source, "PUT", "", None, "v1.1")).status == 404  # it speaks v2 only
        return
    for partition in await ends.catalog.partitions.all():
        older = replace(partition, api_versions=("v1", "v1.1"), version=partition.version + 1)
        await ends.catalog.partitions.replace(older)
    await _ask(ends, ends.source, "PUT", "", {"colour": "red"}, "v1.1")
    await ends.bring()
    # It comes between the last look at the queue and what is done about it.
    posted = {"messages": [{"ttl": 300, "body": 1}]}
    assert (await _ask(ends, ends.target, "POST", "/messages", posted)).status == 201
    changed = {"colour": "blue", "shape": {"x": 1}}
    assert (await _ask(ends, ends.source, "PUT", "/metadata", changed, "v1")).status == 204
    await ends.bring()
    assert ends.metadata(ends.target) == ends.metadata(ends.source)
    assert ends.metadata(ends.target)["colour"] == "blue"
    # Attributes cannot be set so: the move has to wait.
    for method in ("DELETE", "PUT"):
        await _ask(ends, ends.source, method, "", {"_default_message_ttl": 600}, "v1.1")
    with pytest.raises(Unready, match="order it again"):
        await ends.bring()
    assert (await ends.steps.look(ends.key, ends.target)).total == 1


async def test_subscriptions_follow(ends: Ends) -> None:
    await _ask(ends, ends.source, "PUT")
    for number in range(12):
        wanted = {"subscriber": f"http://hook.example/{number}", "ttl": 3000, "options": {"n": number}}
        assert (await _ask(ends, ends.source, "POST", "/subscriptions", wanted)).status == 201
    await ends.bring()

    def subscribed(segment: Segment) -> dict[str, Any]:
        listed = json.loads(ends.ask(segment, "GET", "/subscriptions?limit=20").body)["subscriptions"]
        return {one["subscriber"]: one for one in listed}

    there = subscribed(ends.target)
    assert {name: one["options"] for name, one in there.items()} == {
        f"http://hook.example/{number}": {"n": number} for number in range(12)
    }
    assert all(2900 < one["ttl"] <= 3000 for one in there.values())
    gone = subscribed(ends.source)["http://hook.example/3"]["id"]
    await _ask(ends, ends.source, "DELETE", f"/subscriptions/{gone}")
    await ends.bring()
    assert len(subscribed(ends.target)) == 11
    await ends.steps.unsubscribe(ends.key, ends.target)
    assert subscribed(ends.target) == {}
    await ends.steps.remove(ends.key, ends.target)
    assert (await ends.steps.look(ends.key, ends.target)).empty


async def test_a_look_sees_free_claimed_and_delayed_messages(ends: Ends) -> None:
    assert (await ends.look()).empty
    await _ask(ends, ends.source, "PUT", "", {"_default_message_delay": 1})
    delayed = {"messages": [{"ttl": 300, "body": 1, "delay": 600}]}
    assert (await _ask(ends, ends.source, "POST", "/messages", delayed)).status == 201
    look = await ends.look()
    assert (look.total, look.listed, look.empty) == (1, True, False)
    await _ask(ends, ends.source, "DELETE", "/messages?pop=1")
    assert (await ends.look()).empty
    now = {"messages": [{"ttl": 300, "body": 1, "delay": 0}]}
    assert (await _ask(ends, ends.source, "POST", "/messages", now)).status == 201
    assert (await ends.look()).oldest_expires is not None
    claimed = await _ask(ends, ends.source, "POST", "/claims", {"ttl": 100, "grace": 60})
    assert claimed.status == 201
    look = await ends.look()
    assert (look.free, look.claimed, look.empty) == (0, 1, False)
    assert look.claimed_until is not None


async def test_the_dead_letter_queue_is_known(ends: Ends) -> None:
    await _ask(ends, ends.source, "PUT", "", {"_dead_letter_queue": "dead", "_max_claim_count": 2})
    assert await ends.steps.dead_letter_queue(ends.key, ends.source) == "dead"
    assert await ends.steps.dead_letter_queue(ends.key, ends.target) is None


async def test_a_queue_without_project_is_moved_in_v1(ends: Ends) -> None:
    if "23" in ends.source.partition:
        assert (await _ask(ends, ends.source, "PUT", "", None, "v1")).status == 404  # it speaks v2 only
        return
    ends.key = QueueKey("", f"q-{secrets.token_hex(6)}")
    ends.source = Segment(0, ends.source.partition, ends.key.queue, True)
    ends.target = Segment(1, ends.target.partition, ends.key.queue)
    address = ends.addresses[ends.source.partition]
    exchange(address, "PUT", f"/v1/queues/{ends.key.queue}", [], b"")
    exchange(address, "PUT", f"/v1/queues/{ends.key.queue}/metadata", [], b'{"colour": "red"}')
    await ends.bring()
    answer = exchange(ends.addresses[ends.target.partition], "GET", f"/v1/queues/{ends.key.queue}/metadata", [], None)
    assert json.loads(answer.body) == {"colour": "red"}
    assert (await ends.look()).empty
    await ends.steps.remove(ends.key, ends.target)
    answer = exchange(ends.addresses[ends.target.partition], "GET", f"/v1/queues/{ends.key.queue}", [], None)
    assert answer.status == 404
