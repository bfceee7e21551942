"""Moves that go together: a queue and its dead-letter queue, or most often one move by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from catalog.model import Move, MoveState
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.orders.decisions import STOPS, last_decision, number_of
from marconi_proxy.moving.orders.order import OPERATOR
from marconi_proxy.moving.protocol.machine import TABLE, Event

_SEALING = frozenset({MoveState.SEALING, MoveState.REROUTE_SEALING})
_ABOUT_TO = _SEALING | {MoveState.ARMED, MoveState.REROUTE_ARMED}
# Seconds until a group that cannot be switched yet is looked at again: the mover does something else meanwhile.
_LATER = 5.0

# What goes nowhere by itself: its queue stays where it is.
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
    """``executors`` are those of a whole group, held by one mover; while some of a group are missing, none is sealed.

    ``turns`` bounds how many steps are made at a time. Seals take none: clients wait for those.
    """

    def __init__(self, executors: Sequence[MoveExecutor], seal: Seal, turns: asyncio.Semaphore) -> None:
        self.executors = list(executors)
        self._seal = seal
        self._turns = turns

    def __repr__(self) -> str:
        return f"<MoveGroup {self.executors}>"

    @property
    def missing(self) -> list[str]:
        """The ids of moves that belong to the group and are not driven here."""
        here = {executor.move.id for executor in self.executors}
        return sorted({id_ for executor in self.executors for id_ in executor.move.group} - here)

    async def step(self) -> float:
        """Do one step of each move; return the seconds after which the next is worth making, infinite if not before a
        record is changed by others. Raises CatalogError."""
        async with self._turns:
            nexts = [(executor, await executor.step()) for executor in self.executors]
        if await self._stop_together():
            return 0.0
        ready = [executor for executor, next_ in nexts if next_.ready]
        blocked = {executor: blocker for executor in ready if (blocker := self._blocker(executor, ready)) is not None}
        if ready and not blocked:
            # Those whose seal was found, after the death of a mover, and those that it had not come to.
            await self._seal(ready)
            return 0.0
        sealing = [executor for executor in ready if executor.move.state in _SEALING]
        going = [executor.move.state for executor, next_ in nexts if not next_.ready and not next_.wait]
        if sealing and not (going and _ABOUT_TO.issuperset(going)):
            # Clients are waiting. To be switched alone would bring dead letters to where no placement leads.
            for executor in sealing:
                await executor.abort(blocked[executor].why if executor in blocked else "its group is moved together")
            return 0.0
        wait = min((next_.wait for _, next_ in nexts if not next_.ready), default=_LATER)
        if not ready or not wait:
            return wait
        for executor, blocker in blocked.items():
            # It keeps a place of the budget, which is given up in the end for what never comes.
            await (executor.wait_for(blocker.why) if blocker.comes else executor.put_off(blocker.why))
        return min(wait, _LATER)

    def _blocker(self, executor: MoveExecutor, ready: Sequence[MoveExecutor]) -> _Blocker | None:
        """Return what of the group this move must not be switched without, None if there is nothing: each of the others
        is ready too, went the same way before, or has ended: with its queue, or when one had gone that way."""
        for id_ in self.missing:
            return _Blocker(f"for move {id_} of its group", True)
        follows = any(_is_there(mate, executor) for mate in self.executors)
        for mate in self.executors:
            along = mate is executor or (mate in ready and mate.move.destination == executor.move.destination)
            # One that is being undone never goes, and may wait for long until its name can be used again.
            over = mate.move.finished or mate.move.state is MoveState.UNDOING
            ended = (over and follows) or (mate.move.finished and mate.is_gone)
            if not (along or ended or _is_there(mate, executor)):
                why = f"for move {mate.move.id} of its group, which is {mate.move.state}"
                return _Blocker(
                    why, mate.move.state not in _SETTLED and mate.move.destination == executor.move.destination
                )
        return None

    async def _stop_together(self) -> bool:
        """Pause or cancel what must not go without a move that was paused or cancelled; return whether anything was.

        Once one of a group is switched, the others follow it, whatever became of a third. Raises CatalogError.
        """
        for executor in self.executors:
            if executor.move.state not in _ON_ITS_WAY or any(_is_there(mate, executor) for mate in self.executors):
                continue
            for mate in self.executors:
                stopped = None if mate is executor or mate.is_gone else stopped_by(mate.move, executor.move)
                if stopped is not None and stopped.event in TABLE[executor.move.state].next:
                    facts = {"failures": 0, "waits": ""}
                    await executor.enter(stopped.event, stopped.reason, facts, decision=stopped.number)
                    return True
        return False


def _is_there(mate: MoveExecutor, executor: MoveExecutor) -> bool:
    """Tell whether the queue of ``mate`` is, and stays, where ``executor`` is to go."""
    if mate is executor or mate.move.state not in _SETTLED:
        return False
    return mate.placement is not None and mate.placement.partition == executor.move.destination


class _Blocker(NamedTuple):
    """``comes``: it is on its way where this one goes, or an operator is to let it go on."""

    why: str
    comes: bool


class GroupStop(NamedTuple):
    event: Event
    reason: str
    number: int


def stopped_by(mate: Move, move: Move) -> GroupStop | None:
    """Return how ``move`` is to stop, for it must not go without ``mate``; None if it is to go on.

    Also if an operator has let it go on since ``mate`` stopped: that comes to one of a group after the other, each with
    the same number, which is larger than those of all decisions on the group before.
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
        # An operator's decision is no failure of the plan.
        return GroupStop(event, f"{OPERATOR}{reason}", number)
    return GroupStop(event, f"{reason}, which {stop.reason}", number)
