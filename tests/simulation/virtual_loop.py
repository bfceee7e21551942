"""An event loop without chance, in which time passes only when no task can run.

Each callback belongs to an ``Actor``, a process of the simulated world: that of the context it was scheduled in. An
actor can be frozen: nothing of it runs, and callbacks that become due are held back until it is thawed. It can be
paused, with the machine that it runs on: then its time stands still, too. So one loop stands for any number of
processes, and the same calls in the same order give the same run.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

# Steps after which a run is taken for one that never ends.
_ENDLESS = 1_000_000

# Seconds: what is due at a time of an actor's is due when that time has come, whatever was rounded on the way to it.
_RESOLUTION = 1e-9

# When it is due, the how manieth it is, and what is due.
_Timer = tuple[float, int, asyncio.Handle]


class Actor:
    """One process. ``context`` is what its work is scheduled in. ``stood``: for how many seconds its time has stood
    still in all; ``paused_at``: since when it does, None if it does not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.frozen = False
        self.stood = 0.0
        self.paused_at: float | None = None
        self.held: deque[asyncio.Handle] = deque()
        # Timers that would have been due while it was paused.
        self.timers: list[_Timer] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = copy_context()
        self.context.run(_acting.set, self)

    def __repr__(self) -> str:
        return f"<Actor {self.name}{' frozen' if self.frozen else ''}>"


_acting: ContextVar[Actor | None] = ContextVar("acting", default=None)


def acting() -> Actor | None:
    """Return the actor of the running callback, None if it is the world's own."""
    return _acting.get()


class Stuck(Exception):
    """Nothing can happen any more, or it never ends."""


Connect = Callable[[Callable[[], asyncio.Protocol], str, int], Awaitable[tuple[asyncio.Transport, asyncio.Protocol]]]


async def _no_network(make: Callable[[], asyncio.Protocol], host: str, port: int) -> Any:
    raise ConnectionRefusedError(f"{host}:{port}: this world has no network")


class VirtualLoop(asyncio.AbstractEventLoop):
    """``connect`` is what ``create_connection`` does. ``failures``: uncaught exceptions. ``now``: the world's time;
    ``time`` is that of the actor of the running callback."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[_Timer] = []
        self._paused = 0
        self._count = 0
        self._running = False
        self.steps = 0
        self.connect: Connect = _no_network
        self.failures: list[dict[str, Any]] = []

    # -- actors ------------------------------------------------------------------------------------------------------

    def spawn(self, actor: Actor, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have an actor do something."""
        return actor.context.run(self.create_task, work)

    def freeze(self, actor: Actor) -> None:
        actor.frozen = True

    def thaw(self, actor: Actor) -> None:
        """Let it go on, with what has become due meanwhile in the order in which it did; not while it is paused."""
        if actor.paused_at is not None:
            return
        actor.frozen = False
        self._ready.extend(actor.held)
        actor.held.clear()

    def pause(self, actor: Actor) -> None:
        """Freeze it, and have its time stand still."""
        actor.frozen = True
        actor.paused_at = self.now
        self._paused += 1

    def resume(self, actor: Actor) -> None:
        """Let it go on where it was: what it waits for by its own time becomes due so much later."""
        assert actor.paused_at is not None
        stood = self.now - actor.paused_at
        actor.paused_at = None
        actor.stood += stood
        self._paused -= 1
        timers, actor.timers = actor.timers, []
        timers += [timer for timer in self._timers if timer[2]._context.get(_acting) is actor]
        self._timers = [timer for timer in self._timers if timer[2]._context.get(_acting) is not actor]
        self._timers += [(when + stood, count, handle) for when, count, handle in timers]
        heapq.heapify(self._timers)
        self.thaw(actor)

    # -- what asyncio asks of a loop ---------------------------------------------------------------------------------

    def time(self) -> float:
        actor = _acting.get()
        return self.now if actor is None or not actor.stood else self.now - actor.stood + _RESOLUTION

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._call_at(self.now + delay, callback, args, context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        actor = _acting.get()
        return self._call_at(when if actor is None else when + actor.stood, callback, args, context)

    def _call_at(
        self, when: float, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when it is due."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        actor = _acting.get() if context is None else context.get(_acting)
        if actor is not None:
            actor.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await self.connect(protocol_factory, host, port)

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until ``work`` is done; return what it returns. Raises Stuck."""
        asyncio._set_running_loop(self)
        self._running = True
        try:
            task = self.create_task(work)
            while not task.done():
                self._step()
            return task.result()
        finally:
            self._running = False
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        self.steps += 1
        if not self._ready:
            self._next_timer()
        handle = self._ready.popleft()
        if handle._cancelled:
            return
        actor: Actor | None = handle._context.get(_acting)
        if actor is not None and actor.frozen:
            actor.held.append(handle)
        else:
            handle._run()

    def _next_timer(self) -> None:
        timers = self._timers
        while timers:
            when, count, handle = heapq.heappop(timers)
            if self._paused and not handle._cancelled:
                actor: Actor | None = handle._context.get(_acting)
                if actor is not None and actor.paused_at is not None:
                    actor.timers.append((when, count, handle))
                    continue
            if not handle._cancelled:
                self.now = max(self.now, when)
                self._ready.append(handle)
                break
        else:
            raise Stuck(f"nothing can happen any more at {self.now:.3f}")
        if self.steps > _ENDLESS:
            raise Stuck(f"this never ends: {self.steps} steps until {self.now:.3f}")
