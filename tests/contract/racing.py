"""The other processes in the tests of catalogs, started with ``spawn``: they share nothing with the test."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from catalog import open_catalog
from catalog.errors import LockHeld, LockLost, MoveConflict, MoveUnderWay, PlacementConflict
from catalog.model import Holder, LogEntry, MoveState, Placement, QueueKey
from tests.contract.examples import move, placement


async def in_processes(number: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Run ``function(*args, n)`` in ``number`` processes at once (without n if there is one); return the results."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(number)
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(number, mp_context=context, initializer=_remember, initargs=(gate,)) as pool:
        calls = [(*args, n) if number > 1 else args for n in range(number)]
        return list(await asyncio.gather(*(loop.run_in_executor(pool, function, *call) for call in calls)))


def _remember(gate: Any) -> None:
    global _gate  # noqa: PLW0603 -- how an initializer hands something to the functions of its process
    _gate = gate


def together() -> None:
    """Wait until every process has come here. Once, by functions that meet nowhere else."""
    _gate.wait(240)


def initialise(uri: str, n: int) -> bool:
    """Open and initialise the catalog at the same moment as the other processes; return whether it passes the check."""

    async def run() -> bool:
        _gate.wait(240)
        catalog = await open_catalog(uri)
        await catalog.init()
        await catalog.check()
        await catalog.close()
        return True

    return asyncio.run(run())


def place_all(uri: str, queues: list[str]) -> None:
    """Place the queues one after the other."""

    async def run() -> None:
        catalog = await open_catalog(uri)
        for queue in queues:
            await catalog.placements.insert(placement(queue))
        await catalog.close()

    asyncio.run(run())


def race(uri: str, queues: list[str], tasks: int, n: int) -> list[tuple[Placement, bool]]:
    """Try to place each queue with ``tasks`` tasks at once, each elsewhere or at another time; return what they got."""

    async def run() -> list[tuple[Placement, bool]]:
        catalog = await open_catalog(uri)
        await catalog.partitions.all()  # connected
        _gate.wait(240)
        results = []
        for queue in queues:
            candidates = [placement(queue, f"p{(n + t) % 3 + 1}", since=n + t / 1000) for t in range(tasks)]
            results += await asyncio.gather(*(catalog.placements.insert(c) for c in candidates))
        await catalog.close()
        return results

    return asyncio.run(run())


def increment(uri: str, key: QueueKey, times: int, n: int) -> int:
    """Add one to the epoch ``times`` times, by compare-and-set with retries; return how many attempts it took."""

    async def run() -> int:
        catalog = await open_catalog(uri)
        current = await catalog.placements.get(key)
        _gate.wait(240)
        attempts = done = 0
        chance = random.Random(n)
        while done < times:
            assert current is not None
            attempts += 1
            candidate = placement(key.queue, epoch=current.epoch + 1, since=n + chance.random())
            try:
                await catalog.placements.replace(candidate)
                current = candidate
                done += 1
            except PlacementConflict as conflict:
                current = conflict.current
        await catalog.close()
        return attempts

    return asyncio.run(run())


def begin_moves(uri: str, queues: list[str], tasks: int, n: int) -> list[tuple[str, bool, str]]:
    """Try to begin a move of each queue with ``tasks`` tasks at once; return (queue, whether ours is it, its id)."""

    async def run() -> list[tuple[str, bool, str]]:
        catalog = await open_catalog(uri)
        await catalog.partitions.all()  # connected

        async def begin(queue: str, t: int) -> tuple[str, bool, str]:
            candidate = move(f"{queue}-{n}-{t}", queue)
            try:
                await catalog.moves.insert(candidate)
            except MoveUnderWay as refused:
                return queue, False, refused.current.id
            return queue, True, candidate.id

        _gate.wait(240)
        results = []
        for queue in queues:
            results += await asyncio.gather(*(begin(queue, t) for t in range(tasks)))
        await catalog.close()
        return results

    return asyncio.run(run())


def drive(uri: str, move_id: str, times: int, n: int) -> tuple[list[tuple[int, int]], Counter[str]]:
    """Hold the move now and then, and change it ``times`` times in all, whenever it is held; often too late, for others
    take it over as if they had watched it for long.

    Returns the (version, token) of each change that was done, and how often what was answered.
    """

    async def run() -> tuple[list[tuple[int, int]], Counter[str]]:
        catalog = await open_catalog(uri)
        await catalog.partitions.all()  # connected
        chance = random.Random(n)
        done: list[tuple[int, int]] = []
        answers: Counter[str] = Counter()
        watched: Holder | None = None
        _gate.wait(240)
        while len(done) < times:
            try:
                current = await catalog.moves.lock(move_id).acquire(f"mover-{n}", 60.0, over=watched)
                assert current.holder is not None
                token = current.holder.token
                for _ in range(chance.randint(1, 4)):
                    await asyncio.sleep(chance.random() * 0.01)  # as its calls to partitions take
                    entry = LogEntry(float(token), MoveState.PREPARING, f"by mover-{n}", (("token", token),))
                    changed = current.entered(entry)
                    await catalog.moves.replace(changed, token)
                    done.append((changed.version, token))
                    current = changed
                    if chance.random() < 0.3:
                        await catalog.moves.lock(move_id).renew(token, 60.0)
                if chance.random() < 0.5:
                    await catalog.moves.lock(move_id).release(token)
            except (LockHeld, LockLost, MoveConflict) as refused:
                answers[type(refused).__name__] += 1
                watched = refused.holder if isinstance(refused, LockHeld) and chance.random() < 0.7 else None
                await asyncio.sleep(chance.random() * 0.004)  # as a mover waits for its turn
        await catalog.close()
        return done, answers

    return asyncio.run(run())
