"""The calls of a page to partitions: their number and version, and the page if one of them fails."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import parse_qs

import pytest

from catalog.model import API_VERSIONS, NO_PROJECT, TOPIC_PREFIX, Partition, Placement, PlacementState, Segment
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.metadata_fetcher import FILLED_IN, MetadataFetcher, QueryMode, to_judge, to_show
from marconi_proxy.front_door.refusals import RequestRefused
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.faults.evil_host import (
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
from tests.simulation.memory_catalog import MemoryCatalog, Store

RED = (("colour", "red"),)
TTL = (("_default_message_ttl", 3600),)


class Listing:
    """A handler that lists queues as any server does. ``filtered``: it applies filters, to ``stored``."""

    def __init__(self, *names: str, ignores_markers: bool = False, **stored: dict[str, Any]) -> None:
        self.stored: dict[str, dict[str, Any]] = {name: {} for name in names} | stored
        self.ignores_markers = ignores_markers
        self.asked: list[str] = []

    def __call__(self, request: Request) -> bytes:
        path, _, query = request.target.decode().partition("?")
        self.asked.append(f"{path}?{query}" if query else path)
        if not query:
            found = self.stored.get(path.removesuffix("/metadata").rpartition("/")[2])
            return answer(404) if found is None else answer(200, json.dumps(found).encode())
        given = {name: values[0] for name, values in parse_qs(query).items()}
        after = "" if self.ignores_markers else given.pop("marker")
        limit, _ = int(given.pop("limit")), given.pop("detailed")
        given.pop("marker", None)
        found = [
            {"name": name, "metadata": metadata}
            for name, metadata in sorted(self.stored.items())
            if name > after and all(str(metadata.get(key)) == value for key, value in given.items())
        ]
        return answer(200, json.dumps({path.rpartition("/")[2]: found[:limit]}).encode())


class Stage:
    """``partitions`` are those registered; ``catalog`` has what is put there."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.upstreams: dict[str, Upstream] = {}
        self.store = Store(lambda: 0.0)

    def register(self, name: str, url: str, versions: tuple[str, ...] = API_VERSIONS, **limits: Any) -> Upstream:
        partition = Partition(name, (url,), api_versions=versions)
        limit = UpstreamLimits(deadline=PATIENCE, **limits)
        self.upstreams[name] = Upstream(partition, self.pool, limit, random.Random(1))
        return self.upstreams[name]

    async def upstream(self, name: str) -> Upstream | None:
        return self.upstreams.get(name)

    def fetcher(self, version: str = "v2", within: float = PATIENCE) -> MetadataFetcher:
        until = asyncio.get_running_loop().time() + within
        return MetadataFetcher(MemoryCatalog(self.store), cast("Directory", self), version, until)

    async def left_nothing(self) -> None:
        """Return when no call is under way any more, by any account, and no connection that cannot be used again."""
        for upstream in self.upstreams.values():
            assert upstream._places.taken == 0
            assert [host.in_flight for host in upstream._balancer.hosts] == [0]
        await settled(lambda: all(connection.idle_since for connection in self.pool._all))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    pool = Pool(connect_timeout=PATIENCE, idle_timeout=60.0, max_head=65536)
    yield Stage(pool)
    pool.close()
    await settled(lambda: not pool._all)


def placed(queue: str, *partitions: str, backend_name: str = "", project: str = "p") -> Placement:
    names = partitions or ("p1",)
    plain = queue.removeprefix(TOPIC_PREFIX)
    segments = tuple(
        Segment(n, name, (backend_name if n == len(names) - 1 else "") or plain, sealed=n < len(names) - 1)
        for n, name in enumerate(names)
    )
    return Placement(project, queue, 1, PlacementState.OPEN, segments, incarnation="b")


def many(*names: str) -> list[Placement]:
    return [placed(name) for name in names]


# -- how it is asked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "spoken", "asked"),
    [
        *((version, API_VERSIONS, version) for version in API_VERSIONS),
        *((version, (), version) for version in API_VERSIONS),
        ("v1", ("v2",), "v2"),
        ("v1.1", ("v2",), "v2"),
        ("v1", ("v1.1", "v2"), "v1.1"),
        ("v1.1", ("v1", "v2"), "v1"),
        ("v2", ("v1", "v1.1"), "v1.1"),
        ("v2", ("v1",), "v1"),
    ],
)
def test_what_is_shown_is_asked_in_the_nearest_version(version: str, spoken: tuple[str, ...], asked: str) -> None:
    assert to_show(version, spoken) == QueryMode(asked)


