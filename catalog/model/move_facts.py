"""The facts of a move: its progress, which decides about later steps, and its measurements, which are only reported.

Both are stored, and shown by the admin API, as one JSON object ``facts``, as schema version 3 has it. A fact without a
value is not in it. ``Move.other_facts`` keeps the keys of other releases through a read and a write, so a later release
adds a key for each new fact. The objects inside a fact have a fixed shape, and another member of one is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from catalog.model.field import check_count, check_key, check_partition_name, check_queue, check_time
from catalog.model.held_writes import HeldWrites


class BackendQueue(NamedTuple):
    """A queue on a partition, by its name there."""

    partition: str
    name: str


class Switch(NamedTuple):
    """A switch at the time ``at``. ``pause_ms``: for how long it held writes, None if unknown."""

    at: float
    source: str
    target: str
    pause_ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {"at": self.at, "from": self.source, "to": self.target, "pause_ms": self.pause_ms}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Switch:
        return Switch(doc["at"], doc["from"], doc["to"], doc["pause_ms"])


class BarrierMembers(NamedTuple):
    """The ids of the members at the barrier of a switch, by the way in which they passed it."""

    acknowledged: tuple[str, ...] = ()
    signed_off: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {name: list(ids) for name, ids in self._asdict().items()}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> BarrierMembers:
        return BarrierMembers(*(tuple(doc[name]) for name in BarrierMembers._fields))


@dataclass(frozen=True, slots=True)
class MoveProgress:
    """The facts that decide about later steps of a move.

    ``touched``: the queues that it created or emptied, and has to delete unless the placement names them. ``deleted``:
    those that it has deleted. ``deleting``: the one with a deletion that has begun, None after its end. ``doubtful``:
    a deletion may still be executed late.

    ``switches``: the last ones. ``switched_at`` and ``switched_to``: the time of the last one, in seconds since 1970,
    and the partition that writes go to since then.

    ``unacknowledged``: (id, stamp) of each member that has not acknowledged the last seal. The stamp is empty if an
    earlier release has recorded the member. ``failures``: failed attempts in a row. ``zero_checks``: the times at which
    the older segments were found empty. ``emptied``: the version of the record with the first of these, which
    distinguishes the waits for the second. ``dead_letters_from``: the queue that was last found to send dead letters
    into an older segment.
    """

    touched: tuple[BackendQueue, ...] = ()
    deleted: tuple[BackendQueue, ...] = ()
    deleting: BackendQueue | None = None
    doubtful: bool = False
    switches: tuple[Switch, ...] = ()
    switched_at: float | None = None
    switched_to: str | None = None
    unacknowledged: tuple[tuple[str, str], ...] = ()
    failures: int = 0
    zero_checks: tuple[float, ...] = ()
    emptied: int | None = None
    dead_letters_from: str | None = None

    def __post_init__(self) -> None:
        deleting = () if self.deleting is None else (self.deleting,)
        for name, queues in (("touched", self.touched), ("deleted", self.deleted), ("deleting", deleting)):
            for partition, queue in queues:
                check_partition_name(name, partition)
                check_queue(name, queue)
        if not isinstance(self.doubtful, bool):
            raise ValueError(f"doubtful: {self.doubtful!r} is not true or false")
        for switch in self.switches:
            check_time("switches", switch.at)
            check_partition_name("switches", switch.source)
            check_partition_name("switches", switch.target)
            _check_optional_time("switches", switch.pause_ms)
        _check_optional_time("switched_at", self.switched_at)
        if self.switched_to is not None:
            check_partition_name("switched_to", self.switched_to)
        for member, stamp in self.unacknowledged:
            check_key("unacknowledged", member)
            check_key("unacknowledged", stamp)
        check_count("failures", self.failures)
        for at in self.zero_checks:
            check_time("zero_checks", at)
        if self.emptied is not None:
            check_count("emptied", self.emptied)
        if self.dead_letters_from is not None:
            check_queue("dead_letters_from", self.dead_letters_from)

    def touching(self, *queues: BackendQueue) -> MoveProgress:
        """Return the progress after the move has created or emptied these queues."""
        return replace(self, touched=(*self.touched, *(queue for queue in queues if queue not in self.touched)))

    def begun_deletion(self, queue: BackendQueue) -> MoveProgress:
        """Return the progress before a deletion. If an earlier one has no end, its outcome stays unknown."""
        return replace(self, deleting=queue, doubtful=self.doubtful or self.deleting is not None)

    def ended_deletion(self) -> MoveProgress:
        """Return the progress after the end of the deletion that has begun."""
        return self if self.deleting is None else replace(self, deleted=(*self.deleted, self.deleting), deleting=None)

    def to_json(self) -> dict[str, Any]:
        return _known(
            {
                "touched": [list(queue) for queue in self.touched],
                "deleted": [list(queue) for queue in self.deleted],
                "deleting": None if self.deleting is None else list(self.deleting),
                "doubtful": self.doubtful or None,
                "switches": [switch.to_json() for switch in self.switches],
                "switched_at": self.switched_at,
                "switched_to": self.switched_to,
                "unacknowledged": [member for member, _ in self.unacknowledged],
                # Pairs, since an id can have a dot, which no key of a stored object may have.
                "unacknowledged_stamps": [[member, stamp] for member, stamp in self.unacknowledged if stamp],
                "failures": self.failures or None,
                "zero_checks": [{"at": at} for at in self.zero_checks],
                "emptied": self.emptied,
                "dead_letters_from": self.dead_letters_from,
            }
        )

    @staticmethod
    def from_json(facts: Mapping[str, Any]) -> MoveProgress:
        deleting = facts.get("deleting")
        stamps = dict.fromkeys(facts.get("unacknowledged", ()), "") | dict(facts.get("unacknowledged_stamps", ()))
        return MoveProgress(
            touched=tuple(BackendQueue(*queue) for queue in facts.get("touched", ())),
            deleted=tuple(BackendQueue(*queue) for queue in facts.get("deleted", ())),
            deleting=None if deleting is None else BackendQueue(*deleting),
            doubtful=facts.get("doubtful", False),
            switches=tuple(Switch.from_json(switch) for switch in facts.get("switches", ())),
            switched_at=facts.get("switched_at"),
            switched_to=facts.get("switched_to"),
            unacknowledged=tuple(stamps.items()),
            failures=facts.get("failures", 0),
            zero_checks=tuple(check["at"] for check in facts.get("zero_checks", ())),
            emptied=facts.get("emptied"),
            dead_letters_from=facts.get("dead_letters_from"),
        )


@dataclass(frozen=True, slots=True)
class MoveMeasurements:
    """The facts of a move for operators and its certificate. No step depends on them.

    ``waits``: the cause of the wait in one sentence, empty without one, None if no mover has recorded it. ``left``: the
    messages in the older segments at the last look, and ``looked_at`` its time. ``left_at_switch``: those at the first
    look after the switch. ``sealed_at``: the time of the last seal. ``barrier``: the members at the last switch, None
    if its mover died before it recorded them. ``holds``: the reports of members on held writes.
    """

    waits: str | None = None
    left: int | None = None
    looked_at: float | None = None
    left_at_switch: int | None = None
    sealed_at: float | None = None
    barrier: BarrierMembers | None = None
    holds: tuple[HeldWrites, ...] = ()

    def __post_init__(self) -> None:
        if self.waits is not None:
            check_key("waits", self.waits)
        for name in ("left", "left_at_switch"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name in ("looked_at", "sealed_at"):
            _check_optional_time(name, getattr(self, name))
        for ids in self.barrier or ():
            for member in ids:
                check_key("barrier", member)

    def to_json(self) -> dict[str, Any]:
        return _known(
            {
                "waits": self.waits,
                "left": self.left,
                "looked_at": self.looked_at,
                "left_at_switch": self.left_at_switch,
                "sealed_at": self.sealed_at,
                "barrier": None if self.barrier is None else self.barrier.to_json(),
                "holds": [held.to_json() for held in self.holds],
            }
        )

    @staticmethod
    def from_json(facts: Mapping[str, Any]) -> MoveMeasurements:
        barrier = facts.get("barrier")
        return MoveMeasurements(
            waits=facts.get("waits"),
            left=facts.get("left"),
            looked_at=facts.get("looked_at"),
            left_at_switch=facts.get("left_at_switch"),
            sealed_at=facts.get("sealed_at"),
            barrier=None if barrier is None else BarrierMembers.from_json(barrier),
            holds=tuple(HeldWrites.from_json(held) for held in facts.get("holds", ())),
        )


# The keys of ``facts`` that this release knows.
KNOWN_FACTS = frozenset(
    {field.name for value in (MoveProgress, MoveMeasurements) for field in fields(value)} | {"unacknowledged_stamps"}
)


def _known(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None and value != []}


def _check_optional_time(name: str, value: object) -> None:
    if value is not None:
        check_time(name, value)
