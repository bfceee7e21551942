"""Locks: one process at a time holds a move, the walk or the audit, under a token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from catalog import Catalog
from catalog.errors import LockHeld, LockLost
from catalog.interface.lock import Lock
from catalog.model import AuditState, Holder, Walk
from tests.contract.examples import move

HOUR = 3600.0
# Where the lock is of the value, what its errors call it, and what is held.
KINDS: dict[str, tuple[Callable[[Catalog], Lock[Any]], Callable[[Catalog], Awaitable[Any]], str, Any]] = {
    "move": (lambda c: c.moves.lock("m-1"), lambda c: c.moves.get("m-1"), "move m-1", move("m-1")),
    "walk": (lambda c: c.statistics.walk, lambda c: c.statistics.walk.get(), "the walk of statistics", Walk()),
    "audit": (lambda c: c.audit, lambda c: c.audit.get(), "the audit", AuditState()),
}


class Ways(NamedTuple):
    """Two processes' ways to the same lock; ``read`` reads the value by the second."""

    ours: Lock[Any]
    theirs: Lock[Any]
    read: Callable[[], Awaitable[Any]]
    what: str
    value: Any

    async def holder(self) -> Holder:
        holder = (await self.read()).holder
        assert isinstance(holder, Holder)
        return holder


@pytest.fixture(params=KINDS)
async def ways(request: pytest.FixtureRequest, catalog: Catalog, other: Catalog) -> Ways:
    await catalog.moves.insert(move("m-1"))
    lock, read, what, value = KINDS[request.param]
    return Ways(lock(catalog), lock(other), lambda: read(other), what, value)


async def acquire(lock: Lock[Any], holder: str = "one", over: Holder | None = None) -> int:
    """Acquire the lock for an hour; return the token."""
    value = await lock.acquire(holder, HOUR, over=over)
    assert (value.holder.name, value.holder.beat, value.holder.seconds) == (holder, 0, HOUR)
    return int(value.holder.token)


async def test_one_holds_it(ways: Ways) -> None:
    assert (await ways.read()).holder is None
    value = await ways.ours.acquire("one", HOUR)
    assert value == ways.value
    assert value.holder == Holder("one", value.holder.token, 0, HOUR)
    assert await ways.holder() == value.holder
    with pytest.raises(LockHeld, match=f"{ways.what} is held by one") as held:
        await ways.theirs.acquire("two", HOUR)
    assert (held.value.what, held.value.holder) == (ways.what, value.holder)


async def test_tokens_grow_whoever_acquires_it_and_however_it_ended(ways: Ways) -> None:
    tokens = [await acquire(ways.ours)]
    tokens.append(await acquire(ways.theirs))  # a repeated write
    await ways.ours.release(tokens[-1])
    tokens.append(await acquire(ways.theirs, "two"))
    tokens.append(await acquire(ways.ours, "one", await ways.holder()))
    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize("end", ["never held", "released", "taken over", "acquired again"])
async def test_a_lock_that_was_lost_is_not_renewed(ways: Ways, end: str) -> None:
    lost = 1
    if end != "never held":
        lost = await acquire(ways.ours)
    if end == "released":
        await ways.ours.release(lost)
    elif end == "taken over":
        await acquire(ways.theirs, "two", await ways.holder())
    elif end == "acquired again":
        await acquire(ways.theirs)
    before = (await ways.read()).holder
    with pytest.raises(LockLost, match=f"{ways.what} is not held under token {lost} any more") as refused:
        await ways.ours.renew(lost, HOUR)
    assert (refused.value.what, refused.value.token) == (ways.what, lost)
    await ways.ours.release(lost)
    await ways.ours.release(lost)
    after = await ways.read()
    assert (after, after.holder) == (ways.value, before)
    assert (before is None) == (end in ("never held", "released"))


async def test_each_renewal_shows_and_promises_anew(ways: Ways) -> None:
    token = await acquire(ways.ours)
    for beat in (1, 2, 3):
        await ways.ours.renew(token, HOUR + beat)
        assert await ways.holder() == Holder("one", token, beat, HOUR + beat)
    assert await ways.read() == ways.value
    # Another acquisition begins anew to count.
    again = await acquire(ways.theirs)
    assert await ways.holder() == Holder("one", again, 0, HOUR)


async def test_a_lock_does_not_end_by_itself(ways: Ways) -> None:
    """The seconds are a promise to watchers; no clock of the store is read."""
    value = await ways.ours.acquire("one", 0.0)
    await ways.ours.renew(value.holder.token, 0.0)
    with pytest.raises(LockHeld):
        await ways.theirs.acquire("two", HOUR)
    assert (await ways.holder()).name == "one"


async def test_a_holder_that_was_watched_is_taken_over(ways: Ways) -> None:
    first = await acquire(ways.ours)
    await ways.ours.renew(first, HOUR)
    second = await acquire(ways.theirs, "two", await ways.holder())
    assert second > first
    assert await ways.holder() == Holder("two", second, 0, HOUR)


@pytest.mark.parametrize("news", ["renewed", "acquired by another", "acquired again"])
async def test_a_holder_is_not_taken_over_by_an_old_reading(ways: Ways, news: str) -> None:
    token = await acquire(ways.ours)
    watched = await ways.holder()
    if news == "renewed":
        await ways.ours.renew(token, HOUR)
    elif news == "acquired by another":
        await acquire(ways.theirs, "three", watched)
    else:
        await acquire(ways.ours)
    now = await ways.holder()
    with pytest.raises(LockHeld) as refused:
        await ways.theirs.acquire("two", HOUR, over=watched)
    assert refused.value.holder == now == await ways.holder()


async def test_a_lock_that_was_released_is_acquired_whatever_was_watched(ways: Ways) -> None:
    token = await acquire(ways.ours)
    watched = await ways.holder()
    await ways.ours.release(token)
    assert await acquire(ways.theirs, "two", watched) > token


@pytest.mark.parametrize("held", [False, True], ids=["free", "watched"])
async def test_of_many_who_acquire_it_at_once_one_has_it(ways: Ways, held: bool) -> None:
    if held:
        await acquire(ways.ours)
    watched = await ways.holder() if held else None
    answers = await asyncio.gather(
        *((ways.ours, ways.theirs)[n % 2].acquire(f"mover-{n}", HOUR, over=watched) for n in range(20)),
        return_exceptions=True,
    )
    refusals = [answer for answer in answers if isinstance(answer, LockHeld)]
    assert len(refusals) == 19
    [acquired] = [answer for answer in answers if not isinstance(answer, LockHeld)]
    assert not isinstance(acquired, BaseException)
    assert acquired.holder == await ways.holder()
    assert {refusal.holder.name for refusal in refusals} == {acquired.holder.name}


@pytest.mark.parametrize("end", ["released", "taken over"])
@pytest.mark.parametrize("kind", ["walk", "audit"])
async def test_a_holder_that_lost_it_saves_nothing(catalog: Catalog, other: Catalog, kind: str, end: str) -> None:
    ours, theirs = (one.audit if kind == "audit" else one.statistics.walk for one in (catalog, other))
    found: Any = AuditState(begun=1.5, ended=2.5) if kind == "audit" else Walk(begun=1.5)
    lost = await acquire(ours)
    await ours.save(found, lost, HOUR)
    assert (await theirs.get()).holder == Holder("one", lost, 1, HOUR)  # that renewed it
    if end == "released":
        await ours.release(lost)
    else:
        await acquire(theirs, "two", (await theirs.get()).holder)
    with pytest.raises(LockLost):
        await ours.save(type(found)(), lost, HOUR)
    assert await theirs.get() == found
