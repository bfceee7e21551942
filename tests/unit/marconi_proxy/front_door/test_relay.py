"""Home documents lose what the front door does not serve, and nothing else (API section 1.11)."""

from __future__ import annotations

import json

import pytest

from marconi_proxy.front_door.relay import without_operator_routes

OPERATORS = ["rel/pools", "rel/pool", "rel/flavors", "rel/flavor", "rel/health"]


def document(*relations: str, **rest: object) -> bytes:
    resources = {rel: {"href-template": f"/v2/{rel}", "hints": {"allow": ["GET"]}} for rel in relations}
    return json.dumps({"resources": resources, **rest}, indent=4).encode()


@pytest.mark.parametrize(
    "home",
    [document("rel/queues", "rel/queue"), document(), b'{"resources":{"rel/queue" :{}}}\n', b'\t{"resources": {}}'],
    ids=["plain", "empty", "in another style", "white space"],
)
def test_a_document_without_operators_routes_is_passed_on_byte_for_byte(home: bytes) -> None:
    assert without_operator_routes(home) is home


@pytest.mark.parametrize("rel", OPERATORS)
def test_one_route_of_operators(rel: str) -> None:
    assert without_operator_routes(document("rel/queues", rel, "rel/ping")) == document("rel/queues", "rel/ping")


def test_all_of_them() -> None:
    home = document(*OPERATORS, "rel/queue", "rel/pools_of_another_kind", api={"title": "caf\u00e9"})
    kept = document("rel/queue", "rel/pools_of_another_kind", api={"title": "caf\u00e9"})
    assert without_operator_routes(home) == kept


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"null", b"{}", b'{"resources": []}', b'{"resources": null}', b"\xff", b"<html>"],
    ids=repr,
)
def test_what_is_no_home_document(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        without_operator_routes(body)
