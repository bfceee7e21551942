"""Subscriptions that a move copies: by subscriber, with the time that each has left."""

from __future__ import annotations

from marconi_proxy.partition_client.subscriptions import SubscriptionEntry, changes


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
