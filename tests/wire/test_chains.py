"""Queues with history through real processes: two workers, three of our own nodes, chains made by hand.

Ids, claims and links from before a move work after it, in every version, and each call has the result that it would
have on a queue without moves.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers.fake_partition import until
from tests.servers.marconi import marconi_proxy
from tests.servers.partition import PartitionNode, partition_node
from tests.servers.zaqar import Zaqar
from tests.wire.chains import Chains
from tests.wire.conftest import logged
from tests.wire.door import Door, alone, unread
from tests.wire.raw_http import Answer

QUEUE = "orders"
VERSIONS = ("v1", "v1.1", "v2")
Where = Callable[[], None]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PartitionNode]]:
    with ExitStack() as stack:
        found = {}
        for name in ("north", "south", "west"):
            found[name] = node = stack.enter_context(partition_node(tmp_path_factory.mktemp(f"node-{name}")))
            stack.enter_context(logged(node.process))
        yield found


@pytest.fixture(scope="module")
def door(nodes: dict[str, PartitionNode], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    logs = tmp_path_factory.mktemp("chains")
    with marconi_proxy(f"sqlite:///{logs / 'catalog.db'}", logs) as proxy, logged(proxy.public, proxy.admin):
        for name, node in nodes.items():
            proxy.run("partition", "register", name, "--host", node.url)
        yield Door(proxy)


@pytest.fixture(scope="module")
def chains(door: Door, nodes: dict[str, PartitionNode]) -> Chains:
    return Chains(door, {name: node.address for name, node in nodes.items()})


class Api:
    """One version of the API, as a client of one queue sees it. Notes what it is answered, without ids and ages."""

    def __init__(self, door: Door, version: str, project: str) -> None:
        self._door = door
        self.version = version
        self.project = project
        self.path = f"/{version}/queues/{QUEUE}"
        self.notes: list[Any] = []

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        answer = self._door.ask(method, target, self.project, body, **headers)
        document = json.loads(answer.body) if answer.body else None
        self.notes.append((method, answer.status, _bodies(document)))
        return answer

    def create(self) -> None:
        assert self.ask("PUT", self.path).status == 201

    def post(self, *bodies: Any) -> list[str]:
        """Post; return the hrefs of the messages."""
        messages = [{"ttl": 300, "body": body} for body in bodies]
        answer = self.ask("POST", f"{self.path}/messages", messages if self.version == "v1" else {"messages": messages})
        assert answer.status == 201, answer
        hrefs: list[str] = json.loads(answer.body)["resources"]
        ids = ",".join(_id(href) for href in hrefs)
        assert answer.header("location") == f"{self.path}/messages?ids={ids}"
        return hrefs

    def page(self, href: str) -> tuple[list[dict[str, Any]], str | None]:
        """Return (the messages of a page, the href of the next, None at the end)."""
        answer = self.ask("GET", href)
        if answer.status == 204:
            return [], None
        assert answer.status == 200, answer
        assert answer.header("content-location") == (href if self.version == "v1" else None)
        document = json.loads(answer.body)
        for message in document["messages"]:
            self.check(message)
        return document["messages"], document["links"][0]["href"] if document["messages"] else None

    def check(self, message: dict[str, Any]) -> None:
        expected = {"href", "ttl", "age", "body"} | (set() if self.version == "v1" else {"id"})
        assert message.keys() == expected
        assert message["href"].startswith(f"{self.path}/messages/")
        assert message.get("id", _id(message["href"])) == _id(message["href"])

    def claim(self, limit: int) -> tuple[str, list[dict[str, Any]]]:
        """Return (the claim's href, its messages)."""
        answer = self.ask("POST", f"{self.path}/claims?limit={limit}", {"ttl": 300, "grace": 60})
        if answer.status == 204:
            return "", []
        assert answer.status == 201, answer
        document = json.loads(answer.body)
        messages = document if self.version == "v1" else document["messages"]
        href = answer.header("location") or ""
        for message in messages:
            self.check(message)
            assert message["href"].endswith(f"?claim_id={href.rpartition('/')[2]}")
        return href, messages

    def stats(self) -> dict[str, Any]:
        answer = self.ask("GET", f"{self.path}/stats")
        assert answer.status == 200
        found: dict[str, Any] = json.loads(answer.body)["messages"]
        return found

    def counts(self) -> tuple[int, int, int]:
        stats = self.stats()
        return stats["free"], stats["claimed"], stats["total"]


def _id(href: str) -> str:
    return href.partition("?")[0].rpartition("/")[2]


def _bodies(document: Any) -> Any:
    """Return the members of an answer that do not depend on the place of the queue."""
    if isinstance(document, list):
        return [_bodies(one) for one in document]
    if isinstance(document, dict):
        hidden = {"href", "id", "age", "created", "resources", "description"}
        return {name: _bodies(value) for name, value in document.items() if name not in hidden}
    return document


def bodies(messages: list[dict[str, Any]]) -> list[Any]:
    return [message["body"] for message in messages]


def program(api: Api, first_move: Where, second_move: Where, retire: Where) -> None:
    """A client that knows nothing of moves, and what it must get."""
    everything = "echo=true&include_claimed=true"
    api.create()
    old = api.post("a", "b", "c", "d", "e", "f")
    seen, bookmark = api.page(f"{api.path}/messages?limit=2&{everything}")
    assert bookmark is not None
    claim, claimed = api.claim(2)
    assert bodies(claimed) == ["a", "b"]

    first_move()

    new = api.post("g", "h")
    # A message href, from before and from after.
    for href, body in ((old[3], "d"), (new[1], "h")):
        answer = api.ask("GET", href)
        assert (answer.status, json.loads(answer.body)["body"]) == (200, body)
    # A claim href, and the hrefs of its messages.
    answer = api.ask("GET", claim)
    assert json.loads(answer.body)["href"] == claim
    assert [m["href"] for m in json.loads(answer.body)["messages"]] == [m["href"] for m in claimed]
    assert api.ask("PATCH", claim, {"ttl": 200, "grace": 60}).status == 204
    assert api.ask("DELETE", claimed[0]["href"].partition("?")[0]).status == 403
    assert api.ask("DELETE", claimed[0]["href"]).status == 204
    assert api.ask("DELETE", claimed[0]["href"]).status == 204
    assert api.ask("GET", claimed[0]["href"]).status == 404
    assert api.counts() == (6, 1, 7)
    # The bookmark: nothing skipped, nothing repeated, in order.
    while bookmark is not None:
        page, following = api.page(bookmark)
        seen += page
        last, bookmark = bookmark, following
    assert bodies(seen) == ["a", "b", "c", "d", "e", "f", "g", "h"]
    # By ids, from both sides.
    ids = ",".join(_id(href) for href in (new[0], old[2], "/none", old[5]))
    answer = api.ask("GET", f"{api.path}/messages?ids={ids}")
    document = json.loads(answer.body)
    assert sorted(bodies(document if api.version == "v1" else document["messages"])) == ["c", "f", "g"]
    assert api.ask("GET", f"{api.path}/messages?ids={_id(claimed[0]['href'])}").status == (
        204 if api.version == "v1" else 404
    )
    too_many = ",".join([*(_id(href) for href in old * 2 + new * 4), "x"])
    assert api.ask("GET", f"{api.path}/messages?ids={too_many}").status == 400

    second_move()

    api.post("i")
    oldest, newest = (api.ask("GET", api.stats()[name]["href"]) for name in ("oldest", "newest"))
    assert [json.loads(answer.body)["body"] for answer in (oldest, newest)] == ["b", "i"]
    assert bodies(api.page(last)[0]) == ["i"]
    assert api.ask("DELETE", claim).status == 204
    _, claimed = api.claim(1)
    assert bodies(claimed) == ["b"]
    assert (
        api.ask("DELETE", f"{api.path}/messages?ids={_id(claimed[0]['href'])},{_id(new[0])},{_id(old[4])}").status
        == 204
    )
    assert api.counts() == (5, 0, 5)
    if api.version == "v1":
        assert api.ask("DELETE", f"{api.path}/messages?pop=2").status == 400
        for href in (old[2], old[3]):
            assert api.ask("DELETE", href).status == 204
    else:
        answer = api.ask("DELETE", f"{api.path}/messages?pop=2")
        popped = json.loads(answer.body)["messages"]
        assert bodies(popped) == ["c", "d"]
        assert api.ask("GET", f"{api.path}/messages/{popped[0]['id']}").status == 404
    assert api.ask("GET", old[3]).status == 404
    _, claimed = api.claim(1)
    assert bodies(claimed) == ["f"]
    assert api.ask("DELETE", claimed[0]["href"]).status == 204

    retire()

    assert api.ask("DELETE", claimed[0]["href"]).status == 204
    assert api.ask("GET", claim).status == 404
    assert api.ask("DELETE", claim).status == 204
    assert api.ask("PATCH", claim, {"ttl": 200, "grace": 60}).status == 404
    # A bookmark of a segment that is gone.
    page, following = api.page(f"{api.path}/messages?limit=2&{everything}")
    assert bodies(page) == ["h", "i"]
    assert following is not None
    assert api.page(following)[0] == []
    claims = [api.claim(1), api.claim(1), api.claim(1)]
    assert [bodies(messages) for _, messages in claims] == [["h"], ["i"], []]
    for _, messages in claims[:2]:
        assert api.ask("DELETE", messages[0]["href"]).status == 204
    assert api.counts() == (0, 0, 0)
    assert api.page(following)[0] == []
    assert api.ask("DELETE", api.path).status == 204


def stay() -> None:
    """No move."""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_does_not_notice_that_its_queue_is_moved(version: str, door: Door, chains: Chains) -> None:
    unmoved = Api(door, version, door.tenant(pinned="north"))
    program(unmoved, stay, stay, stay)
    moved = Api(door, version, project := door.tenant(pinned="north"))
    program(
        moved,
        lambda: chains.move(project, QUEUE, "south"),
        # Back to where its first segment still is.
        lambda: chains.move(project, QUEUE, "north", f"{QUEUE}.2"),
        lambda: chains.retire(project, QUEUE),
    )
    assert moved.notes == unmoved.notes


@pytest.fixture(scope="module")
def zaqar(door: Door, zaqar16: Zaqar) -> str:
    """A partition that is a Zaqar. It is cordoned, until a test enables it."""
    name = door.register(zaqar16.url)
    door.change(name, state="cordoned")
    return name


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("home", ["ours", "zaqar"])
def test_nor_does_one_whose_queue_is_moved_between_our_node_and_zaqar(
    version: str, home: str, door: Door, nodes: dict[str, PartitionNode], zaqar16: Zaqar, zaqar: str
) -> None:
    door.change(zaqar, state="enabled")
    mixed = Chains(door, {zaqar: zaqar16.address, "north": nodes["north"].address})
    here, there = ("north", zaqar) if home == "ours" else (zaqar, "north")
    try:
        for worker in door.workers:
            other = door.tenant(pinned=zaqar)
            with door.through(worker) as client:
                until(
                    lambda client=client, other=other: client.ask("PUT", "/v1/queues/x", other).status == 201,
                    f"worker {worker} knows the partition",
                )
        moved = Api(door, version, project := door.tenant(pinned=here))
        program(
            moved,
            lambda: mixed.move(project, QUEUE, there),
            lambda: mixed.move(project, QUEUE, here, f"{QUEUE}-2"),
            lambda: mixed.retire(project, QUEUE),
        )
    finally:
        door.change(zaqar, state="cordoned")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bookmark_of_a_retired_segment_goes_on_at_the_next(version: str, door: Door, chains: Chains) -> None:
    api = Api(door, version, project := door.tenant(pinned="north"))
    api.create()
    api.post(1, 2)
    _, bookmark = api.page(f"{api.path}/messages?echo=true")
    for number, target in ((3, "south"), (4, "west"), (5, "north")):
        chains.move(project, QUEUE, target, f"{QUEUE}.{number}")
        api.post(number)
    assert bookmark is not None
    for _ in range(2):
        while (claimed := api.claim(2)[1]) and claimed[0]["body"] < 4:
            for message in claimed:
                assert api.ask("DELETE", message["href"]).status == 204
    until(lambda: chains.left(project, QUEUE) == 0, "an empty segment")
    chains.retire(project, QUEUE)
    chains.retire(project, QUEUE)
    # This reader of 1 and 2 was away while others took 3 and its segment was retired.
    page, bookmark = api.page(bookmark.replace("echo=true", "echo=true&include_claimed=true"))
    assert bodies(page) == [4, 5]
    assert bookmark is not None
    assert api.page(bookmark)[0] == []
    api.post(6)
    assert bodies(api.page(bookmark)[0]) == [6]


def test_metadata_purge_and_deletion_reach_every_segment(door: Door, chains: Chains) -> None:
    api = Api(door, "v2", project := door.tenant(pinned="north"))
    api.create()
    api.post(1)
    chains.move(project, QUEUE, "south")
    api.post(2)
    chains.move(project, QUEUE, "north", f"{QUEUE}.x")
    api.post(3)
    segments = chains.placement(project, QUEUE).segments
    patch = [
        {"op": "add", "path": "/metadata/colour", "value": "blue"},
        {"op": "add", "path": "/metadata/_max_claim_count", "value": 7},
    ]
    kind = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}
    answer = api.ask("PATCH", api.path, patch, **kind)
    assert (answer.status, json.loads(answer.body)["colour"]) == (200, "blue")
    shown = [json.loads(chains.ask(segment, "GET", "", project).body) for segment in segments]
    assert [(one["colour"], one["_max_claim_count"]) for one in shown] == [("blue", 7)] * 3
    assert api.ask("PATCH", api.path, [{"op": "remove", "path": "/metadata/shape"}], **kind).status == 409

    answer = api.ask("POST", f"{api.path}/subscriptions", {"subscriber": "http://x.example.org", "ttl": 300})
    assert (answer.status, answer.header("location")) == (201, f"{api.path}/subscriptions")
    answer = api.ask("GET", f"{api.path}/subscriptions")
    (subscription,) = json.loads(answer.body)["subscriptions"]
    assert subscription["source"] == QUEUE
    assert json.loads(answer.body)["links"][0]["href"].startswith(f"{api.path}/subscriptions?")
    assert api.ask("GET", f"{api.path}/subscriptions/{subscription['id']}").status == 200

    assert api.counts() == (3, 0, 3)
    assert api.ask("POST", f"{api.path}/purge").status == 204
    assert api.counts() == (0, 0, 0)
    api.post(4)
    assert api.ask("DELETE", api.path).status == 204
    for segment in segments:
        assert json.loads(chains.ask(segment, "GET", "/stats", project).body)["messages"]["total"] == 0
    assert door.placement(project, QUEUE) is None


