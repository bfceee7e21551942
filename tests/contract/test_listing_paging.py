"""Walks from page to page while queues are created, deleted and moved, over catalogs of every kind.

Each walk is drawn from its seed: the version, what is asked for, what it may cost, and what happens meanwhile, between
the pages and in the middle of them.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any
from urllib.parse import quote, unquote_plus

import pytest

from catalog import Catalog
from catalog.model import TOPIC_PREFIX
from marconi_proxy.front_door.pages import PageLimits
from tests.contract.listing_stage import ALL_VERSIONS, PARTITIONS, Metadata, Tenant, Walk
from tests.depth import DEEP

# Neighbours in the order of bytes, which is neither that of locales nor that of names without case.
NAMES = ["-", "-.", "0", "A", "A-", "Aa", "B", "Z", "_", "__", "a", "a-", "a-0", "a.", "a0", "aA", "aa", "b", "z", "zz"]
# So many walks has each of so many tenants.
WALKS = 10
TENANTS = {"memory": 60, "sqlite": 15, "mongodb": 4} if DEEP else {"memory": 20, "sqlite": 6, "mongodb": 2}
PATIENCE = 30.0


@dataclass(frozen=True)
class Asked:
    """The requests of a walk: the path, the query of its first page, and its meaning."""

    path: str
    query: str
    again: str
    part: str
    filters: dict[str, Any]
    detailed: bool

    @property
    def version(self) -> str:
        return self.path.split("/")[1]

    def admits(self, name: str, metadata: Metadata) -> bool:
        return self.part in name and all(metadata.get(key) == value for key, value in self.filters.items())


def _asked(chance: random.Random) -> Asked:
    version = chance.choice(ALL_VERSIONS)
    path = "/v2/topics" if version == "v2" and chance.random() < 0.3 else f"/{version}/queues"
    detailed = chance.random() < 0.6
    parameters = {"limit": str(chance.randint(1, 6)), "detailed": str(detailed).lower()}
    part, filters = "", {}
    if version == "v2":
        part = chance.choice(["", "", "a", "A", "-", "zzz"])
        colour = {"colour": "red"} if chance.random() < 0.4 else {}
        ttl = {"_default_message_ttl": chance.choice([60, 3600])} if chance.random() < 0.4 else {}
        filters = {**colour, **ttl}
    named = {"name": part} if part else {}
    again = "".join(f"&{key}={quote(str(value))}" for key, value in filters.items())
    query = "&".join(f"{key}={value}" for key, value in {**parameters, **named}.items())
    return Asked(path, query + again, again, part, filters, detailed)


def _judge(asked: Asked, walk: Walk) -> None:
    member = asked.path.rpartition("/")[2]
    prefix = TOPIC_PREFIX if member == "topics" else ""
    entries = [entry for page in walk.pages for entry in page[member]]
    names = [entry["name"] for entry in entries]
    assert all(one.encode() < other.encode() for one, other in pairwise(names)), "order, and none twice"
    due = {
        name.removeprefix(prefix)
        for name, metadata in walk.throughout.items()
        if name.startswith(TOPIC_PREFIX) == bool(prefix) and asked.admits(name.removeprefix(prefix), metadata)
    }
    assert due <= set(names), "all that was there throughout"
    for entry in entries:
        assert entry["href"] == f"{asked.path}/{entry['name']}"
        lived = [metadata for metadata in walk.ever[prefix + entry["name"]] if asked.admits(entry["name"], metadata)]
        assert lived, f"{entry['name']} was never there"
        assert ("metadata" in entry) is asked.detailed
        if asked.detailed:
            assert any(metadata.items() <= entry["metadata"].items() for metadata in lived), entry
    if not asked.part and not asked.filters:
        assert all(page[member] for page in walk.pages if page["links"]), "an empty page is the end"


def _limits(chance: random.Random) -> PageLimits:
    return PageLimits(scan=chance.randint(1, 12), ask=chance.randint(1, 12), deadline=PATIENCE)


@pytest.mark.slow
async def test_what_is_there_throughout_is_shown_once_and_in_order(
    catalog: Catalog, catalog_kind: str, record_property: Any
) -> None:
    names = [*NAMES, *(TOPIC_PREFIX + name for name in NAMES)]
    seen: Counter[str] = Counter()
    for seed in range(TENANTS[catalog_kind]):
        chance = random.Random(seed)
        spoken = {name: chance.choice([ALL_VERSIONS, ALL_VERSIONS, ("v2",)]) for name in PARTITIONS}
        tenant = Tenant(catalog, f"project-{seed}", chance, names, spoken)
        for number in range(WALKS):
            for _ in range(chance.choice([0, 5, 20, 40])):
                await tenant.act()
            tenant.restless = chance.choice([0.0, 0.3, 0.6, 0.7])
            asked = _asked(chance)
            try:
                walk = await tenant.walk(asked.path, asked.query, _limits(chance), asked.again)
                _judge(asked, walk)
            except AssertionError as error:
                error.add_note(f"walk {number} of seed {seed}: {asked}")
                raise
            member = asked.path.rpartition("/")[2]
            seen["walks"] += 1
            seen["pages"] += len(walk.pages)
            seen["queues there throughout"] += len(walk.throughout)
            seen["queues that came or went"] += len(walk.ever.keys() - walk.throughout.keys())
            seen["empty pages with a link"] += sum(1 for page in walk.pages if page["links"] and not page[member])
    assert min(seen.values()) > 0
    told = ", ".join(f"{number} {what}" for what, number in seen.items())
    record_property("explored", f"listings over {catalog_kind}: {told}")


@pytest.mark.parametrize("version", ALL_VERSIONS)
async def test_a_page_whose_queues_are_all_gone_is_not_the_end(catalog: Catalog, version: str) -> None:
    tenant = Tenant(catalog, "project", random.Random(1), NAMES, dict.fromkeys(PARTITIONS, ALL_VERSIONS))
    while len(tenant.listed()) < 8:
        await tenant.act()
    await tenant.settle()
    names = tenant.listed()
    # Behind the back of the catalog: all of the first two pages, and one of the third.
    lost = names[:5]
    for name in lost:
        await tenant.lose(name)
    limits = PageLimits(scan=10, ask=10, deadline=PATIENCE)
    walk = await tenant.walk(f"/{version}/queues", "limit=2&detailed=true", limits)
    shown = [[entry["name"] for entry in page["queues"]] for page in walk.pages]
    if version != "v1":
        assert shown.pop() == []
    full = [names[start : start + 2] for start in range(0, len(names), 2)]
    assert shown == [kept for page in full if (kept := [name for name in page if name not in lost])]


# -- the edges ---------------------------------------------------------------------------------------------------------

LIMITS = PageLimits(scan=5, ask=5, deadline=PATIENCE)
ODD_MARKERS = ["~", "~a", "%00", "a%00", "%FF", "%ED%A0%80", "%C3%A9", "%7F", "%F0%9F%98%80", "%", "b" * 3000, "%24gt"]


async def _settled(catalog: Catalog, *names: str) -> Tenant:
    """A tenant with the queues and topics ``NAMES``, or those given."""
    wanted = list(names) or [*NAMES, *(TOPIC_PREFIX + name for name in NAMES)]
    tenant = Tenant(catalog, "project", random.Random(1), wanted, dict.fromkeys(PARTITIONS, ALL_VERSIONS))
    for name in wanted:
        await tenant.make(name)
    return tenant


async def test_a_marker_may_be_anything(catalog: Catalog) -> None:
    tenant = await _settled(catalog)
    for path, marker in product(["/v1/queues", "/v1.1/queues", "/v2/queues", "/v2/topics"], ODD_MARKERS):
        member = path.rpartition("/")[2]
        status, document = await tenant.ask(f"{path}?marker={marker}&limit=20", LIMITS)
        after = [name for name in NAMES if name > unquote_plus(marker)]
        if after:
            assert [entry["name"] for entry in document[member]] == after, marker
            assert document["links"] == [{"rel": "next", "href": f"{path}?marker={after[-1]}&limit=20"}]
        elif path == "/v1/queues":
            assert (status, document) == (204, None), marker
        else:
            assert (status, document) == (200, {member: [], "links": []}), marker


async def test_a_name_that_can_be_no_part_of_one_is_not_looked_for(catalog: Catalog) -> None:
    tenant = await _settled(catalog)
    for path in ("/v2/queues", "/v2/topics"):
        for part in ("~", "~a", "%00", "a%00", "%C3%A9", "a+b", "%24", "*", ".*", "^a", "a%0A"):
            found = (await tenant.ask(f"{path}?name={part}", LIMITS))[1]
            assert found == {path.rpartition("/")[2]: [], "links": []}, part
        found = (await tenant.ask(f"{path}?name=.", PageLimits(scan=50, ask=5, deadline=PATIENCE)))[1]
        assert [entry["name"] for entry in found[path.rpartition("/")[2]]] == ["-.", "a."]


async def test_a_count_is_of_all_queues_whatever_is_shown(catalog: Catalog) -> None:
    tenant = await _settled(catalog)
    for query in ("", "&limit=1", "&marker=zzz", "&name=a", "&name=~", "&colour=nowhere"):
        assert (await tenant.ask(f"/v2/queues?with_count=true{query}", LIMITS))[1]["count"] == len(NAMES), query
    assert "count" not in (await tenant.ask("/v2/queues?with_count=false", LIMITS))[1]
    nobody = Tenant(catalog, "nobody", random.Random(1), NAMES, dict.fromkeys(PARTITIONS, ALL_VERSIONS))
    document = (await nobody.ask("/v2/queues?with_count=true", LIMITS))[1]
    assert document == {"queues": [], "links": []}


async def test_when_the_budget_is_used_up_the_link_goes_on_after_the_last_name_looked_at(catalog: Catalog) -> None:
    tenant = await _settled(catalog, *"abcdefghijklm")
    for query in ("name=m", "n=13"):
        document = (await tenant.ask(f"/v2/queues?{query}&limit=2", LIMITS))[1]
        named = "name=m&" if query == "name=m" else ""
        assert document == {
            "queues": [],
            "links": [{"rel": "next", "href": f"/v2/queues?limit=2&{named}marker=e"}],
        }
        document = (await tenant.ask(f"/v2/queues?{query}&limit=2&marker=j", LIMITS))[1]
        assert [entry["name"] for entry in document["queues"]] == ["m"]
        assert document["links"] == [{"rel": "next", "href": f"/v2/queues?marker=m&limit=2{named and '&name=m'}"}]
    # A page as large as that is looked at whole.
    document = (await tenant.ask("/v2/queues?n=13&limit=20", LIMITS))[1]
    assert [entry["name"] for entry in document["queues"]] == ["m"]


async def test_a_page_asks_only_the_partitions_that_it_touches(catalog: Catalog) -> None:
    tenant = await _settled(catalog, *NAMES)
    page = (await tenant.ask("/v2/queues?limit=3&detailed=true", LIMITS))[1]["queues"]
    touched = {tenant.home(entry["name"]) for entry in page}
    assert {name for name, upstream in tenant.upstreams.items() if upstream.calls} == touched
    for upstream in tenant.upstreams.values():
        upstream.calls.clear()
    await tenant.ask("/v2/queues?limit=3&with_count=true&name=a", LIMITS)
    assert not any(upstream.calls for upstream in tenant.upstreams.values())
