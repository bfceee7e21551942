"""Random operations on a store and on a simple model in step: they must never answer differently.

The model knows no index, no tally and no sweep: it is a list of messages and a dictionary of claims, looked through
from end to end on every call.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from partition.errors import ClaimMissing
from partition.model.message import Deletion, Lease, MessageQuery, NewMessage
from partition.storage.sqlite import sweeping, tidying
from tests.contract.partition_stores import CLIENT, DRIVERS, KEY, OTHER, FakeClock, forget, opened

pytestmark = pytest.mark.slow

# How many runs of operations are drawn, and then drawn anew; the usual ones are the same each time.
_ASKED_FOR = os.environ.get("MARCONI_TEST_MODEL_RUNS")
# Fewer for MongoDB, where every run makes a database and every call is a round trip.
RUNS = {driver: int(_ASKED_FOR or 40) // (4 if driver == "mongodb" else 1) for driver in DRIVERS}

TTLS = st.sampled_from([60, 61, 90, 300])
LIMITS = st.integers(1, 6)
MAX_CLAIMS = 2


@dataclass
class Stored:
    """A message in the model. Times in milliseconds."""

    id: str
    body: str
    client: bytes
    created: int
    ttl: int
    expires: int
    due: int
    claim: str | None = None
    claims: int = 0


@dataclass
class Model:
    """The simplest model of a queue (API section 6)."""

    clock: FakeClock
    messages: list[Stored] = field(default_factory=list)
    claims: dict[str, tuple[int, int]] = field(default_factory=dict)  # id: (ttl, expires)

    def living(self) -> list[Stored]:
        return [message for message in self.messages if message.expires > self.clock.now]

    def holder(self, message: Stored) -> str | None:
        claim = self.claims.get(message.claim or "")
        return message.claim if claim and claim[1] > self.clock.now else None

    def claimable(self) -> list[Stored]:
        return [m for m in self.living() if self.holder(m) is None and m.due <= self.clock.now]

    def of_claim(self, claim: str) -> list[Stored]:
        return [m for m in self.living() if self.holder(m) == claim]

    def extend(self, message: Stored, lease: Lease) -> None:
        ends = self.clock.now + lease.ttl * 1000
        if message.expires < ends:
            message.expires, message.ttl = ends + lease.grace * 1000, lease.ttl + lease.grace


class InStep(RuleBasedStateMachine):
    """One queue of a store, and its model. ``where`` the store is, the test sets: see ``uri_of``."""

    where = "sqlite"
    # Whether messages of claims that have ended come strictly before younger ones. Not if more end at once than a store
    # tidies on the way (API section 6.2: such messages may be handed out later than their successors).
    strict = True
    with_dead_letters = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.model = Model(self.clock)
        self.directory = tempfile.TemporaryDirectory()
        self._opened = opened(self.where, Path(self.directory.name), self.clock)
        self.storage = self.run(self._opened.__aenter__())
        self.ids: list[str] = []
        self.claims: list[str] = []
        self.posted = 0

    def run(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        assert self.run(self.storage.check()) == []
        self.run(self._opened.__aexit__(None, None, None))
        self.loop.close()
        forget(self.where, Path(self.directory.name))
        self.directory.cleanup()

    @initialize(delays=st.booleans(), dead_letters=st.booleans())
    def make(self, delays: bool, dead_letters: bool) -> None:
        self.delays = delays
        self.with_dead_letters = dead_letters and self.strict
        metadata: dict[str, Any] = {"_default_message_delay": 1} if delays else {}
        if self.with_dead_letters:
            metadata |= {"_max_claim_count": MAX_CLAIMS, "_dead_letter_queue": "dead"}
        assert self.run(self.storage.create_queue(KEY, metadata))
        # Hypothesis leaves out some rules of each run: without a message to begin with, most runs would be of nothing.
        for ttl, delay in ((300, 0), (60, 30), (90, 0)):
            self._post(4, ttl, delay, CLIENT)

    @rule(count=st.integers(1, 5), ttl=TTLS, delay=st.sampled_from([0, 0, 30]), client=st.sampled_from([CLIENT, OTHER]))
    def post(self, count: int, ttl: int, delay: int, client: bytes) -> None:
        self._post(count, ttl, delay, client)

    def _post(self, count: int, ttl: int, delay: int, client: bytes) -> None:
        delay = delay if self.delays else 0
        bodies = [str(self.posted + n) for n in range(count)]
        self.posted += count
        ids = self.run(self.storage.post(KEY, [NewMessage(ttl, body, delay) for body in bodies], client))
        now = self.clock.now
        for identifier, body in zip(ids, bodies, strict=True):
            stored = Stored(identifier, body, client, now, ttl, now + ttl * 1000, now + delay * 1000)
            self.model.messages.append(stored)
        self.ids += ids

    @rule(limit=LIMITS, ttl=TTLS)
    def claim(self, limit: int, ttl: int) -> None:
        lease = Lease(ttl, 60)
        wanted = self.model.claimable()
        if self.with_dead_letters:
            dead = []
            good: list[Stored] = []
            for message in wanted:
                if len(good) == limit:
                    break
                (dead if message.claims >= MAX_CLAIMS else good).append(message)
            for message in dead:
                self.model.messages.remove(message)
            wanted = good
        claim = self.run(self.storage.claim(KEY, lease, limit))
        wanted = self._taken(wanted, limit, [message.id for message in claim.messages] if claim else [])
        if not wanted:
            assert claim is None
            return
        self.model.claims[claim.id] = (ttl, self.clock.now + ttl * 1000)
        for message in wanted:
            message.claim, message.claims = claim.id, message.claims + 1
            self.model.extend(message, lease)
        assert [(m.id, m.body, m.ttl) for m in claim.messages] == [(m.id, m.body, m.ttl) for m in wanted]
        self.claims.append(claim.id)

    def _taken(self, possible: list[Stored], limit: int, ids: list[str]) -> list[Stored]:
        """Return the part of ``possible`` that a call must take, given that it took ``ids``: its oldest, or any."""
        if self.strict:
            return possible[:limit]
        assert len(ids) == min(limit, len(possible))
        return [message for message in possible if message.id in ids]

    @rule(data=st.data(), ttl=TTLS)
    def renew(self, data: st.DataObject, ttl: int) -> None:
        claim, lease = self._claim(data), Lease(ttl, 0)
        try:
            self.run(self.storage.renew_claim(KEY, claim, lease))
        except ClaimMissing:
            assert self.model.of_claim(claim) == []
            return
        for message in self.model.of_claim(claim):
            message.claims = 1
            self.model.extend(message, lease)
        self.model.claims[claim] = (ttl, self.clock.now + ttl * 1000)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self._release(self._claim(data))

    def _release(self, claim: str) -> None:
        self.run(self.storage.release_claim(KEY, claim))
        for message in self.model.of_claim(claim):
            message.claim, message.claims = None, 0
        self.model.claims.pop(claim, None)

    @rule(limit=LIMITS, ends=st.booleans())
    def claim_in_vain(self, limit: int, ends: bool) -> None:
        """Claim and let lapse, or claim and release: twice in a row, since twice is the most before a dead letter."""
        for _ in range(MAX_CLAIMS):
            before = len(self.claims)
            self.claim(limit, 60)
            if ends:
                self.clock.passes(60)
            elif len(self.claims) > before:
                self._release(self.claims[-1])

    @rule(data=st.data())
    def look_at_a_claim(self, data: st.DataObject) -> None:
        claim = self._claim(data)
        expected = self.model.of_claim(claim)
        try:
            found = self.run(self.storage.get_claim(KEY, claim))
        except ClaimMissing:
            assert expected == []
            return
        assert [m.id for m in found.messages] == [m.id for m in expected]
        assert found.ttl == self.model.claims[claim][0]

    @rule(data=st.data(), named=st.sampled_from(["none", "own", "other", "junk"]))
    def delete_one(self, data: st.DataObject, named: str) -> None:
        identifier = self._id(data)
        message = next((m for m in self.model.living() if m.id == identifier), None)
        holder = self.model.holder(message) if message else None
        claim = {"none": None, "own": holder, "other": "f" * 24, "junk": "junk"}[named]
        outcome = self.run(self.storage.delete_message(KEY, identifier, claim))
        if message is None:
            expected = Deletion.DONE
        elif claim is None:
            expected = Deletion.CLAIMED if holder else Deletion.DONE
        elif claim == "junk":
            expected = Deletion.BAD_CLAIM
        elif holder is None:
            expected = Deletion.NOT_CLAIMED
        else:
            expected = Deletion.DONE if claim == holder else Deletion.CLAIMED
        assert outcome is expected
        if message and outcome is Deletion.DONE:
            self.model.messages.remove(message)

    @rule(data=st.data())
    def delete_some(self, data: st.DataObject) -> None:
        ids = {self._id(data), self._id(data)}
        assert self.run(self.storage.delete_messages(KEY, sorted(ids)))
        self.model.messages = [m for m in self.model.messages if m.id not in ids]

    @rule(limit=LIMITS)
    def pop(self, limit: int) -> None:
        popped = self.run(self.storage.pop(KEY, limit))
        free = [m for m in self.model.living() if self.model.holder(m) is None]
        wanted = self._taken(free, limit, [message.id for message in popped])
        assert [m.id for m in popped] == [m.id for m in wanted]
        for message in wanted:
            self.model.messages.remove(message)

    @rule()
    def purge(self) -> None:
        self.run(self.storage.purge(KEY))
        self.model.messages = [m for m in self.model.living() if self.model.holder(m)]

    @rule(seconds=st.sampled_from([0.001, 1, 29.999, 30, 59.999, 60, 61, 200]))
    def time_passes(self, seconds: float) -> None:
        self.clock.passes(seconds)

    @rule()
    def sweep(self) -> None:
        self.run(self.storage.sweep())

    @rule()
    def reopen(self) -> None:
        self.run(self._opened.__aexit__(None, None, None))
        self._opened = opened(self.where, Path(self.directory.name), self.clock)
        self.storage = self.run(self._opened.__aenter__())

    @invariant()
    def the_same_is_seen(self) -> None:
        if not hasattr(self, "delays"):
            return
        now, living = self.clock.now, self.model.living()
        for claimed in (True, False):
            for reader in (None, CLIENT):
                query = MessageQuery(limit=1000, hidden_from=reader, include_claimed=claimed)
                page, _ = self.run(self.storage.list_messages(KEY, query))
                assert [(m.id, m.body, m.ttl, m.age, m.claim_id) for m in page] == [
                    (m.id, m.body, m.ttl, (now - m.created) // 1000, self.model.holder(m))
                    for m in living
                    if (claimed or self.model.holder(m) is None) and m.due <= now and m.client != reader
                ]
        stats = self.run(self.storage.stats(KEY))
        held = sum(self.model.holder(m) is not None for m in living)
        assert (stats.total, stats.claimed) == (len(living), held)
        ends = (living[0].id, living[-1].id) if living else (None, None)
        assert (stats.oldest and stats.oldest.id, stats.newest and stats.newest.id) == ends

    def _id(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(self.ids[-30:] or ["f" * 24]))

    def _claim(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(self.claims[-6:] or ["f" * 24]))


def play(where: str, *, strict: bool, runs: int) -> None:
    class OfDriver(InStep):
        pass

    OfDriver.where, OfDriver.strict = where, strict
    case = OfDriver.TestCase
    case.settings = settings(
        max_examples=runs,
        stateful_step_count=50,
        derandomize=_ASKED_FOR is None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    case().runTest()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_store_and_its_model_never_differ(driver: str, request: pytest.FixtureRequest) -> None:
    where = str(request.getfixturevalue("mongodb_uri")) if driver == "mongodb" else driver
    play(where, strict=True, runs=RUNS[driver])


def test_nor_when_more_ends_at_once_than_is_tidied(monkeypatch: pytest.MonkeyPatch) -> None:
    # So that it takes no hundreds of claims to see.
    monkeypatch.setattr(tidying, "ON_THE_WAY", 1)
    monkeypatch.setattr(sweeping, "IN_A_SWEEP", 1)
    monkeypatch.setattr(sweeping, "ROWS_AT_A_TIME", 2)
    play("sqlite", strict=False, runs=60)