def test_a_partition_that_is_away_is_a_refusal_and_never_a_gap(door: Door, chains: Chains) -> None:
    api = Api(door, "v2", project := door.tenant(pinned="north"))
    api.create()
    old = api.post(1)
    chains.move(project, QUEUE, "west")
    api.post(2)

    def until_all_answer(status: int) -> None:
        for worker in door.workers:
            with door.through(worker) as client:
                until(
                    lambda client=client: client.ask("GET", old[0], project).status == status,
                    f"the news comes to worker {worker}",
                )

    door.change("north", state="disabled")
    try:
        until_all_answer(503)
        for method, target in (
            ("POST", f"{api.path}/claims"),
            ("DELETE", f"{api.path}/messages?pop=1"),
            ("GET", f"{api.path}/messages?echo=true"),
            ("GET", f"{api.path}/stats"),
            ("DELETE", old[0]),
            ("POST", f"{api.path}/purge"),
        ):
            answer = api.ask(method, target)
            assert answer.status == 503, (method, target)
            assert 5 <= int(answer.header("retry-after") or 0) <= 10, (method, target)
        # Calls of the last segment alone go on.
        new = api.post(3)
        assert api.ask("GET", new[0]).status == 200
    finally:
        door.change("north", state="enabled")
    until_all_answer(200)
    # The purge was done in part, as its answer allows.
    assert [bodies(api.claim(1)[1]) for _ in range(3)] == [[1], [3], []]


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("DELETE", 204)])
def test_what_one_worker_gives_out_the_other_understands_before_the_news_of_the_switch(
    method: str, status: int, door: Door, chains: Chains
) -> None:
    api = Api(door, "v2", project := door.tenant(pinned="north"))
    api.create()
    ahead, behind = door.workers
    with door.through(ahead) as first, door.through(behind) as second, ThreadPoolExecutor(1) as thread:
        chains.seal(project, QUEUE)
        with alone(ahead, door.workers):
            chains.switch(project, QUEUE, "south")
            until(lambda: first.ask("PUT", api.path, project).status == 204, "one worker writes again")
            posted = first.ask("POST", f"{api.path}/messages", project, {"messages": [{"body": 1}]})
            (href,) = json.loads(posted.body)["resources"]
            # The first thing that the other worker does when it runs again.
            asked = thread.submit(second.ask, method, href, project)
            until(lambda: unread(door.proxy.public_port), "it has something to do")
        assert asked.result().status == status
        assert first.ask("GET", href, project).status == (200 if method == "GET" else 404)


