"""Calls without a queue: version document, home documents, liveness; and how paths are read (API 1.1, 1.10-1.12)."""

from __future__ import annotations

import pytest

from tests.wire.contract import quirks
from tests.wire.contract.tenant import Tenant
from tests.wire.contract.versions import LATE, V1, V2

LIVENESS = {"v1": "/health", "v1.1": "/ping", "v2": "/ping"}
NOTHING = {"Client-ID": None, "X-Project-Id": None}
QUEUE = "/queues/{queue_name}"

# API section 1.11, below the prefix: relation -> (template, allow), for the versions named.
HOME = {
    ("v1", "v1.1", "v2"): {
        "rel/queues": ("/queues{?marker,limit,detailed}", ["GET"]),
        "rel/messages": (QUEUE + "/messages{?marker,limit,echo,include_claimed}", ["GET"]),
    },
    ("v1",): {
        "rel/queue": (QUEUE, ["GET", "HEAD", "PUT", "DELETE"]),
        "rel/queue-metadata": (QUEUE + "/metadata", ["GET", "PUT"]),
        "rel/queue-stats": (QUEUE + "/stats", ["GET"]),
        "rel/post-messages": (QUEUE + "/messages", ["POST"]),
        "rel/claim": (QUEUE + "/claims{?limit}", ["POST"]),
    },
    ("v1.1",): {"rel/queue": (QUEUE, ["PUT", "DELETE"])},
    ("v1.1", "v2"): {
        "rel/queue_stats": (QUEUE + "/stats", ["GET"]),
        "rel/post_messages": (QUEUE + "/messages", ["POST"]),
        "rel/messages_delete": (QUEUE + "/messages{?ids,pop}", ["DELETE"]),
        "rel/message_delete": (QUEUE + "/messages/{message_id}{?claim}", ["DELETE"]),
        "rel/claim": (QUEUE + "/claims/{claim_id}", ["GET"]),
        "rel/post_claim": (QUEUE + "/claims{?limit}", ["POST"]),
        "rel/patch_claim": (QUEUE + "/claims/{claim_id}", ["PATCH"]),
        "rel/delete_claim": (QUEUE + "/claims/{claim_id}", ["DELETE"]),
        "rel/ping": ("/ping", ["GET"]),
    },
    ("v2",): {
        "rel/queue": (QUEUE, ["GET", "PUT", "DELETE", "PATCH"]),
        "rel/message_get": (QUEUE + "/messages/{message_id}", ["GET"]),
        "rel/queue_share": (QUEUE + "/share", ["POST"]),
        "rel/queue_purge": (QUEUE + "/purge", ["POST"]),
        "rel/subscriptions_get": (QUEUE + "/subscriptions{?marker,limit}", ["GET"]),
        "rel/subscriptions_post": (QUEUE + "/subscriptions", ["POST"]),
        "rel/subscription": (QUEUE + "/subscriptions/{subscriptions_id}", ["GET", "DELETE"]),
        "rel/subscription_patch": (QUEUE + "/subscriptions/{subscriptions_id}", ["PATCH"]),
    },
}


@V2
def test_version_document_names_every_version_and_needs_no_headers(tenant: Tenant) -> None:
    answer = tenant.follow("GET", "/", headers=NOTHING)
    assert (answer.status, answer.header("Location")) == (300, None)
    assert [
        (one["id"], one["status"], one["links"], one["media-types"][0]["base"]) for one in answer.document["versions"]
    ] == [
        (number, status, [{"href": f"/v{number}/", "rel": "self"}], "application/json")
        for number, status in (("1", "DEPRECATED"), ("1.1", "DEPRECATED"), ("2", "CURRENT"))
    ]


@V2
def test_version_document_refused(tenant: Tenant) -> None:
    """It is exempt from Client-ID and project, and from nothing else (API section 1.2)."""
    for headers, body, status in (
        ({"Accept": "text/plain"}, None, 406),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "", 400),
    ):
        assert tenant.follow("GET", "/", body, headers).status == status
    for method in ("HEAD", "PUT", "POST", "PATCH", "DELETE"):
        answer = tenant.follow(method, "/", headers=NOTHING)
        assert (answer.status, answer.header("Allow")) in [(405, "GET"), (405, "GET, OPTIONS")]


