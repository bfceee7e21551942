"""Fences of the partition's stores: which writes a queue refuses from the moment on at which it was closed to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from partition.errors import QueueClosed, QueueMissing
from partition.model.queue import MARKED_LIVES, Epoch, Kind, QueueKey
from partition.storage.interface import Storage
from tests.contract.partition_stores import CLIENT, DRIVERS, KEY, FakeClock, forget, opened, some

LIFE = "8c1fd0a2"
CLOSED = Epoch(LIFE, 7)
BEFORE = Epoch(LIFE, 5)


@pytest.fixture(params=DRIVERS)
def driver(request, tmp_path) -> Iterator[str]:
    where = str(request.getfixturevalue("mongodb_uri")) if request.param == "mongodb" else request.param
    yield where
    forget(where, tmp_path)


@pytest.fixture
async def storage(driver, tmp_path) -> AsyncIterator[Storage]:
    async with opened(driver, tmp_path, FakeClock()) as storage:
        yield storage
        assert await storage.check() == []


@pytest.fixture
async def closed(storage) -> Storage:
    await storage.create_queue(KEY, {"a": 1})
    await storage.post(KEY, some("before"), CLIENT, None, BEFORE)
    await storage.fence(KEY, CLOSED)
    return storage


async def post(storage: Storage, epoch: Epoch | None, key: QueueKey = KEY) -> None:
    await storage.post(key, some(1), CLIENT, None, epoch)


async def total(storage: Storage) -> int:
    return (await storage.stats(KEY)).total


@pytest.mark.parametrize("epoch", [BEFORE, Epoch(LIFE, 6), None])
async def test_posts_of_earlier_epochs_and_of_none_are_refused(closed, epoch):
    with pytest.raises(QueueClosed) as refused:
        await post(closed, epoch)
    assert refused.value.number == 7
    assert await total(closed) == 1


@pytest.mark.parametrize("epoch", [CLOSED, Epoch(LIFE, 8), Epoch("another", 1), Epoch("", 1)])
async def test_posts_of_later_epochs_and_of_other_lives_are_let_in(closed, epoch):
    await post(closed, epoch)
    assert await total(closed) == 2


async def test_refusals_name_the_mark_although_the_version_is_wrong_too(closed):
    with pytest.raises(QueueClosed):
        await closed.post(KEY, some(1), CLIENT, "1.99", BEFORE)


async def test_an_aborted_seal_needs_no_clearing_up(closed):
    """The epoch grows with the end of the seal: what is looked up anew is let in, what was looked up before is not."""
    await post(closed, Epoch(LIFE, 7))
    with pytest.raises(QueueClosed):
        await post(closed, BEFORE)
    # Writes have come back, so those that know nothing of epochs may too.
    await post(closed, None)
    assert await total(closed) == 3


async def test_the_mark_only_grows(closed):
    await closed.fence(KEY, Epoch(LIFE, 3))
    with pytest.raises(QueueClosed) as refused:
        await post(closed, Epoch(LIFE, 6))
    assert refused.value.number == 7
    await closed.fence(KEY, Epoch(LIFE, 9))
    with pytest.raises(QueueClosed) as refused:
        await post(closed, Epoch(LIFE, 8))
    assert refused.value.number == 9


async def test_a_late_mark_does_not_shut_a_queue_that_took_writes_since(closed):
    await post(closed, Epoch(LIFE, 9))
    before = await total(closed)
    await closed.fence(KEY, CLOSED)
    await post(closed, None)
    assert await total(closed) == before + 1


async def test_changes_of_metadata_are_refused_by_their_epoch(closed):
    for refused in (
        lambda: closed.create_queue(KEY, {}, BEFORE),
        lambda: closed.replace_metadata(KEY, {"a": 2}, None, BEFORE),
        lambda: closed.replace_metadata(KEY, {"a": 2}, "1.99", BEFORE),
    ):
        with pytest.raises(QueueClosed):
            await refused()
    assert (await closed.get_queue(KEY)).metadata == {"a": 1}
    # The operator's tools and the mover send none.
    assert not await closed.create_queue(KEY, {})
    await closed.replace_metadata(KEY, {"a": 3})
    await closed.replace_metadata(KEY, {"a": 4}, None, CLOSED)


async def test_consumers_empty_a_closed_queue(closed):
    assert len(await closed.pop(KEY, 5)) == 1
    await closed.purge(KEY)
    assert await total(closed) == 0


async def test_a_mark_stays_when_its_queue_is_deleted(closed):
    await closed.delete_queue(KEY)
    assert await closed.get_queue(KEY) is None
    assert await closed.inventory(None, 10) == []
    for _ in range(3):
        await closed.sweep()
    for refused in (post(closed, BEFORE), closed.create_queue(KEY, {}, BEFORE)):
        with pytest.raises(QueueClosed):
            await refused
    # Nothing is left of what was in it.
    assert await closed.create_queue(KEY, {}, Epoch("another", 1))
    assert await total(closed) == 0


async def test_a_queue_that_was_deleted_and_created_again_takes_posts(closed):
    """Its epochs begin at 1 again, in another life."""
    await closed.delete_queue(KEY)
    with pytest.raises(QueueMissing):
        await post(closed, None)
    await closed.create_queue(KEY, {}, Epoch("another", 1))
    await post(closed, Epoch("another", 1))
    await post(closed, None)
    with pytest.raises(QueueClosed):
        await post(closed, BEFORE)
    await closed.fence(KEY, Epoch("another", 4))
    for refused in (Epoch("another", 3), BEFORE):
        with pytest.raises(QueueClosed):
            await post(closed, refused)
    assert await total(closed) == 2


async def test_what_is_not_there_can_be_closed(storage):
    await storage.fence(KEY, CLOSED)
    assert await storage.get_queue(KEY) is None
    assert await storage.inventory(None, 10) == []
    with pytest.raises(QueueClosed):
        await post(storage, BEFORE)
    with pytest.raises(QueueClosed):
        await storage.create_queue(KEY, {}, BEFORE)
    assert await storage.create_queue(KEY, {"b": 1}, CLOSED)
    await post(storage, CLOSED)
    assert (await storage.get_queue(KEY)).metadata == {"b": 1}


async def test_other_queues_are_not_closed(closed):
    for key in (QueueKey("p", "other"), QueueKey("q", "orders"), QueueKey("p", "orders", Kind.TOPIC)):
        await closed.create_queue(key, {}, BEFORE)
        await post(closed, BEFORE, key)
        await post(closed, None, key)
        assert (await closed.stats(key)).total == 2


async def test_marks_of_the_last_lives_are_kept(closed):
    for n in range(MARKED_LIVES):
        await closed.fence(KEY, Epoch(f"life-{n}", 3))
    await post(closed, BEFORE)
    for n in range(MARKED_LIVES):
        with pytest.raises(QueueClosed):
            await post(closed, Epoch(f"life-{n}", 2))


async def test_marks_are_there_after_opening_again(closed, driver, tmp_path):
    async with opened(driver, tmp_path, FakeClock()) as other:
        assert other.identity == closed.identity
        for epoch in (BEFORE, None):
            with pytest.raises(QueueClosed):
                await post(other, epoch)


async def test_reopening(closed):
    await closed.fence(QueueKey("p", "other"), CLOSED)
    assert await closed.reopen() == 2
    assert await closed.reopen() == 0
    await post(closed, BEFORE)
    await post(closed, None)


async def test_no_post_is_acknowledged_that_is_stored_after_the_mark(storage, driver, tmp_path):
    """Posts and a mark cross, through two that have the store open: what is there when the mark is set is all."""
    await storage.create_queue(KEY, {})
    acknowledged = 0
    some_were = asyncio.Event()

    async def keep_posting(through: Storage) -> None:
        nonlocal acknowledged
        while True:
            try:
                await post(through, BEFORE)
            except QueueClosed:
                return
            acknowledged += 1
            if acknowledged == 10:
                some_were.set()
            await asyncio.sleep(0)

    async with opened(driver, tmp_path, FakeClock()) as other:
        posting = [asyncio.create_task(keep_posting(one)) for one in (storage, other) * 3]
        await some_were.wait()
        await storage.fence(KEY, CLOSED)
        seen = await total(storage)
        await asyncio.gather(*posting)
        assert await total(storage) == seen
        assert acknowledged == seen
