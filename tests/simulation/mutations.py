"""The protocol of moves, broken on purpose in one place each: a few words of a production function are replaced.

Tests that miss a mutation would miss the same mistake, too. ``mutate`` prints the ring that catches each. A function is
changed in place while the mutation lasts, so that every reference to it sees the change. A mutation of words that are
gone fails loudly, so that an author of a new function finds its mutation, too.
"""

from __future__ import annotations
import __future__

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from marconi_proxy.fencing import transitions
from marconi_proxy.fencing.barrier import Barrier
from marconi_proxy.fencing.fence import Fence, WriteLease
from marconi_proxy.front_door.chain import broadcast
from marconi_proxy.front_door.chain.claims import ChainClaims
from marconi_proxy.front_door.deletion import Deletion
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.membership import Membership
from marconi_proxy.front_door.write_gate import WritePermit
from marconi_proxy.moving.execution import older_segments
from marconi_proxy.moving.execution.driven_move import DrivenMove
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.seal_round import SealRound
from marconi_proxy.partition_client.outcome import Look
from marconi_proxy.routing import decision, tags
from marconi_proxy.routing.translation import Translation


@dataclass(frozen=True)
class Mutation:
    """``where`` is the function that has ``right`` in it, exactly once, and gets ``wrong`` in its place.

    ``seed``: a schedule that is known to catch it; ``test``: a unit test that does. Neither: none is known yet.
    """

    name: str
    sentence: str
    where: Callable[..., Any] | property
    right: str
    wrong: str
    seed: int | None = None
    test: str = ""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have production broken while this lasts. Raises LookupError if it has changed too much for that."""
        function = inspect.unwrap(self.where.fget if isinstance(self.where, property) else self.where)
        assert isinstance(function, FunctionType)
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(self.right) != 1:
            raise LookupError(
                f"{self.name}: {function.__qualname__} has {source.count(self.right)} times {self.right!r}"
            )
        before = function.__code__
        function.__code__ = _compiled(source.replace(self.right, self.wrong), before)
        try:
            yield
        finally:
            function.__code__ = before


def _compiled(source: str, before: CodeType) -> CodeType:
    flags = __future__.annotations.compiler_flag
    module = compile(source, before.co_filename, "exec", flags, dont_inherit=True)
    return next(c for c in module.co_consts if isinstance(c, CodeType) and c.co_name == before.co_name)


_TWICE = """from catalog.errors import PlacementConflict
    try:
        await self.steps.place(placement, what)
    except PlacementConflict as conflict:
        now = conflict.current
        if "switches" not in what or now is None or now.segments != self._known().segments:
            raise
        placement = replace(placement, epoch=now.epoch + 1)
        await self.steps.place(placement, what)"""
_BAR = 'await self.place(transitions.bar(placement, {}), "bars the placement")'
_DRIVE = "tests/unit/marconi_proxy/moving/execution/test_move_executor.py"

MUTATIONS = (
    Mutation(
        "unsynced-member",
        "A member whose feed is cut is not waited for.",
        Barrier.seen,
        "elif sighting.expired:",
        "elif sighting.expired or not sighting.member.synced:",
        seed=158,
    ),
    Mutation(
        "no-ambiguity",
        "A write that was sent and not answered does not count as in flight.",
        Fence.end,
        "if ambiguous:",
        "if False:",
        seed=856,
    ),
    Mutation(
        "no-bar-after-look",
        "The placement is not barred when the second look finds something.",
        MoveExecutor._linger,
        _BAR.format("now"),
        "pass",
        test=f"{_DRIVE}::test_a_mover_that_was_frozen_after_its_last_look_can_not_retire_what_is_not_empty_any_more",
    ),
    Mutation(
        "second-look-at-once",
        "The second look at the older segments follows the first without a wait.",
        MoveExecutor._left_to_linger,
        "self.pace.linger -",
        "0.0 -",
        seed=17,
    ),
    Mutation(
        "number-again",
        "A new segment gets the number of one that was retired.",
        transitions.switch,
        "Segment(placement.next_n, partition, backend_name)",
        "Segment(len(placement.segments), partition, backend_name)",
        seed=62,
    ),
    Mutation(
        "marker-off-by-one",
        "The marker of a retired segment goes on behind the next segment.",
        tags.resume,
        "return rest, text if rest[0].n == n else None",
        "return (rest, text) if rest[0].n == n else (rest[1:] or rest, None)",
        test="tests/unit/marconi_proxy/routing/test_tags.py::test_where_a_marker_goes_on",
        seed=65,
    ),
    Mutation(
        "no-margin",
        "A lease has no margin for clocks that go at different rates.",
        WriteLease.confirmed,
        "self._duration - self._margin",
        "self._duration",
        test="tests/unit/marconi_proxy/fencing/test_fence.py::test_it_counts_from_the_sending_less_the_margin",
    ),
    Mutation(
        "switch-twice",
        "A switch that conflicts is repeated on the new epoch after an abort.",
        DrivenMove.place,
        "await self.steps.place(placement, what)",
        _TWICE,
        seed=422,
    ),
    Mutation(
        "base-looks-tagged",
        "An id of the base that looks like a tag is not tagged.",
        tags.tagged,
        "n == base and _TAG.match(text) is None",
        "n == base",
        test="tests/unit/marconi_proxy/routing/test_tags.py::test_what_the_base_gave_out_and_looks_tagged",
    ),
    Mutation(
        "new-feed",
        "The seals that are found at a new feed forget nothing that is being read.",
        Directory._load_seals,
        "self.forget(placement.key)",
        "pass",
        test="tests/unit/marconi_proxy/front_door/test_directory.py::test_a_write_after_a_seal_was_read_does_not_share_a_reading_from_before_it",
    ),
    Mutation(
        "late-answer",
        "An answer is believed that came after the lease had ended.",
        WritePermit.late,
        "else self._gate.late(answer)",
        "else None",
        test="tests/unit/marconi_proxy/front_door/test_write_gate.py::test_a_write_sent_in_the_step_of_its_lookup",
        seed=591,
    ),
    Mutation(
        "cache-kept",
        "A new term keeps the cache of the one before.",
        Membership._renew,
        "self._directory.forget_all()",
        "pass",
        seed=193,
    ),
    Mutation(
        "204-believed",
        "An empty answer of a sealed segment is taken for an empty segment.",
        ChainClaims._from_sealed,
        "if not await self._has_free_message(client, segment):",
        "if True:",
        seed=660,
    ),
    Mutation(
        "old-read-cached",
        "A read is cached that was under way when a change came.",
        Directory._read,
        " and self._reads.get(key) is this:",
        ":",
        seed=463,
    ),
    Mutation(
        "no-bar-before-undo",
        "A cancelled move deletes what it made without barring the placement.",
        MoveExecutor._undo,
        _BAR.format("self.clock.now()"),
        "pass",
        test=f"{_DRIVE}::test_a_mover_that_was_frozen_before_its_seal_can_not_seal_once_the_move_is_undone",
    ),
    Mutation(
        "barrier-too-early",
        "The barrier takes the acknowledgement of an earlier seal of the queue.",
        Barrier.seen,
        "elif not sighting.member.acks.isdisjoint((self.seal, self.seal.preparation)):",
        "elif self.seal.key in {seal.key for seal in sighting.member.acks}:",
        seed=1371,
    ),
    Mutation(
        "preparation-kept",
        "A worker that has acknowledged a preparation uses the queue without withdrawing it.",
        Directory._used,
        "if placement.preparation != unused:",
        "if True:",
        test="tests/unit/marconi_proxy/front_door/test_directory.py::test_who_acknowledges_a_preparation_withdraws_it_before_a_use",
    ),
    Mutation(
        "withdrawal-ignored",
        "The barrier takes the acknowledgement of a preparation that was withdrawn.",
        Barrier.seen,
        "isdisjoint((self.seal, self.seal.preparation)):",
        "isdisjoint((self.seal, self.seal.preparation, self.seal.preparation.preparation)):",
        seed=2229,
    ),
    Mutation(
        "preparation-forgotten",
        "A worker forgets with a new feed that it has acknowledged a preparation.",
        Directory.forget_all,
        "self._tenants.clear()",
        "self._tenants.clear(); self._unused.clear()",
        test="tests/unit/marconi_proxy/front_door/test_directory.py::test_an_acknowledged_preparation_outlives_the_feed",
    ),
    Mutation(
        "no-barrier",
        "The switch waits for no member.",
        Barrier.verdict,
        "if self.waiting:",
        "if False:",
        test="tests/unit/marconi_proxy/fencing/test_barrier.py::test_one_member",
        seed=2,
    ),
    Mutation(
        "acknowledged-at-once",
        "A worker acknowledges a seal as soon as it is shown it, whatever is in flight.",
        Fence.acks,
        "if key not in self._overtaken",
        "if True",
        test="tests/unit/marconi_proxy/fencing/test_fence.py::test_a_seal_waits_for_writes_of_its_queue_that_began_before",
        seed=58,
    ),
    Mutation(
        "marker-untagged",
        "The marker of a next page has no tag; ids have.",
        Translation.outward,
        '("ids", "claim_id", "marker")',
        '("ids", "claim_id")',
        seed=3,
    ),
    Mutation(
        "claimed-is-empty",
        "A segment counts as empty when all that is in it is claimed.",
        Look.empty,
        "self.free or self.claimed or self.total or self.listed",
        "self.free",
        seed=96,
    ),
    Mutation(
        "lease-from-reply",
        "A lease counts from when the worker heard that its renewal was stored.",
        WriteLease.confirmed,
        "until = renewal +",
        "until = now +",
        test="tests/unit/marconi_proxy/fencing/test_fence.py::test_it_counts_from_the_sending_less_the_margin",
    ),
    Mutation(
        "writes-not-held",
        "Writes are not held during a seal.",
        decision.decide,
        "if is_held(route.rule):",
        "if False:",
        seed=249,
    ),
    Mutation(
        "sealed-not-deleted",
        "The deletion of a queue leaves its sealed segments.",
        Deletion._delete_sealed,
        "for segment in ours.segments[:-1]:",
        "for segment in ():",
        seed=222,
    ),
    Mutation(
        "purge-of-one",
        "A purge reaches the last segment only.",
        broadcast.send_to_all,
        "for segment in segments)",
        "for segment in segments[-1:])",
        seed=416,
    ),
    Mutation(
        "not-in-step",
        "Metadata that was changed since the target was prepared is not brought there before the switch.",
        SealRound._sync_metadata,
        "await self._steps.sync_metadata(move.key, placement.segments[-1], target, self._left(entry))",
        "pass",
        seed=227,
    ),
    Mutation(
        "not-closed",
        "The sealed segment is not closed at its partition to what is sent by what was known before the switch.",
        SealRound._sync_metadata,
        "await self._steps.close(placement, self._left(entry))",
        "pass",
        seed=396,
    ),
    Mutation(
        "dead-letters-forgotten",
        "A segment of a dead-letter queue is retired while dead letters may still come into it.",
        older_segments.look,
        "if placement.group not in",
        "if False and placement.group not in",
        seed=92,
    ),
)
BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
