"""Catalogs around others: calls pass through a function, or another object stands in the place of a verb."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

# Gets the verb, as ``"placements.get"``, and what calls it.
Through = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Passing:
    """A catalog, or a noun of it; each call of a verb passes ``through``."""

    def __init__(self, real: Any, through: Through, prefix: str = "") -> None:
        self._real = real
        self._through = through
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        real, verb = getattr(self._real, name), f"{self._prefix}{name}"
        if not inspect.iscoroutinefunction(real):
            return Passing(real, self._through, f"{verb}.")

        async def called(*args: Any, **kwargs: Any) -> Any:
            return await self._through(verb, partial(real, *args, **kwargs))

        return called

    def __call__(self, *args: Any) -> Passing:
        """Return what passes for a lock."""
        return Passing(self._real(*args), self._through, self._prefix)


class Instead:
    """A catalog, or a noun of it, but for what is given."""

    def __init__(self, real: Any, **given: Any) -> None:
        self._real = real
        self._given = given

    def __getattr__(self, name: str) -> Any:
        return self._given[name] if name in self._given else getattr(self._real, name)
