"""Handing out signed URLs and using them (API 4.10, 9.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from tests.wire.contract.tenant import Tenant
from tests.wire.contract.versions import V2
from tests.wire.script import OTHER_CLIENT

pytestmark = V2

FAR = "2099-01-01T00:00:00"
MESSAGES = "/queues/orders/messages"


def share(tenant: Tenant, **members: Any) -> dict[str, Any]:
    answer = tenant.ask("POST", "/queues/orders/share", members)
    assert answer.status == 200, answer
    return answer.document


def signed(grant: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of the holder, with a client id of its own."""
    return {
        "URL-Signature": grant["signature"],
        "URL-Expires": grant["expires"],
        "URL-Methods": ",".join(grant["methods"]),
        "URL-Paths": ",".join(grant["paths"]),
        "X-Project-Id": grant["project"],
        "Client-ID": OTHER_CLIENT,
    }


def test_a_grant(tenant: Tenant) -> None:
    grant = share(tenant, paths=["messages", "claims"], methods=["POST", "GET"], expires=FAR)
    assert re.fullmatch("[0-9a-f]{64}", grant.pop("signature"))
    assert grant == {
        "paths": ["/v2/queues/orders/claims", "/v2/queues/orders/messages"],
        "methods": ["GET", "POST"],
        "project": tenant.project,
        "expires": FAR,
    }


@pytest.mark.parametrize("members", [{}, {"paths": []}])
def test_defaults(tenant: Tenant, members: dict[str, Any]) -> None:
    grant = share(tenant, **members)
    assert (grant["paths"], grant["methods"]) == (["/v2/queues/orders/messages"], ["GET"])
    datetime.strptime(grant["expires"], "%Y-%m-%dT%H:%M:%S")
    assert tenant.ask("GET", MESSAGES, headers=signed(grant)).status == 200


@pytest.mark.parametrize("expires", ["2099-01-01T02:00:00+02:00", "2098-12-31T19:00:00-05:00"])
def test_expiry_is_in_utc(tenant: Tenant, expires: str) -> None:
    assert share(tenant, expires=expires)["expires"] == FAR


def test_the_holder_may_do_what_was_granted(tenant: Tenant) -> None:
    tenant.create("orders")
    tenant.post("orders", "for you")
    headers = signed(share(tenant, methods=["GET", "POST"], expires=FAR))
    read = tenant.ask("GET", MESSAGES, headers=headers)
    assert [message["body"] for message in read.document["messages"]] == ["for you"]
    assert tenant.ask("POST", MESSAGES, {"messages": [{"body": "for me"}]}, headers).status == 201
    # A granted collection includes the resources below it.
    assert tenant.follow("GET", read.document["messages"][0]["href"], headers=headers).status == 200


def test_the_order_of_what_is_listed_makes_no_difference(tenant: Tenant) -> None:
    grant = share(tenant, paths=["messages", "claims"], methods=["GET", "POST"], expires=FAR)
    turned = signed(grant) | {
        "URL-Methods": ",".join(reversed(grant["methods"])),
        "URL-Paths": ",".join(reversed(grant["paths"])),
    }
    assert tenant.ask("GET", MESSAGES, headers=turned).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", MESSAGES + "?pop=1"),
        ("GET", "/queues/orders/claims/x"),
        ("GET", "/queues/orders"),
        ("GET", "/queues/orders/stats"),
        ("GET", "/queues/other/messages"),
        ("GET", "/queues"),
        ("GET", "/ping"),
        ("GET", "/"),
    ],
)
def test_the_holder_may_do_nothing_else(tenant: Tenant, method: str, path: str) -> None:
    headers = signed(share(tenant, methods=["GET", "POST"], expires=FAR))
    assert tenant.ask(method, path, headers=headers).status == 404


@pytest.mark.parametrize(
    "change",
    [
        {"URL-Signature": "0" * 64},
        {"URL-Signature": "short"},
        {"URL-Expires": "2098-01-01T00:00:00"},
        {"URL-Expires": "2001-01-01T00:00:00"},
        {"URL-Expires": "never"},
        {"URL-Methods": "GET"},
        {"URL-Paths": "/v2/queues/orders/messages,/v2/queues/orders/claims"},
        {"URL-Paths": "/v2/queues"},
        {"X-Project-Id": "another"},
        {"URL-Expires": None},
        {"URL-Methods": None},
        {"URL-Paths": None},
    ],
    ids=str,
)
def test_a_changed_grant_is_none(tenant: Tenant, change: dict[str, str | None]) -> None:
    headers = signed(share(tenant, methods=["GET", "POST"], expires=FAR))
    assert tenant.ask("GET", MESSAGES, headers=headers).status == 200
    assert tenant.ask("GET", MESSAGES, headers={**headers, **change}).status == 404


def test_the_signature_is_judged_before_all_else(tenant: Tenant) -> None:
    headers = {**signed(share(tenant, expires=FAR)), "URL-Signature": "0" * 64}
    for spoilt in ({"Client-ID": None}, {"Client-ID": "1234"}, {"Accept": "text/plain"}):
        assert tenant.ask("GET", MESSAGES + "?limit=x", headers={**headers, **spoilt}).status == 404
    # And the rest is judged as ever.
    good = signed(share(tenant, expires=FAR))
    assert tenant.ask("GET", MESSAGES + "?limit=x", headers=good).status == 400
    assert tenant.ask("GET", MESSAGES, headers={**good, "Client-ID": None}).status == 400
