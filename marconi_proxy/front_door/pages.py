"""Pages of a listing: the queues of the catalog on each, and the beginning of the next (API section 8.3).

A page is one index range of the catalog. If it shows metadata or filters by it, only the partitions of its queues are
asked. The work of a filter is bounded: a page ends at the bound, and the next one continues there.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import NamedTuple

from catalog.interface import Catalog
from catalog.model import TOPIC_PREFIX, Placement
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.metadata_fetcher import Metadata, MetadataFetcher
from marconi_proxy.routing.listing_query import ListingQuery

# The characters of names (API section 1.4). The prefix of topics is none of them.
_IN_NAMES = re.compile(r"[A-Za-z0-9_.-]*\Z")
# Queues in one step of a filter by metadata, unless the page is larger.
_AT_A_TIME = 20


class Namespace(NamedTuple):
    """Queues or topics. ``member``: their name in documents and paths. Their names in the catalog begin with ``prefix``
    and lie between it and ``end``."""

    member: str
    prefix: str
    end: str


QUEUES = Namespace("queues", "", TOPIC_PREFIX)
TOPICS = Namespace("topics", TOPIC_PREFIX, "\x7f")


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The bounds of one page. ``scan``: names that it examines in the catalog; ``ask``: queues that it examines for
    a filter by metadata; ``deadline``: seconds for all its calls to partitions."""

    scan: int
    ask: int
    deadline: float


class ListingPage(NamedTuple):
    """``entries``: names, and metadata if it is shown. ``last``: the name after which the next page begins; None if
    there are no more. With a filter, a page without entries may have a next page."""

    entries: list[tuple[str, Metadata | None]]
    last: str | None


class ListingPages:
    """The pages of all listings."""

    def __init__(self, catalog: Catalog, directory: Directory, limits: PageLimits) -> None:
        self._catalog = catalog
        self._directory = directory
        self._limits = limits

    async def page(self, project: str, version: str, namespace: Namespace, query: ListingQuery) -> ListingPage:
        """Return the page that ``query`` describes. Raises RequestRefused if it cannot be complete, CatalogError."""
        if not _IN_NAMES.match(query.name):
            return ListingPage([], None)
        until = asyncio.get_running_loop().time() + self._limits.deadline
        fetcher = MetadataFetcher(self._catalog, self._directory, version, until)
        after = namespace.prefix + query.after
        while True:
            candidates, reached = await self._candidates(project, after, namespace.end, query)
            entries, last = await self._entries(fetcher, candidates, query)
            reached = last or reached
            # Queues that were deleted meanwhile are left out. A page that lost all of them so is not the end.
            if entries or reached is None or query.name or query.filters:
                break
            after = reached
        if reached is None and entries:
            reached = entries[-1][0]
        size = len(namespace.prefix)
        named = [(queue[size:], metadata) for queue, metadata in entries]
        return ListingPage(named, None if reached is None else reached[size:])

    async def _candidates(
        self, project: str, after: str, before: str, query: ListingQuery
    ) -> tuple[list[Placement], str | None]:
        """Return the queues that may be on the page, and the name after which there may be more; None if there is no
        more."""
        limit = max(query.limit, self._limits.ask) if query.filters else query.limit
        if query.name:
            return await self._catalog.placements.search_queues(
                project, after, before, limit, containing=query.name, examine=self._limits.scan
            )
        found = await self._catalog.placements.list_queues(project, after, before, limit)
        return found, found[-1].queue if len(found) == limit else None

    async def _entries(
        self, fetcher: MetadataFetcher, candidates: list[Placement], query: ListingQuery
    ) -> tuple[list[tuple[str, Metadata | None]], str | None]:
        """Return the entries of the page, by names in the catalog, and the last name if there may be more after it."""
        if not query.filters:
            if not query.detailed:
                return [(placement.queue, None) for placement in candidates], None
            shown = await fetcher.shown(candidates)
            return [(p.queue, shown[p.queue]) for p in candidates if p.queue in shown], None
        found: list[tuple[Placement, Metadata | None]] = []
        step = max(query.limit, _AT_A_TIME)
        for start in range(0, len(candidates), step):
            some = candidates[start : start + step]
            matching = await fetcher.matching(some, query.filters)
            found += [(placement, matching[placement.queue]) for placement in some if placement.queue in matching]
            if len(found) >= query.limit:
                break
        full = found[: query.limit]
        last = full[-1][0].queue if len(full) == query.limit else None
        if not query.detailed:
            return [(placement.queue, None) for placement, _ in full], last
        shown = {placement.queue: metadata for placement, metadata in full if metadata is not None}
        shown |= await fetcher.shown([placement for placement, metadata in full if metadata is None])
        return [(placement.queue, shown[placement.queue]) for placement, _ in full if placement.queue in shown], last
