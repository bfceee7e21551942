"""``/v1/members``: the registered front-door workers, and the removal of dead ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.errors import CatalogError
from catalog.model import Member
from catalog.unchanged import Unchanged
from marconi_proxy.clock import iso
from marconi_proxy.project_text import from_url

LOG = logging.getLogger(__name__)

# Seconds between two readings of the members, which show the silent ones.
_INTERVAL = 2.0


class Observed(NamedTuple):
    """A member, and the seconds since this process last saw it renew."""

    member: Member
    silence: float

    @property
    def may_write_for(self) -> float:
        """The most seconds for which it may still write."""
        return max(0.0, self.member.patience - self.silence)


class MemberRoll:
    """The members as this process watches them on its own clock (``clock``: monotonic seconds). ``run`` it."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._watched: Unchanged[str] = Unchanged(clock)

    async def read(self) -> list[Observed]:
        """Return them by id. Raises CatalogError."""
        asked = self._watched.now()
        members = await self._catalog.members.all()
        ids = {member.id for member in members}
        self._watched.keep(lambda id_: id_ in ids)
        return [Observed(member, self._watched.seen(member.id, member.stamp, asked)) for member in members]

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.read()
            except CatalogError as error:
                LOG.debug("members are not watched: %s", error)
            await sleep(_INTERVAL)


class MembersResource:
    """Handlers for the collection and for one member, with a percent-encoded id.

    ``lease``: seconds after which a member without a lease of its own counts as stale.
    """

    def __init__(self, catalog: Catalog, roll: MemberRoll, *, lease: float) -> None:
        self._catalog = catalog
        self._roll = roll
        self._lease = lease

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.media = {"members": [member_json(observed, self._lease) for observed in await self._roll.read()]}

    async def evict(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, member: str) -> None:
        name = from_url(member)
        observed = next((one for one in await self._roll.read() if one.member.id == name), None)
        if observed is not None and (observed.may_write_for or not await self._catalog.members.expire(observed.member)):
            raise falcon.HTTPConflict(
                title="It may still write",
                description=f"Worker {name} may write to queues: the admin API has seen no renewal of its lease for "
                f"{observed.silence:.1f} s, and it can be evicted after another {observed.may_write_for:.1f} s of "
                "silence. The request was not processed; stop the worker's process first, or it continues to renew.",
            )
        resp.status = falcon.HTTP_204


def member_json(observed: Observed, lease: float) -> dict[str, Any]:
    """Return the JSON of a member. ``lease``: as in ``MembersResource``."""
    member, silence = observed
    document = member.to_json()
    del document["acks"]
    return document | {
        "renewed": iso(member.renewed),
        "age": round(silence, 3),
        "fresh": member.synced and silence < (member.lease or lease),
        "may_write_for": round(observed.may_write_for, 3),
    }
