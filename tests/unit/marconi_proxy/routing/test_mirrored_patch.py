"""Metadata patches as they are sent to sealed segments (API section 4.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marconi_proxy.routing.mirrored_patch import mirrored
from partition.validation import metadata_patch


def operation(op: str, key: str, *value: Any) -> dict[str, Any]:
    return {"op": op, "path": f"/metadata/{key}"} | ({"value": value[0]} if value else {})


@pytest.mark.parametrize(
    "operations",
    [
        [operation("add", "a", 1)],
        [operation("replace", "a", {"x": [None]})],
        [operation("remove", "a")],
        [operation("remove", "a"), operation("add", "a", 2)],
        [operation("add", "a", 2), operation("remove", "a"), operation("add", "b~1c~0", True)],
        [operation("replace", "_max_claim_count", 3), operation("remove", "_default_message_ttl")],
    ],
)
@pytest.mark.parametrize("there", [{"a": 0, "z": 1}, {"z": 1}, {"_max_claim_count": 9, "b/c~": 1}])
def test_the_outcome_is_that_of_the_last_segment_whatever_was_there(
    operations: list[dict[str, Any]], there: dict[str, Any]
) -> None:
    known = {"_default_message_ttl": 3600, "_max_claim_count": None}
    accepted = metadata_patch.apply(
        metadata_patch.parse(operations), {"a": 0, "_max_claim_count": 1, "_default_message_ttl": 60}, known
    )
    told = mirrored(json.dumps(operations).encode())
    assert told is not None
    followed = metadata_patch.apply(metadata_patch.parse(json.loads(told)), there, known)
    touched = {"a", "b/c~", "_max_claim_count", "_default_message_ttl"} & {
        op["path"].removeprefix("/metadata/").replace("~1", "/").replace("~0", "~") for op in operations
    }
    assert touched
    assert {key: followed.get(key) for key in touched} == {key: accepted.get(key) for key in touched}
    assert followed.get("z") == there.get("z")


def test_a_new_dead_letter_queue_is_kept_from_them_and_its_end_is_not() -> None:
    assert mirrored(json.dumps([operation("add", "_dead_letter_queue", "dead")]).encode()) is None
    told = mirrored(json.dumps([operation("remove", "_dead_letter_queue")]).encode())
    assert told is not None
    assert json.loads(told)[-1] == operation("remove", "_dead_letter_queue")


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"op": "add"}]'])
def test_what_is_no_patch(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        mirrored(body)
