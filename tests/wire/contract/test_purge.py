"""Emptying a queue (API 4.9)."""

from __future__ import annotations

import pytest

from tests.wire.contract import quirks
from tests.wire.contract.tenant import Tenant
from tests.wire.contract.versions import V2

pytestmark = V2

SUBSCRIPTIONS = "/queues/orders/subscriptions"


def filled(tenant: Tenant) -> None:
    """Three messages, the first one claimed, and a subscription."""
    tenant.create("orders")
    tenant.post("orders", 1, 2, 3)
    assert tenant.claim("orders", limit=1) is not None
    subscriber = {"subscriber": "http://127.0.0.1:9/"}
    assert tenant.ask("POST", SUBSCRIPTIONS, subscriber).status == 201


@pytest.mark.parametrize(
    ("body", "messages", "subscriptions"),
    [
        (None, 1, 0),
        ("", 1, 0),
        ({"resource_types": ["messages", "subscriptions"], "x": 1}, 1, 0),
        ({"resource_types": ["messages"]}, 1, 1),
        ({"resource_types": ["subscriptions"]}, 3, 0),
        ({"resource_types": []}, 3, 1),
    ],
)
def test_purge(tenant: Tenant, body: object, messages: int, subscriptions: int) -> None:
    filled(tenant)
    answer = tenant.ask("POST", "/queues/orders/purge", body)
    assert (answer.status, answer.body) == (204, b"")
    assert tenant.counts("orders") == (messages - 1, 1, messages)
    assert len(tenant.ask("GET", SUBSCRIPTIONS).document["subscriptions"]) == subscriptions


def test_purge_of_more_than_a_page(tenant: Tenant) -> None:
    tenant.create("orders")
    tenant.post("orders", *range(30))
    for number in range(12):
        assert tenant.ask("POST", SUBSCRIPTIONS, {"subscriber": f"http://127.0.0.1:9/{number}"}).status == 201
    assert tenant.ask("POST", "/queues/orders/purge").status == 204
    assert tenant.counts("orders") == (0, 0, 0)
    left = len(tenant.ask("GET", SUBSCRIPTIONS).document["subscriptions"])
    assert left == tenant.expected(0, {quirks.PURGE_TAKES_ONE_PAGE: 2})
