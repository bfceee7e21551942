"""Subscriptions: making, reading, changing, confirming, deleting (API 4.11). The subscribers' ports are closed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.contract import quirks
from tests.wire.contract.tenant import MALFORMED, UNKNOWN, Tenant
from tests.wire.contract.versions import V2

pytestmark = V2

ALL = "/queues/orders/subscriptions"


def to(name: str, **members: Any) -> dict[str, Any]:
    return {"subscriber": f"http://127.0.0.1:9/{name}", **members}


def subscribe(tenant: Tenant, name: str, **members: Any) -> str:
    """Subscribe; return the id."""
    made = tenant.ask("POST", ALL, to(name, **members))
    assert (made.status, made.header("Location")) == (201, tenant.href(ALL)), made
    assert set(made.document) == {"subscription_id"}
    return made.document["subscription_id"]


def listed(tenant: Tenant, query: str = "?limit=20") -> list[str]:
    answer = tenant.ask("GET", ALL + query)
    assert answer.status == 200, answer
    return [one["id"] for one in answer.document["subscriptions"]]


def test_a_queue_without_subscriptions(tenant: Tenant) -> None:
    assert tenant.ask("GET", ALL).document == {"subscriptions": [], "links": []}


def test_subscribing_creates_the_queue(tenant: Tenant) -> None:
    subscribe(tenant, "one")
    assert [one["name"] for one in tenant.ask("GET", "/queues").document["queues"]] == ["orders"]


def test_a_subscription_read(tenant: Tenant) -> None:
    options = {"post_headers": {"X-Team": "blue"}, "é": [1, None]}
    identifier = subscribe(tenant, "one", ttl=300, options=options, unknown=1)
    one = tenant.ask("GET", f"{ALL}/{identifier}")
    assert one.status == 200
    (entry,) = tenant.ask("GET", ALL).document["subscriptions"]
    for found in (one.document, entry):
        assert found.pop("age") >= 0
        assert found == {
            "id": identifier,
            "source": "orders",
            "subscriber": "http://127.0.0.1:9/one",
            "ttl": 300,
            "options": options,
            "confirmed": False,
        }


def test_defaults(tenant: Tenant) -> None:
    found = tenant.ask("GET", f"{ALL}/{subscribe(tenant, 'one')}").document
    assert (found["ttl"], found["options"]) == (3600, {})


@pytest.mark.parametrize("subscriber", ["http://a/b?c=d", "https://a", "mailto:a@b.c"])
def test_kinds_of_subscribers(tenant: Tenant, subscriber: str) -> None:
    made = tenant.ask("POST", ALL, {"subscriber": subscriber})
    assert made.status == 201
    assert tenant.ask("GET", f"{ALL}/{made.document['subscription_id']}").document["subscriber"] == subscriber


@pytest.mark.parametrize("subscriber", ["trust+http://a", "trust+https://a"])
def test_subscribers_that_are_trusted(tenant: Tenant, subscriber: str) -> None:
    made = tenant.ask("POST", ALL, {"subscriber": subscriber})
    assert made.status == tenant.expected(201, {quirks.TRUSTS_NEED_KEYSTONE: 503})


def test_subscribing_again_changes_nothing(tenant: Tenant) -> None:
    identifier = subscribe(tenant, "one", ttl=300)
    assert subscribe(tenant, "one", ttl=600, options={"a": 1}) == identifier
    found = tenant.ask("GET", f"{ALL}/{identifier}").document
    assert (found["ttl"], found["options"]) == (300, {})
    assert len(listed(tenant)) == 1


def test_subscribing_again_when_confirmed(tenant: Tenant) -> None:
    identifier = subscribe(tenant, "one")
    assert tenant.ask("PUT", f"{ALL}/{identifier}/confirm", {"confirmed": True}).status == 204
    again = tenant.ask("POST", ALL, to("one"))
    assert (again.status, again.title, again.header("Location")) == (409, "Resource conflict", tenant.href(ALL))


def test_pages(tenant: Tenant) -> None:
    made = [subscribe(tenant, str(number)) for number in range(5)]
    found, href = [], tenant.href(ALL + "?limit=2")
    while True:
        document = tenant.follow("GET", href).document
        if not document["subscriptions"]:
            break
        found.append([one["id"] for one in document["subscriptions"]])
        (link,) = document["links"]
        assert link["rel"] == "next"
        href = link["href"]
    assert [len(page) for page in found] == [2, 2, 1]
    assert sorted(one for page in found for one in page) == sorted(made)
    assert listed(tenant, f"?marker={found[-1][-1]}") == []


def test_a_page_is_ten_unless_said_otherwise(tenant: Tenant) -> None:
    for number in range(12):
        subscribe(tenant, str(number))
    assert (len(listed(tenant, "")), len(listed(tenant))) == (10, 12)


def test_change(tenant: Tenant) -> None:
    identifier = subscribe(tenant, "one", ttl=300, options={"a": 1})
    path = f"{ALL}/{identifier}"
    for change in (
        {"ttl": 600},
        {"options": {"b": 2}, "unknown": 1},
        to("two"),
        to("three", ttl=900, options={}),
    ):
        before = tenant.ask("GET", path).document
        answer = tenant.ask("PATCH", path, change)
        assert (answer.status, answer.body, answer.header("Location")) == (204, b"", tenant.href(path))
        after = tenant.ask("GET", path).document
        known = {name: value for name, value in change.items() if name != "unknown"}
        assert after | {"age": 0} == before | known | {"age": 0}


def test_a_subscriber_is_unique(tenant: Tenant) -> None:
    identifier, _ = subscribe(tenant, "one"), subscribe(tenant, "two")
    taken = tenant.ask("PATCH", f"{ALL}/{identifier}", to("two"))
    assert (taken.status, taken.title) == (409, "Resource conflict")
    other = tenant.ask("POST", "/queues/other/subscriptions", to("one"))
    assert other.status == 201


def test_confirmation_and_taking_it_back(tenant: Tenant) -> None:
    path = f"{ALL}/{subscribe(tenant, 'one')}"
    for confirmed in (True, True, False, True):
        answer = tenant.ask("PUT", path + "/confirm", {"confirmed": confirmed})
        assert (answer.status, answer.header("Location")) == (204, tenant.href(path + "/confirm"))
        assert tenant.ask("GET", path).document["confirmed"] is confirmed


def test_delete(tenant: Tenant) -> None:
    gone, kept = subscribe(tenant, "one"), subscribe(tenant, "two")
    for _ in range(2):
        assert tenant.ask("DELETE", f"{ALL}/{gone}").status == 204
    assert tenant.ask("GET", f"{ALL}/{gone}").status == 404
    assert listed(tenant) == [kept]
    assert subscribe(tenant, "one") != gone


@pytest.mark.parametrize("identifier", [UNKNOWN, MALFORMED, "%20"])
def test_one_that_is_not_there(tenant: Tenant, identifier: str) -> None:
    subscribe(tenant, "one")
    path = f"{ALL}/{identifier}"
    assert tenant.ask("GET", path).status == 404
    assert tenant.ask("PATCH", path, {"ttl": 60}).status == 404
    assert tenant.ask("PUT", path + "/confirm", {"confirmed": True}).status == 404
    assert tenant.ask("DELETE", path).status == 204
    assert len(listed(tenant)) == 1


def test_a_subscription_is_in_its_queue_and_project_only(tenant: Tenant) -> None:
    identifier = subscribe(tenant, "one")
    assert tenant.ask("GET", f"/queues/other/subscriptions/{identifier}").status == 404
    assert Tenant(tenant.target, "v2").ask("GET", f"{ALL}/{identifier}").status == 404
    assert Tenant(tenant.target, "v2").ask("DELETE", f"{ALL}/{identifier}").status == 204
    assert listed(tenant) == [identifier]


def test_subscriptions_outlive_their_queue(tenant: Tenant) -> None:
    identifier = subscribe(tenant, "one")
    assert tenant.ask("DELETE", "/queues/orders").status == 204
    assert listed(tenant) == [identifier]
