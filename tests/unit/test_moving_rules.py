"""The small rules of the mover: how it waits, what it calls queues, what it says, what it proves."""

from __future__ import annotations

import random

import pytest

from catalog.model import Move
from marconi_proxy.fencing.transitions import hidden_name
from marconi_proxy.moving.execution.certificate import certificate
from marconi_proxy.moving.execution.pace import LONGEST_BACK_OFF, MovePace, next_look
from marconi_proxy.moving.execution.progress import left, why, worth_noting
from marconi_proxy.partition_client.metadata import dead_letters_of, difference, users_own
from marconi_proxy.partition_client.outcome import Look
from marconi_proxy.partition_client.subscriptions import SubscriptionEntry, changes


@pytest.mark.parametrize(("failures", "limit"), [(1, 5.0), (2, 10.0), (5, 80.0), (7, LONGEST_BACK_OFF), (999, 300.0)])
def test_waits_are_drawn_from_all_of_a_time_that_doubles(failures: int, limit: float) -> None:
    chance = random.Random(1)
    waits = [MovePace().wait_after(failures, chance) for _ in range(1000)]
    assert 0.0 <= min(waits) < limit * 0.05
    assert limit * 0.95 < max(waits) <= limit


@pytest.mark.parametrize(("max_pause_ms", "longest"), [(None, 1.5), (100, 0.1), (60_000, 1.5)])
def test_writes_are_held_for_no_longer_than_the_move_may_hold_them(max_pause_ms: float | None, longest: float) -> None:
    assert MovePace().longest_seal(max_pause_ms) == longest


def test_a_queue_is_looked_at_less_often_the_longer_it_takes() -> None:
    assert [next_look(since) for since in (0.0, 1.0, 4.0, 40.0, 4000.0)] == [0.5, 0.5, 1.0, 10.0, 30.0]


@pytest.mark.parametrize("queue", ["q", "q" * 64, "a.b", "A_b-c"])
def test_a_hidden_name_is_legal_and_tells_segments_lives_and_queues_apart(queue: str) -> None:
    names = {
        hidden_name(project, name, incarnation, n)
        for project in ("", "p", "p\x20")
        for name in (queue, queue[:-1] + "x")
        for incarnation in ("b1", "b2")
        for n in (1, 2)
    }
    assert len(names) == 3 * len({queue, queue[:-1] + "x"}) * 4
    assert all(1 <= len(name) <= 64 for name in names)
    assert all(name.removeprefix(queue[:40])[-15:].replace("-", "").isalnum() for name in names)


def test_a_topic_has_another_hidden_name_than_a_queue_and_without_its_mark() -> None:
    assert hidden_name("p", "~news", "b", 1).startswith("news-1-")
    assert hidden_name("p", "~news", "b", 1) != hidden_name("p", "news", "b", 1)


_FREE = Look("p1", free=3, total=3, listed=True, oldest_expires=60.0)
_CLAIMED = Look("p1", claimed=2, total=2, listed=True, claimed_until=3600.0)


@pytest.mark.parametrize(
    ("looks", "sentence", "remaining"),
    [
        ([Look("p1")], "", 0),
        ([_FREE], "3 free, the oldest expires at 1970-01-01T00:01:00Z", 3),
        ([_CLAIMED], "2 claimed until at most 1970-01-01T01:00:00Z", 2),
        (
            [_FREE, _CLAIMED],
            "3 free, 2 claimed until at most 1970-01-01T01:00:00Z, the oldest expires at 1970-01-01T00:01:00Z",
            5,
        ),
        ([_FREE, Look("p3", problem="no answer")], "partition p3 cannot be looked at: no answer", 3),
        ([Look("p1", listed=True)], "the last messages are on their way", 1),
        ([Look("p1", claimed=-1, free=1)], "1 free", 0),
    ],
)
def test_one_sentence_says_why_it_is_not_done(looks: list[Look], sentence: str, remaining: int) -> None:
    assert why(looks) == sentence
    assert left(looks) == remaining


@pytest.mark.parametrize(
    "look",
    [
        Look("p", free=1),
        Look("p", claimed=1),
        Look("p", claimed=-1, free=1),
        Look("p", total=1),
        Look("p", listed=True),
        Look("p", problem="x"),
    ],
)
def test_a_segment_with_any_sign_of_a_message_is_not_empty(look: Look) -> None:
    assert not look.empty


