"""The judge accepts every history of a correct queue, and none in which one promise is broken."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.checker.judge import judge
from tests.checker.model import MUTATIONS, Mutation, correct
from tests.checker.record import (
    Body,
    Claim,
    Deletion,
    History,
    Outcome,
    Page,
    Post,
    Release,
    Removal,
    Renewal,
    Setting,
    Shown,
)

SEEDS = st.integers(0, 2**32)
DONE, UNKNOWN, REFUSED = Outcome.ACKNOWLEDGED, Outcome.UNKNOWN, Outcome.REFUSED


@settings(max_examples=300)
@given(SEEDS, st.booleans())
def test_a_correct_history_is_accepted(seed: int, unanswered_pops: bool) -> None:
    assert judge(correct(random.Random(seed), unanswered_pops=unanswered_pops)) == []


@pytest.mark.parametrize(("rule", "mutation"), MUTATIONS, ids=[mutation.__name__ for _, mutation in MUTATIONS])
@settings(max_examples=100)
@given(seed=SEEDS)
def test_each_single_mutation_is_rejected(rule: str, mutation: Mutation, seed: int) -> None:
    chance = random.Random(seed)
    broken = mutation(correct(chance), chance)
    assume(broken is not None)
    assert broken is not None
    assert rule in {violation.rule for violation in judge(broken)}


# -- what is excused, one case each ------------------------------------------------------------------------------------

ONE, TWO = Shown(Body("p", 1), "1"), Shown(Body("p", 2), "2")
POSTS = [Post((ONE.body,), 0.0, 1.0, DONE), Post((TWO.body,), 2.0, 3.0, DONE)]


def claim(sent: float, *taken: Shown, answered: float | None = None, outcome: Outcome = DONE) -> Claim:
    return Claim("c", sent, sent + 1.0 if answered is None else answered, outcome, 60.0, taken)


def rules(**changes: object) -> list[str]:
    history = History(POSTS, left=[ONE, TWO])
    for name, value in changes.items():
        setattr(history, name, value)
    return [violation.rule for violation in judge(history)]


def test_a_claim_that_could_have_lapsed_excuses_a_second_delivery() -> None:
    assert rules(claims=[claim(10.0, ONE), claim(68.5, ONE)]) == ["duplicated"]
    assert rules(claims=[claim(10.0, ONE), claim(69.0, ONE)]) == []


def test_answers_that_overtake_each_other_are_no_second_delivery() -> None:
    """The first claim lapsed before its answer came: it is that of the second one that came first."""
    assert rules(claims=[claim(80.0, ONE), claim(10.0, ONE, answered=90.0)]) == []


def pop(sent: float, *taken: Shown, outcome: Outcome = DONE, limit: int = 1) -> Claim:
    return Claim("c", sent, sent + 1.0, outcome, float("inf"), taken, pops=limit)


def test_what_was_popped_is_consumed() -> None:
    assert rules(claims=[pop(10.0, ONE)], left=[TWO]) == []
    assert rules(claims=[pop(10.0, ONE)]) == ["duplicated"]
    assert rules(claims=[pop(10.0, ONE), claim(500.0, ONE)], left=[TWO]) == ["duplicated", "duplicated"]
    # Under a claim it may not be popped; once that has lapsed, it may.
    assert rules(claims=[claim(10.0, ONE), pop(20.0, ONE)], left=[TWO]) == ["duplicated"]
    assert rules(claims=[claim(10.0, ONE), pop(70.0, ONE)], left=[TWO]) == []
    assert rules(claims=[pop(10.0, TWO), pop(20.0, ONE)], left=[]) == ["order"]


def test_a_pop_without_an_answer_may_have_taken_as_many_as_it_asked_for() -> None:
    unanswered = pop(10.0, outcome=UNKNOWN)
    assert rules(claims=[unanswered], left=[TWO]) == []
    assert rules(claims=[unanswered], left=[]) == ["lost", "lost"]
    assert rules(claims=[pop(10.0, outcome=UNKNOWN, limit=2)], left=[]) == []
    assert rules(claims=[pop(10.0, outcome=REFUSED)], left=[TWO]) == ["lost"]
    assert rules(claims=[pop(10.0)], left=[TWO]) == ["lost"]


def test_what_may_have_been_popped_need_not_be_seen_from_then_on() -> None:
    unanswered = pop(10.0, outcome=UNKNOWN)
    late = [Page("s", 20.0, 21.0, (TWO,)), Page("s", 30.0, 31.0, ())]
    assert rules(claims=[unanswered], pages=late, left=[TWO]) == []
    early = [Page("s", 5.0, 6.0, (TWO,)), Page("s", 30.0, 31.0, ())]
    assert rules(claims=[unanswered], pages=early, left=[TWO]) == ["skipped"]
    # A message that a later request returns was there.
    assert rules(claims=[unanswered], pages=late) == ["skipped"]
    assert rules(claims=[unanswered, claim(40.0, ONE)], pages=late, left=[TWO]) == ["skipped"]


def test_a_renewed_claim_lasts_as_long_again() -> None:
    renewed = [Renewal(0, 50.0, 51.0, DONE, 60.0)]
    assert rules(claims=[claim(10.0, ONE), claim(100.0, ONE)], renewals=renewed) == ["duplicated"]
    assert rules(claims=[claim(10.0, ONE), claim(110.0, ONE)], renewals=renewed) == []
    shorter = [Renewal(0, 50.0, 51.0, DONE, 5.0)]
    assert rules(claims=[claim(10.0, ONE), claim(56.0, ONE)], renewals=shorter) == []
    for outcome in (UNKNOWN, REFUSED):
        unsure = [Renewal(0, 50.0, 51.0, outcome, 60.0)]
        assert rules(claims=[claim(10.0, ONE), claim(75.0, ONE)], renewals=unsure) == []
        assert rules(claims=[claim(10.0, ONE), claim(60.0, ONE)], renewals=unsure) == ["duplicated"]
    unsure = [Renewal(0, 20.0, 21.0, UNKNOWN, 5.0), Renewal(0, 50.0, 51.0, DONE, 60.0)]
    assert rules(claims=[claim(10.0, ONE), claim(52.0, ONE)], renewals=unsure) == ["duplicated"]
    assert rules(claims=[claim(10.0, ONE), claim(54.0, ONE)], renewals=unsure) == []


def test_which_claims_can_be_renewed() -> None:
    def after(sent: float, *, missing: bool, **changes: object) -> list[str]:
        renewal = Renewal(0, sent, sent + 1.0, REFUSED if missing else DONE, 60.0, missing)
        return rules(**{"claims": [claim(10.0, ONE)], "renewals": [renewal], **changes})

    assert after(20.0, missing=False) == []
    assert after(20.0, missing=True) == ["renewal"]
    assert after(69.5, missing=True) == []
    assert after(70.5, missing=False) == []
    assert after(72.0, missing=False) == ["renewal"]
    gone = [Deletion(0, ONE.body, 15.0, 16.0, DONE)]
    assert after(20.0, missing=True, deletions=gone, left=[TWO]) == []
    released = [Release(0, 15.0, 16.0, DONE)]
    assert after(20.0, missing=True, releases=released) == []
    assert after(20.0, missing=False, releases=released) == ["renewal"]
    assert after(20.0, missing=False, releases=[Release(0, 15.0, 16.0, UNKNOWN)]) == []
    earlier = Renewal(0, 60.0, 61.0, DONE, 60.0)
    assert after(0.0, missing=True, renewals=[earlier, Renewal(0, 90.0, 91.0, REFUSED, 60.0, True)]) == ["renewal"]
    assert after(0.0, missing=True, renewals=[earlier, Renewal(0, 90.0, 91.0, DONE, 60.0)]) == []


def test_a_release_excuses_a_second_delivery() -> None:
    claims = [claim(10.0, ONE), claim(20.0, ONE)]
    assert rules(claims=claims, releases=[Release(0, 19.0, 19.5, DONE)]) == []
    assert rules(claims=claims, releases=[Release(0, 19.0, 19.5, UNKNOWN)]) == []
    assert rules(claims=claims, releases=[Release(0, 19.0, 19.5, REFUSED)]) == ["duplicated"]
    assert rules(claims=claims, releases=[Release(0, 22.0, 23.0, DONE)]) == ["duplicated"]


def test_a_deletion_of_unknown_outcome_decides_nothing() -> None:
    deletions = [Deletion(0, ONE.body, 12.0, 13.0, UNKNOWN)]
    assert rules(claims=[claim(10.0, ONE), claim(80.0, ONE)], deletions=deletions) == []
    assert rules(claims=[claim(10.0, ONE)], deletions=deletions, left=[TWO]) == []
    assert rules(claims=[claim(10.0, ONE)], deletions=deletions, left=[ONE, TWO]) == []


def test_what_was_delivered_is_lost_unless_somebody_may_have_deleted_it() -> None:
    assert rules(claims=[claim(10.0, ONE)], left=[TWO]) == ["lost"]
    refused = Deletion(0, ONE.body, 80.0, 81.0, REFUSED)
    assert rules(claims=[claim(10.0, ONE)], deletions=[refused], left=[TWO]) == ["lost"]
    for outcome in (DONE, UNKNOWN):
        deletions = [refused, Deletion(0, ONE.body, 12.0, 13.0, outcome)]
        assert rules(claims=[claim(10.0, ONE)], deletions=deletions, left=[TWO]) == []


def test_a_deletion_that_finds_nothing_is_none() -> None:
    """Its claim had lapsed, and another consumer has deleted the message: to delete it again succeeds."""
    claims = [claim(10.0, ONE), claim(80.0, ONE)]
    deletions = [Deletion(1, ONE.body, 82.0, 83.0, DONE), Deletion(0, ONE.body, 84.0, 85.0, DONE)]
    assert rules(claims=claims, deletions=deletions, left=[TWO]) == []


def test_an_unanswered_claim_excuses_what_it_may_have_held_back() -> None:
    claims = [claim(10.0, TWO), claim(80.0, ONE)]
    assert rules(claims=claims) == ["order"]
    assert rules(claims=[*claims, claim(5.0, outcome=UNKNOWN)]) == []
    assert rules(claims=[*claims, claim(5.0, outcome=REFUSED)]) == ["order"]
    assert rules(claims=[*claims, claim(12.0, outcome=UNKNOWN)]) == ["order"]
    assert rules(claims=[claim(10.0, TWO), claim(50.0, ONE), claim(5.0, outcome=UNKNOWN)]) == ["order"]


def test_claims_under_way_at_the_same_time_have_no_order() -> None:
    assert rules(claims=[claim(10.0, TWO, answered=20.0), claim(19.0, ONE)]) == []
    assert rules(claims=[claim(10.0, TWO, ONE)]) == ["order"]


def test_the_first_delivery_is_what_counts() -> None:
    assert rules(claims=[claim(10.0, ONE), claim(80.0, TWO, ONE)]) == []


def test_messages_of_unknown_outcome_may_be_there_or_not_and_anywhere() -> None:
    posts = [Post((ONE.body,), 0.0, 1.0, UNKNOWN), POSTS[1]]
    assert rules(posts=posts, left=[TWO]) == []
    assert rules(posts=posts, claims=[claim(10.0, TWO), claim(12.0, ONE)]) == []
    assert rules(posts=posts, pages=[Page("s", 10.0, 11.0, (TWO, ONE))]) == []
    assert rules(posts=posts, pages=[Page("s", 10.0, 11.0, (TWO,)), Page("s", 12.0, 13.0, ())]) == []


def test_what_is_being_deleted_need_not_be_seen() -> None:
    claims = [claim(4.0, ONE)]
    pages = [Page("s", 10.0, 12.0, (TWO,))]
    assert rules(claims=claims, pages=pages) == ["skipped"]
    for outcome in (DONE, UNKNOWN):
        deletions = [Deletion(0, ONE.body, 11.0, 15.0, outcome)]
        assert rules(claims=claims, deletions=deletions, pages=pages, left=[TWO]) == []
    assert rules(claims=claims, deletions=[Deletion(0, ONE.body, 12.5, 15.0, DONE)], pages=pages, left=[TWO]) == [
        "skipped"
    ]


def test_a_subscriber_that_stopped_in_the_middle_has_passed_nothing() -> None:
    assert rules(pages=[]) == []
    assert rules(pages=[Page("s", 0.5, 0.6, ())]) == []
    assert rules(pages=[Page("s", 5.0, 5.1, (ONE,))]) == []
    assert rules(pages=[Page("s", 5.0, 5.1, (ONE,)), Page("s", 6.0, 6.1, ())]) == ["skipped"]


def test_an_empty_page_in_between_passes_nothing() -> None:
    empty, full = Page("s", 5.0, 5.1, ()), Page("s", 6.0, 6.1, (ONE, TWO))
    assert rules(pages=[empty, full]) == []
    deletions = [Deletion(0, ONE.body, 5.5, 6.0, DONE)]
    rest = Page("s", 7.0, 7.1, (TWO,))
    assert rules(pages=[empty, rest], claims=[claim(4.0, ONE)], deletions=deletions, left=[TWO]) == []
    assert rules(pages=[rest, empty]) == ["skipped"]


def test_what_was_deleted_is_not_shown_to_a_subscriber_who_asks_later() -> None:
    deletions = [Deletion(0, ONE.body, 5.0, 6.0, DONE)]
    claims = [claim(3.5, ONE)]
    assert rules(claims=claims, deletions=deletions, left=[TWO], pages=[Page("s", 5.9, 9.0, (ONE,))]) == []
    assert rules(claims=claims, deletions=deletions, left=[TWO], pages=[Page("s", 6.1, 9.0, (ONE,))]) == ["duplicated"]


# -- deletions and purges of the queue, delays, metadata, dead letters -------------------------------------------------


@pytest.mark.parametrize("purge", [False, True])
def test_a_removal_excuses_what_was_posted_before_it_ended(purge: bool) -> None:
    for outcome in (DONE, UNKNOWN):
        assert rules(removals=[Removal(10.0, 11.0, outcome, purge)], left=[]) == []
    assert rules(removals=[Removal(10.0, 11.0, REFUSED, purge)], left=[]) == ["lost", "lost"]
    assert rules(removals=[Removal(1.2, 1.5, DONE, purge)], left=[]) == ["lost"]
    # One without an answer may be finished later.
    assert rules(removals=[Removal(1.2, 1.5, UNKNOWN, purge)], left=[]) == []


@pytest.mark.parametrize("purge", [False, True])
def test_what_was_removed_is_not_shown_to_who_asks_later(purge: bool) -> None:
    removal = [Removal(10.0, 11.0, DONE, purge)]
    assert rules(removals=removal, left=[], claims=[claim(10.5, ONE)]) == []
    assert rules(removals=removal, left=[], claims=[claim(11.5, ONE)]) == ["removed"]
    assert rules(removals=removal, left=[TWO]) == ["removed"]
    assert rules(removals=[Removal(10.0, 11.0, UNKNOWN, purge)], left=[TWO]) == []


def test_a_purge_spares_what_a_claim_may_hold() -> None:
    purge = [Removal(10.0, 11.0, DONE, purge=True)]
    assert rules(removals=purge, claims=[claim(5.0, ONE, TWO)]) == []
    assert rules(removals=purge, claims=[claim(5.0, outcome=UNKNOWN)]) == []
    assert rules(removals=purge, claims=[claim(5.0, ONE)]) == ["removed"]
    assert rules(removals=[Removal(10.0, 11.0, DONE)], claims=[claim(5.0, ONE, TWO)]) == ["removed", "removed"]


def test_a_post_in_flight_at_a_deletion_is_one_without_an_answer() -> None:
    for outcome in (DONE, UNKNOWN):
        assert rules(removals=[Removal(2.5, 2.8, outcome)], left=[]) == []
    # Of a purge the queue knows what came before and what came after.
    later = [Removal(2.5, 2.8, DONE, purge=True), Removal(10.0, 11.0, DONE)]
    assert rules(removals=later, left=[TWO]) == ["removed"]
    assert rules(removals=[Removal(2.5, 2.8, DONE), Removal(10.0, 11.0, DONE)], left=[TWO]) == []


def test_a_deletion_is_the_end_of_bookmarks() -> None:
    pages = [Page("s", 5.0, 5.1, (TWO,)), Page("s", 12.0, 12.1, ())]
    assert rules(pages=pages) == ["skipped"]
    assert rules(pages=pages, removals=[Removal(5.2, 11.0, REFUSED)]) == ["skipped"]
    assert rules(pages=pages[:1], removals=[Removal(5.2, 11.0, DONE)], left=[]) == ["skipped"]
    assert rules(pages=pages, removals=[Removal(4.0, 11.0, DONE)], left=[]) == []
    assert rules(pages=pages[1:], removals=[Removal(5.2, 11.0, DONE)], left=[]) == []


def test_a_purge_is_no_end_of_bookmarks() -> None:
    pages = [Page("s", 5.0, 5.1, (TWO,)), Page("s", 12.0, 12.1, ())]
    assert rules(pages=pages, removals=[Removal(4.0, 4.5, DONE, purge=True)], left=[]) == ["removed"]
    assert rules(pages=pages, removals=[Removal(5.3, 5.5, DONE, purge=True)], left=[]) == ["skipped"]


def test_a_delayed_message_may_be_overtaken_until_it_is_due() -> None:
    posts = [Post((ONE.body,), 0.0, 1.0, DONE, delay=20.0), POSTS[1]]
    assert rules(posts=posts, claims=[claim(10.0, TWO), claim(80.0, ONE)]) == []
    assert rules(posts=posts, claims=[claim(21.0, TWO), claim(80.0, ONE)]) == []
    assert rules(posts=posts, claims=[claim(21.5, TWO), claim(80.0, ONE)]) == ["order"]


def test_what_is_set_at_the_end_was_set_last() -> None:
    settings = [Setting(1, 0.0, 1.0, DONE), Setting(2, 2.0, 3.0, UNKNOWN), Setting(3, 4.0, 5.0, DONE)]
    settings.append(Setting(4, 6.0, 7.0, REFUSED))
    for found, broken in ((3, []), (2, []), (1, ["metadata"]), (4, ["metadata"]), (None, ["metadata"])):
        assert rules(settings=settings, setting=found) == broken
    assert rules(settings=settings[1:2], setting=None) == []


def test_a_dead_letter_is_in_one_of_the_two_queues() -> None:
    dead = Shown(ONE.body, "d1")
    assert rules(left=[TWO], dead_letters=History(left=[dead])) == []
    assert rules(left=[TWO], dead_letters=History()) == ["lost"]
    assert rules(dead_letters=History(left=[dead])) == ["duplicated"]
    deleted = History(claims=[claim(10.0, dead)], deletions=[Deletion(0, ONE.body, 12.0, 13.0, DONE)])
    assert rules(left=[TWO], dead_letters=deleted) == []
    assert rules(left=[TWO], dead_letters=deleted, claims=[claim(10.5, ONE)]) == []
    assert rules(left=[TWO], dead_letters=deleted, claims=[claim(11.5, ONE)]) == ["duplicated"]
    assert rules(dead_letters=History(left=[Shown(Body("p", 3), "d3")])) == ["invented"]


def test_a_dead_letter_need_not_be_seen_in_its_queue_and_is_seen_once_in_the_other() -> None:
    dead = Shown(ONE.body, "d1")
    pages = [Page("s", 10.0, 11.0, (TWO,))]
    assert rules(left=[TWO], pages=pages, dead_letters=History(left=[dead])) == []
    twice = [Page("d", 10.0, 11.0, (dead,)), Page("d", 12.0, 13.0, (dead,))]
    assert rules(left=[TWO], dead_letters=History(left=[dead], pages=twice)) == ["repeated"]


def test_while_leases_are_kept_a_post_that_was_seen_counts_as_acknowledged() -> None:
    posts = [Post((ONE.body,), 0.0, 1.0, UNKNOWN), Post((TWO.body,), 20.0, 21.0, DONE)]
    seen = [Page("s", 10.0, 11.0, (ONE,))]
    for kept, broken in ((True, ["lost"]), (False, [])):
        assert rules(posts=posts, pages=seen, left=[TWO], leases_kept=kept) == broken
    passed = [Page("s", 30.0, 31.0, (TWO,))]
    for kept, broken in ((True, ["skipped"]), (False, [])):
        assert rules(posts=posts, claims=[claim(10.0, ONE)], pages=passed, leases_kept=kept) == broken
    assert rules(posts=posts, claims=[claim(25.0, ONE)], pages=passed, leases_kept=True) == []


def test_violations_say_what_and_when() -> None:
    (violation,) = judge(History(POSTS, left=[TWO]))
    assert str(violation) == "lost: p#1, posted from 0.000 to 1.000"
