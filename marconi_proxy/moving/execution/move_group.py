"""Moves that are sealed together: those of a queue and its dead-letter queues, or, most often, one move by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from catalog.model import Move, MoveState
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.step_turns import StepTurns
from marconi_proxy.moving.orders.decisions import STOPS, last_decision, number_of
from marconi_proxy.moving.orders.order import OPERATOR
from marconi_proxy.moving.protocol.machine import ARMED, SEALING, TABLE, Event

_ABOUT_TO = SEALING | ARMED
# Seconds until the next look at a group that cannot be switched yet.
_LATER = 5.0

# The states without a switch to come, unless an operator orders one: the queue stays where it is.
_SETTLED = frozenset(
    {
        MoveState.DRAINING,
        MoveState.LINGERING,
        MoveState.RETIRED,
        MoveState.DONE,
        MoveState.SUSPENDED,
        MoveState.CANCELLED,
    }
)
_ON_ITS_WAY = frozenset(
    {
        MoveState.PLANNED,
        MoveState.PREPARING,
        MoveState.ARMED,
        MoveState.PAUSED,
        MoveState.REROUTE_PREPARING,
        MoveState.REROUTE_ARMED,
    }
)
# Seals several queues in one round (``seal_round.SealRound``).
Seal = Callable[[Sequence[MoveExecutor]], Awaitable[None]]


class MoveGroup:
    """Drive the moves of one group together. ``executors``: those of the whole group, all held by one mover; while some
    are missing, none is sealed.

    ``turns`` bounds the number of concurrent steps. A seal takes no turn, because clients wait for it.
    """

    def __init__(self, executors: Sequence[MoveExecutor], seal: Seal, turns: StepTurns) -> None:
        self.executors = list(executors)
        self._seal = seal
        self._turns = turns

    def __repr__(self) -> str:
        return f"<MoveGroup {self.executors}>"

    @property
    def missing(self) -> list[str]:
        """Return the ids of moves of the group that have no executor here."""
        here = {executor.move.id for executor in self.executors}
        return sorted({id_ for executor in self.executors for id_ in executor.move.group} - here)

    async def step(self) -> float:
        """Make one step of each move. Return the seconds until the next one, infinite if only a change of a record by
        others allows one. Raises CatalogError."""
        async with self._turns.step():
            nexts = [(executor, await executor.step()) for executor in self.executors]
        if await self._stop_together():
            return 0.0
        ready = [executor for executor, next_ in nexts if next_.ready]
        blocked = {executor: blocker for executor in ready if (blocker := self._blocker(executor, ready)) is not None}
        if ready and not blocked:
            # Among them may be seals of a mover that died, and moves that it had not sealed yet.
            await self._seal(ready)
            return 0.0
        sealing = [executor for executor in ready if executor.move.state in SEALING]
        going = [executor.move.state for executor, next_ in nexts if not next_.ready and not next_.wait]
        if sealing and not (going and _ABOUT_TO.issuperset(going)):
            # Clients are waiting. A switch of these alone would send dead letters to a queue without a placement.
            for executor in sealing:
                await executor.abort(blocked[executor].why if executor in blocked else "its group is moved together")
            return 0.0
        wait = min((next_.wait for _, next_ in nexts if not next_.ready), default=_LATER)
        if not ready or not wait:
            return wait
        for executor, blocker in blocked.items():
            # It takes of the budget meanwhile. Failures are counted, so it gives up if the others never come.
            await (executor.wait_for(blocker.why) if blocker.comes else executor.put_off(blocker.why))
        return min(wait, _LATER)

    def _blocker(self, executor: MoveExecutor, ready: Sequence[MoveExecutor]) -> _Blocker | None:
        """Return the obstacle in the group to a seal of this move, None if there is none.

        There is none if each of the others is ready too, is already on the destination, or has ended. An end counts if
        the queue is gone, or if one of the group is already on the destination.
        """
        for id_ in self.missing:
            return _Blocker(f"for move {id_} of its group", True)
        follows = any(_is_there(mate, executor) for mate in self.executors)
        for mate in self.executors:
            along = mate is executor or (mate in ready and mate.move.destination == executor.move.destination)
            # A move that is being undone will not switch, and may wait long until its name can be used again.
            over = mate.move.finished or mate.move.state is MoveState.UNDOING
            ended = (over and follows) or (mate.move.finished and mate.is_gone)
            if not (along or ended or _is_there(mate, executor)):
                why = f"for move {mate.move.id} of its group, which is {mate.move.state}"
                return _Blocker(
                    why, mate.move.state not in _SETTLED and mate.move.destination == executor.move.destination
                )
        return None

    async def _stop_together(self) -> bool:
        """Pause or cancel the moves with a mate that was paused or cancelled; return whether there was one.

        Once one of a group is switched, the others follow it, even if a third was stopped. Raises CatalogError.
        """
        for executor in self.executors:
            if executor.move.state not in _ON_ITS_WAY or any(_is_there(mate, executor) for mate in self.executors):
                continue
            for mate in self.executors:
                stopped = None if mate is executor or mate.is_gone else stopped_by(mate.move, executor.move)
                if stopped is not None and stopped.event in TABLE[executor.move.state].next:
                    freed = executor.move.unhindered()
                    await executor.enter(stopped.event, stopped.reason, freed, decision=stopped.number)
                    return True
        return False


def _is_there(mate: MoveExecutor, executor: MoveExecutor) -> bool:
    """Return whether the queue of ``mate`` is on the destination of ``executor``, and stays there."""
    if mate is executor or mate.move.state not in _SETTLED:
        return False
    return mate.placement is not None and mate.placement.partition == executor.move.destination


class _Blocker(NamedTuple):
    """The reason to wait. ``comes``: the other move is on its way to the same destination, or an operator can resume
    it."""

    why: str
    comes: bool


class GroupStop(NamedTuple):
    event: Event
    reason: str
    number: int


def stopped_by(mate: Move, move: Move) -> GroupStop | None:
    """Return the stop of ``move`` that follows from a stop of ``mate``, its mate in a group; None if it continues.

    It continues if an operator resumed it after ``mate`` stopped. Such a decision is written into one move of the group
    after the other, with one number, which is larger than those of all earlier decisions on the group.
    """
    stop, last = last_decision(mate), last_decision(move)
    if stop is None or stop.state not in STOPS:
        return None
    number = number_of(stop)
    if last is not None and last.state not in STOPS and number_of(last) >= number:
        return None
    event = STOPS[stop.state]
    reason = f"its group goes together: {event} of move {mate.id}"
    if stop.reason.startswith(OPERATOR):
        # An operator's decision does not count as a failure of the plan.
        return GroupStop(event, f"{OPERATOR}{reason}", number)
    return GroupStop(event, f"{reason}, which {stop.reason}", number)
