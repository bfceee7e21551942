"""The audit in the background: the findings of its last round, and its lock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog import Catalog
from catalog.errors import LockHeld, LockLost
from catalog.model import AuditState, Tenant, Walk
from tests.contract.examples import Feed

FOUND = AuditState(
    begun=1.5,
    ended=2.5,
    since=3.5,
    queues=2**40,
    changed=2,
    skipped=3,
    findings={"ghost": 1, "foreign-writer": 7},
    unreachable={"north.1": "it does not answer: $set", "south": "a.b"},
)


async def taken(catalog: Catalog, holder: str = "mover", seconds: float = 60.0) -> int:
    audit = await catalog.audit.acquire(holder, seconds)
    assert audit.holder is not None
    assert audit.holder.name == holder
    return audit.holder.token


async def test_there_is_none_at_first(catalog: Catalog) -> None:
    assert await catalog.audit.get() == AuditState()
    assert (await catalog.audit.get()).holder is None


async def test_it_is_saved_by_who_holds_it(catalog: Catalog, other: Catalog) -> None:
    token = await taken(catalog)
    await catalog.audit.save(FOUND, token, 60.0)
    found = await other.audit.get()
    assert found == FOUND
    assert found.holder is not None
    assert found.holder.name == "mover"
    with pytest.raises(LockHeld) as held:
        await other.audit.acquire("other", 60.0)
    assert held.value.holder.name == "mover"
    await catalog.audit.release(token)
    await catalog.audit.release(token)
    assert (await other.audit.get()).holder is None
    with pytest.raises(LockLost):
        await catalog.audit.save(AuditState(), token, 60.0)
    assert await taken(other, "other") > token
    assert await other.audit.get() == FOUND


async def test_it_and_the_walk_are_two(catalog: Catalog, other: Catalog) -> None:
    token = await taken(catalog)
    walk = await other.statistics.walk.acquire("other", 60.0)
    assert walk.holder is not None
    await catalog.audit.save(FOUND, token, 60.0)
    await other.statistics.walk.save(Walk(begun=7.0), walk.holder.token, 60.0)
    await other.statistics.walk.release(walk.holder.token)
    found = await catalog.audit.get()
    assert found == FOUND
    assert found.holder is not None
    assert await catalog.statistics.walk.get() == Walk(begun=7.0)


async def test_the_feed_shows_nothing_of_it(catalog: Catalog, other: Catalog) -> None:
    async with Feed(other) as feed:
        await catalog.audit.save(FOUND, await taken(catalog), 60.0)
        await catalog.tenants.put(Tenant("z"))
        await feed.until(lambda: bool(feed.changes))
        assert [change.name for change in feed.changes] == [("z",)]


@pytest.mark.parametrize(
    ("stored_name", "wrong"),
    [
        ("queues", {"queues": -1}),
        ("untold", {"skipped": 1.5}),
        ("ended", {"ended": "now"}),
        ("findings", {"findings": {"ghost": -1}}),
        ("unseen", {"unreachable": {"": "why"}}),
    ],
)
def test_what_cannot_be(stored_name: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=stored_name):
        replace(FOUND, **wrong)  # type: ignore[arg-type]
