"""Members: the front-door workers that serve from the catalog."""

from __future__ import annotations

from abc import ABC, abstractmethod

from catalog.model import Member


class MemberStore(ABC):
    """``Catalog.members``."""

    @abstractmethod
    async def register(self, member: Member) -> None:
        """Store the member, whether it is registered or not.

        Raises CatalogUnavailable while a backup is being loaded, because a partial catalog must not be served. A member
        that is registered already stays so, because it may write until its lease ends.
        """

    @abstractmethod
    async def renew(self, member: Member) -> None:
        """Renew a registered member. Each renewal has a larger ``beat``; an overtaken renewal changes nothing.

        Raises NotRegistered if the member was removed: a renewal never registers it again.
        """

    @abstractmethod
    async def all(self) -> list[Member]:
        """Return all members by id."""

    @abstractmethod
    async def remove(self, member_id: str) -> None:
        """Remove the member. Succeeds also if there is none. A member calls this for itself, after its last write."""

    @abstractmethod
    async def expire(self, member: Member) -> bool:
        """Remove a member if its stamp is still that of ``member``. Return whether the member is gone.

        The caller has watched the stamp unchanged for the whole lease, on its own monotonic clock. This is a
        compare-and-set, because that read may be stale: a member that has renewed is never removed.
        """
