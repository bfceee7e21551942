"""Mutations of the protocol are caught: some by a schedule that is known to, others by a unit test.

``python -m tests.simulation.mutate`` looks for whatever catches any of them, those too of which none is known yet.
"""

from __future__ import annotations

import pytest

from marconi_proxy.fencing.fence import WriteLease
from tests.simulation.mutate import failing, first_caught
from tests.simulation.mutations import MUTATIONS, Mutation

pytestmark = pytest.mark.slow

PLAYED = [mutation for mutation in MUTATIONS if mutation.seed is not None]
TESTED = [mutation for mutation in MUTATIONS if mutation.seed is None and mutation.test]


@pytest.mark.parametrize("mutation", PLAYED, ids=lambda mutation: mutation.name)
def test_a_schedule_catches_it(mutation: Mutation) -> None:
    """The unbroken protocol keeps its promises in all of them (test_schedules)."""
    assert mutation.seed is not None
    outcome = first_caught(mutation, 1, mutation.seed)
    assert outcome is not None, f"not caught; next: python -m tests.simulation.mutate --renew {mutation.name}"
    print(outcome)


@pytest.mark.parametrize("mutation", TESTED, ids=lambda mutation: mutation.name)
def test_a_unit_test_catches_it(mutation: Mutation) -> None:
    assert failing(mutation, mutation.test) == [mutation.test.partition("::")[0]]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_words_that_it_replaces_are_there(mutation: Mutation) -> None:
    """Once. Else ``applied`` raises LookupError: the code has changed, and the mutation has to follow."""
    with mutation.applied():
        pass


def test_a_mutation_lasts_as_long_as_it_is_applied_and_no_longer() -> None:
    mutation = Mutation("-", "-", WriteLease.left, "0.0", "-1.0")
    lease = WriteLease(30.0, 5.0)
    with mutation.applied():
        assert lease.left(0.0) == -1.0
    assert lease.left(0.0) == 0.0


def test_words_that_are_not_there_any_more_are_missed() -> None:
    with (
        pytest.raises(LookupError, match=r"Lease\.left has 0 times"),
        Mutation("-", "-", WriteLease.left, "?", "").applied(),
    ):
        pass
