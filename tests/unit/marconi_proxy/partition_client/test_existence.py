"""Asking a partition whether it has a queue, and deleting it there (API sections 2.1, 6.11)."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.model import API_VERSIONS, NO_PROJECT, TOPIC_PREFIX, Partition, QueueKey
from marconi_proxy.partition_client.existence import delete, exists, just_before, metadata
from marconi_proxy.routing.route import valid_name
from marconi_proxy.upstream.errors import BadAnswer, DeadlineExceeded, NotSent
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.faults.evil_host import (
    NO_CONTENT,
    PATIENCE,
    READ,
    STALL,
    EvilHost,
    Request,
    answer,
    ever,
    say,
    serve,
    settled,
    unused_port,
)

CHARACTERS = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
names = st.text(CHARACTERS, min_size=1, max_size=64).filter(valid_name)


# -- the marker --------------------------------------------------------------------------------------------------------


def test_the_alphabet_is_that_of_names() -> None:
    assert "".join(chr(c) for c in range(256) if valid_name(f"x{chr(c)}")) == CHARACTERS


@given(names, names)
@example("b", "a" * 64)
@example("b", "a" + "z" * 63)
@example("a-", "a")
@example("a.", "a-" + "z" * 62)
@example("0", ".z")
def test_nothing_lies_between_a_name_and_the_marker_before_it(name: str, other: str) -> None:
    marker = just_before(name)
    assert marker < name
    assert not marker < other < name


@given(names, st.text(CHARACTERS, max_size=5))
def test_not_even_a_near_relation(name: str, tail: str) -> None:
    marker = just_before(name)
    for near in (name[:-1] + tail, name[:-1] + CHARACTERS[CHARACTERS.index(name[-1]) - 1] + tail, name[:-1]):
        assert not marker < near < name


@given(names, st.sets(names, max_size=20))
def test_the_first_name_after_the_marker_tells(name: str, others: set[str]) -> None:
    for stored in (others - {name}, others | {name}):
        page = sorted(n for n in stored if n > just_before(name))[:1]
        assert (page == [name]) is (name in stored)


# -- the call ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(connect_timeout=PATIENCE, idle_timeout=60.0, max_head=65536)
    yield pool
    pool.close()
    await settled(lambda: not pool._all)


def reach(pool: Pool, url: str, versions: tuple[str, ...] = API_VERSIONS) -> Upstream:
    partition = Partition("p1", (url,), api_versions=versions)
    return Upstream(partition, pool, UpstreamLimits(deadline=PATIENCE), random.Random(1))


def store(*queues: str) -> Any:
    """A handler that lists ``queues`` as any server does: names after the marker, as many as the limit."""

    def handle(request: Request) -> bytes:
        path, _, query = request.target.decode().partition("?")
        given = dict(pair.split("=") for pair in query.split("&"))
        found = sorted(name for name in queues if name > unquote(given["marker"]))[: int(given["limit"])]
        member = path.rpartition("/")[2]
        if path.startswith("/v1/") and not found:
            return NO_CONTENT
        return answer(200, json.dumps({member: [{"name": name} for name in found], "links": []}).encode())

    return handle


@pytest.mark.parametrize("name", ["b", "B", "a", "c", "a.b", "a-", "b" * 64])
@pytest.mark.parametrize(
    ("project", "queue_prefix", "versions"),
    [
        ("p", "", API_VERSIONS),
        ("p", "", ("v1", "v1.1")),
        ("p", "", ("v1",)),
        (NO_PROJECT, "", API_VERSIONS),
        ("p", TOPIC_PREFIX, ("v2",)),
    ],
    ids=["v2", "v1.1", "v1", "no project", "topic"],
)
async def test_existence(pool: Pool, project: str, queue_prefix: str, versions: tuple[str, ...], name: str) -> None:
    key = QueueKey(project, queue_prefix + name)
    others = ["B", "a", "b", "bb", "a.b", "a-b", "b" * 63, "c"]
    async with EvilHost([serve(store(*others))]) as without, EvilHost([serve(store(*others, name))]) as having:
        assert await exists(reach(pool, having.url, versions), key, name)
        assert await exists(reach(pool, without.url, versions), key, name) is (name in others)


@pytest.mark.parametrize(
    ("project", "queue", "versions", "path"),
    [
        ("p", "q", API_VERSIONS, b"/v2/queues"),
        ("p", "q", ("v2",), b"/v2/queues"),
        ("p", "q", ("v1", "v1.1"), b"/v1.1/queues"),
        ("p", "q", ("v1",), b"/v1/queues"),
        ("p", "q", (), b"/v1/queues"),
        (NO_PROJECT, "q", API_VERSIONS, b"/v1/queues"),
        ("p", "~q", API_VERSIONS, b"/v2/topics"),
    ],
)
async def test_the_version_that_is_asked(
    pool: Pool, project: str, queue: str, versions: tuple[str, ...], path: bytes
) -> None:
    async with EvilHost([ever(READ, say(NO_CONTENT))]) as host:
        upstream = reach(pool, host.url, versions)
        assert not await exists(upstream, QueueKey(project, queue), "q")
        await delete(upstream, QueueKey(project, queue), "q", within=PATIENCE)
        asked, deleted = host.requests
        assert (asked.method, asked.target) == (b"GET", path + b"?marker=p~&limit=1")
        assert (deleted.method, deleted.target) == (b"DELETE", path + b"/q")


async def test_whose_call_it_is(pool: Pool) -> None:
    async with EvilHost([ever(READ, say(NO_CONTENT))]) as host:
        await exists(reach(pool, host.url), QueueKey("caf\xe9 7", "q"), "q")
        await exists(reach(pool, host.url), QueueKey(NO_PROJECT, "q"), "q")
        with_project, without = (request.headers for request in host.requests)
        assert with_project[b"x-project-id"] == b"caf\xe9 7"
        assert b"x-project-id" not in without
        uuid.UUID(with_project[b"client-id"].decode())
        assert with_project[b"client-id"] == without[b"client-id"]
        assert with_project[b"accept"] == b"application/json"


async def test_the_physical_name_is_asked_for(pool: Pool) -> None:
    async with EvilHost([serve(store("q-2"))]) as host:
        assert await exists(reach(pool, host.url), QueueKey("p", "q"), "q-2")
        assert not await exists(reach(pool, host.url), QueueKey("p", "q"), "q")


NO_LISTINGS = {
    "an error": answer(500, b"{}"),
    "a refusal": answer(403, b"{}"),
    "not found": answer(404, b""),
    "a redirect": answer(302, b"", b"location: /"),
    "no JSON": answer(200, b"<html>"),
    "nothing": answer(200, b""),
    "too deep": answer(200, b"[" * 50_000),
    "another document": answer(200, b'{"topics": []}'),
    "a list": answer(200, b"[]"),
    "null": answer(200, b'{"queues": null}'),
    "names missing": answer(200, b'{"queues": [{}]}'),
    "no objects": answer(200, b'{"queues": [7]}'),
    "names that are none": answer(200, b'{"queues": [{"name": ["q"]}]}'),
}


@pytest.mark.parametrize("reply", NO_LISTINGS.values(), ids=NO_LISTINGS)
async def test_what_is_no_listing_says_nothing(pool: Pool, reply: bytes) -> None:
    async with EvilHost([ever(READ, say(reply))]) as host:
        with pytest.raises(BadAnswer, match="partition p1"):
            await exists(reach(pool, host.url), QueueKey("p", "q"), "q")


class Redis:
    """As Zaqar's Redis store lists: from its beginning, if the marker is no queue or the first one."""

    def __init__(self, *queues: str) -> None:
        self.queues = sorted(queues)
        self.asked: list[bytes] = []

    def __call__(self, request: Request) -> bytes:
        self.asked.append(request.target)
        given = dict(pair.split("=") for pair in request.target.decode().partition("?")[2].split("&"))
        marker = given.get("marker", "")
        rank = self.queues.index(marker) if marker in self.queues else 0
        start = rank + 1 if rank else 0
        found = self.queues[start : start + int(given["limit"])]
        return answer(200, json.dumps({"queues": [{"name": name} for name in found], "links": []}).encode())


