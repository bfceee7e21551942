"""Claims: making, reading, renewing, releasing, and deleting under them (API 2.12-2.16, 3.7, 6.5)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.wire.contract import quirks
from tests.wire.contract.tenant import MALFORMED, UNKNOWN, Claim, Reply, Tenant
from tests.wire.contract.versions import LATE, V1
from tests.wire.script import OTHER_CLIENT


def claimed(tenant: Tenant, limit: int | None = None, ttl: int = 300, grace: int = 60) -> Claim:
    """A claim that must have succeeded."""
    claim = tenant.claim("orders", limit, ttl, grace)
    assert claim is not None
    return claim


def bodies(messages: list[dict[str, Any]]) -> list[Any]:
    return [message["body"] for message in messages]


def prepared(tenant: Tenant, *posted: Any, ttl: int = 300) -> list[str]:
    tenant.create("orders")
    return tenant.post("orders", *posted, ttl=ttl)


# -- making ------------------------------------------------------------------------------------------------------------


def test_a_claim_takes_the_oldest_in_order(tenant: Tenant) -> None:
    ids = prepared(tenant, *range(5), ttl=3600)
    first, second = claimed(tenant, 2), claimed(tenant, 2)
    assert (bodies(first.messages), bodies(second.messages), bodies(claimed(tenant).messages)) == ([0, 1], [2, 3], [4])
    assert tenant.claim("orders") is None
    message = first.messages[0]
    assert message.pop("age") >= 0
    assert message == {
        "href": tenant.href(tenant.message("orders", ids[0])) + f"?claim_id={first.id}",
        "ttl": 3600,
        "body": 0,
        **({"id": ids[0]} if tenant.late else {}),
    }


def test_a_claim_takes_ten_unless_said_otherwise(tenant: Tenant) -> None:
    prepared(tenant, *range(25))
    assert len(claimed(tenant).messages) == 10
    assert len(claimed(tenant, 20).messages) == 15


def test_claims_do_not_care_who_posted(tenant: Tenant) -> None:
    prepared(tenant, "mine")
    tenant.post("orders", "theirs", client=OTHER_CLIENT)
    assert bodies(claimed(tenant).messages) == ["mine", "theirs"]


def test_unknown_members_are_dropped(tenant: Tenant) -> None:
    prepared(tenant, 1)
    body = {"ttl": 60, "grace": 60, "limit": 0, "x": None}
    assert tenant.ask("POST", "/queues/orders/claims", body).status == 201


@LATE
def test_a_claim_has_defaults(tenant: Tenant) -> None:
    prepared(tenant, *range(5), ttl=3600)
    for body, ttl in ((None, 300), ("", 300), ("{}", 300), ('{"ttl": 77}', 77), ('{"grace": 77}', 300)):
        made = tenant.ask("POST", "/queues/orders/claims?limit=1", body)
        assert made.status == 201
        assert tenant.follow("GET", made.header("Location") or "").document["ttl"] == ttl


# (ttl of the message, ttl and grace of the claim, ttl of the message afterwards): API section 6.5.
OUTLIVING = [(120, 777, 60, 837), (120, 121, 61, 182), (120, 60, 60, 120), (3600, 300, 43200, 3600)]


@pytest.mark.parametrize(("ttl", "lease", "grace", "expected"), OUTLIVING)
def test_messages_outlive_their_claim(tenant: Tenant, ttl: int, lease: int, grace: int, expected: int) -> None:
    (identifier,) = prepared(tenant, 1, ttl=ttl)
    claim = claimed(tenant, ttl=lease, grace=grace)
    assert claim.messages[0]["ttl"] == expected
    assert tenant.follow("GET", claim.href).document["messages"][0]["ttl"] == expected
    assert tenant.ask("GET", tenant.message("orders", identifier)).document["ttl"] == expected


def test_no_message_is_under_two_claims(tenant: Tenant) -> None:
    prepared(tenant, *range(40))
    with ThreadPoolExecutor(8) as workers:
        claims = list(workers.map(lambda _: tenant.claim("orders", limit=5), range(8)))
    taken = [body for claim in claims if claim for body in bodies(claim.messages)]
    assert len(taken) == len(set(taken))
    # During other claims, a claim may find less than there is, or nothing. The missed messages are there afterwards.
    while claim := tenant.claim("orders", limit=20):
        taken += bodies(claim.messages)
    assert sorted(taken) == list(range(40))


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_claim_read(tenant: Tenant) -> None:
    prepared(tenant, "a", "b", ttl=3600)
    claim = claimed(tenant)
    answer = tenant.follow("GET", claim.href)
    assert answer.status == 200
    assert answer.header("Content-Location") == (None if tenant.late else claim.href)
    read = answer.document
    assert set(read) == {"href", "ttl", "age", "messages"}
    assert (read["href"], read["ttl"]) == (claim.href, 300)
    assert read["age"] >= 0

    def ageless(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in message.items() if name != "age"} for message in messages]

    assert ageless(read["messages"]) == ageless(claim.messages)


def test_deleted_messages_vanish_from_their_claim(tenant: Tenant) -> None:
    prepared(tenant, "a", "b", "c")
    claim = claimed(tenant)
    for message in claim.messages[:2]:
        assert tenant.follow("DELETE", message["href"]).status == 204
    assert bodies(tenant.follow("GET", claim.href).document["messages"]) == ["c"]


def test_a_claim_that_is_not_there(tenant: Tenant) -> None:
    prepared(tenant, 1)
    for identifier in (UNKNOWN, MALFORMED, "%20", "%00"):
        path = f"/queues/orders/claims/{identifier}"
        assert tenant.ask("GET", path).status == 404
        assert tenant.ask("PATCH", path, {"ttl": 60, "grace": 60}).status == 404
        assert tenant.ask("DELETE", path).status == 204


def test_a_claim_is_in_its_queue_only(tenant: Tenant) -> None:
    prepared(tenant, 1)
    tenant.create("other")
    elsewhere = f"/queues/other/claims/{claimed(tenant).id}"
    assert tenant.ask("GET", elsewhere).status == 404
    assert tenant.ask("PATCH", elsewhere, {"ttl": 60, "grace": 60}).status == 404
    assert tenant.ask("DELETE", elsewhere).status == 204
    assert tenant.counts("orders") == (0, 1, 1)


# -- renewing and releasing --------------------------------------------------------------------------------------------


def test_renewal_replaces_the_ttl(tenant: Tenant) -> None:
    prepared(tenant, 1, ttl=120)
    claim = claimed(tenant, ttl=60, grace=60)
    renewed = tenant.follow("PATCH", claim.href, {"ttl": 600, "grace": 100})
    assert (renewed.status, renewed.body) == (204, b"")
    read = tenant.follow("GET", claim.href).document
    assert (read["ttl"], read["messages"][0]["ttl"]) == (600, 700)
    assert tenant.follow("PATCH", claim.href, {"ttl": 60, "x": 1}).status == 204
    assert tenant.follow("GET", claim.href).document["ttl"] == 60


@LATE
def test_renewal_has_defaults(tenant: Tenant) -> None:
    prepared(tenant, 1)
    claim = claimed(tenant, ttl=600)
    assert tenant.follow("PATCH", claim.href, {}).status == 204
    assert tenant.follow("GET", claim.href).document["ttl"] == 300


def test_renewal_takes_any_grace(tenant: Tenant) -> None:
    prepared(tenant, 1, ttl=3600)
    claim = claimed(tenant)
    for grace in (0, -1, 59, 43201):
        assert tenant.follow("PATCH", claim.href, {"ttl": 60, "grace": grace}).status == 204


def test_released_messages_are_free_at_once(tenant: Tenant) -> None:
    (identifier, *_) = prepared(tenant, "a", "b")
    claim = claimed(tenant)
    for _ in range(2):
        assert tenant.follow("DELETE", claim.href).status == 204
    assert tenant.follow("GET", claim.href).status == 404
    assert tenant.follow("PATCH", claim.href, {"ttl": 60, "grace": 60}).status == 404
    assert tenant.bodies("orders") == ["a", "b"]
    message = tenant.ask("GET", tenant.message("orders", identifier)).document
    assert "claim_id" not in message["href"]
    assert bodies(claimed(tenant).messages) == ["a", "b"]


# -- deleting under claims (API section 2.12) --------------------------------------------------------------------------


def delete(tenant: Tenant, identifier: str, claim_id: str | None = None) -> Reply:
    query = "" if claim_id is None else f"?claim_id={claim_id}"
    answer = tenant.ask("DELETE", tenant.message("orders", identifier) + query)
    assert answer.status == 204 or answer.title == "Unable to delete"
    return answer


def test_a_claimed_message_is_deleted_with_its_claim_only(tenant: Tenant) -> None:
    mine, theirs = prepared(tenant, "a", "b")
    first, second = claimed(tenant, 1), claimed(tenant, 1)
    assert delete(tenant, mine).status == 403
    assert delete(tenant, mine, "").status == 403
    assert delete(tenant, mine, second.id).status == 403
    assert delete(tenant, mine, MALFORMED).status == 400
    assert delete(tenant, mine, UNKNOWN).status in (400, 403)
    assert tenant.counts("orders") == (0, 2, 2)
    for _ in range(2):
        assert delete(tenant, mine, first.id).status == 204
    assert delete(tenant, theirs, second.id).status == 204
    assert tenant.counts("orders") == (0, 0, 0)


def test_an_unclaimed_message_is_not_deleted_with_a_claim(tenant: Tenant) -> None:
    never, released = prepared(tenant, "a", "b")
    for identifier in (UNKNOWN, MALFORMED):
        assert delete(tenant, never, identifier).status == 400
    claim = claimed(tenant)
    assert tenant.follow("DELETE", claim.href).status == 204
    assert delete(tenant, released, claim.id).status == 400
    assert tenant.counts("orders") == (2, 0, 2)
    assert delete(tenant, released).status == 204


def test_a_message_of_another_live_claim_is_not_deleted_with_a_dead_one(tenant: Tenant) -> None:
    """A worker that was too slow deletes no message of another's claim (API section 6.8)."""
    (identifier,) = prepared(tenant, "a")
    dead = claimed(tenant)
    assert tenant.follow("DELETE", dead.href).status == 204
    alive = claimed(tenant)
    assert delete(tenant, identifier, dead.id).status in (400, 403)
    assert delete(tenant, identifier, alive.id).status == 204


def test_a_message_that_is_not_there_is_deleted_whatever_the_claim(tenant: Tenant) -> None:
    tenant.create("orders")
    for claim_id in (None, "", UNKNOWN, MALFORMED):
        assert delete(tenant, MALFORMED, claim_id).status == 204
    for claim_id in (None, "", UNKNOWN):
        assert delete(tenant, UNKNOWN, claim_id).status == 204
    judged = delete(tenant, UNKNOWN, MALFORMED)
    assert judged.status == tenant.expected(204, {quirks.CLAIM_ID_JUDGED_FIRST: 400})


def test_the_hrefs_of_a_claim_delete(tenant: Tenant) -> None:
    prepared(tenant, *range(5))
    for message in claimed(tenant).messages:
        assert tenant.follow("DELETE", message["href"]).status == 204
    assert tenant.counts("orders") == (0, 0, 0)


@V1
def test_deleting_the_last_message_ends_the_claim_or_leaves_it_empty(tenant: Tenant) -> None:
    prepared(tenant, 1)
    claim = claimed(tenant)
    assert tenant.follow("DELETE", claim.messages[0]["href"]).status == 204
    read = tenant.follow("GET", claim.href)
    assert (read.status, read.document and read.document.get("messages")) in [(404, None), (200, [])]
