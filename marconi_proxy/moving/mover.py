"""The mover: finds unfinished moves without a live holder, and drives them. Any number of movers run.

A mover visits a move: it acquires the locks of the whole group, makes steps while the next one is due shortly, and
releases the locks. A move that waits for consumers or for time costs nothing between two visits. A mover that loses a
lock stops at once; its unfinished step is safe, because every step is a compare-and-set or can be repeated. The lock of
a mover that died is taken over after it was watched without a renewal for the whole term that its holder promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from catalog.errors import CatalogError, LockHeld, LockLost, MoveConflict
from catalog.interface import Catalog
from catalog.model import UNFINISHED_STATES, Holder, Move
from catalog.unchanged import Unchanged
from marconi_proxy.background import ended, take_lock
from marconi_proxy.clock import Clock
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.move_group import MoveGroup
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.seal_scheduler import SealScheduler
from marconi_proxy.moving.execution.step_turns import StepTurns
from marconi_proxy.moving.execution.steps.interface import Steps

LOG = logging.getLogger(__name__)

_PAGE = 200
# Seconds between two searches for moves that the feed did not show, and between two visits of a move that rests.
_SWEEP = 10.0
_RESTING = 60.0
# A visit waits for the next step if it is due within so many seconds.
_PATIENCE = 1.5
# Seconds within which a changed move is visited.
_NEWS = 0.1
# The least seconds until the next visit of a move that another mover holds, also after a change of it.
_SHORTLY = 0.5
# Visits at a time, most of which wait for their next step.
_VISITS = 64
# Shares of a lock's term: after the first it counts as lost unless renewed, because clocks differ in rate. The others
# are the intervals of renewals, and of retries of a failed one.
_TRUSTED = 0.9
_RENEWED = 1 / 3
_TRIED_AGAIN = 0.1
# Seconds that visits have to end their step when the mover stops.
_GRACE = 10.0


class _Held(NamedTuple):
    move: Move
    token: int


class Mover:
    """Drive moves until stopped. Belongs to one event loop.

    ``name``: host/pid/boot, the holder of its locks. The feed calls ``changed``.
    """

    def __init__(
        self, catalog: Catalog, steps: Steps, pace: MovePace, clock: Clock, chance: random.Random, name: str
    ) -> None:
        self.name = name
        self._catalog = catalog
        self._steps = steps
        self._pace = pace
        self._clock = clock
        self._chance = chance
        self._turns = StepTurns()
        self._scheduler = SealScheduler(steps, clock, pace.seals_per_second, self._turns)
        # Observations of moves, by (id, subject): their locks, and the time for which their records stand unchanged.
        self._watched: Unchanged[tuple[str, str]] = Unchanged(clock.monotonic)
        # By id of a move: the monotonic time of its next visit; its visit in progress; the version last seen.
        self._due: dict[str, float] = {}
        self._visited: dict[str, asyncio.Task[None]] = {}
        self._versions: dict[str, int] = {}
        # The moves that another mover held at their last visit.
        self._elsewhere: set[str] = set()
        self._again: set[str] = set()
        self._sweep_at = 0.0
        self._news = asyncio.Event()
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Mover {self.name} {len(self._visited)} visits, {len(self._due)} moves known>"

    def changed(self, move_id: str | None, version: int | None = None) -> None:
        """Schedule a visit of a move that has changed; with None, a search for all, because any may have."""
        if move_id is None:
            self._sweep_at = 0.0
        elif version is not None and version <= self._versions.get(move_id, 0):
            return
        elif move_id in self._visited:
            self._again.add(move_id)
        else:
            later = self._later(move_id, version)
            self._due[move_id] = min(self._due.get(move_id, math.inf), self._clock.monotonic() + later)
        self._news.set()

    def _later(self, move_id: str, version: int | None) -> float:
        """Return the seconds until the visit of a changed move."""
        if move_id in self._elsewhere:
            # It most likely changed by the mover that holds it.
            return self._chance.uniform(_SHORTLY, 2 * _SHORTLY)
        # All movers try a new move at once.
        return 0.0 if version == 1 else self._chance.uniform(0.0, _NEWS)

    async def run(self, stop: asyncio.Event) -> None:
        """Drive moves until ``stop`` is set; then end their steps and release them."""
        stopping = asyncio.create_task(stop.wait(), name="stop")
        troubles = 0
        try:
            while not stop.is_set():
                self._news.clear()
                try:
                    if self._clock.monotonic() >= self._sweep_at:
                        await self._sweep()
                        if troubles:
                            LOG.info("the catalog is available again: moves continue")
                        troubles = 0
                except CatalogError as error:
                    if not troubles:
                        LOG.warning("moves wait: the catalog is not available: %s", error)
                    troubles += 1
                    self._sweep_at = self._clock.monotonic() + self._chance.uniform(0.2, min(10.0, 0.5 * 2.0**troubles))
                self._begin()
                await self._until_news(stopping)
        finally:
            stopping.cancel()
            await self._stop()

    async def _until_news(self, stopping: asyncio.Task[bool]) -> None:
        news = asyncio.create_task(self._news.wait(), name="news")
        nexts = [self._sweep_at, *(due for id_, due in self._due.items() if id_ not in self._visited)]
        wait = max(0.01, min(nexts) - self._clock.monotonic())
        full = len(self._visited) >= _VISITS
        await asyncio.wait(
            {news, stopping, *self._visited.values()},
            timeout=_SWEEP if full else wait,
            return_when=asyncio.FIRST_COMPLETED,
        )
        news.cancel()

    async def _sweep(self) -> None:
        """Find all unfinished moves, and forget the others. Raises CatalogError."""
        now = self._clock.monotonic()
        # Moves that the feed shows from here on may be newer than the pages.
        known = set(self._due)
        found: dict[str, Move] = {}
        after: str | None = None
        while True:
            page = await self._catalog.moves.find(states=UNFINISHED_STATES, after=after, limit=_PAGE)
            found |= {move.id: move for move in page}
            if len(page) < _PAGE:
                break
            after = page[-1].id
        for id_, move in found.items():
            if id_ not in self._due and id_ not in self._visited:
                elsewhere = move.holder is not None and move.holder.name != self.name
                self._due[id_] = now + (self._jitter(self._pace.hold / 2) if elsewhere else 0.0)
        for id_ in known - found.keys():
            self._forget(id_)
        self._watched.keep(lambda key: key[0] in self._due)
        self._sweep_at = now + self._jitter(_SWEEP)

    def _forget(self, id_: str) -> None:
        self._due.pop(id_, None)
        self._versions.pop(id_, None)
        self._elsewhere.discard(id_)

    def _jitter(self, seconds: float) -> float:
        return seconds * self._chance.uniform(0.7, 1.3)

    # -- visits ------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begin the visits that are due."""
        now = self._clock.monotonic()
        due = sorted((at, id_) for id_, at in self._due.items() if at <= now and id_ not in self._visited)
        for _, id_ in due[: max(0, _VISITS - len(self._visited))]:
            task = asyncio.create_task(self._visit(id_), name=f"move {id_}")
            self._visited[id_] = task
            task.add_done_callback(partial(self._ended, id_))

    def _ended(self, id_: str, task: asyncio.Task[None]) -> None:
        self._visited.pop(id_, None)
        if id_ in self._again:
            self._again.discard(id_)
            self._due[id_] = 0.0
        self._news.set()
        if not task.cancelled() and task.exception() is not None:
            LOG.error("a visit of move %s failed", id_, exc_info=task.exception())
            self._due[id_] = self._clock.monotonic() + self._jitter(5.0)

    async def _visit(self, id_: str) -> None:
        """Acquire the locks of a move and its group, drive them, release the locks, and schedule the next visit."""
        wait = self._jitter(1.0)
        self._elsewhere.discard(id_)
        try:
            asked = self._watched.now()
            move = await self._catalog.moves.get(id_)
            if move is None or move.finished:
                self._forget(id_)
                return
            later = self._left_elsewhere(id_, move.holder, asked)
            if later is not None:
                self._due[id_] = self._clock.monotonic() + later
                return
            ids = sorted({id_, *move.group})
            first = await self._first(ids) if move.group else id_
            if first != id_:
                # A group is visited as a whole, under the id of its first unfinished move.
                if first not in self._visited:
                    self._due[first] = min(self._due.get(first, 0.0), self._clock.monotonic())
                self._due[id_] = self._clock.monotonic() + self._jitter(_SWEEP)
                return
            held: list[_Held] = []
            # Counted from before the first lock is acquired, so earlier than any other process counts.
            limit = asyncio.timeout_at(self._lost_at())
            try:
                later = await self._take(ids, held)
                if later is not None:
                    wait = later
                elif held:
                    wait = await self._held(held, limit)
            finally:
                await self._release(held)
        except LockLost as error:
            LOG.warning("%s: this mover stops driving it; another one continues", error)
        except CatalogError as error:
            LOG.info("move %s waits: %s", id_, error)
        self._due[id_] = self._clock.monotonic() + min(wait, self._jitter(_RESTING))

    async def _first(self, ids: Iterable[str]) -> str:
        """Return the id of the first unfinished move of a group. Raises MoveConflict if there is none, CatalogError."""
        for id_ in ids:
            move = await self._catalog.moves.get(id_)
            if move is not None and not move.finished:
                return id_
        raise MoveConflict(next(iter(ids)), None)

    async def _take(self, ids: Iterable[str], held: list[_Held]) -> float | None:
        """Acquire the locks of all ``ids``, in this order, which all movers keep, and append them to ``held``.

        Returns None, or if another mover holds one of them, the seconds until the next try. Raises CatalogError.
        """
        for id_ in ids:
            take = partial(self._take_move, id_)
            try:
                move = await take_lock(self._watched, (id_, "lock"), take)
            except MoveConflict:
                continue  # there is no such move
            except LockHeld as error:
                LOG.debug("%s", error)
                return self._left_elsewhere(id_, error.holder, self._watched.now()) or _SHORTLY
            assert move.holder is not None
            held.append(_Held(move, move.holder.token))
        return None

    def _left_elsewhere(self, id_: str, holder: Holder | None, asked: float) -> float | None:
        """Return the seconds until the next visit of a move that another mover holds, by a read of its holder that was
        sent at ``asked``; None if its lock can be taken."""
        if holder is None or holder.name == self.name:
            return None
        watched = self._watched.seen((id_, "lock"), holder, asked)
        if watched > holder.patience:
            return None
        self._elsewhere.add(id_)
        return max(_SHORTLY, holder.patience - watched) * self._chance.uniform(1.0, 1.1)

    async def _take_move(self, id_: str, over: Holder | None) -> Move:
        if over is not None:
            LOG.info("move %s is taken over from mover %s, which has not renewed its lock", id_, over.name)
        return await self._catalog.moves.lock(id_).acquire(self.name, self._pace.hold, over=over)

    async def _release(self, held: list[_Held]) -> None:
        for move, token in held:
            with contextlib.suppress(CatalogError):
                await self._catalog.moves.lock(move.id).release(token)

    def _lost_at(self) -> float:
        """Return the time, in the loop's time, at which a lock that is acquired or renewed now counts as lost."""
        return asyncio.get_running_loop().time() + self._pace.hold * _TRUSTED

    async def _held(self, held: list[_Held], limit: asyncio.Timeout) -> float:
        """Drive the moves in ``held``; return the seconds until their next visit. Raises CatalogError.

        ``limit``: expires when the locks may have been lost. Then the step in progress is cancelled, because calls to
        partitions are no compare-and-set.
        """
        executors = [
            MoveExecutor(self._steps, self._pace, self._clock, self._chance, move, token, self._watched)
            for move, token in held
        ]
        group = MoveGroup(executors, self._scheduler.seal, self._turns)
        going = asyncio.create_task(self._go_on(group), name="going on")
        keeping = asyncio.create_task(self._keep(held, limit), name="keeping hold")
        try:
            try:
                async with limit:
                    await asyncio.wait({going, keeping}, return_when=asyncio.FIRST_COMPLETED)
            except TimeoutError:
                raise LockLost(f"move {held[0].move.id}", held[0].token) from None
            if going.done():
                return going.result()
            # It ends only by an error: a lock is lost.
            keeping.result()
            raise AssertionError("unreachable: renewals end only when a lock is lost")
        finally:
            await ended([going, keeping])
            for executor in executors:
                self._versions[executor.move.id] = executor.move.version

    async def _go_on(self, group: MoveGroup) -> float:
        troubles = 0
        while True:
            try:
                wait = await group.step()
                troubles = 0
            except LockLost:
                raise
            except CatalogError as error:
                # The next step reads the outcome of this one.
                troubles += 1
                if troubles > 3:
                    raise
                LOG.info("%s: the step is retried: %s", group.executors[0].name, error)
                wait = self._chance.uniform(0.0, 0.2 * 2.0**troubles)
            if self._stopping or wait > _PATIENCE:
                return wait
            if group.missing:
                # Release the locks, so that the next visit can acquire those of the whole group.
                return max(wait, _SHORTLY)
            if wait:
                await self._clock.sleep(wait)

    async def _keep(self, held: list[_Held], limit: asyncio.Timeout) -> None:
        """Renew the locks for ever, and postpone ``limit`` each time. Raises LockLost when one of them is lost."""
        share = _RENEWED
        while True:
            await self._clock.sleep(self._pace.hold * share)
            lost_at = self._lost_at()
            try:
                for move, token in held:
                    await self._catalog.moves.lock(move.id).renew(token, self._pace.hold)
            except LockLost:
                raise
            except CatalogError as error:
                LOG.debug("%s", error)
                share = _TRIED_AGAIN
            else:
                limit.reschedule(lost_at)
                share = _RENEWED

    # -- the end -----------------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Wait for the visits to end their step, at most ``_GRACE`` seconds, and for seals; then cancel the visits."""
        self._stopping = True
        if self._visited:
            LOG.info("stopping: %d moves are released", len(self._visited))
            await asyncio.wait(set(self._visited.values()), timeout=_GRACE)
        await asyncio.gather(ended(self._visited.values()), self._scheduler.stop())
