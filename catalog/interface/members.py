"""Members: the front-door workers that serve from the catalog."""

from __future__ import annotations

from abc import ABC, abstractmethod

from catalog.model import Member


class MemberStore(ABC):
    """``Catalog.members``."""

    @abstractmethod
    async def register(self, member: Member) -> None:
        """Store the member, whether it is registered or not.

        Raises CatalogUnavailable while a backup is being loaded: nothing may be served from half a catalog. A member
        that was registered before stays so, for it may write until its lease is over.
        """

    @abstractmethod
    async def renew(self, member: Member) -> None:
        """Renew a member that is registered: each renewal has a larger ``beat``, and one that comes late changes
        nothing.

        Raises NotRegistered if it was removed, and never brings it back.
        """

    @abstractmethod
    async def all(self) -> list[Member]:
        """All of them, by id."""

    @abstractmethod
    async def remove(self, member_id: str) -> None:
        """Forget it; nothing to forget is success. For the member itself, when it signs off: it writes no more."""

    @abstractmethod
    async def expire(self, member: Member) -> bool:
        """Forget a member if its stamp is still that of ``member``. Return whether it is gone then.

        For a process that has watched the stamp without a change for the whole lease, on its own monotonic clock. A
        compare-and-set, for a reading may be stale: a member that has renewed is never forgotten.
        """