@pytest.mark.parametrize("others", ["", "a", "b", "bd", "d", "abd", "de"])
async def test_existence_where_markers_that_are_no_queues_are_ignored(pool: Pool, others: str) -> None:
    without, having = Redis(*others), Redis(*others, "c")
    async with EvilHost([serve(without)]) as one, EvilHost([serve(having)]) as other:
        assert not await exists(reach(pool, one.url), QueueKey("p", "c"), "c")
        assert await exists(reach(pool, other.url), QueueKey("p", "c"), "c")
    assert len(without.asked) <= 2
    assert len(having.asked) <= 2


async def test_one_that_becomes_the_first_of_all_meanwhile_is_there(pool: Pool) -> None:
    redis = Redis("a", "c")

    def and_then_alone(request: Request) -> bytes:
        said = redis(request)
        redis.queues = ["c"]
        return said

    async with EvilHost([serve(and_then_alone)]) as host:
        assert await exists(reach(pool, host.url), QueueKey("p", "c"), "c")


async def test_a_partition_that_cannot_be_asked(pool: Pool) -> None:
    with pytest.raises(NotSent):
        await exists(reach(pool, f"http://127.0.0.1:{unused_port()}"), QueueKey("p", "q"), "q")


# -- deletion ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 404])
async def test_a_deletion_that_is_done(pool: Pool, status: int) -> None:
    async with EvilHost([ever(READ, say(answer(status)))]) as host:
        await delete(reach(pool, host.url), QueueKey("p", "q"), "q", within=PATIENCE)
        assert len(host.requests) == 1


