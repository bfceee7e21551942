"""A tenant with queues that are created, deleted and moved while they are listed: the front door's listings over a
catalog of any kind and three partitions in this process.

Each change of a queue keeps to production's order: its placement, the partitions, its placement again. Chance decides
how much else happens in between.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import unquote

from catalog import Catalog
from catalog.model import LISTED_STATES, TOPIC_PREFIX, Partition, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.fencing.transitions import abort, retire, seal, switch
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.local import SCOPE_KEY, LocalCall, make_local_application
from marconi_proxy.front_door.pages import PageLimits
from marconi_proxy.routing.listing_query import ListingQuery, parse_listing
from marconi_proxy.routing.route import parse
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall
from partition.api.application import Application
from partition.api.node import Node
from tests.simulation.memory_storage import MemoryStorage, Shelf

PARTITIONS = ("p1", "p2", "p3")
ALL_VERSIONS = ("v1", "v1.1", "v2")
Metadata = dict[str, Any]


class NodeUpstream:
    """The way to one of our nodes in this process. ``meddle`` is called before each call is done, and after it."""

    def __init__(self, partition: Partition, meddle: Callable[[], Awaitable[None]]) -> None:
        self.partition = partition
        self.calls: list[str] = []
        self._meddle = meddle
        shelf = Shelf(random.Random(partition.name))
        self._application = Application(Node(MemoryStorage(shelf, lambda: 1)))

    async def send(self, call: UpstreamCall, *, within: float | None = None) -> UpstreamAnswer:
        self.calls.append(f"{call.method.decode()} {call.target.decode()}")
        await self._meddle()
        answer = await self.do(call.method.decode(), call.target.decode(), call.lines, call.body)
        await self._meddle()
        return answer

    async def do(self, method: str, target: str, lines: bytes, body: bytes) -> UpstreamAnswer:
        pairs = [line.partition(b": ") for line in lines.split(b"\r\n") if line]
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "query_string": query.encode(),
            "headers": [(name.lower(), value) for name, _, value in pairs],
        }
        return await _answered(self._application, scope, body)

    async def put(self, key: QueueKey, backend_name: str, metadata: Metadata) -> None:
        """Create a queue there."""
        body = json.dumps(metadata).encode()
        lines = _lines(key.project) + b"content-length: %d\r\n" % len(body)
        answer = await self.do("PUT", _path(key, backend_name), lines, body)
        assert answer.status in (201, 204), answer.body

    async def delete(self, key: QueueKey, backend_name: str) -> None:
        """Delete a queue there."""
        answer = await self.do("DELETE", _path(key, backend_name), _lines(key.project), b"")
        assert answer.status == 204


def _lines(project: str) -> bytes:
    return b"client-id: 3381af922b9e11e3b19171861300734c\r\nx-project-id: %b\r\n" % project.encode()


def _path(key: QueueKey, backend_name: str) -> str:
    kind = "topics" if key.queue.startswith(TOPIC_PREFIX) else "queues"
    return f"/v2/{kind}/{backend_name}"


async def _answered(application: Any, scope: dict[str, Any], body: bytes) -> UpstreamAnswer:
    """Call an ASGI application."""
    status, headers, pieces = 0, [], b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, headers, pieces
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            pieces += message.get("body", b"")

    await application(scope, receive, send)
    return UpstreamAnswer(status, headers, pieces, None)


@dataclass
class Partitions:
    """The partitions, as the directory has them for a listing."""

    upstreams: dict[str, NodeUpstream]
    synced: bool = True

    async def upstream(self, name: str) -> Upstream | None:
        return cast("Upstream | None", self.upstreams.get(name))


@dataclass
class Life:
    """A queue's placement as it is now, and its metadata. ``later``: what is still to be done for what was begun."""

    placement: Placement
    metadata: Metadata
    later: Callable[[], Awaitable[None]] | None = None


@dataclass
class Walk:
    """The queues that a walk from page to page has seen, and those that existed meanwhile. ``throughout``: the metadata
    of queues that existed the whole time, ``ever``: of all that existed at some time."""

    throughout: dict[str, Metadata]
    ever: dict[str, list[Metadata]]
    pages: list[dict[str, Any]] = field(default_factory=list)


