from __future__ import annotations

import pytest

from partition.model import attributes
from partition.model.clock import age
from partition.model.identifier import Identifiers, well_formed
from partition.model.limits import Limits
from partition.model.message import marked_position
from partition.model.queue import Kind

OURS = Identifiers(tag=0x123456789AB, multiplier=0xABCDEF0123457)
LARGEST = 2**52 - 1


@pytest.mark.parametrize("number", [1, 2, 1000, LARGEST])
def test_an_identifier_leads_back_to_its_number(number):
    identifier = OURS.identifier(number)
    assert well_formed(identifier)
    assert OURS.number(identifier) == number


def test_identifiers_of_neighbours_tell_neither_order_nor_distance():
    ours = [OURS.identifier(number) for number in range(1, 100)]
    assert len(set(ours)) == len(ours)
    assert ours != sorted(ours)


def test_stores_know_only_their_own_identifiers():
    other = Identifiers(tag=1, multiplier=3)
    assert OURS.number(other.identifier(7)) is None


@pytest.mark.parametrize("text", ["", "no-such-id", "f" * 23, "f" * 25, "F" * 24, "0" * 23 + "\n", "٣" * 24])
def test_malformed_identifiers_name_nothing(text):
    assert not well_formed(text)
    assert OURS.number(text) is None


@pytest.mark.parametrize(("tag", "multiplier"), [(-1, 3), (2**44, 3), (0, 2), (0, 0), (0, 2**52 + 1)])
def test_impossible_identifiers(tag, multiplier):
    with pytest.raises(ValueError, match="impossible"):
        Identifiers(tag, multiplier)


@pytest.mark.parametrize(
    ("text", "position"),
    [(None, 0), ("0", 0), ("17", 17), ("x", None), ("-1", None), ("1.5", None), ("²", None), ("9" * 19, None)],
)
def test_markers(text, position):
    assert marked_position(text) == position


def test_age_counts_whole_seconds_and_is_never_negative():
    assert age(1000, 2999) == 1
    assert age(2000, 1000) == 0


def test_metadata_is_shown_with_defaults_behind_what_is_stored():
    shown = attributes.filled_in({"colour": "red", attributes.MESSAGE_TTL: 300}, Limits(), Kind.QUEUE)
    assert list(shown) == [
        "colour",
        "_default_message_ttl",
        "_max_messages_post_size",
        "_default_message_delay",
        "_dead_letter_queue",
        "_dead_letter_queue_messages_ttl",
        "_max_claim_count",
        "_enable_encrypt_messages",
    ]
    assert shown["_default_message_ttl"] == 300


def test_topics_have_three_attributes():
    assert len(attributes.filled_in({}, Limits(), Kind.TOPIC)) == 3


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({}, None),
        ({"_dead_letter_queue": "dead"}, None),
        ({"_max_claim_count": 2}, None),
        ({"_dead_letter_queue": "dead", "_max_claim_count": 2}, ("dead", 2, None)),
        (
            {"_dead_letter_queue": "dead", "_max_claim_count": 2, "_dead_letter_queue_messages_ttl": 60},
            ("dead", 2, 60),
        ),
        ({"_dead_letter_queue": 7, "_max_claim_count": 2}, None),
        ({"_dead_letter_queue": "\ud800", "_max_claim_count": 2}, None),
        ({"_dead_letter_queue": "a/b", "_max_claim_count": 2}, None),
        ({"_dead_letter_queue": "dead", "_max_claim_count": -1}, None),
    ],
)
def test_dead_letters_need_a_queue_and_a_count(metadata, rule):
    assert attributes.dead_letters(metadata) == rule
