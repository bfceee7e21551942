"""Pools, flavors and health reports belong to a partition's operator: the front door has none of them (API section 5),
even if the partition behind it does."""

from __future__ import annotations

import json

import pytest

from tests.servers.marconi import MarconiProxy
from tests.servers.zaqar import Zaqar
from tests.wire.canonical import Canonical, CanonicalAnswer
from tests.wire.raw_http import Answer, exchange
from tests.wire.script import CLIENT

HEADERS = [("Client-ID", CLIENT), ("X-Project-Id", "operators"), ("X-Roles", "admin")]
POOL = b'{"weight": 1, "uri": "mongodb://127.0.0.1:9/pool", "flavor": "fast"}'

SERVED_BY_THE_PARTITION = [
    ("GET", "/v1/pools", None),
    ("GET", "/v1.1/pools", None),
    ("GET", "/v2/pools", None),
    ("GET", "/v2/pools?limit=1&detailed=true", None),
    ("GET", "/v1.1/flavors", None),
    ("GET", "/v2/flavors", None),
    ("OPTIONS", "/v2/pools", None),
    ("OPTIONS", "/v2/flavors/none", None),
    ("OPTIONS", "/v1.1/health", None),
    ("GET", "/v2/%70ools", None),
    ("GET", "/%762/pools", None),
    ("GET", "/v2%2Fpools", None),
    ("GET", "/v2/fl%61vors", None),
    ("OPTIONS", "/v2/p%6F%6Fls/none", None),
    ("OPTIONS", "/v2/%68ealth", None),
]
OTHERS = [
    ("GET", "/v1.1/health", None),
    ("GET", "/v2/health", None),
    ("HEAD", "/v2/health", None),
    ("GET", "/v2/pools/none", None),
    ("PUT", "/v2/pools/none", POOL),
    ("PUT", "/v1/pools/none", POOL),
    ("PATCH", "/v2/pools/none", b'{"weight": 2}'),
    ("DELETE", "/v2/pools/none", None),
    ("PUT", "/v2/%70ools/none", POOL),
    ("PUT", "/v2/flavors/none", b'{"pool_list": ["none"]}'),
    ("PATCH", "/v1.1/flavors/none", b"{}"),
    ("DELETE", "/v2/flavors/none", None),
    ("GET", "/v1/shards", None),
    ("GET", "/v2/pools/", None),
    ("GET", "/v2/pools;x", None),
]
# Spellings that servers disagree about: refused as malformed, or not found, but never answered by the partition.
AMBIGUOUS = [
    "http://example.org/v2/pools",
    "//v2/pools",
    "///v2/pools",
    "//example.org/v2/pools",
    "/v2/pools#x",
    "/v2//pools",
    "/v2/./pools",
    "/x/../v2/pools",
]


def _ask(address: tuple[str, int], method: str, target: str, body: bytes | None = None) -> Answer:
    return exchange(address, method, target, HEADERS, body)


def _comparable(answer: Answer) -> CanonicalAnswer:
    return Canonical({}).answer(answer)


@pytest.mark.parametrize(("method", "target", "body"), SERVED_BY_THE_PARTITION)
def test_partition_has_them(method: str, target: str, body: bytes | None, operators_zaqar16: Zaqar) -> None:
    answer = _ask(operators_zaqar16.address, method, target, body)
    assert answer.status == 200
    assert method == "GET" or answer.header("Allow")


@pytest.mark.parametrize(("method", "target", "body"), SERVED_BY_THE_PARTITION + OTHERS)
def test_front_door_has_none(method: str, target: str, body: bytes | None, operators_front_door: MarconiProxy) -> None:
    answer = _ask(operators_front_door.public_address, method, target, body)
    # OPTIONS is not an error on any path; there it must be the answer of any unknown path, and offer nothing.
    assert answer.status == 404 or method == "OPTIONS"
    unknown = _ask(operators_front_door.public_address, method, "/v2/no-such-route", body)
    assert _comparable(answer) == _comparable(unknown)
    assert answer.header("Allow") is None


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_front_door_does_not_pass_on_ambiguous_spellings(target: str, operators_front_door: MarconiProxy) -> None:
    answer = _ask(operators_front_door.public_address, "GET", target)
    assert answer.status in (400, 404)
    assert b"pools" not in answer.body


def test_nothing_of_that_changed_the_partition(operators_front_door: MarconiProxy, operators_zaqar16: Zaqar) -> None:
    for target in ("/v2/pools/made-behind-the-back", "/v2/%70ools/made-behind-the-back"):
        assert _ask(operators_front_door.public_address, "PUT", target, POOL).status == 404
    assert json.loads(_ask(operators_zaqar16.address, "GET", "/v2/pools").body)["pools"] == []


@pytest.mark.parametrize("version", ["v1.1", "v2"])
def test_home_documents_do_not_advertise_them(
    version: str, operators_front_door: MarconiProxy, operators_zaqar16: Zaqar, zaqar16: Zaqar
) -> None:
    of_the_partition = json.loads(_ask(operators_zaqar16.address, "GET", f"/{version}/").body)["resources"]
    plain = json.loads(_ask(zaqar16.address, "GET", f"/{version}/").body)
    assert {"rel/pools", "rel/flavors", "rel/health"} <= of_the_partition.keys()
    assert json.loads(_ask(operators_front_door.public_address, "GET", f"/{version}/").body) == plain
