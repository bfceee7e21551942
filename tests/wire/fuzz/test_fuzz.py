"""Whatever is sent to our node, or to the front door before it: no answer is our fault, and nobody waits for ever.

A run draws the same requests each time. ``MARCONI_TEST_FUZZ_EXAMPLES`` asks for so many of each kind, drawn anew and
with the blob printed that repeats a failure: for the nightly run.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from tests.wire.fuzz.conftest import Server
from tests.wire.fuzz.strategies import BYTES, Request, requests, statuses

_ASKED_FOR = os.environ.get("MARCONI_TEST_FUZZ_EXAMPLES")
FUZZ = settings(
    max_examples=int(_ASKED_FOR or 300),
    derandomize=_ASKED_FOR is None,
    print_blob=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
# Large requests are the point here, and shown when one fails.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


def test_requests_are_answered_without_fault(server: Server) -> None:
    seen: Counter[int] = Counter()

    @FUZZ
    @given(requests())
    def fuzz(request: Request) -> None:
        status = request.status(server.address)
        assert status < 500
        seen[status] += 1

    fuzz()
    # Requests that are all refused at the gate would show nothing.
    assert {200, 204, 400, 404, 405} <= set(seen), seen


def test_bytes_end_in_an_answer_or_the_end(server: Server) -> None:
    seen: Counter[int] = Counter()

    @FUZZ
    @given(BYTES)
    def fuzz(sent: bytes) -> None:
        found = statuses(server.address, sent)
        assert [status for status in found if status >= 500] == []
        seen.update(found)

    fuzz()
    assert 400 in seen, seen
