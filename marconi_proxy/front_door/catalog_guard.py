"""The catalog behind circuit breakers, for the calls of clients.

Without them, each call that needs a catalog that is away would wait for a timeout of seconds. Reads and writes have a
breaker each: a store without a majority, or a file that is locked, may still be readable. When a breaker opens, the
calls under way that wait for it fail, too, and a probe in the background asks the catalog until it answers.

The feed, the lease and the abort of seals do not pass the breakers, because they retry at their own pace.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from catalog.errors import CatalogError, CatalogUnavailable
from catalog.interface import Catalog
from marconi_proxy.background import ended
from marconi_proxy.front_door.circuit_breaker import CircuitBreaker

LOG = logging.getLogger(__name__)

T = TypeVar("T")
Verb = Callable[..., Awaitable[Any]]

_NOUNS = ("placements", "partitions", "tenants", "moves")
# Counts are left out: one may exceed its time although the catalog is well.
_READS = frozenset({"get", "all", "find", "list_queues", "search_queues", "under_way"})
_WRITES = frozenset({"insert", "replace", "remove"})
# The most seconds between the failure of a probe and the next one, with jitter.
_PAUSE = 0.5


class CatalogGuard:
    """Belongs to one worker. ``catalog`` is the one that was given, with its verbs behind ``reads`` and ``writes``.

    ``clock``: monotonic seconds. ``sleep(seconds)`` waits.
    """

    def __init__(
        self,
        catalog: Catalog,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.reads = GuardedVerbs("reads", catalog.identity, clock, sleep)
        self.writes = GuardedVerbs("writes", catalog.ping, clock, sleep)
        self.catalog = cast("Catalog", _GuardedCatalog(catalog, self.reads, self.writes))

    async def stop(self) -> None:
        """End the probes."""
        await ended([self.reads.probe, self.writes.probe])


class GuardedVerbs:
    """The breaker of one ``kind`` of verbs, and its probe: ``ask`` is a verb of this kind."""

    def __init__(
        self,
        kind: str,
        ask: Callable[[], Awaitable[object]],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self.kind = kind
        self._ask = ask
        self._sleep = sleep
        self._waiting: set[asyncio.Timeout] = set()
        self.breaker = CircuitBreaker(clock)
        self.probe: asyncio.Task[None] | None = None

    async def call(self, verb: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Call ``verb``. Raises CatalogUnavailable at once while the breaker is open, and as soon as it opens."""
        began = self.breaker.begin()
        if began is None:
            raise self._away()
        try:
            async with asyncio.timeout(None) as patience:
                self._waiting.add(patience)
                try:
                    result = await verb(*args, **kwargs)
                finally:
                    self._waiting.discard(patience)
        except TimeoutError:
            raise self._away() from None
        except CatalogUnavailable as error:
            if self.breaker.failed(began):
                self._open(error)
            raise
        except CatalogError:
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()
        return result

    def _away(self) -> CatalogUnavailable:
        seconds = self.breaker.open_for()
        return CatalogUnavailable(f"the catalog has not answered {self.kind} for {seconds:.1f} s; it is being probed")

    def _open(self, error: CatalogUnavailable) -> None:
        LOG.warning(
            "the catalog does not answer %s: calls that need them are refused until a probe is answered: %s",
            self.kind,
            error,
        )
        now = asyncio.get_running_loop().time()
        for patience in self._waiting:
            patience.reschedule(now)
        self.probe = asyncio.create_task(self._probe(self.breaker.refused), name=f"probe of the catalog's {self.kind}")

    async def _probe(self, refused_before: int) -> None:
        while True:
            try:
                await self._ask()
                break
            except CatalogError as error:
                LOG.debug("the catalog still does not answer %s: %s", self.kind, error)
            await self._sleep(_PAUSE * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
        seconds = self.breaker.open_for()
        self.breaker.succeeded()
        LOG.warning(
            "the catalog answers %s again after %.1f s; calls refused meanwhile: %d",
            self.kind,
            seconds,
            self.breaker.refused - refused_before,
        )


class _GuardedCatalog:
    """A catalog, but for some of its nouns."""

    def __init__(self, catalog: Catalog, reads: GuardedVerbs, writes: GuardedVerbs) -> None:
        self._catalog = catalog
        for noun in _NOUNS:
            setattr(self, noun, _GuardedNoun(getattr(catalog, noun), reads, writes))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)


class _GuardedNoun:
    """A noun of the catalog. Verbs of neither kind pass unguarded."""

    def __init__(self, noun: object, reads: GuardedVerbs, writes: GuardedVerbs) -> None:
        self._noun = noun
        self._kinds = {**dict.fromkeys(_READS, reads), **dict.fromkeys(_WRITES, writes)}

    def __getattr__(self, name: str) -> Verb:
        verb = cast("Verb", getattr(self._noun, name))
        guard = self._kinds.get(name)
        if guard is None:
            return verb

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await guard.call(verb, *args, **kwargs)

        return guarded
