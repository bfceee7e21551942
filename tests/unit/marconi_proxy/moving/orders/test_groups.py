"""Which queues must share a partition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marconi_proxy.moving.orders.groups import on_one_partition, together
from tests.unit.move_examples import queue


def names(groups):
    return [[p.queue for p in group] for group in groups]


def test_queues_without_dead_letters_stand_alone():
    placements = [queue("b"), queue("a")]
    assert names(together(placements)) == names(on_one_partition(placements)) == [["a"], ["b"]]


def test_what_the_catalog_knows_is_one_group_and_what_it_cannot_know_stays_on_one_partition():
    placements = [
        queue("q"),
        queue("dead", group="q"),
        queue("maybe-a-source"),
        queue("elsewhere", "p2"),
        queue("q", project="b"),
    ]
    assert names(together(placements)) == [["dead", "q"], ["elsewhere"], ["maybe-a-source"], ["q"]]
    assert names(on_one_partition(placements)) == [["dead", "maybe-a-source", "q"], ["elsewhere"], ["q"]]


def test_a_dead_letter_queue_whose_source_is_not_there_stands_alone():
    assert names(together([queue("dead", group="gone"), queue("q")])) == [["dead"], ["q"]]


QUEUES = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.sampled_from(["p1", "p2"]), st.none() | st.sampled_from("abcdefgh"))
)


@given(QUEUES)
def test_every_queue_is_in_exactly_one_group_with_the_one_it_takes_letters_from(drawn):
    placements = [queue(name, where, group=group) for name, (where, group) in drawn.items()]
    for found in (together(placements), on_one_partition(placements)):
        assert sorted(p.queue for group in found for p in group) == sorted(drawn)
    (group_of,) = [{p.queue: n for n, group in enumerate(together(placements)) for p in group}]
    for name, (_, group) in drawn.items():
        if group in drawn:
            assert group_of[name] == group_of[group]
