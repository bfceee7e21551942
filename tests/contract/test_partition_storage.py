"""The contract of every storage driver of the partition (``partition/storage/interface.py``, API section 6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from partition.errors import ClaimMissing, QueueChanged, QueueMissing, SubscriberTaken, SubscriptionMissing
from partition.model.message import Deletion, Lease, MessageQuery
from partition.model.queue import NO_PROJECT, Kind, QueueKey, QueueQuery
from partition.model.subscription import NewSubscription, SubscriptionChange
from partition.storage.interface import Storage
from tests.contract.partition_stores import CLIENT, DRIVERS, KEY, LEASE, OTHER, START, FakeClock, forget, opened, some


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=DRIVERS)
def driver(request, tmp_path) -> Iterator[str]:
    """Where the stores of this driver are: see ``uri_of``."""
    where = str(request.getfixturevalue("mongodb_uri")) if request.param == "mongodb" else request.param
    yield where
    forget(where, tmp_path)


@pytest.fixture
async def storage(driver, tmp_path, clock) -> AsyncIterator[Storage]:
    async with opened(driver, tmp_path, clock) as storage:
        yield storage
        assert await storage.check() == []


@pytest.fixture
async def queue(storage) -> QueueKey:
    await storage.create_queue(KEY, {})
    return KEY


async def listed(storage: Storage, key: QueueKey = KEY, **query: object) -> list[str]:
    """Return the bodies of a page, by default with claimed and delayed messages."""
    asked = {"limit": 20, "include_claimed": True, "include_delayed": True} | query
    page, _ = await storage.list_messages(key, MessageQuery(**asked))
    return [message.body for message in page]


async def bodies(storage: Storage, limit: int = 20, lease: Lease = LEASE) -> list[str]:
    """The bodies that a claim gets."""
    claim = await storage.claim(KEY, lease, limit)
    return [] if claim is None else [message.body for message in claim.messages]


# Queues


async def test_a_queue_is_made_once_and_keeps_its_metadata(storage):
    assert await storage.get_queue(KEY) is None
    assert await storage.create_queue(KEY, {"ключ": [1, None]})
    assert not await storage.create_queue(KEY, {"other": 1})
    found = await storage.get_queue(KEY)
    assert found is not None
    assert (found.name, found.metadata) == ("orders", {"ключ": [1, None]})


async def test_metadata_is_replaced_only_as_it_was_judged(storage, queue):
    before = await storage.get_queue(queue)
    await storage.replace_metadata(queue, {"a": 1}, before.version)
    with pytest.raises(QueueChanged):
        await storage.replace_metadata(queue, {"a": 2}, before.version)
    await storage.replace_metadata(queue, {"a": 3})
    assert (await storage.get_queue(queue)).metadata == {"a": 3}
    with pytest.raises(QueueMissing):
        await storage.replace_metadata(QueueKey("p", "none"), {})


async def test_namespaces_know_nothing_of_each_other(storage):
    keys = [KEY, QueueKey("q", "orders"), QueueKey(NO_PROJECT, "orders"), QueueKey("p", "orders", Kind.TOPIC)]
    for number, key in enumerate(keys):
        assert await storage.create_queue(key, {"n": number})
        await storage.post(key, some(number), CLIENT)
    for number, key in enumerate(keys):
        assert (await storage.get_queue(key)).metadata == {"n": number}
        assert await listed(storage, key) == [str(number)]
    ids = [message.id for message in (await storage.list_messages(KEY, MessageQuery()))[0]]
    assert await storage.get_messages(keys[1], ids) == []
    await storage.delete_queue(KEY)
    assert await storage.get_queue(KEY) is None
    assert await storage.get_queue(keys[1]) is not None


async def test_queues_are_listed_by_the_bytes_of_their_names(storage):
    for name in ("beta", "Zed", "_under", "a.dot", "a-dash", "alpha"):
        await storage.create_queue(QueueKey("p", name), {})
    await storage.create_queue(QueueKey("q", "elsewhere"), {})
    await storage.create_queue(QueueKey("p", "topic", Kind.TOPIC), {})

    async def page(after: str, limit: int) -> list[str]:
        found = await storage.list_queues(QueueQuery("p", Kind.QUEUE, limit, after))
        return [queue.name for queue in found]

    assert await page("", 20) == ["Zed", "_under", "a-dash", "a.dot", "alpha", "beta"]
    assert await page("_under", 2) == ["a-dash", "a.dot"]
    assert await page("b", 20) == ["beta"]
    assert await page("zzz", 20) == []
    assert await storage.count_queues("p", Kind.QUEUE) == 6
    assert await storage.count_queues("nobody", Kind.QUEUE) == 0


async def test_the_inventory_is_of_all_projects_and_in_the_order_of_bytes(storage):
    wanted = [
        QueueKey(NO_PROJECT, "b"),
        QueueKey(NO_PROJECT, "a", Kind.TOPIC),
        QueueKey(" p", "z"),
        QueueKey("P", "a"),
        QueueKey("p", "Z"),
        QueueKey("p", "_"),
        QueueKey("p", "a"),
        QueueKey("p", "A", Kind.TOPIC),
        QueueKey("p", "a", Kind.TOPIC),
        QueueKey("p-", "a"),
        QueueKey("p/a", "a", Kind.TOPIC),
        QueueKey("p~", "a"),
        QueueKey("\xc3\xa9", "a"),
    ]
    for number, key in enumerate(reversed(wanted)):
        await storage.create_queue(key, {"n": number})
    found = await storage.inventory(None, 20)
    assert [key for key, _ in found] == wanted
    assert [queue.metadata["n"] for _, queue in found] == list(reversed(range(len(wanted))))
    for limit in (1, 2, 5):
        pages: list[QueueKey] = []
        while page := await storage.inventory(pages[-1] if pages else None, limit):
            assert len(page) <= limit
            pages += [key for key, _ in page]
        assert pages == wanted
    # A marker need not be there.
    assert [key for key, _ in await storage.inventory(QueueKey("P", "b"), 1)] == [QueueKey("p", "Z")]
    assert [key for key, _ in await storage.inventory(QueueKey("p", "0", Kind.TOPIC), 1)] == [wanted[7]]


async def test_the_inventory_leaves_out_what_only_dead_letters_brought_about(storage, clock):
    await storage.create_queue(KEY, {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    await storage.post(KEY, some(1), CLIENT)
    await storage.claim(KEY, LEASE, 1)
    clock.passes(61)
    assert await storage.claim(KEY, LEASE, 1) is None
    assert [key for key, _ in await storage.inventory(None, 10)] == [KEY]
    await storage.create_queue(QueueKey("p", "dead"), {})
    assert [key.name for key, _ in await storage.inventory(None, 10)] == ["dead", "orders"]


async def test_listings_are_filtered_by_stored_metadata(storage):
    for name, metadata in {
        "alpha": {"colour": "red", "n": 3},
        "alphabet": {"colour": "blue", "n": 3, "text": "3"},
        "beta": {"colour": "red", "on": True},
    }.items():
        await storage.create_queue(QueueKey("p", name), metadata)

    async def page(name_part: str = "", *filters: tuple[str, int | str]) -> list[str]:
        query = QueueQuery("p", Kind.QUEUE, 20, name_part=name_part, filters=filters)
        return [queue.name for queue in await storage.list_queues(query)]

    assert await page("lph") == ["alpha", "alphabet"]
    assert await page("", ("colour", "red")) == ["alpha", "beta"]
    assert await page("a", ("colour", "red"), ("n", 3)) == ["alpha"]
    assert await page("", ("text", 3)) == []
    assert await page("", ("on", 1)) == []


# Messages


async def test_posts_need_their_queue(storage):
    with pytest.raises(QueueMissing):
        await storage.post(KEY, some(1), CLIENT)


async def test_posts_are_judged_by_the_queue_they_go_to(storage, queue):
    before = (await storage.get_queue(queue)).version
    await storage.post(queue, some(1), CLIENT, before)
    await storage.replace_metadata(queue, {"a": 1})
    with pytest.raises(QueueChanged):
        await storage.post(queue, some(2), CLIENT, before)
    after = (await storage.get_queue(queue)).version
    await storage.delete_queue(queue)
    with pytest.raises(QueueChanged):
        await storage.post(queue, some(2), CLIENT, after)
    await storage.create_queue(queue, {"a": 1})
    with pytest.raises(QueueChanged):
        await storage.post(queue, some(2), CLIENT, after)
    assert await listed(storage) == []


async def test_pages_follow_markers_and_miss_nothing(storage, queue):
    await storage.post(queue, some(*range(5)), CLIENT)
    first, found = await storage.list_messages(queue, MessageQuery(limit=2))
    assert [message.body for message in first] == ["0", "1"]
    assert found is not None
    assert found.name == "orders"
    await storage.delete_message(queue, first[1].id, None)
    await storage.post(queue, some(5), CLIENT)
    assert await listed(storage, marker=first[1].marker) == ["2", "3", "4", "5"]
    assert await listed(storage, marker="99") == []
    assert await listed(storage, marker="no-marker") == []
    assert await storage.list_messages(QueueKey("p", "none"), MessageQuery()) == ([], None)


async def test_echo_is_by_client(storage, queue):
    await storage.post(queue, some("mine"), CLIENT)
    await storage.post(queue, some("theirs"), OTHER)
    assert await listed(storage, hidden_from=CLIENT) == ["theirs"]
    assert await listed(storage, hidden_from=OTHER) == ["mine"]
    assert await listed(storage) == ["mine", "theirs"]


async def test_messages_are_found_by_their_identifiers(storage, queue):
    ids = await storage.post(queue, some('{"é": 1}', "null", ttl=120), CLIENT)
    assert len(set(ids)) == 2
    second, first = await storage.get_messages(queue, [ids[1], "f" * 24, "junk", ids[0], ids[1]])
    assert (first.id, first.ttl, first.age, first.body, first.claim_id) == (ids[0], 120, 0, '{"é": 1}', None)
    assert second.id == ids[1]
    assert await storage.get_messages(QueueKey("p", "none"), ids) == []


async def test_messages_end_at_their_ttl_and_not_before(storage, queue, clock):
    clock.passes(0.7)
    ids = await storage.post(queue, some(1, ttl=60), CLIENT)
    clock.passes(59.999)
    (message,) = await storage.get_messages(queue, ids)
    assert message.age == 59
    clock.passes(0.001)
    assert await storage.get_messages(queue, ids) == []
    assert await listed(storage) == []
    assert await bodies(storage) == []
    assert await storage.pop(queue, 20) == []
    assert await storage.delete_message(queue, ids[0], "junk") is Deletion.DONE
    stats = await storage.stats(queue)
    assert (stats.total, stats.oldest) == (0, None)


async def test_a_clock_that_goes_back_makes_no_negative_age(storage, queue, clock):
    ids = await storage.post(queue, some(1), CLIENT)
    clock.passes(-100)
    assert (await storage.get_messages(queue, ids))[0].age == 0


async def test_bulk_deletion_ignores_claims_unless_they_must_be_named(storage, queue):
    ids = await storage.post(queue, some(*range(4)), CLIENT)
    claim = await storage.claim(queue, LEASE, 2)
    assert not await storage.delete_messages(queue, ids[:3], [claim.id])
    assert not await storage.delete_messages(queue, ids[:1], ["junk"])
    assert await listed(storage) == ["0", "1", "2", "3"]
    assert await storage.delete_messages(queue, ids[:1], [claim.id])
    assert await storage.delete_messages(queue, [*ids[1:3], "f" * 24, "junk"])
    assert await listed(storage) == ["3"]
    assert await storage.delete_messages(QueueKey("p", "none"), ids)


async def test_popping_takes_the_oldest_that_are_not_claimed(storage, queue):
    await storage.post(queue, some(*range(5)), CLIENT)
    await storage.claim(queue, LEASE, 2)
    assert [message.body for message in await storage.pop(queue, 2)] == ["2", "3"]
    assert await listed(storage) == ["0", "1", "4"]
    assert await storage.pop(QueueKey("p", "none"), 2) == []


async def test_purging_spares_what_is_claimed(storage, queue):
    for _ in range(30):
        await storage.post(queue, some(*range(40)), CLIENT)
    await storage.claim(queue, LEASE, 1)
    await storage.purge(queue)
    assert await listed(storage) == ["0"]
    await storage.purge(QueueKey("p", "none"))


async def test_deleting_a_queue_takes_everything_along_at_once(storage, queue):
    ids = await storage.post(queue, some(*range(3)), CLIENT)
    claim = await storage.claim(queue, LEASE, 1)
    await storage.delete_queue(queue)
    await storage.delete_queue(queue)
    await storage.create_queue(queue, {})
    assert await storage.get_messages(queue, ids) == []
    assert await listed(storage) == []
    with pytest.raises(ClaimMissing):
        await storage.get_claim(queue, claim.id)
    assert (await storage.stats(queue)).total == 0


# Delays


async def test_delays_hide_from_lists_and_claims(storage, clock):
    await storage.create_queue(KEY, {"_default_message_delay": 10})
    ids = await storage.post(KEY, some("late", delay=10) + some("now"), CLIENT)
    assert await listed(storage, include_delayed=False) == ["now"]
    assert await listed(storage) == ["late", "now"]
    assert len(await storage.get_messages(KEY, ids)) == 2
    assert await bodies(storage) == ["now"]
    stats = await storage.stats(KEY)
    assert (stats.total, stats.claimed, stats.oldest.id, stats.newest.id) == (2, 1, ids[0], ids[1])
    clock.passes(9.999)
    assert await listed(storage, include_delayed=False) == ["now"]
    clock.passes(0.001)
    assert await listed(storage, include_delayed=False) == ["late", "now"]
    assert await bodies(storage) == ["late"]


async def test_a_queue_without_a_default_delay_hides_nothing(storage, queue):
    await storage.post(queue, some("late", delay=10), CLIENT)
    assert await listed(storage, include_delayed=False) == ["late"]


async def test_popping_ignores_delays(storage, queue):
    await storage.post(queue, some("late", delay=10) + some("now"), CLIENT)
    assert [message.body for message in await storage.pop(queue, 20)] == ["late", "now"]


# Claims


async def test_a_claim_hides_its_messages_until_it_ends(storage, queue, clock):
    ids = await storage.post(queue, some(*range(3), ttl=500), CLIENT)
    claim = await storage.claim(queue, LEASE, 2)
    assert ([message.body for message in claim.messages], claim.ttl, claim.age) == (["0", "1"], 60, 0)
    assert {message.claim_id for message in claim.messages} == {claim.id}
    assert await listed(storage, include_claimed=False) == ["2"]
    clock.passes(59.999)
    found = await storage.get_claim(queue, claim.id)
    assert (found.age, [message.id for message in found.messages]) == (59, ids[:2])
    assert await bodies(storage) == ["2"]
    clock.passes(0.001)
    with pytest.raises(ClaimMissing):
        await storage.get_claim(queue, claim.id)
    with pytest.raises(ClaimMissing):
        await storage.renew_claim(queue, claim.id, LEASE)
    assert {message.claim_id for message in await storage.get_messages(queue, ids[:2])} == {None}
    assert await bodies(storage) == ["0", "1"]


async def test_a_claim_of_nothing_is_none(storage, queue):
    assert await storage.claim(queue, LEASE, 5) is None
    assert await storage.claim(QueueKey("p", "none"), LEASE, 5) is None


@pytest.mark.parametrize(
    ("claim_ttl", "grace", "reported"), [(777, 23, 800), (121, 22, 143), (120, 22, 120), (60, 30, 120)]
)
async def test_a_claim_extends_the_life_of_messages_it_would_outlive(storage, queue, clock, claim_ttl, grace, reported):
    ids = await storage.post(queue, some(1, ttl=120), CLIENT)
    claim = await storage.claim(queue, Lease(claim_ttl, grace), 1)
    assert claim.messages[0].ttl == reported
    clock.passes(max(reported, claim_ttl) - 0.001)
    assert len(await storage.get_messages(queue, ids)) == 1
    clock.passes(0.001)
    assert await storage.get_messages(queue, ids) == []


async def test_renewing_starts_a_claim_anew(storage, queue, clock):
    await storage.post(queue, some(1, ttl=120), CLIENT)
    claim = await storage.claim(queue, LEASE, 1)
    clock.passes(50)
    await storage.renew_claim(queue, claim.id, Lease(100, 7))
    found = await storage.get_claim(queue, claim.id)
    assert (found.ttl, found.age, found.messages[0].ttl, found.messages[0].age) == (100, 0, 107, 50)
    clock.passes(99)
    assert await bodies(storage) == []
    clock.passes(1)
    assert await bodies(storage) == ["1"]


async def test_releasing_frees_at_once(storage, queue):
    await storage.post(queue, some(1), CLIENT)
    claim = await storage.claim(queue, LEASE, 1)
    await storage.release_claim(QueueKey("p", "other"), claim.id)
    assert await bodies(storage) == []
    await storage.release_claim(queue, claim.id)
    await storage.release_claim(queue, claim.id)
    await storage.release_claim(queue, "junk")
    with pytest.raises(ClaimMissing):
        await storage.get_claim(queue, claim.id)
    assert await bodies(storage) == ["1"]


async def test_a_claim_without_messages_is_forgotten(storage, queue):
    ids = await storage.post(queue, some(1, 2), CLIENT)
    claim = await storage.claim(queue, LEASE, 2)
    await storage.delete_message(queue, ids[0], claim.id)
    assert [message.body for message in (await storage.get_claim(queue, claim.id)).messages] == ["2"]
    await storage.delete_messages(queue, ids[1:])
    with pytest.raises(ClaimMissing):
        await storage.get_claim(queue, claim.id)


async def test_deleting_one_message_is_as_its_claim_allows(storage, queue, clock):
    """API section 2.12."""
    free, held, other, late = await storage.post(queue, some(*range(4), ttl=500), CLIENT)
    junk, unknown = "no-such-id", "f" * 24
    delete = storage.delete_message
    assert await delete(queue, free, junk) is Deletion.BAD_CLAIM
    assert await delete(queue, free, unknown) is Deletion.NOT_CLAIMED
    assert await delete(queue, free, None) is Deletion.DONE
    claim, another = await storage.claim(queue, LEASE, 1), await storage.claim(queue, LEASE, 2)
    assert await delete(queue, held, None) is Deletion.CLAIMED
    assert await delete(queue, held, another.id) is Deletion.CLAIMED
    assert await delete(queue, held, unknown) is Deletion.CLAIMED
    assert await delete(queue, held, junk) is Deletion.BAD_CLAIM
    assert await delete(queue, held, claim.id) is Deletion.DONE
    assert await delete(queue, held, claim.id) is Deletion.DONE
    assert await delete(queue, unknown, junk) is Deletion.DONE
    assert await delete(QueueKey("p", "none"), other, junk) is Deletion.DONE
    clock.passes(60)
    assert await delete(queue, other, another.id) is Deletion.NOT_CLAIMED
    assert await delete(queue, late, None) is Deletion.DONE


async def test_no_message_is_in_two_claims(storage, queue):
    await storage.post(queue, some(*range(200)), CLIENT)
    claims = await asyncio.gather(*(storage.claim(queue, LEASE, 7) for _ in range(40)))
    got = [message.body for claim in claims if claim for message in claim.messages]
    assert sorted(got, key=int) == [str(n) for n in range(200)]


async def test_a_claim_is_granted_as_it_is_shown(storage, queue, clock):
    """Of concurrent claims, and of messages that some of them extend."""
    await storage.post(queue, some(1, ttl=60) + some(2, 3, ttl=600) + some(4, ttl=60) + some(5, ttl=600), CLIENT)
    clock.passes(30)
    claims = await asyncio.gather(*(storage.claim(queue, Lease(ttl, 60), 2) for ttl in (60, 300, 60, 60)))
    granted = [claim for claim in claims if claim is not None]
    assert sorted(message.body for claim in granted for message in claim.messages) == ["1", "2", "3", "4", "5"]
    for claim in granted:
        assert await storage.get_claim(queue, claim.id) == claim
    assert (await storage.stats(queue)).claimed == 5


async def test_concurrent_deletions_each_have_their_outcome(storage, queue):
    ids = await storage.post(queue, some(1, 2, 3), CLIENT)
    claim = await storage.claim(queue, LEASE, 1)
    asked = [(ids[0], "x"), (ids[1], claim.id), (ids[0], claim.id), (ids[2], None), ("0" * 24, None)]
    outcomes = await asyncio.gather(*(storage.delete_message(queue, *one) for one in asked))
    done = Deletion.DONE
    # The first is refused for its text, or done after the third has deleted the message.
    assert outcomes[0] in (Deletion.BAD_CLAIM, done)
    assert outcomes[1:] == [Deletion.NOT_CLAIMED, done, done, done]
    assert await asyncio.gather(*(storage.delete_message(queue, ids[1], None) for _ in range(3))) == [done] * 3
    assert (await storage.stats(queue)).total == 0


@pytest.mark.parametrize("take", ["claim", "pop"])
async def test_many_claims_that_end_at_once_hide_nothing(storage, clock, take):
    await storage.create_queue(KEY, {"_default_message_delay": 1})
    await storage.post(KEY, some(*range(60), ttl=500), CLIENT)
    await storage.post(KEY, some("short", ttl=60), CLIENT)
    await storage.post(KEY, some(*range(60, 120), ttl=500, delay=60), CLIENT)
    for _ in range(61):
        await storage.claim(KEY, Lease(60, 60), 1)
    clock.passes(200)
    stats = await storage.stats(KEY)
    assert (stats.free, stats.claimed) == (120, 0)
    assert len(await listed(storage, include_claimed=False, include_delayed=False)) == 20
    got: list[str] = []
    for _ in range(6):
        if take == "pop":
            got += [message.body for message in await storage.pop(KEY, 20)]
        else:
            got += await bodies(storage)
        await storage.check()
    assert sorted(got, key=int) == [str(n) for n in range(120)]


async def test_producers_are_seen_in_their_order(storage, queue):
    async def produce(producer: int) -> None:
        for n in range(25):
            await storage.post(queue, some(producer * 100 + n), CLIENT)

    await asyncio.gather(*(produce(n) for n in range(8)))
    seen: list[int] = []
    marker = None
    while page := (await storage.list_messages(queue, MessageQuery(limit=20, marker=marker)))[0]:
        seen += [int(message.body) for message in page]
        marker = page[-1].marker
    for producer in range(8):
        assert [n for n in seen if n // 100 == producer] == [producer * 100 + n for n in range(25)]


# Dead letters


async def test_a_clock_that_goes_back_revives_no_claim_over_another(storage, queue, clock):
    """A message is never under two live claims, whatever the clock shows."""
    await storage.post(queue, some(1, 2, 3, 4, ttl=1000), CLIENT)
    ended = await storage.claim(queue, LEASE, 3)
    clock.passes(60)
    live = await storage.claim(queue, LEASE, 2)
    clock.passes(-60)
    assert [message.body for message in (await storage.get_claim(queue, live.id)).messages] == ["1", "2"]
    third = await storage.claim(queue, LEASE, 4)
    assert {"4"} <= {message.body for message in third.messages} <= {"3", "4"}
    for message in live.messages:
        assert await storage.delete_message(queue, message.id, ended.id) is Deletion.CLAIMED
        assert await storage.delete_message(queue, message.id, live.id) is Deletion.DONE
    stats = await storage.stats(queue)
    assert (stats.total, stats.claimed) == (2, 2)
    assert await storage.check() == []


async def test_messages_claimed_too_often_go_to_the_dead_letter_queue(storage, clock):
    """API section 6.9: only claims that expired count, and the dead letter queue is not made."""
    dead = QueueKey("p", "dead")
    rule = {"_max_claim_count": 2, "_dead_letter_queue": "dead", "_dead_letter_queue_messages_ttl": 100}
    await storage.create_queue(KEY, rule)
    await storage.post(KEY, some("bad", ttl=1000), CLIENT)
    for _ in range(2):
        assert await bodies(storage) == ["bad"]
        clock.passes(60)
    await storage.post(KEY, some("good", ttl=1000), CLIENT)
    assert await bodies(storage) == ["good"]
    assert (await storage.stats(KEY)).total == 1
    assert await storage.get_queue(dead) is None
    assert await storage.list_messages(dead, MessageQuery()) == ([], None)
    assert await storage.count_queues("p", Kind.QUEUE) == 1
    with pytest.raises(QueueMissing):
        await storage.stats(dead)
    assert await storage.create_queue(dead, {"a": 1})
    assert (await storage.get_queue(dead)).metadata == {"a": 1}
    (message,) = (await storage.list_messages(dead, MessageQuery()))[0]
    assert (message.body, message.ttl) == ("bad", 100)
    clock.passes(99)
    assert await listed(storage, dead) == ["bad"]
    clock.passes(1)
    assert await listed(storage, dead) == []


async def test_concurrent_claims_beside_dead_letters_share_what_is_left(storage, clock):
    await storage.create_queue(KEY, {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    await storage.post(KEY, some(*range(6)), CLIENT)
    assert await bodies(storage, 3) == ["0", "1", "2"]
    clock.passes(61)
    claims = await asyncio.gather(*(storage.claim(KEY, LEASE, 2) for _ in range(4)))
    taken = [message.body for claim in claims if claim is not None for message in claim.messages]
    assert sorted(taken) == ["3", "4", "5"]
    await storage.create_queue(QueueKey("p", "dead"), {})
    assert sorted(await listed(storage, QueueKey("p", "dead"))) == ["0", "1", "2"]


async def test_a_queue_can_be_its_own_dead_letter_queue(storage, clock):
    await storage.create_queue(KEY, {"_max_claim_count": 1, "_dead_letter_queue": KEY.name})
    await storage.post(KEY, some(1, 2, 3, ttl=1000), CLIENT)
    assert len((await storage.claim(KEY, LEASE, 2)).messages) == 2
    clock.passes(60)
    got = []
    while claim := await storage.claim(KEY, LEASE, 3):
        got += [message.body for message in claim.messages]
    assert got == ["3", "1", "2"]


async def test_many_dead_letters_are_not_in_the_way(storage, clock):
    """However many there are, nothing behind them is hidden."""
    await storage.create_queue(KEY, {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    await storage.post(KEY, some(*range(900), ttl=1000), CLIENT)
    for _ in range(45):
        await storage.claim(KEY, LEASE, 20)
    clock.passes(60)
    await storage.post(KEY, some("good"), CLIENT)
    assert [message.body for message in (await storage.claim(KEY, LEASE, 20)).messages] == ["good"]
    await storage.create_queue(QueueKey("p", "dead"), {})
    assert (await storage.stats(QueueKey("p", "dead"))).total == 900
    assert (await storage.stats(KEY)).total == 1
    assert await storage.check() == []


@pytest.mark.parametrize("count", [-1, 0])
async def test_less_than_one_claim_allowed_is_no_limit(storage, clock, count):
    await storage.create_queue(KEY, {"_max_claim_count": count, "_dead_letter_queue": KEY.name})
    await storage.post(KEY, some(1, ttl=1000), CLIENT)
    for _ in range(3):
        assert len((await storage.claim(KEY, LEASE, 1)).messages) == 1
        clock.passes(60)


async def test_released_and_renewed_claims_do_not_count(storage, clock):
    await storage.create_queue(KEY, {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    await storage.post(KEY, some("good", ttl=1000), CLIENT)
    for _ in range(3):
        claim = await storage.claim(KEY, LEASE, 1)
        await storage.renew_claim(KEY, claim.id, LEASE)
        await storage.release_claim(KEY, claim.id)
    assert await bodies(storage) == ["good"]
    clock.passes(60)
    assert await bodies(storage) == []


# Stats


async def test_stats_follow_everything(storage, queue, clock):
    async def counts() -> tuple[int, int, int]:
        stats = await storage.stats(queue)
        return stats.free, stats.claimed, stats.total

    assert await counts() == (0, 0, 0)
    ids = await storage.post(queue, some(*range(6), ttl=1000), CLIENT)
    clock.passes(5)
    ids += await storage.post(queue, some("short", ttl=70), CLIENT)
    claim = await storage.claim(queue, LEASE, 2)
    await storage.claim(queue, Lease(600, 60), 1)
    assert await counts() == (4, 3, 7)
    stats = await storage.stats(queue)
    assert (stats.oldest.id, stats.oldest.age, stats.oldest.created) == (ids[0], 5, START)
    assert (stats.newest.id, stats.newest.age, stats.newest.created) == (ids[6], 0, START + 5000)
    await storage.delete_message(queue, ids[0], claim.id)
    assert await counts() == (4, 2, 6)
    await storage.release_claim(queue, claim.id)
    assert await counts() == (5, 1, 6)
    clock.passes(70)
    assert await counts() == (4, 1, 5)
    await storage.pop(queue, 1)
    assert await counts() == (3, 1, 4)
    clock.passes(600)
    assert await counts() == (4, 0, 4)
    with pytest.raises(QueueMissing):
        await storage.stats(QueueKey("p", "none"))


# Subscriptions


def wanted(subscriber: str, ttl: int = 100) -> NewSubscription:
    return NewSubscription(subscriber, ttl, {"a": "é"})


async def test_subscriptions_live_without_their_queue(storage, clock):
    first, new = await storage.subscribe(KEY, wanted("http://a/"))
    assert new
    assert (first.source, first.subscriber, first.ttl, first.options, first.confirmed) == (
        "orders",
        "http://a/",
        100,
        {"a": "é"},
        False,
    )
    second, _ = await storage.subscribe(KEY, wanted("http://b/"))
    again, new = await storage.subscribe(KEY, wanted("http://a/", ttl=999))
    assert (again, new) == (first, False)
    assert await storage.list_subscriptions(KEY, 1, None) == [first]
    assert await storage.list_subscriptions(KEY, 9, first.id) == [second]
    assert await storage.list_subscriptions(KEY, 9, "f" * 24) == []
    assert await storage.list_subscriptions(QueueKey("p", "other"), 9, None) == []
    await storage.delete_queue(KEY)
    clock.passes(60)
    await storage.change_subscription(KEY, second.id, SubscriptionChange(ttl=200))
    changed = await storage.get_subscription(KEY, second.id)
    assert (changed.ttl, changed.age, changed.subscriber, changed.options) == (200, 0, "http://b/", {"a": "é"})
    clock.passes(40)
    assert await storage.list_subscriptions(KEY, 9, None) == [await storage.get_subscription(KEY, second.id)]
    _, new = await storage.subscribe(KEY, wanted("http://a/"))
    assert new
    await storage.purge_subscriptions(KEY)
    assert await storage.list_subscriptions(KEY, 9, None) == []


async def test_subscribers_are_unique_in_a_queue(storage):
    first, _ = await storage.subscribe(KEY, wanted("http://a/"))
    await storage.subscribe(KEY, wanted("http://b/"))
    await storage.subscribe(QueueKey("q", "orders"), wanted("http://c/"))
    with pytest.raises(SubscriberTaken):
        await storage.change_subscription(KEY, first.id, SubscriptionChange(subscriber="http://b/"))
    await storage.change_subscription(KEY, first.id, SubscriptionChange(subscriber="http://c/", options={}))
    assert (await storage.get_subscription(KEY, first.id)).subscriber == "http://c/"


async def test_subscriptions_are_confirmed_and_deleted(storage):
    made, _ = await storage.subscribe(KEY, wanted("http://a/"))
    await storage.confirm_subscription(KEY, made.id, True)
    assert (await storage.get_subscription(KEY, made.id)).confirmed
    await storage.confirm_subscription(KEY, made.id, False)
    assert not (await storage.get_subscription(KEY, made.id)).confirmed
    await storage.delete_subscription(QueueKey("q", "orders"), made.id)
    await storage.get_subscription(KEY, made.id)
    await storage.delete_subscription(KEY, made.id)
    await storage.delete_subscription(KEY, made.id)
    for missing in (made.id, "junk", "f" * 24):
        with pytest.raises(SubscriptionMissing):
            await storage.get_subscription(KEY, missing)
        with pytest.raises(SubscriptionMissing):
            await storage.change_subscription(KEY, missing, SubscriptionChange(ttl=60))
        with pytest.raises(SubscriptionMissing):
            await storage.confirm_subscription(KEY, missing, True)


# Life of the store


async def test_what_was_done_is_there_after_opening_again(driver, tmp_path, clock):
    async with opened(driver, tmp_path, clock) as storage:
        await storage.ping()
        await storage.create_queue(KEY, {"a": 1})
        ids = await storage.post(KEY, some("x"), CLIENT)
        claim = await storage.claim(KEY, LEASE, 1)
    async with opened(driver, tmp_path, clock) as storage:
        assert [message.id for message in await storage.get_messages(KEY, ids)] == ids
        assert (await storage.get_claim(KEY, claim.id)).messages[0].body == "x"
        assert not set(ids) & set(await storage.post(KEY, some("y"), CLIENT))


async def test_two_that_have_it_open_see_the_same(driver, tmp_path, clock):
    async with opened(driver, tmp_path, clock) as one, opened(driver, tmp_path, clock) as other:
        await one.create_queue(KEY, {})
        await asyncio.gather(*(store.post(KEY, some(n), CLIENT) for n in range(30) for store in (one, other)))
        claims = await asyncio.gather(*(store.claim(KEY, LEASE, 7) for _ in range(5) for store in (one, other)))
        got = [message.id for claim in claims if claim for message in claim.messages]
        assert (len(got), len(set(got))) == (60, 60)
        assert await one.stats(KEY) == await other.stats(KEY)


async def test_the_sweep_removes_what_is_gone_and_nothing_else(storage, queue, clock):
    for _ in range(60):
        await storage.post(queue, some(*range(40), ttl=60), CLIENT)
    await storage.claim(queue, Lease(60, 60), 5)
    kept = await storage.post(queue, some("kept", ttl=1000), CLIENT)
    doomed = QueueKey("p", "doomed")
    await storage.create_queue(doomed, {})
    await storage.post(doomed, some(*range(30)), CLIENT)
    await storage.delete_queue(doomed)
    await storage.subscribe(KEY, wanted("http://a/", ttl=60))
    clock.passes(300)
    rounds = 1
    while await storage.sweep():
        rounds += 1
    assert rounds >= 2
    assert not await storage.sweep()
    assert (await storage.stats(queue)).total == 1
    assert len(await storage.get_messages(queue, kept)) == 1