@pytest.mark.parametrize("topics", [False, True])
def test_what_v2_does_not_fill_in_is_judged_by_what_it_shows(*, topics: bool) -> None:
    assert to_judge(RED, API_VERSIONS, topics=topics) == QueryMode("v2")
    assert to_judge((("_flavor", "x"),), API_VERSIONS, topics=topics) == QueryMode("v2")


@pytest.mark.parametrize("key", sorted(FILLED_IN))
def test_what_v2_fills_in_is_judged_by_what_is_stored(key: str) -> None:
    one = ((key, 3600),)
    assert to_judge((*RED, *one), API_VERSIONS, topics=False) == QueryMode("v1.1")
    assert to_judge((*RED, *one), ("v1", "v2"), topics=False) == QueryMode("v1")
    # Without a server that shows it, the partition judges it itself.
    assert to_judge((*RED, *one), ("v2",), topics=False) == QueryMode("v2", one)
    assert to_judge((*RED, *one), (), topics=False) == QueryMode("v2", one)
    assert to_judge((*RED, *one), API_VERSIONS, topics=True) == QueryMode("v2", one)


# -- how often ---------------------------------------------------------------------------------------------------------


async def test_ten_queues_of_a_partition_are_one_call(stage: Stage) -> None:
    names = [f"q{number:02}" for number in range(20)]
    one, other = Listing(*names[:14]), Listing(*names[14:])
    async with EvilHost([serve(one)]) as first, EvilHost([serve(other)]) as second:
        stage.register("p1", first.url)
        stage.register("p2", second.url)
        page = [*many(*names[:14]), *(placed(name, "p2") for name in names[14:])]
        assert await stage.fetcher().shown(page) == {name: {} for name in names}
    assert sorted(one.asked) == [
        "/v2/queues?marker=q0%2F~&limit=10&detailed=true",
        "/v2/queues?marker=q1%2F~&limit=4&detailed=true",
    ]
    assert other.asked == ["/v2/queues?marker=q13~&limit=6&detailed=true"]


@pytest.mark.parametrize(
    ("version", "queue", "project", "path"),
    [
        ("v1", "q", "p", "/v1/queues"),
        ("v1", "q", NO_PROJECT, "/v1/queues"),
        ("v1.1", "q", "p", "/v1.1/queues"),
        ("v2", "~q", "p", "/v2/topics"),
    ],
)
async def test_what_is_asked(stage: Stage, version: str, queue: str, project: str, path: str) -> None:
    listing = Listing(q={"a": {"b": 1}})
    async with EvilHost([serve(listing)]) as host:
        stage.register("p1", host.url)
        found = await stage.fetcher(version).shown([placed(queue, project=project)])
    assert found == {queue: {"a": {"b": 1}}}
    assert listing.asked == [f"{path}?marker=p~&limit=1&detailed=true"]


async def test_what_else_the_partition_has_costs_no_more_than_a_call_for_each_queue(stage: Stage) -> None:
    wanted = ["b", "d", "f", "h"]
    between = [f"{name}{more}" for name in "abcdefgh" for more in "123456789"]
    dense, sparse = Listing(*"abcdefgh"), Listing(*wanted, *between)
    async with EvilHost([serve(dense)]) as first, EvilHost([serve(sparse)]) as second:
        stage.register("p1", first.url)
        assert await stage.fetcher().shown(many(*wanted)) == {name: {} for name in wanted}
        stage.register("p1", second.url)
        assert await stage.fetcher().shown(many(*wanted)) == {name: {} for name in wanted}
    assert len(dense.asked) == 3
    assert len(sparse.asked) == 4


async def test_queues_are_asked_for_by_their_names_there(stage: Stage) -> None:
    listing = Listing("b", **{"a-moved": {"n": 1}, "aa": {"n": 2}, "c": {"n": 3}})
    async with EvilHost([serve(listing)]) as host:
        stage.register("p1", host.url)
        # By the names that clients know, another order.
        page = [placed("a", backend_name="c"), placed("aa"), placed("b", "p2", "p1", backend_name="a-moved")]
        assert await stage.fetcher().shown(page) == {"a": {"n": 3}, "aa": {"n": 2}, "b": {"n": 1}}


async def test_no_more_than_eight_calls_at_a_time(stage: Stage) -> None:
    names = [f"q{number:03}" for number in range(100)]
    listing = Listing(*names)
    waiting, most = 0, 0
    go = asyncio.Event()

    async def handle(request: Request) -> bytes:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await go.wait()
        waiting -= 1
        return listing(request)

    async with EvilHost([serve(handle)]) as host:
        stage.register("p1", host.url)
        asking = asyncio.ensure_future(stage.fetcher().shown(many(*names)))
        await settled(lambda: waiting == 8)
        go.set()
        assert len(await asking) == 100
    assert most == 8


