"""The audit, which is a document under a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import AuditHeld, AuditNotHeld
from catalog.model import Audit, Holder
from catalog.mongodb.held import Held

if TYPE_CHECKING:
    from catalog.mongodb.store import Session, Store


class AuditStore:
    """The verbs of the interface that concern the audit."""

    def __init__(self, store: Store) -> None:
        self._audit = Held(store, "audit", Audit.from_json)

    async def get(self) -> Audit:
        """Return what the last round found."""
        return await self._audit.read() or Audit()

    async def take(self, holder: str, seconds: float, over: Holder | None) -> Audit:
        """Begin a hold, as ``Catalog.take_audit``."""
        taken = await self._audit.take(holder, seconds, over, Audit().to_json())
        if isinstance(taken, Holder):
            raise AuditHeld(taken)
        return taken

    async def save(self, audit: Audit, token: int, seconds: float) -> None:
        """Save what was found, as ``Catalog.save_audit``."""
        if not await self._audit.save(audit.to_json(), token, seconds):
            raise AuditNotHeld(token)

    async def forget(self, session: Session) -> None:
        """Forget what was found, and end the hold."""
        await self._audit.reset(Audit().to_json(), session)

    async def release(self, token: int) -> None:
        """End a hold, as ``Catalog.release_audit``."""
        await self._audit.release(token)
