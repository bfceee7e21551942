"""``/v1/members``: the front-door workers that are registered, and forgetting those that are gone for good."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.model import UNPROMISED_LEASE, MemberSighting
from marconi_proxy.admin.project_text import from_url


class Members:
    """Handlers for the collection and for one member, whose id comes percent-encoded. ``lease``: seconds after which a
    member that promised none counts as stale."""

    def __init__(self, catalog: Catalog, *, lease: float) -> None:
        self._catalog = catalog
        self._lease = lease

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        members = await self._catalog.list_members()
        resp.media = {"members": [member_json(sighting, self._lease) for sighting in members]}

    async def evict(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, member: str) -> None:
        name = from_url(member)
        sighting = await self._catalog.evict_member(name)
        if sighting is not None:
            raise falcon.HTTPConflict(
                title="It may still write",
                description=f"Worker {name} renewed its lease {sighting.age:.1f} s ago and may write to queues: it can "
                f"be evicted when it has been silent for another {may_write_for(sighting):.1f} s. Stop its process "
                "first, or it goes on renewing.",
            )
        resp.status = falcon.HTTP_204


def member_json(sighting: MemberSighting, lease: float) -> dict[str, Any]:
    """Return the JSON of a member. ``lease``: as in ``Members``."""
    member = sighting.member
    fresh = member.synced and sighting.age < (member.lease or lease)
    return member.to_json() | {
        "age": round(sighting.age, 3),
        "fresh": fresh,
        "may_write_for": round(may_write_for(sighting), 3),
    }


def may_write_for(sighting: MemberSighting) -> float:
    """Return for how many more seconds of silence the member must be taken for alive."""
    return max(0.0, (sighting.member.lease or UNPROMISED_LEASE) - sighting.age)