# -- what is not there -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [(), ("b",), ("a", "c"), ("b", "c"), ("aa", "bb", "d")])
async def test_deleted_queues_are_left_out(stage: Stage, there: tuple[str, ...]) -> None:
    async with EvilHost([serve(Listing(*there))]) as host:
        stage.register("p1", host.url)
        assert await stage.fetcher().shown(many("a", "b", "c")) == {name: {} for name in "abc" if name in there}


async def test_a_queue_that_was_moved_meanwhile_is_asked_for_where_it_is(stage: Stage) -> None:
    now = placed("b", "p2", backend_name="b-2")
    stage.store.placements[now.key] = now
    async with EvilHost([serve(Listing("a"))]) as old, EvilHost([serve(Listing(**{"b-2": {"n": 1}}))]) as new:
        stage.register("p1", old.url)
        stage.register("p2", new.url)
        assert await stage.fetcher().shown(many("a", "b")) == {"a": {}, "b": {"n": 1}}
        assert await stage.fetcher().matching(many("a", "b"), (("n", 1),)) == {"b": {"n": 1}}


@pytest.mark.parametrize("state", [PlacementState.DELETING, PlacementState.CREATING])
async def test_a_queue_that_is_not_there_for_users_is_not_looked_for(stage: Stage, state: PlacementState) -> None:
    now = Placement("p", "b", 2, state, (Segment(0, "p2", "b"),), incarnation="c")
    stage.store.placements[now.key] = now
    async with EvilHost([serve(Listing())]) as host:
        stage.register("p1", host.url)
        assert await stage.fetcher().shown(many("b")) == {}


# -- filters -----------------------------------------------------------------------------------------------------------


async def test_what_matches(stage: Stage) -> None:
    listing = Listing(a={"colour": "red"}, b={"colour": "blue"}, c={"colour": "red", "n": 1}, d={})
    async with EvilHost([serve(listing)]) as host:
        stage.register("p1", host.url)
        page = many("a", "b", "c", "d")
        assert set(await stage.fetcher().matching(page, RED)) == {"a", "c"}
        assert set(await stage.fetcher().matching(page, (*RED, ("n", 1)))) == {"c"}
        # So it is for v2, and need not be asked for again to be shown.
        assert await stage.fetcher().matching(page, (("n", 1),)) == {"c": {"colour": "red", "n": 1}}
        # In v1.1 it is not as it is for v2.
        assert await stage.fetcher().matching(page, (*RED, *TTL)) == {}
        listing.stored["a"]["_default_message_ttl"] = 3600
        assert await stage.fetcher().matching(page, (*RED, *TTL)) == {"a": None}
    assert [asked.split("/")[1] for asked in listing.asked] == ["v2", "v2", "v2", "v1.1", "v1.1"]


async def test_where_only_the_partition_can_tell_it_filters_itself(stage: Stage) -> None:
    stored = {"_default_message_ttl": 3600, "colour": "red"}
    listing = Listing(a=stored, b={"colour": "red"}, c=stored, d={**stored, "colour": "blue"}, e={})
    async with EvilHost([serve(listing)]) as host:
        stage.register("p1", host.url, ("v2",))
        assert await stage.fetcher().matching(many("a", "b", "c", "d", "e"), (*RED, *TTL)) == {"a": stored, "c": stored}
    assert listing.asked == [
        "/v2/queues?marker=%60~&limit=5&detailed=true&_default_message_ttl=3600",
        "/v2/queues?marker=d~&limit=1&detailed=true&_default_message_ttl=3600",
    ]


async def test_what_filters_say_is_quoted_for_the_partition(stage: Stage) -> None:
    listing = Listing(a={"_dead_letter_queue": "x&y=z,\u00e9"})
    async with EvilHost([serve(listing)]) as host:
        stage.register("p1", host.url, ("v2",))
        filters = (("_dead_letter_queue", "x&y=z,\u00e9"),)
        assert list(await stage.fetcher().matching(many("a"), filters)) == ["a"]
    assert listing.asked[0].endswith("&_dead_letter_queue=x%26y%3Dz%2C%C3%A9")


# -- partitions that do not list from a marker -------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "path"), [("v1", "/v1/queues/{}/metadata"), ("v2", "/v2/queues/{}")])
async def test_where_listings_begin_anew_queues_are_asked_for_one_by_one(stage: Stage, version: str, path: str) -> None:
    listing = Listing("A", ignores_markers=True, a={"n": 1}, c={"n": 2})
    async with EvilHost([serve(listing)]) as host:
        stage.register("p1", host.url)
        assert await stage.fetcher(version).shown(many("a", "b", "c")) == {"a": {"n": 1}, "c": {"n": 2}}
        assert listing.asked[1:] == [path.format(name) for name in "abc"]
        listing.stored["A"] = {"_default_message_ttl": 3600}
        stage.register("p1", host.url, ("v2",))
        with pytest.raises(RequestRefused) as refused:
            await stage.fetcher().matching(many("c"), (("_default_message_ttl", 3600),))
        assert refused.value.status == 503