# -- under way ---------------------------------------------------------------------------------------------------------

EACH = 60


class Traffic:
    """Producers, consumers and a reader with a bookmark on one queue, each a thread of its own."""

    def __init__(self, door: Door, version: str, project: str) -> None:
        self._door = door
        self._version = version
        self._project = project
        self._lock = threading.Lock()
        self.posted = 0
        self.read: list[tuple[int, int]] = []
        self.delivered: dict[int, list[tuple[int, int]]] = defaultdict(list)

    def _api(self) -> Api:
        return Api(self._door, self._version, self._project)

    @property
    def handled(self) -> int:
        return sum(len(messages) for messages in self.delivered.values())

    def produce(self, producer: int) -> None:
        api = self._api()
        for number in range(EACH):
            messages: Any = [{"ttl": 300, "body": [producer, number]}]
            body = messages if self._version == "v1" else {"messages": messages}

            def posted(body: Any = body) -> bool:
                status = api.ask("POST", f"{api.path}/messages", body).status
                # Held while the queue is switched; nothing was done.
                assert status in (201, 503)
                return status == 201

            until(posted, "a post is taken")
            with self._lock:
                self.posted += 1

    def follow(self) -> None:
        api = self._api()
        bookmark = f"{api.path}/messages?echo=true&include_claimed=true&limit=3"
        while len(self.read) < 2 * EACH:
            page, following = api.page(bookmark)
            self.read += [tuple(body) for body in bodies(page)]
            bookmark = following or bookmark

    def consume(self, consumer: int) -> None:
        api = self._api()
        while self.handled < 2 * EACH:
            for message in api.claim(2)[1]:
                body = tuple(message["body"])
                until(lambda body=body: body in self.read, "the reader sees it")
                assert api.ask("DELETE", message["href"]).status == 204
                self.delivered[consumer].append(body)


