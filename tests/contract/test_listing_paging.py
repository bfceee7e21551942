"""Walks from page to page while queues are created, deleted and moved, over catalogs of every kind.

Each walk is drawn from its seed: the version, what is asked for, what it may cost, and what happens meanwhile, between
the pages and in the middle of them.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest

from catalog import Catalog
from catalog.model import TOPIC_PREFIX
from marconi_proxy.front_door.pages import PageLimits
from tests.contract.listing_stage import ALL_VERSIONS, PARTITIONS, Metadata, Tenant, Walk

# Neighbours in the order of bytes, which is neither that of locales nor that of names without case.
NAMES = ["-", "-.", "0", "A", "A-", "Aa", "B", "Z", "_", "__", "a", "a-", "a-0", "a.", "a0", "aA", "aa", "b", "z", "zz"]
# So many walks has each of so many tenants.
WALKS = 10
TENANTS = {"memory": 60, "sqlite": 15, "mongodb": 4}
PATIENCE = 30.0


@dataclass(frozen=True)
class Asked:
    """What a walk asks for: the path, the query of its first page, and what it means."""

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
