"""Posting, listing, reading, deleting and popping messages (API 2.7-2.12, 3.2-3.6, 6.1-6.6)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.wire.contract import quirks
from tests.wire.contract.tenant import MALFORMED, UNKNOWN, Tenant
from tests.wire.contract.versions import LATE
from tests.wire.script import CLIENT, OTHER_CLIENT

LARGEST = 262144
BODIES = [
    None,
    True,
    0,
    -1.5,
    2**63 - 1,
    -(2**63),
    1e300,
    "",
    'é \U0001f600 "\\ \u0000\u2028',
    [],
    {},
    {"a": [{"b": None}]},
]


def put_queue(tenant: Tenant) -> None:
    tenant.create("orders")


# -- posting -----------------------------------------------------------------------------------------------------------


def test_a_post_tells_where_its_messages_are_in_their_order(tenant: Tenant) -> None:
    put_queue(tenant)
    messages = tenant.envelope(*({"ttl": 300, "body": n} for n in range(3)))
    answer = tenant.ask("POST", "/queues/orders/messages", messages)
    assert answer.status == 201
    assert (answer.header("Content-Type") or "").startswith("application/json")
    document = answer.document
    assert set(document) == ({"resources"} if tenant.late else {"resources", "partial"})
    assert tenant.late or document["partial"] is False
    collection = tenant.href("/queues/orders/messages")
    ids = [href.removeprefix(collection + "/") for href in document["resources"]]
    assert all(re.fullmatch("[A-Za-z0-9_-]+", one) for one in ids)
    assert answer.header("Location") == f"{collection}?ids={','.join(ids)}"
    assert [tenant.follow("GET", href).document["body"] for href in document["resources"]] == [0, 1, 2]


def test_a_body_is_any_json(tenant: Tenant) -> None:
    put_queue(tenant)
    ids = tenant.post("orders", *BODIES)
    # As text, for in Python 1 is true.
    expected = [repr(body) for body in BODIES]
    assert [repr(body) for body in tenant.bodies("orders")] == expected
    assert [repr(tenant.ask("GET", tenant.message("orders", one)).document["body"]) for one in ids] == expected
    claim = tenant.claim("orders", limit=20)
    assert claim is not None
    assert [repr(message["body"]) for message in claim.messages] == expected


def test_text_travels_unescaped(tenant: Tenant) -> None:
    put_queue(tenant)
    body = json.dumps(tenant.envelope({"ttl": 60, "body": "grüße"}))
    assert tenant.ask("POST", "/queues/orders/messages", body).status == 201
    assert "grüße".encode() in tenant.ask("GET", "/queues/orders/messages?echo=true").body


def test_many_messages_in_one_post(tenant: Tenant) -> None:
    put_queue(tenant)
    assert len(set(tenant.post("orders", *range(50)))) == 50
    assert tenant.counts("orders") == (50, 0, 50)


def test_a_post_up_to_the_limit(tenant: Tenant) -> None:
    put_queue(tenant)
    smallest = json.dumps(tenant.envelope({"ttl": 60, "body": "x"}))
    largest = smallest.replace("x", "x" * (LARGEST - len(smallest) + 1))
    assert tenant.ask("POST", "/queues/orders/messages", largest + " ").status == 400
    assert tenant.ask("POST", "/queues/orders/messages", largest).status == 201
    (body,) = tenant.bodies("orders")
    assert len(body) == LARGEST - len(smallest) + 1


def test_unknown_members_are_dropped(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", 1, id="mine", claim_id="c", href="/", age=3, delay="soon", x=None)
    (message,) = tenant.page("orders", "echo=true")[0]
    assert set(message) == {"href", "ttl", "age", "body"} | ({"id"} if tenant.late else set())


@LATE
def test_ttl_has_a_default(tenant: Tenant) -> None:
    assert tenant.ask("POST", "/queues/orders/messages", {"messages": [{"body": 1}], "x": 1}).status == 201
    assert [message["ttl"] for message in tenant.page("orders", "echo=true")[0]] == [3600]


def test_one_bad_message_spoils_the_post(tenant: Tenant) -> None:
    put_queue(tenant)
    body = tenant.envelope({"ttl": 60, "body": 1}, {"ttl": 59, "body": 2})
    assert tenant.ask("POST", "/queues/orders/messages", body).status == 400
    assert tenant.counts("orders") == (0, 0, 0)


# -- listing -----------------------------------------------------------------------------------------------------------


def test_a_listed_message(tenant: Tenant) -> None:
    put_queue(tenant)
    (identifier,) = tenant.post("orders", {"event": "lunch"}, ttl=120)
    (message,) = tenant.page("orders", "echo=true")[0]
    assert message.pop("age") >= 0
    assert message == {
        "href": tenant.href(tenant.message("orders", identifier)),
        "ttl": 120,
        "body": {"event": "lunch"},
        **({"id": identifier} if tenant.late else {}),
    }


def test_empty_list(tenant: Tenant) -> None:
    put_queue(tenant)
    answer = tenant.ask("GET", "/queues/orders/messages?limit=3")
    if tenant.late:
        assert (answer.status, answer.document) == (200, {"messages": [], "links": []})
    else:
        assert (answer.status, answer.body) == (204, b"")
        assert answer.header("Content-Location") == "/v1/queues/orders/messages?limit=3"


@pytest.mark.parametrize("limit", [3, 7])
def test_pages_have_every_message_once_and_in_order(tenant: Tenant, limit: int) -> None:
    put_queue(tenant)
    tenant.post("orders", *range(5))
    tenant.post("orders", *range(5, 7))
    pages = []
    page, following = tenant.page("orders", f"echo=true&limit={limit}")
    while page:
        pages.append([message["body"] for message in page])
        assert following is not None
        page, following = tenant.page_at(following)
    assert pages == [list(range(7))[start : start + limit] for start in range(0, 7, limit)]


def test_a_page_is_ten_unless_said_otherwise(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", *range(25))
    assert tenant.bodies("orders", "echo=true") == list(range(10))
    assert tenant.bodies("orders", "echo=true&limit=") == list(range(10))
    assert tenant.bodies("orders", "echo=true&limit=20") == list(range(20))


def test_a_link_finds_what_is_posted_later(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", "before")
    _, following = tenant.page("orders", "echo=true")
    assert following is not None
    assert tenant.page_at(following)[0] == []
    tenant.post("orders", "after")
    assert [message["body"] for message in tenant.page_at(following)[0]] == ["after"]


def test_a_link_outlives_the_message_it_points_at(tenant: Tenant) -> None:
    put_queue(tenant)
    _, second, _ = tenant.post("orders", 1, 2, 3)
    _, following = tenant.page("orders", "echo=true&limit=2")
    assert following is not None
    assert tenant.ask("DELETE", tenant.message("orders", second)).status == 204
    assert [message["body"] for message in tenant.page_at(following)[0]] == [3]


def test_the_link_repeats_what_was_asked(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", 1, 2)
    _, following = tenant.page("orders", "echo=True&limit=1&include_claimed=0&x=y")
    assert following is not None
    path, _, query = following.partition("?")
    assert path == tenant.href("/queues/orders/messages")
    parameters = dict(pair.split("=") for pair in query.split("&"))
    assert parameters.pop("marker")
    delayed = {"include_delayed": "true"} if tenant.version == "v2" else {}
    assert parameters == {"limit": "1", "echo": "true", "include_claimed": "false"} | delayed


def test_v1_tells_where_it_is_listed(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", 1)
    where = tenant.ask("GET", "/queues/orders/messages?echo=true&x=%C3%A9").header("Content-Location")
    assert where == (None if tenant.late else "/v1/queues/orders/messages?echo=true&x=%C3%A9")


def test_a_marker_that_is_none_finds_nothing(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", 1)
    for marker in ("not-a-marker", "%C3%A9%26", "1.5"):
        assert tenant.page("orders", f"echo=true&marker={marker}") == ([], None)


def test_a_marker_beyond_every_number_finds_nothing(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", 1)
    empty = 200 if tenant.late else 204
    answer = tenant.ask("GET", f"/queues/orders/messages?echo=true&marker={'9' * 40}")
    assert answer.status == tenant.expected(empty, {quirks.LARGE_MARKERS_FAIL: 503})


def test_own_messages_are_listed_with_echo_only(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", "mine")
    tenant.post("orders", "theirs", client=OTHER_CLIENT)
    for yes in ("true", "True", "yes", "1", "on", "t", "y", "false&echo=true"):
        assert tenant.bodies("orders", f"echo={yes}", client=CLIENT) == ["mine", "theirs"]
    for no in ("false", "False", "no", "0", "off", "f", "n", "", "true&echo=false"):
        assert tenant.bodies("orders", f"echo={no}", client=CLIENT) == ["theirs"]
    assert tenant.bodies("orders", "", client=CLIENT) == ["theirs"]


def test_echo_concerns_lists_only(tenant: Tenant) -> None:
    put_queue(tenant)
    (identifier,) = tenant.post("orders", "mine")
    assert tenant.bodies("orders", "") == []
    assert tenant.ask("GET", f"/queues/orders/messages?ids={identifier}").status == 200
    assert tenant.claim("orders") is not None


def test_claimed_messages_are_listed_on_demand_only(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", 1, 2, 3)
    claim = tenant.claim("orders", limit=2)
    assert claim is not None
    assert tenant.bodies("orders", "echo=true") == [3]
    messages, _ = tenant.page("orders", "echo=true&include_claimed=true")
    assert [message["body"] for message in messages] == [1, 2, 3]
    tails = [message["href"].partition("?")[2] for message in messages]
    assert tails == ([f"claim_id={claim.id}"] * 2 + [""] if tenant.late else [""] * 3)


# -- by id -------------------------------------------------------------------------------------------------------------


def test_one_message(tenant: Tenant) -> None:
    put_queue(tenant)
    identifier, _ = tenant.post("orders", "a", "b")
    path = tenant.message("orders", identifier)
    for query in ("", "?claim_id=whatever", "?x"):
        answer = tenant.ask("GET", path + query)
        assert (answer.status, answer.document["body"]) == (200, "a")
        assert answer.header("Content-Location") == (None if tenant.late else f"/v1{path}{query}")


def test_a_message_that_is_not_there(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.post("orders", 1)
    for identifier in (UNKNOWN, MALFORMED, "%20", "%C3%A9", "a" * 300, "%00"):
        path = tenant.message("orders", identifier)
        assert tenant.ask("GET", path).status == 404
        assert tenant.ask("DELETE", path).status == 204
    assert tenant.counts("orders") == (1, 0, 1)


def test_a_message_is_in_its_queue_only(tenant: Tenant) -> None:
    put_queue(tenant)
    tenant.create("other")
    (identifier,) = tenant.post("orders", 1)
    elsewhere = tenant.message("other", identifier)
    assert tenant.ask("GET", elsewhere).status == 404
    assert tenant.ask("DELETE", elsewhere).status == 204
    assert tenant.counts("orders") == (1, 0, 1)


def found(tenant: Tenant, ids: str) -> set[Any]:
    """The bodies of messages got by ids, which must be a success."""
    answer = tenant.ask("GET", f"/queues/orders/messages?{ids}")
    assert answer.status == 200, answer
    if tenant.late:
        assert set(answer.document) == {"messages"}
    return {message["body"] for message in (answer.document["messages"] if tenant.late else answer.document)}


def test_messages_by_ids(tenant: Tenant) -> None:
    put_queue(tenant)
    a, b, c = tenant.post("orders", "a", "b", "c")
    assert tenant.claim("orders", limit=1) is not None
    assert found(tenant, f"ids={a},{c}") == {"a", "c"}
    assert found(tenant, f"ids={a}&ids={b}") == {"a", "b"}
    assert found(tenant, f"ids={UNKNOWN},{b},{MALFORMED}") == {"b"}
    assert found(tenant, f"ids={b}&limit=0&marker=x&echo=nonsense") == {"b"}
    assert found(tenant, f"ids={','.join([a] * 20)}") == {"a"}


def test_messages_by_ids_of_which_none_is_there(tenant: Tenant) -> None:
    put_queue(tenant)
    known = tenant.post("orders", 1, 2)
    for ids in (UNKNOWN, MALFORMED, f"{UNKNOWN},{MALFORMED}", "%2C".join(known)):
        assert tenant.ask("GET", f"/queues/orders/messages?ids={ids}").status == (404 if tenant.late else 204)


# -- deleting ----------------------------------------------------------------------------------------------------------


def test_delete_one(tenant: Tenant) -> None:
    put_queue(tenant)
    a, b = tenant.post("orders", "a", "b")
    for query in ("", "", "?claim_id="):
        assert tenant.ask("DELETE", tenant.message("orders", a) + query).status == 204
    assert tenant.bodies("orders") == ["b"]
    assert tenant.ask("GET", tenant.message("orders", a)).status == 404
    assert tenant.ask("DELETE", tenant.message("orders", b) + "?claim_id=").status == 204
    assert tenant.counts("orders") == (0, 0, 0)


def test_delete_by_ids_ignores_claims_and_strangers(tenant: Tenant) -> None:
    put_queue(tenant)
    a, b, c, _ = tenant.post("orders", "a", "b", "c", "d")
    claim = tenant.claim("orders", limit=2)
    assert claim is not None
    answer = tenant.ask("DELETE", f"/queues/orders/messages?ids={a},{UNKNOWN},{MALFORMED}&ids={c}")
    assert (answer.status, answer.body) == (204, b"")
    assert tenant.counts("orders") == (1, 1, 2)
    assert tenant.ask("DELETE", f"/queues/orders/messages?ids={a}%2C{b}").status == 204
    assert tenant.counts("orders") == (1, 1, 2)
    assert [message["body"] for message in tenant.follow("GET", claim.href).document["messages"]] == ["b"]


@LATE
def test_pop(tenant: Tenant) -> None:
    put_queue(tenant)
    ids = tenant.post("orders", *"abcde", ttl=120)
    claim = tenant.claim("orders", limit=1)
    assert claim is not None
    (popped,) = tenant.ask("DELETE", "/queues/orders/messages?pop=1").document["messages"]
    assert popped.pop("age") >= 0
    popped.pop("claim_id")  # means nothing (API section 3.5)
    assert popped == {"id": ids[1], "ttl": 120, "body": "b", "claim_count": 0}
    rest = tenant.ask("DELETE", "/queues/orders/messages?pop=20").document["messages"]
    assert {message["body"] for message in rest} == set("cde")
    assert tenant.ask("DELETE", "/queues/orders/messages?pop=20").document == {"messages": []}
    assert tenant.counts("orders") == (0, 1, 1)


@LATE
def test_pop_with_ids_deletes_nothing(tenant: Tenant) -> None:
    put_queue(tenant)
    (identifier,) = tenant.post("orders", 1)
    assert tenant.ask("DELETE", f"/queues/orders/messages?pop=1&ids={identifier}").status == 400
    assert tenant.counts("orders") == (1, 0, 1)
