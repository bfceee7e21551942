"""The life of queues, and listing them (API 2.1-2.4, 3.1, 4.2, 6.11)."""

from __future__ import annotations

import pytest

from tests.wire.contract.tenant import Tenant
from tests.wire.contract.versions import LATE, V1, V2

NAMES = ["a-dash", "alpha", "beta", "gamma", "Zed", "_under"]
IN_ORDER = sorted(NAMES)


def exists(tenant: Tenant, queue: str) -> bool:
    """Return whether the queue exists. A read of v1 creates none, and finds those of all versions."""
    answer = tenant.speaking("v1").ask("GET", f"/queues/{queue}")
    assert answer.status in (204, 404)
    return answer.status == 204


def test_create_is_idempotent_and_tells_where(tenant: Tenant) -> None:
    for status in (201, 204, 204):
        answer = tenant.ask("PUT", "/queues/orders")
        assert (answer.status, answer.body) == (status, b"")
        assert answer.header("Location") == tenant.href("/queues/orders")


def test_delete_takes_messages_and_claims_along(tenant: Tenant) -> None:
    tenant.create("orders")
    identifiers = tenant.post("orders", 1, 2)
    claim = tenant.claim("orders", limit=1)
    assert claim is not None
    assert (tenant.ask("DELETE", "/queues/orders").status, exists(tenant, "orders")) == (204, False)
    tenant.create("orders")
    assert tenant.counts("orders") == (0, 0, 0)
    assert [tenant.ask("GET", tenant.message("orders", one)).status for one in identifiers] == [404, 404]
    assert tenant.ask("GET", f"/queues/orders/claims/{claim.id}").status == 404


def test_delete_of_what_is_not_there(tenant: Tenant) -> None:
    assert tenant.ask("DELETE", "/queues/orders").status == 204
    tenant.create("orders")
    assert [tenant.ask("DELETE", "/queues/orders").status for _ in range(2)] == [204, 204]


@V1
def test_v1_tells_whether_a_queue_exists(tenant: Tenant) -> None:
    for method in ("GET", "HEAD"):
        assert tenant.ask(method, "/queues/orders").status == 404
    tenant.create("orders")
    for method in ("GET", "HEAD"):
        answer = tenant.ask(method, "/queues/orders")
        assert (answer.status, answer.body) == (204, b"")
        assert answer.header("Content-Location") == "/v1/queues/orders"


@V1
def test_v1_ignores_a_body_at_creation(tenant: Tenant) -> None:
    assert tenant.ask("PUT", "/queues/orders", {"colour": "red"}).status == 201
    assert tenant.ask("GET", "/queues/orders/metadata").document == {}


@LATE
def test_a_post_creates_its_queue(tenant: Tenant) -> None:
    tenant.post("orders", 1)
    assert exists(tenant, "orders")
    assert tenant.ask("PUT", "/queues/orders").status == 204
    assert tenant.bodies("orders") == [1]


@V1
def test_a_post_of_v1_does_not_create_its_queue(tenant: Tenant) -> None:
    assert tenant.ask("POST", "/queues/orders/messages", [{"ttl": 60, "body": 1}]).status == 404
    assert not exists(tenant, "orders")


@LATE
def test_reads_and_claims_of_a_missing_queue_find_nothing_and_create_nothing(tenant: Tenant) -> None:
    assert tenant.page("orders") == ([], None)
    assert tenant.ask("GET", "/queues/orders/stats").document == {"messages": {"claimed": 0, "free": 0, "total": 0}}
    assert tenant.claim("orders") is None
    assert tenant.ask("DELETE", "/queues/orders/messages?pop=1").document == {"messages": []}
    assert not exists(tenant, "orders")


@V1
def test_reads_and_claims_of_a_queue_that_v1_misses(tenant: Tenant) -> None:
    assert tenant.page("orders") == ([], None)
    assert tenant.ask("GET", "/queues/orders/stats").status == 404
    assert tenant.ask("GET", "/queues/orders/metadata").status == 404
    assert tenant.ask("PUT", "/queues/orders/metadata", {}).status == 404
    assert tenant.claim("orders") is None
    assert not exists(tenant, "orders")


@V2
def test_purge_and_share_create_nothing(tenant: Tenant) -> None:
    assert tenant.ask("POST", "/queues/orders/purge").status == 204
    assert tenant.ask("POST", "/queues/orders/share", {}).status == 200
    assert not exists(tenant, "orders")


# -- listing -----------------------------------------------------------------------------------------------------------


def names(tenant: Tenant, query: str = "") -> list[str]:
    """The names on one page of the listing."""
    answer = tenant.ask("GET", f"/queues{query}")
    if not tenant.late and answer.status == 204:
        return []
    assert answer.status == 200, answer
    return [one["name"] for one in answer.document["queues"]]


def make_all(tenant: Tenant) -> None:
    for name in NAMES:
        tenant.create(name)