@pytest.mark.parametrize(
    ("facts", "remaining", "waits", "stood", "noted"),
    [
        ({}, 5, "5 free", 0.0, True),
        ({"left": 100, "waits": "a"}, 1, "b", 4.0, False),
        ({"left": 100, "waits": "a"}, 100, "a", 5.0, False),
        ({"left": 100, "waits": "a"}, 91, "a", 5.0, False),
        ({"left": 100, "waits": "a"}, 89, "a", 5.0, True),
        ({"left": 100, "waits": "a"}, 100, "b", 5.0, True),
    ],
)
def test_the_record_is_not_written_for_every_look(
    facts: dict, remaining: int, waits: str, stood: float, noted: bool
) -> None:
    assert worth_noting(facts, remaining, waits, stood) is noted


def test_the_difference_of_metadata_is_a_patch() -> None:
    wanted = {"a": 1, "b/c~d": {"e": None}, "_default_message_ttl": 300, "_dead_letter_queue": None}
    has = {"b/c~d": 2, "x": 1, "_default_message_ttl": 3600, "_dead_letter_queue": "dead", "_max_claim_count": None}
    assert difference(wanted, has) == [
        {"op": "add", "path": "/metadata/a", "value": 1},
        {"op": "add", "path": "/metadata/b~1c~0d", "value": {"e": None}},
        {"op": "add", "path": "/metadata/_default_message_ttl", "value": 300},
        {"op": "remove", "path": "/metadata/_dead_letter_queue"},
        {"op": "remove", "path": "/metadata/x"},
    ]
    assert difference(wanted, wanted) == []


def test_what_users_set_is_told_from_attributes() -> None:
    shown = {"a": 1, "_default_message_ttl": 3600, "_dead_letter_queue": "dead"}
    assert users_own(shown) == {"a": 1}
    assert dead_letters_of(shown) == "dead"
    assert dead_letters_of({"_dead_letter_queue": None}) is None


def _subscription(id_: str, subscriber: str, remaining: int = 300, confirmed: bool = False) -> SubscriptionEntry:
    return SubscriptionEntry(id_, subscriber, remaining, {}, confirmed)


def test_subscriptions_are_made_changed_and_ended_by_subscriber() -> None:
    source = [_subscription("1", "new"), _subscription("2", "same"), _subscription("3", "longer", 900)]
    source.append(_subscription("4", "confirmed", confirmed=True))
    target = [_subscription("a", "same", 295), _subscription("b", "longer"), _subscription("c", "gone")]
    target.append(_subscription("d", "confirmed"))
    wanted = changes(source, target)
    assert wanted.made == [source[0]]
    assert wanted.changed == [("b", source[2]), ("d", source[3])]
    assert wanted.ended == ["c"]
    assert not changes(source, source)


def test_a_subscription_gets_the_time_that_it_has_left() -> None:
    listed = {"id": "1", "subscriber": "http://x", "ttl": 3600, "age": 600, "options": {}, "confirmed": True}
    assert SubscriptionEntry.from_json(listed) == SubscriptionEntry("1", "http://x", 3000, {}, True)
    assert SubscriptionEntry.from_json({**listed, "age": 3590}).remaining == 60


def test_a_certificate_sums_what_members_told() -> None:
    holds = [{"member": "w1", "held": 3, "refused": 0, "longest_ms": 12}, {"member": "w2", "held": 1, "refused": 2}]
    switches = [{"at": 45.0, "from": "p1", "to": "p2", "pause_ms": 20.0}, {"at": 50.0, "from": "p2", "to": "p1"}]
    facts = {"holds": holds, "left_at_switch": 7, "switched_at": 50.0, "switches": switches}
    move = Move("m", "p", "q", "p1", "p2", facts=facts, attempt=2, pause_ms=38.5, created=40.0)
    proof = certificate(move, 99.0)
    assert proof["writes"] == {"held": 4, "refused": 2, "longest_ms": 12}
    assert (proof["from"], proof["to"]) == ("p2", "p1")
    assert proof["switches"] == switches
    assert (proof["pause_ms"], proof["seals_tried"], proof["left_at_switch"]) == (38.5, 2, 7)
    assert (proof["ordered_at"], proof["switched_at"], proof["done_at"]) == (40.0, 50.0, 99.0)
