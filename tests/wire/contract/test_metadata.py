"""Metadata: replaced in v1, given at creation in v1.1, patched in v2 (API 2.5, 3.1, 4.3-4.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire.contract.tenant import JSON_PATCH, Reply, Tenant
from tests.wire.contract.versions import LATE, V1, V2

ANYTHING = {"colour": "red", "ключ": "значение", "nested": {"a": [1, 2.5, None, True, "\U0001f600"]}, "": ""}
LARGEST = 65536
# API section 4.1, column "Default shown".
DEFAULTS = {
    "_default_message_ttl": 3600,
    "_max_messages_post_size": 262144,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}


def padded(document: Any, size: int) -> str:
    """A document that is ``size`` bytes long."""
    text = json.dumps(document)
    return text + " " * (size - len(text))


def patch(tenant: Tenant, *operations: tuple[Any, ...], queue: str = "orders") -> Reply:
    """Send operations given as (op, path[, value])."""
    body = [dict(zip(("op", "path", "value"), operation, strict=False)) for operation in operations]
    return tenant.ask("PATCH", f"/queues/{queue}", body, JSON_PATCH)


def shown(tenant: Tenant, queue: str = "orders") -> dict[str, Any]:
    answer = tenant.ask("GET", f"/queues/{queue}")
    assert answer.status == 200, answer
    return answer.document


# -- v1 ----------------------------------------------------------------------------------------------------------------


@V1
def test_v1_replaces_the_whole_object(tenant: Tenant) -> None:
    tenant.create("orders")
    path = "/queues/orders/metadata"
    answer = tenant.ask("GET", path)
    assert (answer.status, answer.document, answer.header("Content-Location")) == (200, {}, "/v1" + path)
    for metadata in (ANYTHING, {"only": 1}, {}):
        put = tenant.ask("PUT", path, json.dumps(metadata, ensure_ascii=False))
        assert (put.status, put.body, put.header("Location")) == (204, b"", "/v1" + path)
        assert tenant.ask("GET", path).document == metadata
    assert tenant.ask("PUT", "/queues/orders").status == 204
    assert tenant.ask("GET", path).document == {}


@V1
@pytest.mark.parametrize("body", [' \n{"a": 1} \t', '{"a": 2, "a": 1}', '{"\\u0061": 1}'])
def test_v1_spellings_of_one_document(tenant: Tenant, body: str) -> None:
    tenant.create("orders")
    assert tenant.ask("PUT", "/queues/orders/metadata", body).status == 204
    assert tenant.ask("GET", "/queues/orders/metadata").document == {"a": 1}


@V1
def test_v1_metadata_up_to_the_limit(tenant: Tenant) -> None:
    tenant.create("orders")
    assert tenant.ask("PUT", "/queues/orders/metadata", padded({"a": 1}, LARGEST)).status == 204
    assert tenant.ask("PUT", "/queues/orders/metadata", padded({"a": 2}, LARGEST + 1)).status == 400
    assert tenant.ask("GET", "/queues/orders/metadata").document == {"a": 1}


# -- creation ----------------------------------------------------------------------------------------------------------


@LATE
def test_metadata_is_given_at_creation_and_then_kept(tenant: Tenant) -> None:
    own = ANYTHING | {"_own": [1]}
    assert tenant.ask("PUT", "/queues/orders", json.dumps(own, ensure_ascii=False)).status == 201
    for again in (None, {}, {"colour": "blue"}):
        assert tenant.ask("PUT", "/queues/orders", again).status == 204
    assert shown(tenant) == (own if tenant.version == "v1.1" else own | DEFAULTS)


@LATE
def test_a_missing_queue_looks_like_one_without_metadata(tenant: Tenant) -> None:
    assert shown(tenant) == ({} if tenant.version == "v1.1" else DEFAULTS)
    tenant.create("orders")
    assert shown(tenant) == ({} if tenant.version == "v1.1" else DEFAULTS)


@LATE
def test_metadata_at_creation_up_to_the_limit(tenant: Tenant) -> None:
    assert tenant.ask("PUT", "/queues/orders", padded({"a": 1}, LARGEST + 1)).status == 400
    assert tenant.ask("PUT", "/queues/orders", padded({"a": 1}, LARGEST)).status == 201
    assert shown(tenant)["a"] == 1


@LATE
def test_metadata_goes_with_its_queue(tenant: Tenant) -> None:
    tenant.create("orders", {"a": 1})
    assert tenant.ask("DELETE", "/queues/orders").status == 204
    tenant.create("orders")
    assert "a" not in shown(tenant)


@V2
def test_defaults_are_shown_and_not_stored(tenant: Tenant) -> None:
    tenant.create("orders", {"colour": "red"})
    assert shown(tenant) == DEFAULTS | {"colour": "red"}
    assert shown(tenant.speaking("v1.1")) == {"colour": "red"}
    assert tenant.ask("GET", "/queues?detailed=true").document["queues"][0]["metadata"] == DEFAULTS | {"colour": "red"}


@V2
def test_falsy_attributes_are_shown_as_their_defaults(tenant: Tenant) -> None:
    stored = dict.fromkeys(DEFAULTS) | {"_default_message_delay": 0, "_enable_encrypt_messages": False}
    tenant.create("orders", stored)
    assert shown(tenant) == DEFAULTS
    assert shown(tenant.speaking("v1.1")) == stored


# -- patch -------------------------------------------------------------------------------------------------------------

# (operations, metadata after them), of a queue with the metadata BEFORE.
BEFORE = {"colour": "red", "shape": "round"}
PATCHES = {
    "add": ([("add", "/metadata/n", 3)], BEFORE | {"n": 3}),
    "add over": ([("add", "/metadata/colour", "blue")], BEFORE | {"colour": "blue"}),
    "add any json": ([("add", "/metadata/n", {"a": [None, 1.5]})], BEFORE | {"n": {"a": [None, 1.5]}}),
    "replace": ([("replace", "/metadata/colour", None)], BEFORE | {"colour": None}),
    "remove": ([("remove", "/metadata/colour")], {"shape": "round"}),
    "one after another": (
        [("add", "/metadata/n", 1), ("replace", "/metadata/n", 2), ("remove", "/metadata/shape")],
        {"colour": "red", "n": 2},
    ),
    "nothing": ([], BEFORE),
    "escapes": ([("add", "/metadata/a~1b~0c", 1)], BEFORE | {"a/b~c": 1}),
    "any case": ([("add", "/MetaData/n", 1)], BEFORE | {"n": 1}),
    "set an attribute": (
        [("replace", "/metadata/_default_message_ttl", 300)],
        BEFORE | {"_default_message_ttl": 300},
    ),
    "remove an unset attribute": ([("remove", "/metadata/_max_claim_count")], BEFORE),
    "set and unset": (
        [("add", "/metadata/_default_message_ttl", 300), ("remove", "/metadata/_default_message_ttl")],
        BEFORE,
    ),
}


@V2
@pytest.mark.parametrize("case", PATCHES)
def test_patch(tenant: Tenant, case: str) -> None:
    operations, after = PATCHES[case]
    tenant.create("orders", BEFORE)
    answer = patch(tenant, *operations)
    assert answer.status == 200, answer
    assert answer.document == DEFAULTS | after
    assert shown(tenant) == DEFAULTS | after
    assert shown(tenant.speaking("v1.1")) == after


@V2
@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (("replace", "/metadata/none", 1), 409),
        (("remove", "/metadata/none"), 409),
        (("add", "/metadata/_default_message_ttl", 59), 400),
    ],
    ids=["replace", "remove", "range"],
)
def test_a_patch_is_all_or_nothing(tenant: Tenant, bad: tuple[Any, ...], status: int) -> None:
    tenant.create("orders", BEFORE)
    assert patch(tenant, ("add", "/metadata/colour", "blue"), bad).status == status
    assert shown(tenant.speaking("v1.1")) == BEFORE


@V2
def test_a_patch_creates_no_queue(tenant: Tenant) -> None:
    assert patch(tenant, ("add", "/metadata/a", 1)).status == 404
    assert tenant.ask("GET", "/queues").document["queues"] == []


@V2
def test_a_patch_up_to_the_limit(tenant: Tenant) -> None:
    tenant.create("orders")
    add = [{"op": "add", "path": "/metadata/a", "value": 1}]
    assert tenant.ask("PATCH", "/queues/orders", padded(add, LARGEST + 1), JSON_PATCH).status == 400
    assert "a" not in shown(tenant)
    assert tenant.ask("PATCH", "/queues/orders", padded(add, LARGEST), JSON_PATCH).status == 200
    assert shown(tenant)["a"] == 1
