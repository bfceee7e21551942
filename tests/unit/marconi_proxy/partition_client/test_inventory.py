"""The queues on a partition: by its inventory and by the listings of the API, which must agree."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from catalog.model import Partition
from marconi_proxy.clock import Pacer
from marconi_proxy.partition_client.inventory import CannotList, Inventory, ListedQueue
from tests.unit.node_upstream import Given, Handler, Nodes, nodes

URL = "http://north:8890"


class FakeClock:
    """Sleeps by counting."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return 1_700_000_000.0 + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
async def north(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with nodes(tmp_path, "north") as north:
        await north.put("north", "", "plain")
        await north.put("north", "p", *(f"q{n:03}" for n in range(45)))
        await north.put("north", "p", "~news", "~old")
        await north.put("north", "p", "source", _dead_letter_queue="dead")
        await north.put("north", "p", "own", _dead_letter_queue="own")
        await north.put("north", "p", "odd", _dead_letter_queue="not a name")
        await north.put("north", "\xc3\xa9,/", "a")
        await north.put("north", "\xff", "a")
        yield north


ALL = [
    ListedQueue("", "plain"),
    ListedQueue("p", "odd"),
    ListedQueue("p", "own"),
    *(ListedQueue("p", f"q{n:03}") for n in range(45)),
    ListedQueue("p", "source", "dead"),
    ListedQueue("p", "~news"),
    ListedQueue("p", "~old"),
    ListedQueue("\xc3\xa9,/", "a"),
    ListedQueue("\xff", "a"),
]
PROJECTS = ["", "p", "\xc3\xa9,/", "\xff", "nobody"]


async def read(
    north: Nodes, partition: Partition, projects: Iterable[str] | None, rate: Pacer | None = None
) -> list[ListedQueue]:
    inventory = Inventory(north.way, rate or Pacer(1e6, FakeClock()))
    return [found async for found in inventory.queues_on(partition, projects)]


async def test_an_inventory_needs_no_projects(north: Nodes) -> None:
    assert await read(north, north.partition("north", inventory=URL), None) == ALL


@pytest.mark.parametrize("inventory", [URL, None])
async def test_of_projects_that_are_named_both_ways_show_the_same(north: Nodes, inventory: str | None) -> None:
    partition = north.partition("north", inventory=inventory)
    assert await read(north, partition, reversed(PROJECTS)) == ALL
    assert await read(north, partition, ["p", "p"]) == [found for found in ALL if found.project == "p"]
    assert await read(north, partition, []) == []


@pytest.mark.parametrize("versions", [("v1",), ("v1", "v1.1"), ("v1.1",), ("v2",)])
async def test_listings_are_in_a_version_that_the_partition_speaks(north: Nodes, versions: tuple[str, ...]) -> None:
    found = await read(north, north.partition("north", api_versions=versions), PROJECTS)
    expected = [f for f in ALL if (f.project or "v1" in versions) and ("v2" in versions or "~" not in f.queue)]
    assert found == expected
    assert {target.split("/")[1] for target in north.asked} <= {*versions, "v1" if "v1" in versions else versions[0]}


async def test_requests_are_spaced(north: Nodes) -> None:
    clock = FakeClock()
    await read(north, north.partition("north"), PROJECTS, Pacer(2.0, clock))
    assert clock.seconds == pytest.approx((len(north.asked) - 1) / 2.0)


async def refused(north: Nodes, partition: Partition, projects: Iterable[str] | None = ("p",)) -> str:
    with pytest.raises(CannotList) as caught:
        await read(north, partition, projects)
    assert partition.name in str(caught.value)
    return str(caught.value)


async def test_without_an_inventory_projects_must_be_named(north: Nodes) -> None:
    assert "partition set north --inventory URL" in await refused(north, north.partition("north"), None)


async def test_versions_must_be_known(north: Nodes) -> None:
    assert "versions" in await refused(north, north.partition("north", api_versions=()))


async def test_a_partition_that_is_down_cannot_be_listed(north: Nodes) -> None:
    assert "refused the connection" in await refused(north, north.partition("south"))
    assert "refused the connection" in await refused(north, north.partition("south", inventory="http://south:1"), None)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (500, b"", "answered 500"),
        (503, b"", "answered 503"),
        (404, b"", "answered 404"),
        (200, b"{", "an invalid listing"),
        (200, b"[]", "an invalid listing"),
        (200, b'{"queues": [7]}', "an invalid listing"),
        (200, b'{"queues": [{"name": "a"}]}', "an invalid listing"),
        (200, b'{"queues": [{"name": "a b", "metadata": {}}]}', "an invalid listing"),
        (200, json.dumps({"queues": [{"name": n, "metadata": {}} for n in "ba"]}).encode(), "in order"),
        (200, json.dumps({"queues": [{"name": n, "metadata": {}} for n in "aa"]}).encode(), "in order"),
    ],
)
async def test_what_is_no_listing_is_said(north: Nodes, status: int, body: bytes, says: str) -> None:
    async def answer(call: Any) -> Given:
        return Given(status, body)

    north.handlers["http://north:8888"] = answer
    assert says in await refused(north, north.partition("north"))


@pytest.mark.parametrize(
    "link",
    [
        "http://elsewhere/v1/inventory",
        "//elsewhere/v1/inventory",
        "v1/inventory",
        "/v1/inventory?limit=100&metadata=true",
        "/v1/inventory HTTP/1.1\r\nx-project-id: q\r\n\r\n",
        "/v1/inv\u00e9ntory",
    ],
)
async def test_a_link_that_leads_astray_is_not_followed(north: Nodes, link: str) -> None:
    async def answer(call: Any) -> Given:
        entry = {"project": "p", "queue": "a", "metadata": {}}
        return Given(200, json.dumps({"queues": [entry], "links": [{"rel": "next", "href": link}]}).encode())

    north.handlers[URL] = answer
    assert "an invalid listing" in await refused(north, north.partition("north", inventory=URL), None)


def pages(*names_of_pages: str) -> Handler:
    """Answer with these pages in turn, a queue for each letter."""
    left = list(names_of_pages)

    async def answer(call: Any) -> Given:
        listed = [{"name": name, "metadata": {}} for name in left.pop(0)]
        return Given(200, json.dumps({"queues": listed, "links": []}).encode())

    return answer


@pytest.mark.parametrize(
    "following",
    [
        [
            "",
        ],
        ["abc"],
        ["a"],
    ],
)
async def test_a_short_page_is_not_the_end_unless_an_empty_one_follows_or_the_same(
    north: Nodes, following: list[str]
) -> None:
    north.handlers["http://north:8888"] = pages("a", "bc", *following)
    partition = north.partition("north", api_versions=("v1.1",))
    assert await read(north, partition, ["p"]) == [ListedQueue("p", name) for name in "abc"]


async def test_a_full_page_that_is_followed_by_the_same_is_no_end(north: Nodes) -> None:
    north.handlers["http://north:8888"] = pages("abcdefghijklmnopqrst", "ab")
    assert "in order" in await refused(north, north.partition("north"))


async def test_a_moment_of_trouble_is_got_over(north: Nodes) -> None:
    whole = north.handlers["http://north:8888"]
    troubles = iter([503, 503])

    async def answer(call: Any) -> Given:
        status = next(troubles, None)
        return await whole(call) if status is None else Given(status)

    north.handlers["http://north:8888"] = answer
    assert await read(north, north.partition("north"), [""]) == ALL[:1]
