"""All queues of a partition in order: from its inventory if it has one, else from the listings of given projects.

Only the inventory of our own node (``docs/partition.rst``) contains the projects. The API lists the queues of one
project, in the order of bytes (API sections 2.1, 3.1, 4.2, 4.12), so other servers need the projects by name.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from catalog.model import NO_PROJECT, TOPIC_PREFIX, Partition, QueueKey
from marconi_proxy.clock import Pacer
from marconi_proxy.partition_client.call import answer_to, own_call
from marconi_proxy.partition_client.metadata import dead_letters_of
from marconi_proxy.partition_client.upstreams import Open
from marconi_proxy.project_text import project_from_json
from marconi_proxy.routing.route import valid_name
from marconi_proxy.upstream.errors import NotSent, UpstreamError
from marconi_proxy.upstream.exchange import Upstream

# The largest page that every server allows, and the largest of the inventory with metadata.
_PAGE = 20
_INVENTORY_PAGE = 100
_MAX_ANSWER = 64 * 1024 * 1024
# Attempts to read a page before the listing fails.
_ATTEMPTS = 3


# The characters that a request line may have.
_TARGET = re.compile(r"[!-~]+\Z")


class CannotList(Exception):
    """The queues of a partition cannot be read. The message has the partition, the cause and the remedy."""


class ListedQueue(NamedTuple):
    """A queue on a partition. ``queue``: as in the catalog, ``~name`` for a topic. ``dead_letters``: the name of its
    dead-letter queue, if it has one."""

    project: str
    queue: str
    dead_letters: str | None = None

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    @property
    def backend_name(self) -> str:
        """Its name on the partition."""
        return self.queue.removeprefix(TOPIC_PREFIX)


class Inventory:
    """Read the queues of partitions. ``rate``: paces the requests to all partitions together."""

    def __init__(self, open_upstream: Open, rate: Pacer) -> None:
        self._open_upstream = open_upstream
        self._rate = rate

    async def queues_on(
        self, partition: Partition, projects: Iterable[str] | None
    ) -> AsyncGenerator[ListedQueue, None]:
        """Yield the queues and topics of a partition by (project, queue), of ``projects`` only unless it is None.

        Raises CannotList.
        """
        named = None if projects is None else sorted(set(projects))
        if partition.inventory is not None:
            reading = self._from_inventory(partition, partition.inventory, named)
        elif named is None:
            raise CannotList(
                f"partition {partition.name} has no inventory, and the API lists queues only by project: name the "
                "projects. If the partition is a marconi-partition with an admin listener, register its URL with "
                f"'partition set {partition.name} --inventory URL'"
            )
        else:
            reading = self._from_listings(partition, named)
        last: QueueKey | None = None
        async with aclosing(reading):
            async for found in reading:
                if last is not None and found.key <= last:
                    # Zaqar's Redis store restarts at a marker that was deleted (API section 6.3).
                    raise CannotList(
                        f"partition {partition.name} does not list in order: {found.queue} after {last.queue}"
                    )
                last = found.key
                yield found

    # -- the inventory -----------------------------------------------------------------------------------------------

    async def _from_inventory(
        self, partition: Partition, url: str, projects: list[str] | None
    ) -> AsyncGenerator[ListedQueue, None]:
        upstream = self._open_upstream(replace(partition, hosts=(url,)))
        for project in (None,) if projects is None else projects:
            # A marker before all queues of the project: no name is empty.
            start = "" if project is None else f"&marker={quote(project + '/', safe='', encoding='latin-1')}"
            target: str | None = f"/v1/inventory?limit={_INVENTORY_PAGE}&metadata=true{start}"
            while target is not None:
                document = await self._page(upstream, target, NO_PROJECT, "its inventory")
                page = self._entries(partition, document, "queues", _inventoried)
                for found in page:
                    if project is not None and found.project != project:
                        target = None
                        break
                    yield found
                else:
                    target = self._following(partition, document, target) if page else None

    def _following(self, partition: Partition, document: dict[str, Any], target: str) -> str | None:
        try:
            links = [str(link["href"]) for link in document["links"] if link["rel"] == "next"]
        except (LookupError, TypeError):
            raise _not_a_listing(partition) from None
        if not links:
            return None
        parts = urlsplit(links[0])
        if parts.netloc or not parts.path.startswith("/") or links[0] == target or not _TARGET.match(links[0]):
            raise _not_a_listing(partition)
        return links[0]

    # -- the API -----------------------------------------------------------------------------------------------------

    async def _from_listings(self, partition: Partition, projects: list[str]) -> AsyncGenerator[ListedQueue, None]:
        if not partition.api_versions:
            raise CannotList(
                f"the API versions of partition {partition.name} are not known yet: 'marconi-proxy serve admin' "
                "discovers them while it runs"
            )
        upstream = self._open_upstream(partition)
        for project in projects:
            # Only v1 has calls without a project. A partition without v1 has no such queues.
            version = partition.api_versions[-1] if project else "v1"
            if version not in partition.api_versions:
                continue
            async for found in self._listed(upstream, project, f"/{version}/queues", "queues", ""):
                yield found
            if version == "v2":
                async for found in self._listed(upstream, project, "/v2/topics", "topics", TOPIC_PREFIX):
                    yield found

    async def _listed(
        self, upstream: Upstream, project: str, path: str, member: str, prefix: str
    ) -> AsyncGenerator[ListedQueue, None]:
        marker, short = "", False
        while True:
            target = f"{path}?limit={_PAGE}&detailed=true" + (f"&marker={quote(marker, safe='')}" if marker else "")
            document = await self._page(upstream, target, project, "a listing", missing=bool(prefix))
            page = self._entries(upstream.partition, document, member, lambda e: _listed_entry(e, project, prefix))
            if not page or (short and page[0].backend_name <= marker):
                return
            for found in page:
                yield found
            # Only an empty page is the end (API section 6.3). But Zaqar's Redis store restarts at a marker that is the
            # first queue or was deleted; a restart after a short page is the end too.
            short = len(page) < _PAGE
            marker = page[-1].backend_name

    # -- pages -------------------------------------------------------------------------------------------------------

    async def _page(
        self, upstream: Upstream, target: str, project: str, what: str, *, missing: bool = False
    ) -> dict[str, Any]:
        """Return a page, empty for 204, and for 404 if the route may be ``missing``. Raises CannotList."""
        call = own_call("GET", target, project)
        name = upstream.partition.name
        for attempt in range(1, _ATTEMPTS + 1):
            await self._rate.turn()
            try:
                status, document = await answer_to(upstream, call, most=_MAX_ANSWER)
            except UpstreamError as error:
                if attempt == _ATTEMPTS or isinstance(error, NotSent):
                    raise CannotList(f"partition {name} cannot be listed: {error}") from error
                continue
            if status == 503 and attempt < _ATTEMPTS:
                continue
            break
        if status == 204 or (missing and status == 404):
            return {}
        if status != 200:
            raise CannotList(f"partition {name} answered {status} to a request for {what}")
        if not isinstance(document, dict):
            raise _not_a_listing(upstream.partition)
        return document

    def _entries(
        self, partition: Partition, document: dict[str, Any], member: str, read: Callable[[Any], ListedQueue]
    ) -> list[ListedQueue]:
        try:
            return [read(entry) for entry in document.get(member, ())]
        except (LookupError, TypeError, ValueError, AttributeError):
            raise _not_a_listing(partition) from None


def _inventoried(entry: Any) -> ListedQueue:
    project, queue = project_from_json("project", entry["project"]), _named(entry["queue"])
    return ListedQueue(project, queue, _dead_letters(queue, entry["metadata"]))


def _listed_entry(entry: Any, project: str, prefix: str) -> ListedQueue:
    queue = _named(f"{prefix}{entry['name']}")
    return ListedQueue(project, queue, _dead_letters(queue, entry["metadata"]))


def _named(queue: str) -> str:
    if not valid_name(queue.removeprefix(TOPIC_PREFIX)):
        raise ValueError(queue)
    return queue


def _dead_letters(queue: str, metadata: dict[str, Any]) -> str | None:
    """Return the dead-letter queue, None for topics, for illegal names, and for a queue that is its own."""
    name = dead_letters_of(metadata)
    if name is None or queue.startswith(TOPIC_PREFIX) or not valid_name(name) or name == queue:
        return None
    return name


def _not_a_listing(partition: Partition) -> CannotList:
    return CannotList(f"partition {partition.name} returned an invalid listing")
