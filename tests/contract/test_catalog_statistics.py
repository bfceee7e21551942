"""Statistics, and the walk that makes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog import Catalog
from catalog.errors import LockHeld, LockLost
from catalog.model import QueueKey, StatisticsSubject, SubjectStatistics, Tenant, Walk
from tests.contract.examples import Feed

PARTITION, PROJECT = StatisticsSubject


def project(name: str, queues: int = 1, **others: float) -> SubjectStatistics:
    return SubjectStatistics(PROJECT, name, queues, begun=1.5, ended=2.5, **others)  # type: ignore[arg-type]


def partition(name: str, queues: int = 1) -> SubjectStatistics:
    return SubjectStatistics(
        PARTITION, name, queues, free=2**40, claimed=3, oldest=1.7e9 + 0.5, unknown=1, begun=1, ended=2
    )


async def names(catalog: Catalog, subject: StatisticsSubject = PROJECT) -> list[str]:
    return [found.name for found in await catalog.statistics.find(subject, limit=1000)]


async def test_there_are_none_at_first(catalog: Catalog) -> None:
    assert await catalog.statistics.get(PROJECT, "project") is None
    assert await catalog.statistics.find(PARTITION, limit=10) == []
    assert await catalog.statistics.walk.get() == Walk()
    assert (await catalog.statistics.walk.get()).holder is None


@pytest.mark.parametrize("name", ["", "project", "a/b c", "\xe9\xff", "$set", "partition"])
async def test_what_was_put_is_there(catalog: Catalog, other: Catalog, name: str) -> None:
    first, second = project(name, 5, free=7, claimed=2, oldest=1.7e9, unknown=1), project(name, 6)
    await catalog.statistics.put(PROJECT, [first], since="", until=None)
    assert await other.statistics.get(PROJECT, name) == first
    assert await other.statistics.find(PROJECT, limit=10) == [first]
    assert await other.statistics.get(PARTITION, name) is None
    assert await other.statistics.find(PARTITION, limit=10) == []
    await other.statistics.put(PROJECT, [second], since="", until=None)
    await other.statistics.put(PROJECT, [second], since="", until=None)
    assert await catalog.statistics.find(PROJECT, limit=10) == [second]


async def test_of_a_range_what_was_not_found_again_is_forgotten(catalog: Catalog) -> None:
    await catalog.statistics.put(PROJECT, [project(name) for name in ("", "a", "b", "c", "d")], since="", until=None)
    await catalog.statistics.put(PARTITION, [partition("b")], since="", until=None)
    await catalog.statistics.put(PROJECT, [project("bb")], since="b", until="d")
    assert await names(catalog) == ["", "a", "bb", "d"]
    await catalog.statistics.put(PROJECT, [], since="bb", until=None)
    assert await names(catalog) == ["", "a"]
    await catalog.statistics.put(PROJECT, [], since="", until="a")
    assert await names(catalog) == ["a"]
    await catalog.statistics.put(PARTITION, [], since="a", until="b")
    assert await catalog.statistics.find(PARTITION, limit=10) == [partition("b")]


async def test_they_are_listed_by_name_in_pages(catalog: Catalog) -> None:
    wanted = ["", "A", "a", "a-", "a0", "b", "~", "\xe9"]
    await catalog.statistics.put(PROJECT, [project(name) for name in wanted], since="", until=None)
    found: list[str] = []
    after = None
    while page := await catalog.statistics.find(PROJECT, after=after, limit=3):
        assert len(page) <= 3
        found += [one.name for one in page]
        after = found[-1]
    assert found == sorted(wanted) == wanted
    assert await catalog.statistics.find(PROJECT, limit=0) == []


async def test_more_than_fit_into_one_message(catalog: Catalog) -> None:
    many = [project(f"project-{n:05}", n) for n in range(2500)]
    await catalog.statistics.put(PROJECT, many, since="", until=None)
    assert await catalog.statistics.find(PROJECT, limit=10_000) == many


# -- the walk ----------------------------------------------------------------------------------------------------------

AT = Walk(
    begun=1.5,
    after=QueueKey("", "~$topic"),
    partitions=(partition("p1"), partition("p2", 7)),
    project=project("", 3),
)


async def taken(catalog: Catalog, holder: str = "mover", seconds: float = 60.0) -> int:
    walk = await catalog.statistics.walk.acquire(holder, seconds)
    assert walk.holder is not None
    assert walk.holder.name == holder
    return walk.holder.token


async def test_a_walk_is_saved_by_who_holds_it(catalog: Catalog, other: Catalog) -> None:
    token = await taken(catalog)
    await catalog.statistics.walk.save(AT, token, 60)
    found = await other.statistics.walk.get()
    assert found == AT
    assert found.holder is not None
    assert found.holder.name == "mover"
    with pytest.raises(LockHeld, match="by mover") as held:
        await other.statistics.walk.acquire("another", 60)
    assert held.value.holder.token == token
    done = replace(AT, ended=3.5, after=QueueKey("project", "queue"), project=None, partitions=())
    await catalog.statistics.walk.save(done, token, 60)
    await catalog.statistics.walk.save(done, token, 60)
    await catalog.statistics.walk.release(token)
    await catalog.statistics.walk.release(token)
    found = await other.statistics.walk.get()
    assert found == done
    assert found.holder is None
    with pytest.raises(LockLost):
        await catalog.statistics.walk.save(AT, token, 60)
    assert await catalog.statistics.walk.get() == done


async def test_the_feed_shows_nothing_of_it(catalog: Catalog, other: Catalog) -> None:
    async with Feed(other) as feed:
        token = await taken(catalog)
        await catalog.statistics.walk.save(AT, token, 60)
        await catalog.statistics.put(PROJECT, [project("a")], since="", until=None)
        await catalog.tenants.put(Tenant("z"))
        await feed.until(lambda: bool(feed.changes))
        assert [change.name for change in feed.changes] == [("z",)]
