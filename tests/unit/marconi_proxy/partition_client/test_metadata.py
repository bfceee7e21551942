"""Metadata that a move copies: the patch that makes the target like the source."""

from __future__ import annotations

from marconi_proxy.partition_client.metadata import dead_letters_of, difference, users_own


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