@pytest.mark.parametrize("status", [202, 302, 400, 401, 403, 500, 503])
async def test_a_deletion_that_is_not_done(pool: Pool, status: int) -> None:
    async with EvilHost([ever(READ, say(answer(status)))]) as host:
        with pytest.raises(BadAnswer, match=f"answered {status} to a deletion"):
            await delete(reach(pool, host.url), QueueKey("p", "q"), "q", within=PATIENCE)


async def test_a_deletion_is_given_up_in_time(pool: Pool) -> None:
    async with EvilHost([READ, STALL]) as host:
        with pytest.raises(DeadlineExceeded):
            await delete(reach(pool, host.url), QueueKey("p", "q"), "q", within=0.05)
        await host.script_ended(0)


# -- metadata ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "version", "target"),
    [
        ("q", "v1", b"/v1/queues/q/metadata"),
        ("q", "v1.1", b"/v1.1/queues/q"),
        ("q", "v2", b"/v2/queues/q"),
        ("~q", "v2", b"/v2/topics/q"),
    ],
)
async def test_metadata(pool: Pool, queue: str, version: str, target: bytes) -> None:
    async with EvilHost([READ, say(answer(200, b'{"a": {"b": 1}}')), READ, say(answer(404))]) as host:
        upstream = reach(pool, host.url)
        assert await metadata(upstream, QueueKey("p", queue), "q", version) == {"a": {"b": 1}}
        assert await metadata(upstream, QueueKey("p", queue), "q", version) is None
        assert [request.target for request in host.requests] == [target, target]


@pytest.mark.parametrize(
    "reply",
    [answer(500, b"{}"), answer(204), answer(200, b"[]"), answer(200, b"{"), answer(200, b"[" * 50_000)],
    ids=["an error", "no content", "a list", "no JSON", "too deep"],
)
async def test_what_is_no_metadata(pool: Pool, reply: bytes) -> None:
    async with EvilHost([ever(READ, say(reply))]) as host:
        with pytest.raises(BadAnswer, match="metadata"):
            await metadata(reach(pool, host.url), QueueKey("p", "q"), "q", "v2")
