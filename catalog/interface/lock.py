"""Locks of values on which one process at a time works.

A lock never ends by itself. Its holder promises to renew it within a number of seconds. A process that has watched the
lock for longer without a renewal may take it over. Each acquisition has a ``token`` larger than all before; writes
under an earlier token are refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from catalog.model import Holder


class Held(Protocol):
    """A value that contains the holder of its lock."""

    @property
    def holder(self) -> Holder | None: ...

    def to_json(self) -> dict[str, Any]: ...


V = TypeVar("V", bound=Held)


class Lock(ABC, Generic[V]):
    """The lock of a value."""

    @abstractmethod
    async def acquire(self, holder: str, seconds: float, *, over: Holder | None = None) -> V:
        """Acquire the lock; return the value with its ``holder``. ``seconds``: the holder's promise to renew.

        A lock that ``holder`` has already is taken over (a repeated write: the earlier token ends). So is a lock of
        the holder ``over``: pass it after watching that holder without a renewal for the promised seconds. Raises
        LockHeld if another process holds the lock.
        """

    @abstractmethod
    async def renew(self, token: int, seconds: float) -> None:
        """Renew the lock, and promise ``seconds`` anew. Raises LockLost if it has ended, which is final."""

    @abstractmethod
    async def release(self, token: int) -> None:
        """End the lock before its time, for the next holder. Succeeds also if it has ended already."""


class LockedValue(Lock[V]):
    """The only value of its kind. Only the holder of its lock changes it."""

    @abstractmethod
    async def get(self) -> V:
        """Return the last saved value, or the empty one if there is none."""

    @abstractmethod
    async def save(self, value: V, token: int, seconds: float) -> None:
        """Store the value without its ``holder``, and renew the lock. Raises LockLost if the lock has ended."""
