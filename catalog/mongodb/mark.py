"""The mark of a catalog that is being loaded from a backup. ``backups`` has the protocol."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from catalog.errors import LoadUnfinished

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Session

# Its id in the collection ``catalog``.
MARK = "loading"


async def refuse_half(store: CatalogDatabase, session: Session) -> None:
    """Raise LoadUnfinished if the mark exists."""
    mark = await store.database["catalog"].find_one({"_id": MARK}, session=session)
    if mark is None:
        return
    since = mark["since"].replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if mark["emptying"]:
        raise LoadUnfinished(
            f"{store.where} is being loaded from a backup since {since}, or that import was interrupted: "
            "run marconi-proxy catalog import again if it is not running"
        )
    raise LoadUnfinished(
        f"an import into {store.where} began at {since}, and has removed nothing: "
        "if it is not running, marconi-proxy catalog init makes the catalog usable again"
    )


async def is_marked(store: CatalogDatabase, session: Session) -> bool:
    """Return whether the mark exists."""
    return await store.database["catalog"].find_one({"_id": MARK}, {"_id": 1}, session=session) is not None


async def forget_idle_mark(store: CatalogDatabase, session: Session) -> None:
    """Remove a mark under which no data was removed."""
    await store.database["catalog"].delete_one({"_id": MARK, "emptying": False}, session=session)
