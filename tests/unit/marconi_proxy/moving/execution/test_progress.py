"""The remaining work of a draining move: one sentence with the reason, and the changes worth a write."""

from __future__ import annotations

import pytest

from marconi_proxy.moving.execution.progress import left, why, worth_noting
from marconi_proxy.partition_client.outcome import Look

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
