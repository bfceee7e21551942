"""The audit in the background: what its last round found, and who is at it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog import Catalog
from catalog.errors import AuditHeld, AuditNotHeld
from catalog.model import Audit, Holder, Tenant, Walk
from tests.contract.examples import Feed

FOUND = Audit(
    begun=1.5,
    ended=2.5,
    since=3.5,
    queues=2**40,
    changed=2,
    untold=3,
    findings={"ghost": 1, "foreign-writer": 7},
    unseen={"north.1": "it does not answer: $set", "south": "a.b"},
)


async def taken(catalog: Catalog, holder: str = "mover", seconds: float = 60.0) -> int:
    audit = await catalog.take_audit(holder, seconds)
    assert audit.holder is not None
    assert audit.holder.name == holder
    return audit.holder.token


async def test_there_is_none_at_first(catalog: Catalog) -> None:
    assert await catalog.get_audit() == Audit()
    assert (await catalog.get_audit()).holder is None


async def test_it_is_saved_by_who_holds_it(catalog: Catalog, other: Catalog) -> None:
    token = await taken(catalog)
    await catalog.save_audit(FOUND, token, 60.0)
    found = await other.get_audit()
    assert found == FOUND
    assert found.holder is not None
    assert found.holder.name == "mover"
    with pytest.raises(AuditHeld) as held:
        await other.take_audit("other", 60.0)
    assert held.value.holder.name == "mover"
    await catalog.release_audit(token)
    await catalog.release_audit(token)
    assert (await other.get_audit()).holder is None
    with pytest.raises(AuditNotHeld):
        await catalog.save_audit(Audit(), token, 60.0)
    assert await taken(other, "other") > token
    assert await other.get_audit() == FOUND


async def test_who_is_taken_over_saves_nothing(catalog: Catalog, other: Catalog) -> None:
    before = await taken(catalog)
    token = await taken(other)
    with pytest.raises(AuditNotHeld):
        await catalog.save_audit(FOUND, before, 60.0)
    await catalog.release_audit(before)
    await other.save_audit(FOUND, token, 60.0)
    assert await catalog.get_audit() == FOUND


async def test_who_was_watched_without_a_renewal_is_taken_over(catalog: Catalog, other: Catalog) -> None:
    before = await taken(catalog, "first", 0.0)
    watched = (await other.get_audit()).holder
    assert watched == Holder("first", before, 0, 0.0)
    await catalog.save_audit(FOUND, before, 0.0)  # which renews it
    renewed = (await other.get_audit()).holder
    assert renewed == Holder("first", before, 1, 0.0)
    with pytest.raises(AuditHeld) as held:
        await other.take_audit("second", 60.0, over=watched)
    assert held.value.holder == renewed
    with pytest.raises(AuditHeld):
        await other.take_audit("second", 60.0)  # a hold does not end by itself
    after = await other.take_audit("second", 60.0, over=renewed)
    assert after == FOUND
    assert after.holder is not None
    assert after.holder.token > before
    with pytest.raises(AuditNotHeld):
        await catalog.save_audit(FOUND, before, 60.0)
    with pytest.raises(AuditHeld):
        await catalog.take_audit("third", 60.0, over=renewed)


async def test_it_and_the_walk_are_two(catalog: Catalog, other: Catalog) -> None:
    token = await taken(catalog)
    walk = await other.take_walk("other", 60.0)
    assert walk.holder is not None
    await catalog.save_audit(FOUND, token, 60.0)
    await other.save_walk(Walk(begun=7.0), walk.holder.token, 60.0)
    await other.release_walk(walk.holder.token)
    found = await catalog.get_audit()
    assert found == FOUND
    assert found.holder is not None
    assert await catalog.get_walk() == Walk(begun=7.0)


async def test_the_feed_shows_nothing_of_it(catalog: Catalog, other: Catalog) -> None:
    async with Feed(other) as feed:
        await catalog.save_audit(FOUND, await taken(catalog), 60.0)
        await catalog.put_tenant(Tenant("z"))
        await feed.until(lambda: bool(feed.changes))
        assert [change.name for change in feed.changes] == [("z",)]


@pytest.mark.parametrize(
    "wrong",
    [{"queues": -1}, {"untold": 1.5}, {"ended": "now"}, {"findings": {"ghost": -1}}, {"unseen": {"": "why"}}],
)
def test_what_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(FOUND, **wrong)  # type: ignore[arg-type]
