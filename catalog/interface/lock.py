"""Locks: of what one process at a time works on.

A lock never ends by itself. Its holder promises to renew it within so many seconds; a process that has watched it for
longer without a renewal may take it over. Each acquisition has a ``token`` that is larger than all before, and whatever
the holder does under an earlier token is refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from catalog.model import Holder


class Held(Protocol):
    """A value that shows the holder of its lock."""

    @property
    def holder(self) -> Holder | None: ...

    def to_json(self) -> dict[str, Any]: ...


V = TypeVar("V", bound=Held)


class Lock(ABC, Generic[V]):
    """The lock of a value."""

    @abstractmethod
    async def acquire(self, holder: str, seconds: float, *, over: Holder | None = None) -> V:
        """Acquire the lock; return the value with its ``holder``. ``seconds``: the holder's promise to renew.

        A lock that the same name holds is taken over (a repeated write: the earlier token ends), and so is one that is
        exactly ``over``: that is for a process that has watched it without a renewal for the seconds that were
        promised. Raises LockHeld if another process holds it.
        """

    @abstractmethod
    async def renew(self, token: int, seconds: float) -> None:
        """Renew the lock, and promise ``seconds`` anew. Raises LockLost if it has ended: it never comes back."""

    @abstractmethod
    async def release(self, token: int) -> None:
        """End the lock, so that others need not wait for its end. Success also if it has ended already."""


class LockedValue(Lock[V]):
    """The only value of its kind, which none but the holder of its lock changes."""

    @abstractmethod
    async def get(self) -> V:
        """Return what was saved last; an empty one if nothing was."""

    @abstractmethod
    async def save(self, value: V, token: int, seconds: float) -> None:
        """Store the value, whatever ``holder`` it has, and renew the lock. Raises LockLost if it has ended."""
