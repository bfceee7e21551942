"""Fences through the partition's API: which calls carry an epoch, and what a refusal looks like."""

from __future__ import annotations

import pytest

from partition.model.queue import LARGEST_EPOCH, Epoch
from tests.unit.partition_api import stage

PATH = "/v2/queues/orders"
EPOCH = "X-Marconi-Epoch"
BEFORE = {EPOCH: "life/6"}
AFTER = {EPOCH: "life/7"}
ONE = {"messages": [{"body": 1}]}
PATCH = [{"op": "add", "path": "/metadata/a", "value": 1}]
PATCH_TYPE = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}


@pytest.fixture
async def node(tmp_path):
    async with stage(tmp_path) as node:
        await node.call("PUT", PATH)
        assert (await node.call("PUT", f"{PATH}/fence", headers=AFTER)).status_code == 204
        yield node


WRITES = [
    ("POST", f"{PATH}/messages", ONE, {}, 201),
    ("POST", "/v1.1/queues/orders/messages", ONE, {}, 201),
    ("POST", "/v1/queues/orders/messages", [{"ttl": 60, "body": 1}], {}, 201),
    ("PUT", PATH, None, {}, 204),
    ("PATCH", PATH, PATCH, PATCH_TYPE, 200),
    ("PUT", "/v1/queues/orders/metadata", {}, {}, 204),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), WRITES)
async def test_writes_of_earlier_epochs_are_refused(node, method, path, body, headers, status):
    refused = await node.call(method, path, body, {**headers, **BEFORE})
    assert refused.status_code == 409
    assert refused.headers["x-marconi-closed"] == "7"
    assert "was not processed" in refused.json()["description"]
    done = await node.call(method, path, body, {**headers, **AFTER})
    assert (done.status_code, done.headers.get("x-marconi-closed")) == (status, None)


async def test_posts_without_an_epoch_are_refused_and_say_where_to_go(node):
    refused = await node.call("POST", f"{PATH}/messages", ONE)
    assert (refused.status_code, refused.headers["x-marconi-closed"]) == (409, "7")
    assert "send it to the proxy" in refused.json()["description"]
    assert (await node.call("GET", f"{PATH}/stats")).json()["messages"]["total"] == 0


async def test_a_late_post_creates_no_queue(node):
    """Where a queue was retired, and its queue here deleted, a post of before would create it with a lost message."""
    assert (await node.call("DELETE", PATH)).status_code == 204
    for version, body in (("v2", ONE), ("v1.1", ONE)):
        refused = await node.call("POST", f"/{version}/queues/orders/messages", body, BEFORE)
        assert refused.status_code == 409
    for refused in (
        await node.call("PUT", PATH, None, BEFORE),
        await node.call("POST", f"{PATH}/subscriptions", {"subscriber": "http://a/"}, BEFORE),
    ):
        assert refused.status_code == 409
    assert (await node.call("GET", "/v2/queues")).json()["queues"] == []


async def test_a_queue_created_anew_takes_posts(node):
    await node.call("DELETE", PATH)
    again = {EPOCH: "another/2"}
    assert (await node.call("PUT", PATH, None, {EPOCH: "another/1"})).status_code == 201
    assert (await node.call("POST", f"{PATH}/messages", ONE, again)).status_code == 201


async def test_topics_have_fences_of_their_own(node):
    assert (await node.call("PUT", "/v2/topics/orders/fence", headers=AFTER)).status_code == 204
    for path, headers, status in (
        ("/v2/topics/orders/messages", BEFORE, 409),
        ("/v2/topics/orders/messages", AFTER, 201),
    ):
        assert (await node.call("POST", path, ONE, headers)).status_code == status


async def test_projects_have_fences_of_their_own(node):
    other = {"X-Project-Id": "q", **BEFORE}
    assert (await node.call("POST", f"{PATH}/messages", ONE, other)).status_code == 201
    nobody = {"X-Project-Id": None, **AFTER}
    assert (await node.call("PUT", "/v1/queues/orders/fence", headers=nobody)).status_code == 204


@pytest.mark.parametrize("value", ["7", "life/", "life/x", "life/-1", "a b/7", f"life/{LARGEST_EPOCH + 1}", "life/7/7"])
async def test_what_is_no_epoch(node, value):
    for method, path, body in (("PUT", f"{PATH}/fence", None), ("POST", f"{PATH}/messages", ONE)):
        refused = await node.call(method, path, body, {EPOCH: value})
        assert refused.status_code == 400
        assert "LIFE/EPOCH" in refused.json()["description"]


async def test_a_fence_needs_an_epoch(node):
    assert (await node.call("PUT", f"{PATH}/fence")).status_code == 400


def test_spelling():
    assert Epoch.read(b"8c1f/12") == Epoch("8c1f", 12)
    assert Epoch.read(b"/1") == Epoch("", 1)


async def test_the_version_document_tells_the_store_and_that_there_are_fences(node, tmp_path):
    answer = await node.call("GET", "/")
    assert answer.headers["x-marconi-store"] == node.node.storage.identity
    assert answer.headers["x-marconi-fences"] == "epoch"
    assert len(node.node.storage.identity) == 11