class Tenant:
    """``act`` does one thing that happens to queues. ``walk`` walks the listing while such things happen.

    ``spoken``: the versions that each partition is known to speak.
    """

    def __init__(
        self,
        catalog: Catalog,
        project: str,
        chance: random.Random,
        names: list[str],
        spoken: dict[str, tuple[str, ...]],
    ) -> None:
        self._catalog = catalog
        self._project = project
        self._chance = chance
        self._names = names
        self._lives: dict[str, Life] = {}
        self._walk: Walk | None = None
        self._one = asyncio.Lock()
        self._born = 0
        self.restless = 0.0
        self.upstreams = {
            name: NodeUpstream(
                Partition(name, (f"http://{name}.example:8888",), api_versions=spoken[name]), self._meddle
            )
            for name in PARTITIONS
        }

    # -- what happens ------------------------------------------------------------------------------------------------

    async def _meddle(self) -> None:
        while self._chance.random() < self.restless:
            await self.act()

    async def act(self) -> None:
        """Create a queue, delete one, move one, or do the next thing for one of which that was begun."""
        async with self._one:
            name = self._chance.choice(self._names)
            life = self._lives.get(name)
            if life is None:
                await self._create(name)
            elif life.later is not None and not (self._is_chain(life) and self._chance.random() < 0.3):
                await life.later()
            else:
                await self._chance.choice([self._delete, self._move, self._move])(life)

    async def settle(self) -> None:
        """Do what is still to be done."""
        async with self._one:
            for life in list(self._lives.values()):
                while life.later is not None:
                    await life.later()

    def _is_chain(self, life: Life) -> bool:
        """Whether it is served from several partitions, and may be moved on."""
        return life.placement.state is PlacementState.OPEN and len(life.placement.segments) in (2, 3)

    def _there(self, life: Life) -> None:
        if self._walk is not None:
            self._walk.ever.setdefault(life.placement.queue, []).append(life.metadata)

    async def _store(self, life: Life, placement: Placement) -> None:
        await self._catalog.placements.replace(placement)
        life.placement = placement

    async def _create(self, name: str) -> None:
        self._born += 1
        where = self._chance.choice(PARTITIONS)
        metadata: Metadata = {"n": self._born}
        if self._chance.random() < 0.5:
            metadata["colour"] = self._chance.choice(["red", "blue"])
        if self._chance.random() < 0.5:
            metadata["_default_message_ttl"] = self._chance.choice([60, 3600])
        placement = Placement(
            self._project,
            name,
            1,
            PlacementState.CREATING,
            (Segment(0, where, _plain(name)),),
            incarnation=f"{self._born:016x}",
        )
        assert await self._catalog.placements.insert(placement) == (placement, True)
        life = self._lives[name] = Life(placement, metadata)

        async def make() -> None:
            await self.upstreams[where].put(placement.key, _plain(name), metadata)
            life.later = show

        async def show() -> None:
            self._there(life)
            await self._store(life, replace(placement, epoch=2, state=PlacementState.OPEN))
            life.later = None

        life.later = make

    async def _delete(self, life: Life) -> None:
        placement = life.placement
        if self._walk is not None:
            self._walk.throughout.pop(placement.queue, None)
        await self._store(life, replace(placement, epoch=placement.epoch + 1, state=PlacementState.DELETING))

        async def remove() -> None:
            for segment in placement.segments:
                await self.upstreams[segment.partition].delete(placement.key, segment.backend_name)
            life.later = forget

        async def forget() -> None:
            await self._catalog.placements.remove(placement.key, life.placement.epoch, placement.incarnation)
            del self._lives[placement.queue]

        life.later = remove

    async def _move(self, life: Life) -> None:
        target = self._chance.choice([p for p in PARTITIONS if p != life.placement.partition])
        taken = {s.backend_name for s in life.placement.segments if s.partition == target}
        plain = _plain(life.placement.queue)
        backend_name = next(name for name in (plain, f"{plain}-moved", f"{plain}-again") if name not in taken)
        await self.upstreams[target].put(life.placement.key, backend_name, life.metadata)
        await self._store(life, seal(life.placement, "m", 1.0, 5))

        async def go_on() -> None:
            if self._chance.random() < 0.3:
                await self._store(life, abort(life.placement, 2.0))
                await self.upstreams[target].delete(life.placement.key, backend_name)
                life.later = drain if len(life.placement.segments) > 1 else None
                return
            await self._store(life, switch(life.placement, "m", target, backend_name, 2.0))
            life.later = drain

        async def drain() -> None:
            first = life.placement.segments[0]
            await self._store(life, retire(life.placement, first.n, 3.0))
            await self.upstreams[first.partition].delete(life.placement.key, first.backend_name)
            life.later = drain if len(life.placement.segments) > 1 else None

        life.later = go_on

    def listed(self) -> list[str]:
        """The queues that are there for users, by name."""
        return sorted(name for name, life in self._lives.items() if life.placement.state in LISTED_STATES)

    def home(self, name: str) -> str:
        """The partition that a queue's writes go to."""
        return self._lives[name].placement.partition

    async def make(self, name: str) -> None:
        """Create a queue, all of it."""
        await self._create(name)
        await self.settle()

    async def lose(self, name: str) -> None:
        """Delete a queue behind the catalog's back."""
        placement = self._lives[name].placement
        for segment in placement.segments:
            await self.upstreams[segment.partition].delete(placement.key, segment.backend_name)

    # -- what is seen ------------------------------------------------------------------------------------------------

    async def walk(self, path: str, query: str, limits: PageLimits, again: str = "", most: int = 300) -> Walk:
        """Follow the links of a listing to its end. ``again`` is added to each link: what it forgets."""
        there = {name: self._lives[name].metadata for name in self.listed()}
        walk = self._walk = Walk(dict(there), {name: [metadata] for name, metadata in there.items()})
        href = f"{path}?{query}"
        while True:
            status, document = await self.ask(href, limits)
            assert status == (204 if document is None else 200), document
            if document is None:
                break
            walk.pages.append(document)
            assert len(walk.pages) <= most, "the listing does not end"
            if not document["links"]:
                break
            (link,) = document["links"]
            href = link["href"] + again
            await self._meddle()
        self._walk = None
        return walk

    async def ask(self, href: str, limits: PageLimits) -> tuple[int, Any]:
        """Ask for a page; return (status, document)."""
        directory = cast("Directory", Partitions(self.upstreams))
        application = make_local_application(self._catalog, directory, limits, tuple)
        target = href.encode()
        route = parse("GET", target)
        query = parse_listing(route.rule.kind, route.version, target.partition(b"?")[2], default_page=10, max_page=20)
        assert isinstance(query, ListingQuery)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": href.partition("?")[0],
            "raw_path": target.partition(b"?")[0],
            "query_string": b"",
            "headers": [],
            "target": target,
            SCOPE_KEY: LocalCall(route, self._project, b"req-1", query),
        }
        answer = await _answered(application, scope, b"")
        return answer.status, json.loads(answer.body) if answer.body else None


def _plain(name: str) -> str:
    return name.removeprefix(TOPIC_PREFIX)
