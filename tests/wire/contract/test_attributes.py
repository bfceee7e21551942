"""Reserved metadata has effects in v2 (API 4.1, 4.6, 6.9, 6.10). Effects that take a minute are in
the suite of the stores."""

from __future__ import annotations

import json

from tests.wire.contract.tenant import JSON_PATCH, Tenant
from tests.wire.contract.versions import V2


def listed(tenant: Tenant, query: str = "echo=true") -> list[object]:
    return tenant.bodies("orders", query)


def post(tenant: Tenant, **message: object) -> int:
    return tenant.ask("POST", "/queues/orders/messages", {"messages": [message]}).status


@V2
def test_ttl_of_a_queue(tenant: Tenant) -> None:
    tenant.create("orders", {"_default_message_ttl": 120})
    assert post(tenant, body=1) == 201
    assert post(tenant, body=2, ttl=300) == 201
    assert [message["ttl"] for message in tenant.page("orders", "echo=true")[0]] == [120, 300]


@V2
def test_ttl_of_a_queue_that_changes(tenant: Tenant) -> None:
    tenant.create("orders", {"_default_message_ttl": 120})
    assert post(tenant, body=1) == 201
    change = [{"op": "replace", "path": "/metadata/_default_message_ttl", "value": 240}]
    assert tenant.ask("PATCH", "/queues/orders", change, JSON_PATCH).status == 200
    assert post(tenant, body=2) == 201
    assert [message["ttl"] for message in tenant.page("orders", "echo=true")[0]] == [120, 240]


@V2
def test_post_size_of_a_queue(tenant: Tenant) -> None:
    tenant.create("orders", {"_max_messages_post_size": 100})
    body = {"messages": [{"body": "x"}]}
    fits = json.dumps(body) + " " * (100 - len(json.dumps(body)))
    assert tenant.ask("POST", "/queues/orders/messages", fits).status == 201
    assert tenant.ask("POST", "/queues/orders/messages", fits + " ").status == 400
    assert tenant.counts("orders") == (1, 0, 1)
    # Other queues keep the server's.
    tenant.create("other")
    assert tenant.ask("POST", "/queues/other/messages", fits + " ").status == 201


@V2
def test_a_queue_without_a_delay_honours_none(tenant: Tenant) -> None:
    tenant.create("orders")
    for delay in (900, 5000, -1, "soon"):
        assert post(tenant, body=delay, delay=delay) == 201
    assert listed(tenant) == [900, 5000, -1, "soon"]


@V2
def test_delayed_messages_are_hidden_from_lists_and_claims_only(tenant: Tenant) -> None:
    tenant.create("orders", {"_default_message_delay": 900})
    later, now, last = (
        tenant.post("orders", body, delay=delay)[0] for body, delay in (("a", 900), ("b", 0), ("c", 60))
    )
    assert listed(tenant) == ["b"]
    assert listed(tenant, "echo=true&include_delayed=true") == ["a", "b", "c"]
    assert tenant.ask("GET", tenant.message("orders", later)).document["body"] == "a"
    found = tenant.ask("GET", f"/queues/orders/messages?ids={last},{now}").document["messages"]
    assert {message["body"] for message in found} == {"b", "c"}
    assert tenant.counts("orders") == (3, 0, 3)
    claim = tenant.claim("orders")
    assert claim is not None
    assert [message["body"] for message in claim.messages] == ["b"]
    assert tenant.claim("orders") is None
    popped = tenant.ask("DELETE", "/queues/orders/messages?pop=20").document["messages"]
    assert {message["body"] for message in popped} == {"a", "c"}


@V2
def test_messages_without_a_delay_of_their_own_wait_as_their_queue_says(tenant: Tenant) -> None:
    tenant.create("orders", {"_default_message_delay": 900})
    assert post(tenant, body="default") == 201
    assert listed(tenant) == []
    assert listed(tenant.speaking("v1.1")) == []
    assert listed(tenant, "echo=true&include_delayed=true") == ["default"]


@V2
def test_the_link_says_include_delayed_where_no_message_is(tenant: Tenant) -> None:
    tenant.create("orders")
    tenant.post("orders", 1)
    _, following = tenant.page("orders", "echo=true")
    assert following is not None
    assert "include_delayed=true" in following


@V2
def test_claims_below_the_count_give_messages_back(tenant: Tenant) -> None:
    """A release resets the count, so that a worker may return a message that it cannot process (API section 6.9)."""
    tenant.create("dead")
    tenant.create("orders", {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    tenant.post("orders", "again and again")
    for _ in range(3):
        claim = tenant.claim("orders")
        assert claim is not None
        assert tenant.follow("DELETE", claim.href).status == 204
    assert (tenant.counts("orders"), tenant.counts("dead")) == ((1, 0, 1), (0, 0, 0))
