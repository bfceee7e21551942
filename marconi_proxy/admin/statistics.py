"""``/v1/statistics``: the contents of partitions and projects, as last summed by a mover. Read-only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.model import StatisticsSubject, Walk
from catalog.model import SubjectStatistics as Sums
from marconi_proxy.admin.query import MAX_LIMIT, named_project, next_links, page_limit, parameters
from marconi_proxy.clock import iso
from marconi_proxy.project_text import shown_project, written

_COMPUTED = ("queues", "free", "claimed", "oldest", "unknown", "begun", "ended", "age")


class StatisticsResource:
    """Handlers for partitions and for projects. ``clock``: seconds since 1970."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._clock = clock

    async def partitions(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        parameters(req, ())
        partitions = await of_partitions(self._catalog)
        resp.media = {
            "partitions": [{"partition": name} | self._json(found) for name, found in partitions.items()],
            "walk": await self._walk(),
        }

    async def projects(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        given = parameters(req, ("project", "marker", "limit"))
        limit = page_limit(given)
        links = []
        name = named_project(given)
        if name is not None:
            one = await self._catalog.statistics.get(StatisticsSubject.PROJECT, name)
            found = [] if one is None else [one]
        else:
            after = named_project(given, "marker")
            found = await self._catalog.statistics.find(StatisticsSubject.PROJECT, after=after, limit=limit)
            marker = written(found[-1].name) if found else None
            links = next_links("/v1/statistics/projects", {}, limit, marker)
        resp.media = {
            "projects": [{"project": shown_project(one.name)} | self._json(one) for one in found],
            "links": links,
            "walk": await self._walk(),
        }

    def _json(self, found: Sums | None) -> dict[str, Any]:
        if found is None:
            return dict.fromkeys(_COMPUTED)
        return {
            "queues": found.queues,
            "free": found.free,
            "claimed": found.claimed,
            "oldest": None if found.oldest is None else iso(found.oldest),
            "unknown": found.unknown,
            "begun": iso(found.begun),
            "ended": iso(found.ended),
            "age": self._age(found.ended),
        }

    async def _walk(self) -> dict[str, Any]:
        """Return the begin and end of the walk over all queues, null if unknown, and its holder."""
        walk: Walk = await self._catalog.statistics.walk.get()
        return {
            "begun": None if walk.begun is None else iso(walk.begun),
            "ended": None if walk.ended is None else iso(walk.ended),
            "holder": None if walk.holder is None else walk.holder.name,
        }

    def _age(self, when: float) -> float:
        # At least zero: the time is from another machine's clock.
        return round(max(0.0, self._clock() - when), 3)


async def of_partitions(catalog: Catalog) -> dict[str, Sums | None]:
    """Return the contents of each registered partition by name, None if not computed yet."""
    registered = await catalog.partitions.all()
    found: dict[str, Sums] = {}
    after: str | None = None
    while page := await catalog.statistics.find(StatisticsSubject.PARTITION, after=after, limit=MAX_LIMIT):
        found |= {one.name: one for one in page}
        after = page[-1].name
    return {partition.name: found.get(partition.name) for partition in registered}
