"""The metadata of a page's queues, from the partitions that have them.

It is read by pages of each partition's own detailed listing, up to ten queues in a call. A listing also shows which of
them do not exist; the answer for a single queue does not, in v1.1 and v2 (API sections 3.1, 4.3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from catalog.interface import Catalog
from catalog.model import LISTED_STATES, TOPIC_PREFIX, Placement
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.refusals import NOT_PROCESSED, RequestRefused, from_fault, unavailable
from marconi_proxy.partition_client.existence import MarkerIgnored, listed_of, metadata
from marconi_proxy.routing.listing_query import Filter, admits
from marconi_proxy.upstream.errors import BadAnswer, UpstreamError
from marconi_proxy.upstream.exchange import Upstream

T = TypeVar("T")

LOG = logging.getLogger(__name__)

# The most calls in flight for one page.
_AT_A_TIME = 8
# Queues in a call: every server of the API lists as many in a page (API section 1.7).
_TOGETHER = 10

# Metadata that v2 shows even if it is not stored (API sections 4.1, 4.12).
FILLED_IN = frozenset(
    {
        "_default_message_ttl",
        "_max_messages_post_size",
        "_default_message_delay",
        "_dead_letter_queue",
        "_dead_letter_queue_messages_ttl",
        "_max_claim_count",
        "_enable_encrypt_messages",
    }
)

Metadata = dict[str, Any]


class QueryMode(NamedTuple):
    """The version of the calls to a partition, and the filters that the partition applies itself."""

    version: str
    filters: tuple[Filter, ...] = ()


def to_show(version: str, spoken: Collection[str]) -> QueryMode:
    """Return the mode to show metadata to the client: its own version if the partition speaks that, else the nearest
    one, which shows the stored metadata."""
    if not spoken or version in spoken:
        return QueryMode(version)
    return QueryMode(next((other for other in ("v1.1", "v1", "v2") if other in spoken), version))


def to_judge(filters: tuple[Filter, ...], spoken: Collection[str], *, topics: bool) -> QueryMode:
    """Return the mode to filter by stored metadata (API section 4.2).

    v1.1 and v1 show exactly what is stored, but have no topics. Where only v2 is left, the partition itself must apply
    the filters on members that v2 fills in.
    """
    filled_in = tuple(one for one in filters if one[0] in FILLED_IN)
    for version in () if topics or not filled_in else ("v1.1", "v1"):
        if version in spoken:
            return QueryMode(version)
    return QueryMode(to_show("v2", spoken).version, filled_in)


class _Known(NamedTuple):
    """A queue's metadata. ``shown``: it is as the client's version shows it; ``fits``: it passes the filters."""

    metadata: Metadata
    shown: bool
    fits: bool


class MetadataFetcher:
    """The calls for one page, for a client that speaks ``version``. ``until``: loop time by which all must be answered.

    A page is complete or it is refused: every method raises RequestRefused, with the name of the first queue that could
    not be read, or CatalogError.
    """

    def __init__(self, catalog: Catalog, directory: Directory, version: str, until: float) -> None:
        self._catalog = catalog
        self._directory = directory
        self._version = version
        self._until = until
        self._turn = asyncio.Semaphore(_AT_A_TIME)

    async def shown(self, placements: Sequence[Placement]) -> dict[str, Metadata]:
        """Return the metadata of queues, by name in the catalog, as the client's version shows it. Queues that were
        deleted meanwhile are left out."""
        return {queue: known.metadata for queue, known in (await self._ask(placements, ())).items()}

    async def matching(
        self, placements: Sequence[Placement], filters: tuple[Filter, ...]
    ) -> dict[str, Metadata | None]:
        """Return the queues whose stored metadata passes all filters, as ``shown`` does, but None in place of metadata
        that was not read in the client's version."""
        known = await self._ask(placements, filters)
        return {queue: one.metadata if one.shown else None for queue, one in known.items() if one.fits}

    async def _ask(self, placements: Sequence[Placement], filters: tuple[Filter, ...]) -> dict[str, _Known]:
        known: dict[str, _Known] = {}
        left = list(placements)
        while left:
            for found in await _together(self._group(group, filters) for group in _groups(left)):
                known |= found
            # A queue that its partition does not have may have been moved since its placement was read.
            missing = [placement for placement in left if placement.queue not in known]
            left = [moved for moved in await _together(map(self._elsewhere, missing)) if moved is not None]
        return known

    async def _elsewhere(self, placement: Placement) -> Placement | None:
        """Return the placement as it is now; None if its queue does not exist, or is where it was."""
        async with self._turn:
            now = await self._catalog.placements.get(placement.key)
        if now is None or now.state not in LISTED_STATES or now.segments[-1] == placement.segments[-1]:
            return None
        return now

    async def _group(self, placements: list[Placement], filters: tuple[Filter, ...]) -> dict[str, _Known]:
        """Return the metadata of queues that are on one partition, in the order of their names there."""
        name, first = placements[0].partition, placements[0].queue.removeprefix(TOPIC_PREFIX)
        try:
            async with asyncio.timeout_at(self._until), self._turn:
                upstream = await self._directory.upstream(name)
                if upstream is None:
                    raise unavailable(f"The queue's partition is not registered. {NOT_PROCESSED}", 30)
                return await self._put(upstream, placements, filters)
        except TimeoutError:
            LOG.info("a page of a listing is refused: partition %s did not answer in time", name)
            refused = unavailable(f"The queue's partition did not answer in time. {NOT_PROCESSED}", 5)
        except UpstreamError as error:
            LOG.info("a page of a listing is refused: %s", error)
            refused = from_fault(error)
        except RequestRefused as error:
            refused = error
        description = f"The page cannot be shown, because of {first}: {refused.description}"
        raise RequestRefused(refused.status, refused.title, description, refused.retry_after)

    async def _put(
        self, upstream: Upstream, placements: list[Placement], filters: tuple[Filter, ...]
    ) -> dict[str, _Known]:
        spoken = upstream.partition.api_versions
        topics = placements[0].queue.startswith(TOPIC_PREFIX)
        show = to_show(self._version, spoken)
        mode = to_judge(filters, spoken, topics=topics) if filters else show
        rest = tuple(one for one in filters if one not in mode.filters)
        found = await _metadata(upstream, placements, mode)
        shown = mode.version == show.version
        return {queue: _Known(stored, shown, admits(rest, stored)) for queue, stored in found.items()}