# -- trouble -----------------------------------------------------------------------------------------------------------

WRONG = {
    "an error": answer(500, b"{}"),
    "not found": answer(404, b""),
    "no JSON": answer(200, b"<html>"),
    "no metadata": answer(200, b'{"queues": [{"name": "q"}]}'),
    "metadata that is none": answer(200, b'{"queues": [{"name": "q", "metadata": []}]}'),
    "out of order": answer(200, b'{"queues": [{"name": "r"}, {"name": "q"}]}'),
    "no name of a queue": answer(200, b'{"queues": [{"name": "p~~"}]}'),
    "no name": answer(200, b'{"queues": [{"name": ["q"], "metadata": {}}]}'),
    "nothing": b"",
}


@pytest.mark.parametrize("reply", WRONG.values(), ids=WRONG)
async def test_a_page_that_cannot_be_whole_is_refused(stage: Stage, reply: bytes) -> None:
    script = [READ] if not reply else [ever(READ, say(reply))]
    async with EvilHost([serve(Listing("a"))]) as good, EvilHost(script) as bad:
        stage.register("p1", good.url)
        stage.register("partition-two", bad.url)
        with pytest.raises(RequestRefused) as refused:
            await stage.fetcher().shown([placed("a"), placed("q", "partition-two")])
    assert refused.value.status == 503
    assert refused.value.retry_after
    assert "because of q: The queue's partition did not answer properly" in refused.value.description
    assert "partition-two" not in refused.value.description


async def test_a_partition_that_is_down(stage: Stage) -> None:
    stage.register("p1", f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(RequestRefused, match="because of q: The queue's partition cannot be reached") as refused:
        await stage.fetcher().shown(many("q"))
    assert (refused.value.status, refused.value.retry_after) == (503, 5)
    await stage.left_nothing()


async def test_a_partition_that_is_not_registered(stage: Stage) -> None:
    with pytest.raises(RequestRefused, match="because of news: The queue's partition is not registered") as refused:
        await stage.fetcher().shown([placed("~news")])
    assert (refused.value.status, refused.value.retry_after) == (503, 30)


async def test_a_partition_that_is_busy(stage: Stage) -> None:
    async with EvilHost([serve(Listing("q"))]) as host:
        stage.register("p1", host.url, max_concurrency=0)
        with pytest.raises(RequestRefused, match="because of q: Too many calls") as refused:
            await stage.fetcher().shown(many("q"))
    assert refused.value.status == 503


@pytest.mark.parametrize(
    "stalls", [[READ, STALL], [READ, say(answer(200, b"x" * 99)[:-50]), STALL]], ids=["head", "body"]
)
async def test_a_partition_that_is_slow_takes_no_longer_than_the_page_may(stage: Stage, stalls: Any) -> None:
    names = [f"q{number:03}" for number in range(100)]
    async with EvilHost(stalls) as slow, EvilHost([serve(Listing("a"))]) as quick:
        stage.register("p1", slow.url)
        stage.register("p2", quick.url)
        with pytest.raises(RequestRefused, match="The queue's partition did not answer in time") as refused:
            # More than are asked at a time: those that wait for their turn end at the same time.
            await stage.fetcher(within=0.1).shown([placed("a", "p2"), *many(*names)])
        assert (refused.value.status, refused.value.retry_after) == (503, 5)
        await stage.left_nothing()


async def test_when_one_partition_fails_nothing_is_left_of_the_questions_to_others(stage: Stage) -> None:
    async with EvilHost([READ, STALL]) as slow, EvilHost([ever(READ, say(answer(500)))]) as broken:
        stage.register("p1", slow.url)
        stage.register("p2", broken.url)
        with pytest.raises(RequestRefused, match="because of z"):
            await stage.fetcher().shown([*many("a", "b"), placed("z", "p2")])
        await stage.left_nothing()


async def test_a_page_that_nobody_waits_for_leaves_nothing(stage: Stage) -> None:
    async with EvilHost([READ, STALL]) as host:
        upstream = stage.register("p1", host.url)
        asking = asyncio.ensure_future(stage.fetcher().shown(many("a")))
        await settled(lambda: host.requests)
        assert upstream._places.taken == 1
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await stage.left_nothing()
