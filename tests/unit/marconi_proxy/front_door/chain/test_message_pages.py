"""Bookmarks over chains as a property: whatever segments answer with short pages, are appended and are retired, a
reader that follows links sees every message once, in order."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.model import Placement, PlacementState, Segment
from marconi_proxy.front_door.chain.message_pages import page
from marconi_proxy.front_door.chain.segment_client import Reply, SegmentClient
from marconi_proxy.routing import query as raw_query
from marconi_proxy.routing.decision import Paginate, decide
from marconi_proxy.routing.route import parse
from marconi_proxy.upstream.exchange import UpstreamCall


class Queue:
    """A queue with lists as segments. ``most``: the most messages of an answer of a segment, whatever the limit."""

    def __init__(self, most: list[int]) -> None:
        self.numbers = [0]
        self.messages: dict[int, list[int]] = {0: []}
        self.posted = 0
        self._most = most
        self.asked = 0

    @property
    def placement(self) -> Placement:
        segments = [Segment(n, f"p{n}", f"q.{n}", sealed=n != self.numbers[-1]) for n in self.numbers]
        return Placement("project", "q", 1, PlacementState.OPEN, tuple(segments))

    def post(self, count: int) -> None:
        self.messages[self.numbers[-1]] += range(self.posted, self.posted + count)
        self.posted += count

    def move(self) -> None:
        self.numbers.append(self.numbers[-1] + 1)
        self.messages[self.numbers[-1]] = []

    def retire(self, seen: int) -> None:
        """Take the oldest segment away if all of it is among the messages that the reader has ``seen``."""
        if len(self.numbers) > 1 and all(message < seen for message in self.messages[self.numbers[0]]):
            del self.messages[self.numbers.pop(0)]

    def answer(self, segment: Segment, target: bytes) -> Reply:
        """Return the answer of the segment's partition: its markers count its own messages, from 1."""
        self.asked += 1
        path, _, query = target.decode().partition("?")
        assert path == f"/v2/queues/{segment.backend_name}/messages"
        start, limit = int(raw_query.last(query, "marker") or 0), int(raw_query.last(query, "limit") or 10)
        assert 1 <= limit <= 20
        short = self._most[self.asked % len(self._most)]
        found = self.messages[segment.n][start:][: min(limit, short)]
        document: dict[str, Any] = {"messages": [], "links": []}
        if found:
            following = raw_query.replaced(query, "marker", str(start + len(found)))
            document["messages"] = [{"id": f"m{n}", "href": f"{path}/m{n}", "body": n} for n in found]
            document["links"] = [{"rel": "next", "href": f"{path}?{following}"}]
        return Reply(segment, 200, [], json.dumps(document).encode())


class Scripted(SegmentClient):
    """Asks no partition."""

    def __init__(self, queue: Queue, call: UpstreamCall) -> None:
        self.queue = queue
        self.placement = queue.placement
        self.call = call
        self.route = parse("GET", call.target)

    async def ask(self, segment: Segment, target: bytes | None = None) -> Reply:
        assert target is not None
        return self.queue.answer(segment, target)


async def read(queue: Queue, href: str) -> tuple[list[int], str | None, list[str]]:
    """Follow a link; return (what is on the page, the next link, the ids)."""
    call = UpstreamCall(b"GET", href.encode(), b"", b"", repeatable=True)
    client = Scripted(queue, call)
    decision = decide(client.placement, client.route, call.target)
    if not isinstance(decision, Paginate):  # never moved: passed on as it is, and here the name is as well
        decision = Paginate(client.placement.segments, raw_query.last(href.partition("?")[2], "marker"))
    document = json.loads((await page(client, decision.segments, decision.marker)).body)
    links = document["links"]
    return (
        [message["body"] for message in document["messages"]],
        links[0]["href"] if links else None,
        [message["id"] for message in document["messages"]],
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(0, 7)),
        st.tuples(st.just("move"), st.just(0)),
        st.tuples(st.just("retire"), st.just(0)),
        st.tuples(st.just("read"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.lists(st.integers(1, 20), min_size=1, max_size=5), st.none() | st.integers(1, 20))
async def test_a_bookmark_skips_nothing_and_repeats_nothing(
    steps: list[tuple[str, int]], most: list[int], limit: int | None
) -> None:
    queue = Queue(most)
    given_limit = "" if limit is None else f"&limit={limit}"
    bookmark = f"/v2/queues/q/messages?echo=true{given_limit}"
    seen: list[int] = []
    ids: set[str] = set()

    async def turn() -> bool:
        nonlocal bookmark
        before = queue.asked
        found, following, shown = await read(queue, bookmark)
        assert len(found) <= (limit or 10)
        assert bool(found) == (following is not None)
        if following is not None:
            assert raw_query.last(following.partition("?")[2], "limit") == (None if limit is None else str(limit))
            bookmark = following
        # Bounded by what is got and what is passed over.
        assert queue.asked - before <= len(found) + len(queue.numbers)
        seen.extend(found)
        assert not ids & set(shown)
        ids.update(shown)
        return bool(found)

    for step, count in steps:
        if step == "post":
            queue.post(count)
        elif step == "move":
            queue.move()
        elif step == "retire":
            queue.retire(len(seen))
        else:
            await turn()
    while await turn():
        pass
    assert seen == list(range(queue.posted))