def _groups(placements: list[Placement]) -> Iterator[list[Placement]]:
    """Yield the queues of each call: of one partition, in the order of their names there."""
    for _, of_partition in groupby(sorted(placements, key=_place), key=lambda placement: placement.partition):
        while group := list(islice(of_partition, _TOGETHER)):
            yield group


def _place(placement: Placement) -> tuple[str, str]:
    return placement.partition, placement.segments[-1].backend_name


async def _metadata(upstream: Upstream, placements: list[Placement], mode: QueryMode) -> dict[str, Metadata]:
    """Return the metadata of the queues that exist on the partition and pass the filters of ``mode``."""
    topics = placements[0].queue.startswith(TOPIC_PREFIX)
    path = f"/{mode.version}/{'topics' if topics else 'queues'}"
    more = "&detailed=true" + "".join(f"&{_quoted(name)}={_quoted(value)}" for name, value in mode.filters)
    queues = {placement.segments[-1].backend_name: placement for placement in placements}
    found: dict[str, Metadata] = {}
    left = list(queues)
    while left:
        try:
            entries, left = await listed_of(upstream, placements[0].key, path, left, more)
        except MarkerIgnored:
            if mode.filters:
                raise
            return await _one_by_one(upstream, placements, mode.version)
        for entry in entries:
            if not isinstance(entry.get("metadata"), dict):
                raise BadAnswer(f"partition {upstream.partition.name} lists a queue without its metadata")
            found[queues[entry["name"]].queue] = entry["metadata"]
    return found


async def _one_by_one(upstream: Upstream, placements: list[Placement], version: str) -> dict[str, Metadata]:
    found = {}
    for placement in placements:
        shown = await metadata(upstream, placement.key, placement.segments[-1].backend_name, version)
        if shown is not None:
            found[placement.queue] = shown
    return found


def _quoted(value: object) -> str:
    return quote(str(value), safe="")


async def _together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all in parallel; after a failure cancel the others, then raise the first one."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None
    return [task.result() for task in tasks]
