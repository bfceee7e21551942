"""Coalesce concurrent jobs into batches, one in flight per key; the next batch gathers meanwhile.

This reduces round trips where they matter, and keeps the calls of one process from racing with each other. It is
independent of the work of batches.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
J = TypeVar("J")
R = TypeVar("R")


class _Waiting(NamedTuple, Generic[J, R]):
    job: J
    weight: int
    future: asyncio.Future[R]


class Coalescer(Generic[K, J, R]):
    """Runs ``work(key, jobs)``, which returns one result per job or fails for all, one batch per key at a time.

    A batch weighs at most ``most``, or is a single job. Once begun, it runs to its end even if the callers are
    cancelled.
    """

    def __init__(self, work: Callable[[K, list[J]], Awaitable[list[R]]], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: dict[K, list[_Waiting[J, R]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, key: K, job: J, weight: int = 1) -> R:
        """Return the result of ``job``, or raise what its batch raised."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(job, weight, future)
        line = self._waiting.get(key)
        if line is not None:
            line.append(waiting)
        else:
            self._waiting[key] = [waiting]
            # Not in the context of the first caller, which has a deadline of its own.
            task = asyncio.create_task(self._run(key), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def close(self) -> None:
        """Wait for the end of all jobs."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _run(self, key: K) -> None:
        line = self._waiting[key]
        try:
            while batch := self._batch(line):
                await self._one(key, batch)
        finally:
            del self._waiting[key]
            # Non-empty only if this was cancelled, as an event loop does at its end.
            for waiting in line:
                waiting.future.cancel()

    def _batch(self, line: list[_Waiting[J, R]]) -> list[_Waiting[J, R]]:
        # A job without a waiting caller can be skipped.
        line[:] = [waiting for waiting in line if not waiting.future.done()]
        taken = weight = 0
        for waiting in line:
            weight += waiting.weight
            if taken and weight > self._most:
                break
            taken += 1
        batch, line[:] = line[:taken], line[taken:]
        return batch

    async def _one(self, key: K, batch: list[_Waiting[J, R]]) -> None:
        try:
            results = await self._work(key, [waiting.job for waiting in batch])
        except Exception as error:
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_exception(error)
            return
        except BaseException:
            for waiting in batch:
                waiting.future.cancel()
            raise
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(result)