def test_empty_listing(tenant: Tenant) -> None:
    answer = tenant.ask("GET", "/queues")
    if tenant.late:
        assert (answer.status, answer.document) == (200, {"queues": [], "links": []})
    else:
        assert (answer.status, answer.body) == (204, b"")


def test_listing_is_in_byte_order_with_hrefs(tenant: Tenant) -> None:
    make_all(tenant)
    answer = tenant.ask("GET", "/queues")
    assert answer.document["queues"] == [{"name": n, "href": tenant.href(f"/queues/{n}")} for n in IN_ORDER]
    assert answer.header("Content-Location") == (None if tenant.late else "/v1/queues")


@pytest.mark.parametrize("limit", [1, 2, 4, 6, 20])
def test_pages_have_every_queue_once(tenant: Tenant, limit: int) -> None:
    make_all(tenant)
    found, href = [], tenant.href(f"/queues?limit={limit}")
    for _ in range(len(NAMES) + 1):
        answer = tenant.follow("GET", href)
        if not answer.body or not answer.document["queues"]:
            break
        found.append([one["name"] for one in answer.document["queues"]])
        (link,) = answer.document["links"]
        assert link["rel"] == "next"
        href = link["href"]
    assert found == [IN_ORDER[start : start + limit] for start in range(0, len(NAMES), limit)]


def test_a_page_is_ten_unless_said_otherwise(tenant: Tenant) -> None:
    for number in range(12):
        tenant.create(f"queue-{number:02}")
    assert len(names(tenant)) == 10
    assert len(names(tenant, "?limit=")) == 10
    assert len(names(tenant, "?limit=20")) == 12


def test_markers_need_not_exist(tenant: Tenant) -> None:
    make_all(tenant)
    assert names(tenant, "?marker=b") == ["beta", "gamma"]
    assert names(tenant, "?marker=beta") == ["gamma"]
    assert names(tenant, "?marker=~") == []


def test_the_link_repeats_what_was_asked(tenant: Tenant) -> None:
    make_all(tenant)
    (link,) = tenant.ask("GET", "/queues?detailed=True&limit=2").document["links"]
    assert link["href"] == tenant.href("/queues?limit=2&detailed=true&marker=_under")


def test_detailed_listing_has_metadata(tenant: Tenant) -> None:
    tenant.create("plain")
    tenant.create("red")
    if tenant.late:
        tenant.ask("DELETE", "/queues/red")
        tenant.create("red", {"colour": "red"})
    else:
        assert tenant.ask("PUT", "/queues/red/metadata", {"colour": "red"}).status == 204
    plain, red = tenant.ask("GET", "/queues?detailed=true").document["queues"]
    own = {"colour"} if tenant.version != "v2" else {"colour", *plain["metadata"]}
    assert red["metadata"]["colour"] == "red"
    assert set(red["metadata"]) == own
    assert tenant.version == "v2" or plain["metadata"] == {}
    assert all("metadata" not in one for one in tenant.ask("GET", "/queues?detailed=false").document["queues"])


@V2
def test_count_is_of_all_queues(tenant: Tenant) -> None:
    assert "count" not in tenant.ask("GET", "/queues?with_count=true").document
    make_all(tenant)
    document = tenant.ask("GET", "/queues?with_count=true&limit=2").document
    assert (document["count"], len(document["queues"])) == (len(NAMES), 2)
    assert document["links"][0]["href"] == "/v2/queues?limit=2&with_count=true&marker=_under"
    assert "count" not in tenant.ask("GET", "/queues?with_count=false").document


FILTERS = {
    "name=alpha": ["alpha", "alphabet"],
    "name=lph": ["alpha", "alphabet"],
    "name=nothing": [],
    "colour=red": ["alpha", "beta"],
    "colour=red&n=3": ["alpha"],
    "n=3": ["alpha", "alphabet"],
    "text=3": [],
    "colour=green": [],
    "_default_message_ttl=300": ["beta"],
    "_default_message_ttl=3600": [],
    "name=a&colour=red&marker=alpha": ["beta"],
}


@V2
@pytest.mark.parametrize("query", FILTERS)
def test_filters(tenant: Tenant, query: str) -> None:
    tenant.create("alpha", {"colour": "red", "n": 3})
    tenant.create("alphabet", {"colour": "blue", "n": 3, "text": "3"})
    tenant.create("beta", {"colour": "red", "_default_message_ttl": 300})
    answer = tenant.ask("GET", f"/queues?{query}")
    assert answer.status == 200
    assert [one["name"] for one in answer.document["queues"]] == FILTERS[query]


@V2
def test_the_link_of_a_filtered_listing_keeps_the_name_only(tenant: Tenant) -> None:
    tenant.create("alpha", {"colour": "red"})
    answer = tenant.ask("GET", "/queues?name=a&colour=red&limit=1")
    assert answer.status == 200
    assert answer.document["links"][0]["href"] == "/v2/queues?limit=1&name=a&marker=alpha"
