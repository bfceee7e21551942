"""Hidden names of segments: legal, and different for every project, queue, incarnation and number."""

from __future__ import annotations

import pytest

from marconi_proxy.fencing.transitions import hidden_name


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