@pytest.mark.parametrize("version", VERSIONS)
def test_order_and_bookmarks_while_a_queue_is_moved_and_its_segments_are_retired(
    version: str, door: Door, chains: Chains
) -> None:
    project = door.tenant(pinned="north")
    Api(door, version, project).create()
    traffic = Traffic(door, version, project)
    retired = 0
    with ThreadPoolExecutor(5) as threads:
        work = [
            *(threads.submit(traffic.produce, n) for n in range(2)),
            *(threads.submit(traffic.consume, n) for n in range(2)),
            threads.submit(traffic.follow),
        ]

        def going() -> bool:
            for one in work:
                if one.done():
                    one.result()
            return True

        for number, target in enumerate(("south", "west", "north")):
            wanted = (number + 1) * 2 * EACH // 5
            until(lambda wanted=wanted: going() and traffic.posted >= wanted, "some posts")
            chains.move(project, QUEUE, target, f"{QUEUE}.{number}")
            until(lambda: going() and chains.left(project, QUEUE) == 0, "an empty segment")
            chains.retire(project, QUEUE)
            retired += 1
        for one in work:
            one.result()
    assert retired == 3
    for producer in range(2):
        sent = [(producer, number) for number in range(EACH)]
        # Nothing skipped, nothing repeated, in order.
        assert [body for body in traffic.read if body[0] == producer] == sent
        delivered = [[body for body in traffic.delivered[n] if body[0] == producer] for n in range(2)]
        assert sorted(delivered[0] + delivered[1]) == sent
        assert all(of_one == sorted(of_one) for of_one in delivered)
