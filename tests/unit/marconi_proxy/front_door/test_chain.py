"""Calls to a queue with history, carried out: the requests to each partition, word by word, and the client's answer.

The partitions are scripted: each has the requests that it expects and their answers. Segment 1 of the queue was
retired; segment 2 has a hidden suffix.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog.model import Placement, PlacementState, Segment
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.front_door.chain.claims import TRIES
from marconi_proxy.front_door.chain.dispatch import Chain
from marconi_proxy.front_door.chain.segment_client import with_body, without_line
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.refusals import ClientGone, RequestRefused
from marconi_proxy.routing.decision import Action, Forward, decide
from marconi_proxy.routing.route import parse
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import BadAnswer, ConnectFailed, NotSent, Unanswered
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.faults.evil_host import PATIENCE, EvilHost, Request, answer, serve, settled, unused_port
from tests.unit.catalog_stage import PROJECT, partition

OLDEST, OLDER, LAST = Segment(0, "p0", "q", True), Segment(2, "p1", "q.2", True), Segment(3, "p2", "q")
PLACEMENT = Placement(PROJECT, "q", 7, PlacementState.OPEN, (OLDEST, OLDER, LAST))


class Partition:
    """A host that follows a script, and a record of the bodies that it was sent."""

    def __init__(self) -> None:
        self.host = EvilHost([serve(self.handle)])
        self.script: deque[tuple[str, bytes | None]] = deque()
        self.requests: list[Request] = []
        self.surprises: list[str] = []

    def expect(self, line: str, status: int | None, document: Any = None, **headers: str) -> None:
        """Expect a request, and answer so; None: close the connection without an answer."""
        body = b"" if document is None else document if isinstance(document, bytes) else json.dumps(document).encode()
        lines = [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
        self.script.append((line, None if status is None else answer(status, body, *lines)))

    async def handle(self, request: Request) -> bytes:
        line = f"{request.method.decode()} {request.target.decode()}"
        self.requests.append(request)
        if not self.script or self.script[0][0] != line:
            self.surprises.append(line)
            return answer(500)
        _, reply = self.script.popleft()
        if reply is None:
            raise ConnectionResetError
        return reply


class Stage:
    def __init__(self, directory: Directory, partitions: list[Partition]) -> None:
        self.directory = directory
        self.oldest, self.older, self.last = partitions
        self.pauses: list[float] = []
        self.placement = PLACEMENT
        self.chain = Chain(directory, PATIENCE, random.Random(1), self.sleep)
        self.wanted = True

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def call(self, method: str, target: str, document: Any = None, **headers: str) -> UpstreamAnswer:
        route = parse(method, target.encode())
        decision = decide(self.placement, route, target.encode())
        assert not isinstance(decision, Forward | Action)
        body = b"" if document is None else json.dumps(document).encode()
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()).encode()
        lines += b"content-length: %d\r\n" % len(body)
        call = UpstreamCall(method.encode(), target.encode(), lines, body, route.rule.repeatable)
        return await self.chain.carry_out(decision, call, route, self.placement, lambda: self.wanted)

    async def document(self, method: str, target: str, document: Any = None) -> Any:
        """Call; return (status, document) of the answer, None for no body."""
        got = await self.call(method, target, document)
        body = await got.read()
        return got.status, json.loads(body) if body else None


def header(got: UpstreamAnswer, name: bytes) -> bytes | None:
    values = [value for given, value in got.headers if given == name]
    assert len(values) < 2
    return values[0] if values else None


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    partitions = [Partition(), Partition(), Partition()]
    pool = Pool(connect_timeout=PATIENCE, idle_timeout=60.0, max_head=65536)
    catalog = await SQLiteCatalog.open(str(tmp_path / "catalog.db"))
    async with AsyncExitStack() as stack:
        for n, one in enumerate(partitions):
            await stack.enter_async_context(one.host)
            await catalog.partitions.insert(partition(f"p{n}", one.host.url))
        directory = Directory(
            catalog,
            lambda opened: Upstream(opened, pool, UpstreamLimits(deadline=PATIENCE), random.Random(1)),
            cache_size=10,
        )
        await directory.start(PATIENCE)
        yield Stage(directory, partitions)
        await directory.stop()
        await catalog.close()
        pool.close()
        await settled(lambda: not pool._all)
        assert [one.surprises for one in partitions] == [[], [], []]
        assert [list(one.script) for one in partitions] == [[], [], []]


def message(path: str, identifier: str, query: str = "") -> dict[str, Any]:
    return {"id": identifier, "href": f"{path}/messages/{identifier}{query}", "ttl": 300, "age": 1, "body": 1}


def there(version: str, *identifiers: str, name: str = "q", query: str = "") -> list[dict[str, Any]]:
    return [message(f"/{version}/queues/{name}", identifier, query) for identifier in identifiers]


def listed(version: str, *identifiers: str, marker: str, name: str = "q", given: str = "") -> dict[str, Any]:
    href = f"/{version}/queues/{name}/messages?{given}marker={marker}"
    return {"messages": there(version, *identifiers, name=name), "links": [{"rel": "next", "href": href}]}


NOTHING = {"messages": [], "links": []}


async def move_away(stage: Stage, segment: Segment) -> None:
    """Move the partition of a segment to an address without a listener."""
    upstream = await stage.directory.upstream(segment.partition)
    assert upstream is not None
    upstream.update(replace(upstream.partition, hosts=(f"http://127.0.0.1:{unused_port()}",)))


# -- one segment -------------------------------------------------------------------------------------------------------


async def test_a_message_by_its_id(stage: Stage) -> None:
    stage.older.expect("GET /v2/queues/q.2/messages/x", 200, message("/v2/queues/q.2", "x", "?claim_id=c"))
    assert await stage.document("GET", "/v2/queues/q/messages/s2-x") == (
        200,
        message("/v2/queues/q", "s2-x", "?claim_id=s2-c"),
    )


async def test_a_message_of_a_retired_segment_is_asked_of_the_last_which_has_no_such_id(stage: Stage) -> None:
    stage.last.expect("GET /v2/queues/q/messages/s1-x", 404, {"title": "Not found"})
    assert (await stage.document("GET", "/v2/queues/q/messages/s1-x"))[0] == 404
    stage.last.expect("DELETE /v2/queues/q/messages/s1-x", 204)
    assert (await stage.document("DELETE", "/v2/queues/q/messages/s1-x?claim_id=s1-c"))[0] == 204


async def test_a_post_goes_to_the_last_segment(stage: Stage) -> None:
    said = {"resources": ["/v1/queues/q/messages/x", "/v1/queues/q/messages/y"], "partial": False}
    stage.last.expect("POST /v1/queues/q/messages", 201, said, Location="/v1/queues/q/messages?ids=x,y")
    got = await stage.call("POST", "/v1/queues/q/messages", [{"ttl": 300, "body": 1}])
    assert got.status == 201
    assert json.loads(got.body)["resources"] == ["/v1/queues/q/messages/s3-x", "/v1/queues/q/messages/s3-y"]
    assert header(got, b"location") == b"/v1/queues/q/messages?ids=s3-x,s3-y"
    assert header(got, b"content-length") == b"%d" % len(got.body)
    assert json.loads(stage.last.requests[0].body) == [{"ttl": 300, "body": 1}]


async def test_a_refusal_does_not_tell_the_hidden_name(stage: Stage) -> None:
    stage.older.expect("GET /v2/queues/q.2/claims/c", 404, {"title": "Not found", "description": "no c in q.2"})
    assert await stage.document("GET", "/v2/queues/q/claims/s2-c") == (
        404,
        {"title": "Not found", "description": "no c in q"},
    )


async def test_what_is_not_translated_passes_as_it_comes(stage: Stage) -> None:
    metadata = json.dumps({"id": "x", "filler": "x" * 200_000}).encode()
    stage.last.expect("GET /v2/queues/q", 200, metadata)
    got = await stage.call("GET", "/v2/queues/q")
    assert not got.complete
    assert await got.read() == metadata


async def test_content_location_is_what_the_client_sent(stage: Stage) -> None:
    stage.last.expect("HEAD /v1/queues/q", 204, Content_Location="/v1/queues/q")
    assert header(await stage.call("HEAD", "/v1/queues/q"), b"content-location") == b"/v1/queues/q"
    where = "/v1/queues/q.2/claims/c"
    stage.older.expect(f"GET {where}", 200, {"href": where, "messages": []}, Content_Location=where)
    got = await stage.call("GET", "/v1/queues/q/claims/s2-c")
    assert header(got, b"content-location") == b"/v1/queues/q/claims/s2-c"


async def test_what_is_no_json_is_refused(stage: Stage) -> None:
    stage.last.expect("GET /v2/queues/q/messages/x", 200, b"<html>")
    with pytest.raises(BadAnswer, match="partition p2 answered 200"):
        await stage.call("GET", "/v2/queues/q/messages/s3-x")


async def test_a_partition_that_is_gone(stage: Stage) -> None:
    stage.placement = replace(PLACEMENT, segments=(OLDEST, replace(LAST, partition="gone")))
    with pytest.raises(RequestRefused, match="not registered"):
        await stage.call("POST", "/v1/queues/q/messages", [])


async def test_nothing_packed_is_asked_for(stage: Stage) -> None:
    stage.last.expect("GET /v2/queues/q", 200, {})
    await stage.call("GET", "/v2/queues/q", None, accept_encoding="gzip", accept="a/b")
    assert b"accept-encoding" not in stage.last.requests[0].headers
    assert stage.last.requests[0].headers[b"accept"] == b"a/b"


def test_lines_of_a_request() -> None:
    lines = b"a: 1\r\nab: 2\r\na: 3\r\ncontent-length: 9\r\n"
    assert without_line(lines, b"a") == b"ab: 2\r\ncontent-length: 9\r\n"
    call = with_body(UpstreamCall(b"PATCH", b"/", lines, b"123456789", repeatable=True), b"x")
    assert (call.lines, call.body) == (b"a: 1\r\nab: 2\r\na: 3\r\ncontent-length: 1\r\n", b"x")


# -- claims and pops ---------------------------------------------------------------------------------------------------

CLAIM = "/v2/queues/q/claims?limit=2"
FREE, POPPABLE = "limit=1&echo=true", "limit=1&echo=true&include_delayed=true"


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
async def test_the_oldest_segment_that_has_something_is_claimed_from(stage: Stage, version: str) -> None:
    claimed = there(version, "x", "y", name="q.2", query="?claim_id=c")
    shown = there(version, "s2-x", "s2-y", query="?claim_id=s2-c")
    stage.oldest.expect(f"POST /{version}/queues/q/claims?limit=2", 204)
    if version == "v1":
        stage.oldest.expect(f"GET /v1/queues/q/messages?{FREE}", 204)
    else:
        stage.oldest.expect(f"GET /{version}/queues/q/messages?{FREE}", 200, NOTHING)
    stage.older.expect(
        f"POST /{version}/queues/q.2/claims?limit=2",
        201,
        claimed if version == "v1" else {"messages": claimed},
        Location=f"/{version}/queues/q.2/claims/c",
    )
    got = await stage.call("POST", f"/{version}/queues/q/claims?limit=2", {"ttl": 60, "grace": 60})
    assert (got.status, header(got, b"location")) == (201, f"/{version}/queues/q/claims/s2-c".encode())
    assert json.loads(got.body) == (shown if version == "v1" else {"messages": shown})
    assert json.loads(stage.older.requests[0].body) == {"ttl": 60, "grace": 60}


async def test_nothing_is_claimed_from_the_next_while_the_one_before_has_a_free_message(stage: Stage) -> None:
    for _ in range(2):
        stage.oldest.expect(f"POST {CLAIM}", 204)
        stage.oldest.expect(f"GET /v2/queues/q/messages?{FREE}", 200, listed("v2", "x", marker="1"))
    stage.oldest.expect(f"POST {CLAIM}", 201, {"messages": there("v2", "x", query="?claim_id=c")})
    status, document = await stage.document("POST", CLAIM)
    assert (status, document["messages"][0]["id"]) == (201, "x")
    assert len(stage.pauses) == 2
    assert all(pause > 0 for pause in stage.pauses)


async def test_a_segment_that_goes_on_handing_out_nothing_is_not_passed_over(stage: Stage) -> None:
    for _ in range(TRIES - 1):
        stage.oldest.expect(f"POST {CLAIM}", 204)
        stage.oldest.expect(f"GET /v2/queues/q/messages?{FREE}", 200, listed("v2", "x", marker="1"))
    stage.oldest.expect(f"POST {CLAIM}", 204)
    assert await stage.document("POST", CLAIM) == (204, None)


async def test_nothing_anywhere_to_claim(stage: Stage) -> None:
    stage.oldest.expect(f"POST {CLAIM}", 204)
    stage.oldest.expect(f"GET /v2/queues/q/messages?{FREE}", 200, NOTHING)
    stage.older.expect("POST /v2/queues/q.2/claims?limit=2", 204)
    # Retired a moment ago: some stores answer 404.
    stage.older.expect(f"GET /v2/queues/q.2/messages?{FREE}", 404, {})
    stage.last.expect(f"POST {CLAIM}", 204)
    assert await stage.document("POST", CLAIM) == (204, None)


async def test_a_pop(stage: Stage) -> None:
    stage.oldest.expect("DELETE /v2/queues/q/messages?pop=3", 200, {"messages": []})
    stage.oldest.expect(f"GET /v2/queues/q/messages?{POPPABLE}", 200, NOTHING)
    stage.older.expect("DELETE /v2/queues/q.2/messages?pop=3", 200, {"messages": []})
    stage.older.expect(f"GET /v2/queues/q.2/messages?{POPPABLE}", 200, listed("v2", "x", marker="1"))
    popped = {"id": "x", "ttl": 300, "age": 1, "body": 1, "claim_id": None, "claim_count": 0}
    stage.older.expect("DELETE /v2/queues/q.2/messages?pop=3", 200, {"messages": [popped]})
    expected = {"messages": [popped | {"id": "s2-x"}]}
    assert await stage.document("DELETE", "/v2/queues/q/messages?pop=3") == (200, expected)


async def test_nothing_anywhere_to_pop(stage: Stage) -> None:
    stage.placement = replace(PLACEMENT, segments=(OLDEST, LAST))
    stage.oldest.expect("DELETE /v1.1/queues/q/messages?pop=3", 200, {"messages": []})
    stage.oldest.expect(f"GET /v1.1/queues/q/messages?{FREE}", 200, NOTHING)
    stage.last.expect("DELETE /v1.1/queues/q/messages?pop=3", 200, {"messages": []})
    assert await stage.document("DELETE", "/v1.1/queues/q/messages?pop=3") == (200, {"messages": []})


@pytest.mark.parametrize("status", [400, 503])
async def test_a_refused_claim_goes_no_further(stage: Stage, status: int) -> None:
    stage.oldest.expect("POST /v2/queues/q/claims?limit=99", status, {"title": "x"})
    assert await stage.document("POST", "/v2/queues/q/claims?limit=99") == (status, {"title": "x"})


async def test_an_older_segment_that_cannot_be_reached_is_not_passed_over(stage: Stage) -> None:
    await move_away(stage, OLDEST)
    with pytest.raises(ConnectFailed):
        await stage.call("POST", CLAIM)


@pytest.mark.parametrize("status", [500, 503, 400])
async def test_an_older_segment_that_cannot_be_looked_at_is_not_passed_over(stage: Stage, status: int) -> None:
    stage.oldest.expect(f"POST {CLAIM}", 204)
    stage.oldest.expect(f"GET /v2/queues/q/messages?{FREE}", status, {})
    with pytest.raises(BadAnswer):
        await stage.call("POST", CLAIM)


async def test_nothing_is_taken_for_a_client_that_has_gone(stage: Stage) -> None:
    stage.wanted = False
    with pytest.raises(ClientGone):
        await stage.call("POST", CLAIM)


# -- lists -------------------------------------------------------------------------------------------------------------


async def test_a_full_page_is_of_one_segment(stage: Stage) -> None:
    stage.oldest.expect("GET /v2/queues/q/messages?limit=2", 200, listed("v2", "x", "y", marker="2", given="limit=2&"))
    status, document = await stage.document("GET", "/v2/queues/q/messages?limit=2")
    assert (status, document) == (200, listed("v2", "x", "y", marker="2", given="limit=2&"))


async def test_a_short_page_is_filled_from_the_next_segment_once_the_end_is_seen(stage: Stage) -> None:
    first = listed("v2", "x", "y", marker="2", given="limit=5&echo=true&")
    stage.oldest.expect("GET /v2/queues/q/messages?limit=5&echo=true", 200, first)
    # Short is not the end (API section 6.3).
    more = listed("v2", "z", marker="3", given="limit=3&echo=true&")
    stage.oldest.expect("GET /v2/queues/q/messages?limit=3&echo=true&marker=2", 200, more)
    stage.oldest.expect("GET /v2/queues/q/messages?limit=2&echo=true&marker=3", 200, NOTHING)
    stage.older.expect(
        "GET /v2/queues/q.2/messages?limit=2&echo=true",
        200,
        listed("v2", "x", "y", marker="7", name="q.2", given="limit=2&echo=true&"),
    )
    assert await stage.document("GET", "/v2/queues/q/messages?limit=5&echo=true") == (
        200,
        {
            "messages": there("v2", "x", "y", "z", "s2-x", "s2-y"),
            "links": [{"rel": "next", "href": "/v2/queues/q/messages?limit=5&echo=true&marker=s2-7"}],
        },
    )


async def test_a_list_goes_on_where_its_marker_is(stage: Stage) -> None:
    stage.older.expect(
        "GET /v2/queues/q.2/messages?marker=7&echo=true",
        200,
        listed("v2", "x", marker="8", name="q.2", given="echo=true&"),
    )
    stage.older.expect("GET /v2/queues/q.2/messages?marker=8&echo=true&limit=9", 200, NOTHING)
    stage.last.expect(
        "GET /v2/queues/q/messages?echo=true&limit=9", 200, listed("v2", "y", marker="1", given="limit=9&echo=true&")
    )
    assert await stage.document("GET", "/v2/queues/q/messages?marker=s2-7&echo=true") == (
        200,
        {
            "messages": there("v2", "s2-x", "s3-y"),
            # Without the limit that the client never gave.
            "links": [{"rel": "next", "href": "/v2/queues/q/messages?echo=true&marker=s3-1"}],
        },
    )


async def test_the_marker_of_a_retired_segment_goes_on_at_the_start_of_the_next(stage: Stage) -> None:
    stage.older.expect(
        "GET /v2/queues/q.2/messages?limit=1", 200, listed("v2", "x", marker="1", name="q.2", given="limit=1&")
    )
    status, document = await stage.document("GET", "/v2/queues/q/messages?marker=s1-9&limit=1")
    assert (status, document["messages"]) == (200, there("v2", "s2-x"))
    assert document["links"][0]["href"] == "/v2/queues/q/messages?limit=1&marker=s2-1"


async def test_a_short_page_of_the_last_segment_is_not_filled(stage: Stage) -> None:
    stage.last.expect("GET /v2/queues/q/messages?marker=4", 200, listed("v2", "x", marker="5"))
    status, document = await stage.document("GET", "/v2/queues/q/messages?marker=s3-4")
    assert (status, document) == (
        200,
        {
            "messages": there("v2", "s3-x"),
            "links": [{"rel": "next", "href": "/v2/queues/q/messages?marker=s3-5"}],
        },
    )


@pytest.mark.parametrize(("version", "status"), [("v1", 204), ("v1.1", 200), ("v2", 200)])
async def test_an_empty_list(stage: Stage, version: str, status: int) -> None:
    empty = None if status == 204 else NOTHING
    location = {"Content_Location": f"/{version}/queues/q/messages"} if version == "v1" else {}
    stage.oldest.expect(f"GET /{version}/queues/q/messages?marker=9", status, empty, **location)
    stage.older.expect(f"GET /{version}/queues/q.2/messages", status, empty, **location)
    stage.last.expect(f"GET /{version}/queues/q/messages", status, empty, **location)
    got = await stage.call("GET", f"/{version}/queues/q/messages?marker=9")
    assert (got.status, json.loads(got.body) if got.body else None) == (status, empty)
    assert header(got, b"content-location") == (b"/v1/queues/q/messages?marker=9" if version == "v1" else None)


async def test_a_page_in_v1(stage: Stage) -> None:
    stage.oldest.expect("GET /v1/queues/q/messages?limit=2", 204)
    stage.older.expect(
        "GET /v1/queues/q.2/messages?limit=2",
        200,
        listed("v1", "x", marker="1", name="q.2", given="limit=2&"),
        Content_Location="/v1/queues/q.2/messages?limit=2",
    )
    stage.older.expect("GET /v1/queues/q.2/messages?limit=1&marker=1", 204)
    stage.last.expect("GET /v1/queues/q/messages?limit=1", 204)
    got = await stage.call("GET", "/v1/queues/q/messages?limit=2")
    assert header(got, b"content-location") == b"/v1/queues/q/messages?limit=2"
    assert json.loads(got.body) == {
        "messages": there("v1", "s2-x"),
        "links": [{"rel": "next", "href": "/v1/queues/q/messages?limit=2&marker=s2-1"}],
    }


async def test_a_list_passes_over_a_queue_that_was_retired_a_moment_ago(stage: Stage) -> None:
    stage.placement = replace(PLACEMENT, segments=(OLDEST, LAST))
    stage.oldest.expect("GET /v1/queues/q/messages", 404, {})
    stage.last.expect("GET /v1/queues/q/messages", 404, {"title": "Not found"})
    assert await stage.document("GET", "/v1/queues/q/messages") == (404, {"title": "Not found"})


@pytest.mark.parametrize("limit", ["0", "99", "x", "1.0"])
async def test_a_limit_that_is_refused(stage: Stage, limit: str) -> None:
    stage.oldest.expect(f"GET /v2/queues/q/messages?limit={limit}", 400, {"title": "Invalid"})
    assert await stage.document("GET", f"/v2/queues/q/messages?limit={limit}") == (400, {"title": "Invalid"})


async def test_a_list_is_never_silently_short(stage: Stage) -> None:
    stage.oldest.expect("GET /v2/queues/q/messages?limit=2", 200, listed("v2", "x", marker="1", given="limit=2&"))
    stage.oldest.expect("GET /v2/queues/q/messages?limit=1&marker=1", 200, NOTHING)
    await move_away(stage, OLDER)
    with pytest.raises(ConnectFailed):
        await stage.call("GET", "/v2/queues/q/messages?limit=2")
    stage.oldest.expect("GET /v2/queues/q/messages?limit=2", 503, {"title": "Service temporarily unavailable"})
    assert (await stage.document("GET", "/v2/queues/q/messages?limit=2"))[0] == 503


async def test_messages_without_a_link(stage: Stage) -> None:
    stage.oldest.expect("GET /v2/queues/q/messages", 200, {"messages": there("v2", "x"), "links": []})
    with pytest.raises(BadAnswer, match="no link"):
        await stage.call("GET", "/v2/queues/q/messages")


# -- messages by their ids ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
async def test_messages_by_ids_come_in_the_order_in_which_they_are_asked_for(stage: Stage, version: str) -> None:
    def said(*messages: dict[str, Any]) -> Any:
        bare = [{name: value for name, value in one.items() if name != "id"} for one in messages]
        return bare if version == "v1" else {"messages": list(messages)}

    asked = "ids=s3-a,b,s2-c,s3-d,s1-e,b"
    stage.oldest.expect(
        f"GET /{version}/queues/q/messages?ids=s3-a,b,s2-c,s3-d,s1-e,b",
        200,
        said(*there(version, "b", query="?claim_id=c")),
    )
    stage.older.expect(
        f"GET /{version}/queues/q.2/messages?ids=s3-a,s0-b,c,s3-d,s1-e,s0-b", 204 if version == "v1" else 404
    )
    stage.last.expect(
        f"GET /{version}/queues/q/messages?ids=a,s0-b,s2-c,d,s1-e,s0-b", 200, said(*there(version, "d", "a"))
    )
    expected = said(*there(version, "s3-a"), *there(version, "b", query="?claim_id=c"), *there(version, "s3-d"))
    assert await stage.document("GET", f"/{version}/queues/q/messages?{asked}") == (200, expected)


@pytest.mark.parametrize(("version", "status"), [("v1", 204), ("v2", 404)])
async def test_none_of_the_ids(stage: Stage, version: str, status: int) -> None:
    body = {"title": "Not found"} if status == 404 else None
    stage.oldest.expect(f"GET /{version}/queues/q/messages?ids=a,s3-b", status, body)
    stage.last.expect(f"GET /{version}/queues/q/messages?ids=s0-a,b", status, body)
    assert await stage.document("GET", f"/{version}/queues/q/messages?ids=a,s3-b") == (status, body)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_ids_that_are_refused(stage: Stage, method: str) -> None:
    for one, ids in ((stage.oldest, "a,s3-b"), (stage.last, "s0-a,b")):
        one.expect(f"{method} /v2/queues/q/messages?ids={ids}", 400, {"title": "Invalid"})
    assert await stage.document(method, "/v2/queues/q/messages?ids=a,s3-b") == (400, {"title": "Invalid"})


async def test_messages_by_ids_of_which_some_cannot_be_reached(stage: Stage) -> None:
    await move_away(stage, OLDEST)
    stage.last.expect("GET /v2/queues/q/messages?ids=s0-a,b", 200, {"messages": there("v2", "b")})
    with pytest.raises(ConnectFailed):
        await stage.call("GET", "/v2/queues/q/messages?ids=a,s3-b")


async def test_deleting_by_ids(stage: Stage) -> None:
    stage.oldest.expect("DELETE /v2/queues/q/messages?ids=a,s3-b", 204)
    stage.last.expect("DELETE /v2/queues/q/messages?ids=s0-a,b", 204)
    assert await stage.document("DELETE", "/v2/queues/q/messages?ids=a,s3-b") == (204, None)


# -- stats -------------------------------------------------------------------------------------------------------------


def counted(free: int, claimed: int, path: str = "", oldest: str = "", newest: str = "") -> dict[str, Any]:
    document: dict[str, Any] = {"free": free, "claimed": claimed, "total": free + claimed}
    for name, identifier in (("oldest", oldest), ("newest", newest)):
        if identifier:
            document[name] = {"href": f"{path}/messages/{identifier}", "age": 1, "created": "2014-03-01T09:30:00Z"}
    return {"messages": document}


async def test_stats_are_added_up(stage: Stage) -> None:
    stage.oldest.expect("GET /v1/queues/q/stats", 200, counted(0, 0))
    stage.older.expect("GET /v1/queues/q.2/stats", 200, counted(1, 2, "/v1/queues/q.2", "a", "b"))
    stage.last.expect(
        "GET /v1/queues/q/stats", 200, counted(5, 3, "/v1/queues/q", "c", "d"), Content_Location="/v1/queues/q/stats"
    )
    got = await stage.call("GET", "/v1/queues/q/stats")
    assert (got.status, json.loads(got.body)) == (200, counted(6, 5, "/v1/queues/q", "s2-a", "s3-d"))
    assert header(got, b"content-location") == b"/v1/queues/q/stats"


async def test_stats_of_nothing(stage: Stage) -> None:
    stage.oldest.expect("GET /v2/queues/q/stats", 200, counted(0, 0))
    stage.older.expect("GET /v2/queues/q.2/stats", 404, {})
    stage.last.expect("GET /v2/queues/q/stats", 200, counted(0, 0))
    assert await stage.document("GET", "/v2/queues/q/stats") == (200, counted(0, 0))


@pytest.mark.parametrize(("sealed", "last", "expected"), [(503, 200, 503), (200, 404, 404), (404, 404, 404)])
async def test_stats_that_cannot_be_had(stage: Stage, sealed: int, last: int, expected: int) -> None:
    stage.placement = replace(PLACEMENT, segments=(OLDEST, LAST))
    stage.oldest.expect("GET /v1/queues/q/stats", sealed, counted(1, 1))
    stage.last.expect("GET /v1/queues/q/stats", last, counted(1, 1))
    assert (await stage.document("GET", "/v1/queues/q/stats"))[0] == expected


@pytest.mark.parametrize("said", [{}, [], {"messages": 1}, {"messages": {"free": "1"}}])
async def test_stats_that_are_none(stage: Stage, said: Any) -> None:
    stage.placement = replace(PLACEMENT, segments=(OLDEST, LAST))
    stage.oldest.expect("GET /v1/queues/q/stats", 200, said)
    stage.last.expect("GET /v1/queues/q/stats", 200, counted(1, 1))
    with pytest.raises(BadAnswer, match="partition p0"):
        await stage.call("GET", "/v1/queues/q/stats")


# -- what all segments must do -----------------------------------------------------------------------------------------

PURGE = "/v2/queues/q/purge"


async def test_a_purge_is_for_every_segment(stage: Stage) -> None:
    for one, name in ((stage.oldest, "q"), (stage.older, "q.2"), (stage.last, "q")):
        one.expect(f"POST /v2/queues/{name}/purge", 204)
    assert await stage.document("POST", PURGE, {"resource_types": ["messages"]}) == (204, None)
    bodies = [json.loads(one.requests[0].body) for one in (stage.oldest, stage.older, stage.last)]
    assert bodies == [{"resource_types": ["messages"]}] * 3


@pytest.mark.parametrize(("statuses", "expected"), [((204, 400, 204), 400), ((400, 503, 204), 503)])
async def test_a_purge_that_one_refuses(stage: Stage, statuses: tuple[int, int, int], expected: int) -> None:
    for one, name, status in zip((stage.oldest, stage.older, stage.last), ("q", "q.2", "q"), statuses, strict=True):
        one.expect(f"POST /v2/queues/{name}/purge", status)
    assert (await stage.document("POST", PURGE))[0] == expected


async def test_a_purge_that_was_done_in_part_says_so(stage: Stage) -> None:
    await move_away(stage, OLDER)
    for one in (stage.oldest, stage.last):
        one.expect("POST /v2/queues/q/purge", 204)
    with pytest.raises(RequestRefused, match="in part") as refused:
        await stage.call("POST", PURGE)
    assert (refused.value.status, refused.value.retry_after) == (503, 5)


async def test_a_purge_that_nobody_did(stage: Stage) -> None:
    for segment in PLACEMENT.segments:
        await move_away(stage, segment)
    with pytest.raises(NotSent):
        await stage.call("POST", PURGE)


PATCH = [{"op": "replace", "path": "/metadata/colour", "value": "blue"}]
TYPE = "application/openstack-messaging-v2.0-json-patch"


async def test_metadata_is_changed_in_the_last_segment_and_then_in_the_others(stage: Stage) -> None:
    stage.last.expect("PATCH /v2/queues/q", 200, {"colour": "blue"})
    stage.oldest.expect("PATCH /v2/queues/q", 200, {"colour": "blue", "a": 1})
    # Its queue was retired a moment ago.
    stage.older.expect("PATCH /v2/queues/q.2", 404, {})
    got = await stage.call("PATCH", "/v2/queues/q", PATCH, content_type=TYPE)
    assert (got.status, json.loads(got.body)) == (200, {"colour": "blue"})
    assert json.loads(stage.last.requests[0].body) == PATCH
    for one in (stage.oldest, stage.older):
        (told,) = one.requests
        assert told.headers[b"content-type"] == TYPE.encode()
        assert json.loads(told.body) == [{"op": "add", "path": "/metadata/colour", "value": "blue"}]


async def test_metadata_is_replaced_in_the_last_segment_and_then_in_the_others(stage: Stage) -> None:
    for one, name in ((stage.oldest, "q"), (stage.older, "q.2"), (stage.last, "q")):
        path = f"/v1/queues/{name}/metadata"
        one.expect(f"PUT {path}", 204, Location=path)
    got = await stage.call("PUT", "/v1/queues/q/metadata", {"a": 1})
    assert (got.status, header(got, b"location")) == (204, b"/v1/queues/q/metadata")
    assert [json.loads(one.requests[0].body) for one in (stage.oldest, stage.older)] == [{"a": 1}] * 2


@pytest.mark.parametrize("status", [400, 404, 409, 415, 503])
async def test_metadata_that_the_last_segment_refuses_is_changed_nowhere(stage: Stage, status: int) -> None:
    stage.last.expect("PATCH /v2/queues/q", status, {"title": "x"})
    assert await stage.document("PATCH", "/v2/queues/q", PATCH) == (status, {"title": "x"})


@pytest.mark.parametrize("status", [None, 400, 503])
async def test_metadata_that_a_sealed_segment_does_not_take_is_a_refusal(stage: Stage, status: int | None) -> None:
    stage.placement = replace(PLACEMENT, segments=(OLDEST, LAST))
    stage.last.expect("PATCH /v2/queues/q", 200, {"colour": "blue"})
    stage.oldest.expect("PATCH /v2/queues/q", status)
    with pytest.raises(RequestRefused, match="in part"):
        await stage.call("PATCH", "/v2/queues/q", PATCH)


async def test_metadata_whose_end_in_the_last_segment_nobody_knows_is_not_told_the_others(stage: Stage) -> None:
    stage.last.expect("PATCH /v2/queues/q", None)
    with pytest.raises(Unanswered):
        await stage.call("PATCH", "/v2/queues/q", PATCH)


async def test_a_new_dead_letter_queue_is_the_last_segments_alone(stage: Stage) -> None:
    patch = [{"op": "add", "path": "/metadata/_dead_letter_queue", "value": "dead"}]
    stage.last.expect("PATCH /v2/queues/q", 200, {"_dead_letter_queue": "dead"})
    assert (await stage.document("PATCH", "/v2/queues/q", patch))[0] == 200


# -- time --------------------------------------------------------------------------------------------------------------


async def test_a_call_has_one_deadline_whatever_it_is_made_of(stage: Stage) -> None:
    stage.chain = Chain(stage.directory, 0.0, random.Random(1), stage.sleep)
    with pytest.raises(NotSent, match="time was used up"):
        await stage.call("GET", "/v2/queues/q/messages")