def test_home_document_has_the_relations_of_its_version(tenant: Tenant, version: str) -> None:
    answer = tenant.ask("GET", "/")
    assert answer.status == 200
    assert answer.header("Content-Type") == "application/json-home"
    assert answer.header("Cache-Control") == "max-age=86400"
    found = {
        relation: (entry.get("href-template") or entry["href"], entry["hints"]["allow"])
        for relation, entry in answer.document["resources"].items()
    }
    wanted = {
        relation: (tenant.href(template), allow)
        for versions, relations in HOME.items()
        if version in versions
        for relation, (template, allow) in relations.items()
    }
    assert found == wanted


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_liveness(tenant: Tenant, version: str, method: str) -> None:
    answer = tenant.ask(method, LIVENESS[version])
    assert (answer.status, answer.body) == (204, b"")


@V1
def test_v1_is_alive_without_any_header(tenant: Tenant) -> None:
    assert tenant.ask("GET", "/health", headers=NOTHING).status == 204
    assert tenant.ask("GET", "/", headers=NOTHING).status == 200


@pytest.mark.parametrize("path", ["/pools", "/pools/p", "/flavors", "/flavors/f"])
def test_operators_resources_are_not_there(tenant: Tenant, path: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert tenant.ask(method, path, "{}").status == 404


@LATE
def test_health_report_is_the_operators(tenant: Tenant) -> None:
    assert tenant.ask("GET", "/health").status == 404


def test_encoded_paths_are_the_same_paths(tenant: Tenant) -> None:
    tenant.create("orders")
    assert tenant.ask("PUT", "/queues/%6Frders").status == 204
    assert tenant.ask("PUT", "/q%75eues/orders").status == 204
    assert tenant.ask("PUT", "/queues/or%2Fders").status == 404


def test_a_slash_too_many_is_another_path(tenant: Tenant) -> None:
    tenant.create("orders")
    assert tenant.ask("GET", "/queues/").status == 400
    assert tenant.ask("GET", "/queues/orders/").status == 404
    assert tenant.ask("GET", "//queues/orders").status == 404
    home_without_one = tenant.follow("GET", f"/{tenant.version}")
    assert home_without_one.status == tenant.expected(200, {quirks.HOME_NEEDS_ITS_SLASH: 404})


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/*", "application/json;q=0.1", "text/html, application/json", "text/*, */*;q=0.1"]
)
def test_accepted_types_that_admit_json(tenant: Tenant, accept: str) -> None:
    assert tenant.ask("PUT", "/queues/orders", headers={"Accept": accept}).status == 201


def test_vendor_types_do_no_harm(tenant: Tenant) -> None:
    answer = tenant.ask("PUT", "/queues/orders", headers={"Accept": "application/vnd.openstack.messaging-v2+json"})
    assert answer.status == tenant.expected(201, {quirks.VENDOR_TYPES_REFUSED: 406})


def test_content_type_of_json_does_not_matter(tenant: Tenant) -> None:
    tenant.create("orders")
    for kind in ("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded; charset=utf-8"):
        body = tenant.envelope({"ttl": 60, "body": kind})
        assert tenant.ask("POST", "/queues/orders/messages", body, {"Content-Type": kind}).status == 201


@pytest.mark.parametrize("extra", ["?x=1", "?limit=bad", "?%00=%ff&&=&a"])
def test_parameters_that_a_route_does_not_know_are_ignored(tenant: Tenant, extra: str) -> None:
    assert tenant.ask("PUT", "/queues/orders" + extra).status == 201
    assert tenant.ask("GET", "/queues/orders/stats" + extra).status == 200


def test_options_tell_the_methods(tenant: Tenant) -> None:
    answer = tenant.ask("OPTIONS", "/queues/orders/messages")
    assert (answer.status, answer.body) == (200, b"")
    assert set((answer.header("Allow") or "").split(", ")) == {"DELETE", "GET", "POST"}
