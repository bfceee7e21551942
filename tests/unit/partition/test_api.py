"""The API of the node beyond the table of requests: a store that fails, options, races, odd framing."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging

import pytest

from partition.api import claims, home, messages, queues, routes, service, share, subscriptions
from partition.api.application import Application
from partition.api.node import Node
from partition.errors import StorageUnavailable
from partition.model.limits import Limits
from partition.storage.interface import Storage
from partition.storage.sqlite import queues as sqlite_queues
from tests.unit.partition_api import HEADERS, Stage, stage

MESSAGES = "/v2/queues/orders/messages"
ONE = {"messages": [{"body": 1}]}


@pytest.fixture(params=["by ASGI", "whole"])
async def node(request, tmp_path):
    async with stage(tmp_path, by_asgi=request.param == "by ASGI") as made:
        yield made


def failing(reason: str, *, maybe_done: bool = False) -> Storage:
    """Return a store that fails at every verb."""

    async def fail(self, *arguments, **keywords):
        raise StorageUnavailable(reason, maybe_done=maybe_done)

    verbs = dict.fromkeys(Storage.__abstractmethods__, fail)
    return type("Failing", (Storage,), verbs)()


# A store that fails

NO_STORE_NEEDED = (service.home_document, service.alive, share.post)
PATCH_TYPE = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}
# Headers that some handlers want.
SPECIAL = {queues.patch: PATCH_TYPE, queues.fence: {"X-Marconi-Epoch": "life/7"}}
# A good body for each handler that wants one.
BODIES = {
    queues.patch: [],
    queues.put_metadata: {},
    messages.post: ONE,
    claims.post: {"ttl": 60, "grace": 60},
    claims.patch: {"ttl": 60},
    subscriptions.post: {"subscriber": "http://a/"},
    subscriptions.patch: {"ttl": 60},
    subscriptions.confirm: {"confirmed": True},
}
EVERY_ROUTE = [
    pytest.param(row, f"/{dialect.prefix}{row.path}".replace("{}", "x"), id=f"{row.method} {dialect.prefix}{row.path}")
    for row in routes.ROWS
    for dialect in row.dialects
    if row.handler not in NO_STORE_NEEDED
]


@pytest.mark.parametrize(("row", "path"), EVERY_ROUTE)
async def test_every_route_answers_503_when_the_store_fails(row, path, caplog):
    caplog.set_level(logging.ERROR)
    body = BODIES.get(row.handler)
    if row.handler is messages.post and path.startswith("/v1/"):
        body = [{"ttl": 60, "body": 1}]
    if row.handler is messages.delete:
        path += "?ids=a"
    made = Stage(Node(failing("storage /x/y.db: the disk is full")))
    for _ in range(3):
        answer = await made.call(row.method, path, body, SPECIAL.get(row.handler))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert row.method == "HEAD" or answer.json()["title"] == "Service temporarily unavailable"
        assert "/x/y.db" not in answer.text
    assert [record.getMessage() for record in caplog.records] == ["storage /x/y.db: the disk is full"]


async def test_trouble_is_logged_once_in_a_while_also_when_the_clock_is_set_back(caplog):
    caplog.set_level(logging.ERROR)
    now = 1_700_000_000_000
    made = Stage(Node(failing("full"), clock=lambda: now))
    for step in (0, 9_999, 1, 9_999, -3_600_000, 5):
        now += step
        await made.call("GET", "/v2/queues")
        await made.call("GET", "/v2/queues")
    assert len(caplog.records) == 3


async def test_a_failure_that_may_be_a_success_says_so():
    made = Stage(Node(failing("lost", maybe_done=True)))
    answer = await made.call("POST", "/v1.1/queues/orders/messages", ONE)
    assert "may have been processed" in answer.json()["description"]


async def test_a_fault_of_our_own_is_logged_and_not_told(caplog):
    answer = await Stage(Node(None)).call("GET", "/v2/queues")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "NoneType" not in answer.text
    assert "internal error in GET /v2/queues" in caplog.text


# Framing


async def test_a_body_without_a_length_is_refused_and_never_ignored(node):
    async def chunks():
        yield b'{"_default_message_ttl": 300}'

    for method, path in (("PUT", "/v2/queues/orders"), ("POST", MESSAGES), ("POST", "/v2/queues/orders/claims")):
        answer = await node.call(method, path, content=chunks())
        assert (answer.status_code, answer.json()["title"]) == (400, "Invalid request body")
    assert (await node.call("GET", "/v1.1/queues/orders")).json() == {}


@pytest.mark.parametrize("length", ["x", "-1", "1" * 30, "٣", ""])
async def test_lengths_that_are_none(length, tmp_path):
    sent = []

    async def send(message):
        sent.append(message)

    async with stage(tmp_path) as made:
        headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        headers.append((b"content-length", length.encode()))
        scope = {"type": "http", "method": "POST", "path": MESSAGES, "query_string": b"", "headers": headers}
        await Application(made.node)(scope, None, send)
    assert sent[0]["status"] == 400


async def test_bodies_come_in_pieces_and_clients_go_away(tmp_path):
    body = json.dumps(ONE).encode()
    pieces = [body[:5], body[5:9], body[9:]]
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    headers.append((b"content-length", b"%d" % len(body)))
    scope = {"type": "http", "method": "POST", "path": MESSAGES, "query_string": b"", "headers": headers}

    async def post(*messages):
        sent, left = [], list(messages)

        async def receive():
            return left.pop(0)

        async def send(message):
            sent.append(message)

        await Application(made.node)(scope, receive, send)
        return [message.get("status") for message in sent]

    async with stage(tmp_path) as made:
        parts = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        parts[-1]["more_body"] = False
        assert await post(*parts) == [201, None]
        assert await post(parts[0], {"type": "http.disconnect"}) == []
        assert (await made.call("GET", "/v2/queues/orders/stats")).json()["messages"]["total"] == 1


# Attributes and races


async def test_a_post_is_judged_by_the_attributes_of_now(tmp_path):
    """Two workers: what the one remembers of a queue is what the other has changed."""
    async with stage(tmp_path) as one, stage(tmp_path) as other:
        assert (await one.call("PUT", "/v2/queues/orders", {"_default_message_ttl": 100})).status_code == 201
        posted = (await one.call("POST", MESSAGES, ONE)).json()["resources"][0]
        assert (await one.call("GET", posted)).json()["ttl"] == 100
        patch = [{"op": "replace", "path": "/metadata/_default_message_ttl", "value": 200}]
        assert (await other.call("PATCH", "/v2/queues/orders", patch, PATCH_TYPE)).status_code == 200
        posted = (await one.call("POST", MESSAGES, ONE)).json()["resources"][0]
        assert (await one.call("GET", posted)).json()["ttl"] == 200
        small = [{"op": "add", "path": "/metadata/_max_messages_post_size", "value": 5}]
        await one.call("PATCH", "/v2/queues/orders", small, PATCH_TYPE)
        assert (await one.call("POST", MESSAGES, ONE)).status_code == 400
        large = [{"op": "remove", "path": "/metadata/_max_messages_post_size"}]
        await other.call("PATCH", "/v2/queues/orders", large, PATCH_TYPE)
        assert (await one.call("POST", MESSAGES, ONE)).status_code == 201
        await other.call("DELETE", "/v2/queues/orders")
        assert (await one.call("POST", MESSAGES, ONE)).status_code == 201


async def test_large_metadata_is_not_remembered(node):
    """Every process would hold that of ten thousand queues."""
    large = {"large": "x" * 60_000, "_default_message_ttl": 100}
    assert (await node.call("PUT", "/v2/queues/orders", large)).status_code == 201
    before = sqlite_queues._parsed.cache_info().currsize
    posted = (await node.call("POST", MESSAGES, ONE)).json()["resources"][0]
    assert (await node.call("GET", posted)).json()["ttl"] == 100
    assert (await node.call("GET", "/v1.1/queues/orders")).json() == large
    assert [queue.metadata for queue in node.node.known.values()] == [{"_default_message_ttl": 100}]
    assert sqlite_queues._parsed.cache_info().currsize == before


async def test_patches_cannot_add_up_to_more_than_the_limit(tmp_path):
    async with stage(tmp_path, Limits(max_queue_metadata=100)) as node:
        compact = '{"a":"%s"}' % ("x" * 92)  # one byte larger as it is written here
        assert (await node.call("PUT", "/v2/queues/orders", content=compact)).status_code == 201

        async def patch(op, **member):
            operation = {"op": op, "path": "/metadata/" + next(iter(member)), "value": next(iter(member.values()))}
            return (await node.call("PATCH", "/v2/queues/orders", [operation], PATCH_TYPE)).status_code

        assert await patch("add", b="y") == 400
        assert await patch("replace", a="z" * 5) == 200
        assert await patch("add", b="y") == 200


async def test_concurrent_patches_lose_nothing(node):
    await node.call("PUT", "/v2/queues/orders")
    patches = [[{"op": "add", "path": f"/metadata/k{n}", "value": n}] for n in range(4)]
    answers = await asyncio.gather(*(node.call("PATCH", "/v2/queues/orders", patch, PATCH_TYPE) for patch in patches))
    assert {answer.status_code for answer in answers} == {200}
    shown = (await node.call("GET", "/v1.1/queues/orders")).json()
    assert shown == {f"k{n}": n for n in range(4)}


async def test_first_posts_at_the_same_time_all_succeed(node):
    for version in ("v1.1", "v2"):
        path = f"/{version}/queues/lazy-{version}/messages"
        answers = await asyncio.gather(*(node.call("POST", path, ONE) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {201}


async def test_deleting_by_ids_can_be_made_to_need_claims(tmp_path):
    async with stage(tmp_path, Limits(message_delete_with_claim_id=True)) as made:
        href = (await made.call("POST", MESSAGES, ONE)).json()["resources"][0]
        identifier = href.rpartition("/")[2]
        assert (await made.call("DELETE", f"{MESSAGES}?ids={identifier}")).status_code == 400
        assert (await made.call("DELETE", f"{MESSAGES}?ids={identifier}&claim_ids=junk")).status_code == 400
        claim = (await made.call("POST", "/v2/queues/orders/claims")).headers["location"].rpartition("/")[2]
        assert (await made.call("DELETE", f"{MESSAGES}?ids={identifier}&claim_ids={claim}")).status_code == 204


async def test_clients_of_any_text_if_the_operator_allows(tmp_path):
    async with stage(tmp_path, Limits(client_id_uuid_safe="off")) as made:
        assert (await made.call("POST", MESSAGES, ONE, {"Client-ID": "some client"})).status_code == 201
        assert (await made.call("GET", MESSAGES, None, {"Client-ID": "some client"})).json()["messages"] == []
        assert len((await made.call("GET", MESSAGES, None, {"Client-ID": "other client"})).json()["messages"]) == 1
        assert (await made.call("GET", MESSAGES, None, {"Client-ID": "short"})).status_code == 400


async def test_one_client_in_two_spellings_has_one_echo(node):
    await node.call("POST", MESSAGES, ONE)
    dashless = {"Client-ID": HEADERS["Client-ID"].replace("-", "").upper()}
    assert (await node.call("GET", MESSAGES, None, dashless)).json()["messages"] == []


async def test_bodies_come_back_as_they_were(node):
    bodies = ["é", "\ud800", "\U0001f600", {"a": [1, 2.5, None, True, 2**63 - 1]}, '\0"\\\n', 1e300, [], {}]
    content = json.dumps({"messages": [{"body": body} for body in bodies]})
    answer = await node.call("POST", MESSAGES, content=content)
    assert answer.status_code == 201
    listed = json.loads((await node.call("GET", MESSAGES + "?echo=true")).content)
    assert [message["body"] for message in listed["messages"]] == bodies


async def test_nothing_is_shared_without_a_key(node, tmp_path):
    refused = await node.call("POST", "/v2/queues/orders/share", {})
    assert (refused.status_code, refused.json()["title"]) == (400, "Invalid API request")
    signed = {
        "URL-Signature": "0" * 64,
        "URL-Methods": "GET",
        "URL-Paths": MESSAGES,
        "URL-Expires": "2099-01-01T00:00:00",
    }
    assert (await node.call("GET", MESSAGES, None, signed)).status_code == 404


# The table of routes


def test_every_handler_is_documented():
    assert [row for row in routes.ROWS if not inspect.getdoc(row.handler)] == []


def test_home_documents_name_only_what_is_served():
    for version, document in home.DOCUMENTS.items():
        for name, entry in json.loads(document)["resources"].items():
            path = entry["href-template"].partition("{?")[0]
            found = routes.match(path.replace("{", "").replace("}", ""))
            assert found is not None, name
            assert set(entry["hints"]["allow"]) <= set(found.route.handlers), name
            assert path.startswith(f"/{version}/")


@pytest.mark.parametrize("path", ["", "x", "*", "//", "/v2/queues/a/messages/b/c/d/e", "/v2/queues/a/b/c", "/v3"])
def test_paths_that_lead_nowhere(path):
    assert routes.match(path) is None


def test_a_node_is_made_of_a_store_alone():
    assert isinstance(Node(failing("x")).limits, Limits)
