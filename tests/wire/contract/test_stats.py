"""Stats are right, and follow everything at once (API 2.6, 6.7)."""

from __future__ import annotations

import re

import pytest

from tests.wire.contract.tenant import Tenant

CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_stats_of_an_empty_queue(tenant: Tenant) -> None:
    tenant.create("orders")
    answer = tenant.ask("GET", "/queues/orders/stats")
    assert answer.document == {"messages": {"free": 0, "claimed": 0, "total": 0}}
    assert answer.header("Content-Location") == (None if tenant.late else "/v1/queues/orders/stats")


@pytest.mark.parametrize("claimed", [7, 20])
def test_counts_right_after_posting_and_claiming(tenant: Tenant, claimed: int) -> None:
    tenant.create("orders")
    tenant.post("orders", *range(20))
    if claimed:
        assert tenant.claim("orders", limit=claimed) is not None
    assert tenant.counts("orders") == (20 - claimed, claimed, 20)


def test_counts_follow_every_change(tenant: Tenant) -> None:
    tenant.create("orders")
    ids = tenant.post("orders", *range(6))
    claim = tenant.claim("orders", limit=4)
    assert claim is not None
    assert tenant.counts("orders") == (2, 4, 6)
    assert tenant.follow("DELETE", claim.messages[0]["href"]).status == 204
    assert tenant.counts("orders") == (2, 3, 5)
    assert tenant.ask("DELETE", f"/queues/orders/messages?ids={ids[1]},{ids[5]}").status == 204
    assert tenant.counts("orders") == (1, 2, 3)
    assert tenant.follow("DELETE", claim.href).status == 204
    assert tenant.counts("orders") == (3, 0, 3)
    if tenant.late:
        assert len(tenant.ask("DELETE", "/queues/orders/messages?pop=2").document["messages"]) == 2
        assert tenant.counts("orders") == (1, 0, 1)


def test_oldest_and_newest(tenant: Tenant) -> None:
    tenant.create("orders")
    ids = tenant.post("orders", "a", "b", "c")
    assert tenant.claim("orders", limit=1) is not None
    stats = tenant.ask("GET", "/queues/orders/stats").document["messages"]
    for which, identifier, body in (("oldest", ids[0], "a"), ("newest", ids[2], "c")):
        edge = stats[which]
        assert set(edge) == {"href", "age", "created"}
        assert edge["href"] == tenant.href(tenant.message("orders", identifier))
        assert tenant.follow("GET", edge["href"]).document["body"] == body
        assert edge["age"] >= 0
        assert CREATED.fullmatch(edge["created"])
