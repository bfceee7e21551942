from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import Move, PartitionState, Tenant
from catalog.sqlite.partitions import SQLitePartitions
from catalog.sqlite.tenants import SQLiteTenants
from marconi_proxy.admin import pins
from tests.unit.admin_api import admin_api, our_node, put_partition, put_placement, versions

ONE = {"hosts": ["http://one:8888"], "weight": 100}


@pytest.fixture
async def api(tmp_path):
    hosts = {"one": versions("1", "1.1", "2"), "two": versions("1.1", "2"), "old": lambda r: httpx.Response(404)}
    async with admin_api(tmp_path, hosts) as api:
        yield api


async def refused(response, status=400):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert document.keys() == {"title", "description"}
    return document["description"]


async def test_no_partitions_are_204(api):
    response = await api.client.get("/v1/partitions")
    assert (response.status_code, response.content) == (204, b"")


async def test_partitions_are_a_bare_array_by_name(api):
    await put_partition(api.catalog, "b")
    await put_partition(api.catalog, "a")
    response = await api.client.get("/v1/partitions")
    assert response.status_code == 200
    assert [p["name"] for p in response.json()] == ["a", "b"]
    assert response.json()[0] == {
        "name": "a",
        "weight": 100,
        "hosts": ["http://a:8888"],
        "region": None,
        "labels": [],
        "state": "enabled",
        "api_versions": [],
        "inventory": None,
        "fences": False,
        "store": None,
        "same_store": [],
    }


async def test_a_new_partition_is_registered_with_the_versions_its_hosts_share(api):
    response = await api.client.put("/v1/partitions/p", json=ONE | {"hosts": ["http://one:8888", "http://two"]})
    assert (response.status_code, response.content) == (201, b"")
    shown = (await api.client.get("/v1/partitions/p")).json()
    assert shown == {
        "hosts": ["http://one:8888", "http://two"],
        "weight": 100,
        "region": None,
        "labels": [],
        "state": "enabled",
        "api_versions": ["v1.1", "v2"],
        "inventory": None,
        "fences": False,
        "store": None,
        "same_store": [],
    }


@pytest.mark.parametrize("host", ["http://nowhere", "http://old"])
async def test_hosts_that_do_not_tell_leave_the_versions_unknown(api, host):
    response = await api.client.put("/v1/partitions/p", json={"hosts": [host, "http://nobody"], "weight": 1})
    assert response.status_code == 201
    assert (await api.client.get("/v1/partitions/p")).json()["api_versions"] == []


async def test_versions_that_are_given_are_not_asked_for(api):
    members = {"region": "eu", "labels": ["b", "a"], "state": "cordoned", "api_versions": ["v1"]}
    assert (await api.client.put("/v1/partitions/p", json=ONE | members)).status_code == 201
    stored = await api.catalog.partitions.get("p")
    assert (stored.region, stored.labels, stored.state) == ("eu", ("a", "b"), PartitionState.CORDONED)
    assert (stored.api_versions, stored.api_versions_set) == (("v1",), True)


async def test_registering_the_same_again_is_204_whatever_changed_in_operation(api):
    members = ONE | {"hosts": ["http://one:8888", "http://two"], "labels": ["a", "b"]}
    await api.client.put("/v1/partitions/p", json=members)
    await api.client.patch("/v1/partitions/p", json={"state": "cordoned", "api_versions": ["v2"]})
    before = await api.catalog.partitions.get("p")
    again = members | {"hosts": ["http://two", "http://one:8888"], "labels": ["b", "a"]}
    response = await api.client.put("/v1/partitions/p", json=again)
    assert (response.status_code, response.content) == (204, b"")
    assert await api.catalog.partitions.get("p") == before


@pytest.mark.parametrize(
    ("member", "value"),
    [("weight", 1), ("hosts", ["http://two"]), ("region", "eu"), ("labels", ["x"]), ("state", "disabled")],
)
async def test_registering_something_else_is_409_and_says_what_differs(api, member, value):
    await api.client.put("/v1/partitions/p", json=ONE)
    description = await refused(await api.client.put("/v1/partitions/p", json=ONE | {member: value}), 409)
    assert f"{member} is " in description
    assert "PATCH" in description
    assert (await api.client.get("/v1/partitions/p")).json()["weight"] == 100


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"weight": 1}, "hosts"),
        ({"hosts": ["http://one"]}, "weight"),
        (ONE | {"hosts": []}, "hosts"),
        (ONE | {"hosts": "http://one"}, "hosts"),
        (ONE | {"hosts": [1]}, "hosts"),
        (ONE | {"hosts": ["http://one/path"]}, "hosts"),
        (ONE | {"hosts": ["http://one", "http://ONE"]}, "hosts"),
        (ONE | {"weight": -1}, "weight"),
        (ONE | {"weight": 1.0}, "weight"),
        (ONE | {"weight": True}, "weight"),
        (ONE | {"weight": "1"}, "weight"),
        (ONE | {"weight": 2**32}, "weight"),
        (ONE | {"region": ""}, "region"),
        (ONE | {"region": 1}, "region"),
        (ONE | {"labels": "ab"}, "labels"),
        (ONE | {"labels": [""]}, "labels"),
        (ONE | {"state": "on"}, "state"),
        (ONE | {"state": ["enabled"]}, "state"),
        (ONE | {"api_versions": ["v3"]}, "api_versions"),
        (ONE | {"api_versions": {}}, "api_versions"),
        (ONE | {"inventory": "http://one:8890/v1"}, "inventory"),
        (ONE | {"inventory": "one:8890"}, "inventory"),
        (ONE | {"inventory": ""}, "inventory"),
        (ONE | {"inventory": 7}, "inventory"),
        (ONE | {"inventory": "http://me:secret@one:8890"}, "inventory"),
        (ONE | {"name": "p"}, "name"),
    ],
)
async def test_an_invalid_partition_is_400_and_names_the_member(api, body, member):
    assert (await refused(await api.client.put("/v1/partitions/p", json=body))).startswith(f"{member}: ")
    if member not in ("name",) and body.keys() >= ONE.keys():
        await put_partition(api.catalog, "p")
        response = await api.client.patch("/v1/partitions/p", json={member: body[member]})
        assert (await refused(response)).startswith(f"{member}: ")


@pytest.mark.parametrize("name", ["-p", "p%20q", "p%2Fq", "x" * 65])
async def test_an_invalid_name_is_400(api, name):
    assert (await refused(await api.client.put(f"/v1/partitions/{name}", json=ONE))).startswith("name: ")


async def test_a_patch_changes_what_it_has_and_ignores_what_it_does_not_know(api):
    await put_partition(api.catalog, "p", "http://old:8888")  # of which the prober learns nothing
    response = await api.client.patch("/v1/partitions/p", json={"weight": 7, "labels": ["x"], "colour": "red"})
    assert (response.status_code, response.content) == (200, b"")
    stored = await api.catalog.partitions.get("p")
    assert (stored.weight, stored.labels, stored.hosts, stored.version) == (7, ("x",), ("http://old:8888",), 2)


async def test_a_patch_of_the_hosts_learns_their_versions(api):
    await put_partition(api.catalog, "p")
    await api.client.patch("/v1/partitions/p", json={"hosts": ["http://two"]})
    assert (await api.catalog.partitions.get("p")).api_versions == ("v1.1", "v2")
    await api.client.patch("/v1/partitions/p", json={"hosts": ["http://nowhere"]})
    assert (await api.catalog.partitions.get("p")).api_versions == ("v1.1", "v2")


async def test_an_empty_list_of_versions_hands_them_back_to_the_prober(api):
    await api.client.put("/v1/partitions/p", json=ONE | {"hosts": ["http://old:8888"], "api_versions": ["v1"]})
    await api.client.patch("/v1/partitions/p", json={"api_versions": []})
    stored = await api.catalog.partitions.get("p")
    assert (stored.api_versions, stored.api_versions_set) == ((), False)


async def test_a_patch_with_nothing_to_change_is_400(api):
    await put_partition(api.catalog, "p")
    await refused(await api.client.patch("/v1/partitions/p", json={"colour": "red"}))


async def test_patches_at_the_same_time_all_count(api):
    await put_partition(api.catalog, "p")
    bodies = [{"weight": 7}, {"region": "eu"}, {"labels": ["x"]}, {"state": "cordoned"}, {"api_versions": ["v2"]}]
    answers = await asyncio.gather(*(api.client.patch("/v1/partitions/p", json=body) for body in bodies))
    assert {a.status_code for a in answers} == {200}
    stored = await api.catalog.partitions.get("p")
    assert (stored.weight, stored.region, stored.labels, stored.state) == (7, "eu", ("x",), "cordoned")
    assert (stored.api_versions, stored.version) == (("v2",), 6)


async def test_registrations_at_the_same_time_register_one(api):
    bodies = [ONE | {"weight": weight} for weight in (1, 2, 1, 2)]
    answers = await asyncio.gather(*(api.client.put("/v1/partitions/p", json=body) for body in bodies))
    won = (await api.catalog.partitions.get("p")).weight
    # Equal ones are one registration repeated: created, or there already.
    assert all(
        a.status_code in ((201, 204) if b["weight"] == won else (409,)) for a, b in zip(answers, bodies, strict=False)
    )


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_a_partition_that_is_not_there_is_404(api, method):
    await refused(await api.client.request(method, "/v1/partitions/p", json={"weight": 1}), 404)


async def test_deleting_is_204_always(api):
    await put_partition(api.catalog, "p")
    for _ in range(2):
        response = await api.client.delete("/v1/partitions/p")
        assert (response.status_code, response.content) == (204, b"")
    assert await api.catalog.partitions.all() == []


async def test_deleting_a_partition_in_use_is_409_and_counts(api):
    await put_partition(api.catalog, "p")
    await put_placement(api.catalog, "a", "q", "p")
    await put_placement(api.catalog, "", "q", "p")
    assert "2 placements" in await refused(await api.client.delete("/v1/partitions/p"), 409)
    assert len(await api.catalog.partitions.all()) == 1


async def test_deleting_a_partition_that_a_move_goes_to_is_409_and_names_it(api):
    await put_partition(api.catalog, "p")
    await api.catalog.moves.insert(Move("m-1", "a", "q", "o", "p", created=1.0))
    description = await refused(await api.client.delete("/v1/partitions/p"), 409)
    assert "move m-1" in description
    assert "cancelled" in description
    assert len(await api.catalog.partitions.all()) == 1


@pytest.mark.parametrize("method", ["HEAD", "POST"])
@pytest.mark.parametrize("path", ["/v1/partitions", "/v1/partitions/p"])
async def test_no_other_methods(api, method, path):
    response = await api.client.request(method, path)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]


async def test_an_unavailable_catalog_is_503_to_be_tried_again(api, monkeypatch):
    async def fail(*_):
        raise CatalogUnavailable("gone")

    monkeypatch.setattr(SQLitePartitions, "all", fail)
    response = await api.client.get("/v1/partitions")
    await refused(response, 503)
    assert int(response.headers["retry-after"]) > 0


async def test_registering_again_revives_a_partition_whose_removal_was_interrupted(api):
    await api.client.put("/v1/partitions/p", json=ONE)
    before = await api.catalog.partitions.get("p")
    await api.client.put("/v1/partitions/p", json=ONE)
    # Any replacement revives (catalog interface); the version shows that there was one.
    assert await api.catalog.partitions.get("p") == replace(before, version=2)
    assert (await api.catalog.partitions.get("p")).version == 2


@pytest.fixture
async def nodes(tmp_path):
    """An admin API over our nodes: two addresses of one store, another store, and an address without a listener."""
    hosts = {"a": our_node("0a"), "alias": our_node("0a"), "b": our_node("0b"), "older": our_node("0a", fences=False)}
    async with admin_api(tmp_path, hosts) as api:
        assert (await register(api, "first", "http://a")).status_code == 201
        yield api


async def register(api, name, *hosts):
    return await api.client.put(f"/v1/partitions/{name}", json={"hosts": list(hosts), "weight": 1})


async def shown(api, name="first"):
    document = (await api.client.get(f"/v1/partitions/{name}")).json()
    return document["fences"], document["store"], document["same_store"]


async def test_registering_learns_the_store_and_whether_it_fences(nodes):
    assert await shown(nodes) == (True, "0a", [])


async def test_a_store_is_registered_once_whatever_its_addresses(nodes):
    description = await refused(await register(nodes, "second", "http://alias"), 409)
    assert "partition first" in description
    assert "Nothing was changed" in description
    assert "partition set first --host" in description
    assert (await nodes.client.get("/v1/partitions/second")).status_code == 404
    assert (await register(nodes, "second", "http://b")).status_code == 201
    changed = await nodes.client.patch("/v1/partitions/second", json={"hosts": ["http://alias"]})
    assert "partition first" in await refused(changed, 409)
    assert await shown(nodes, "second") == (True, "0b", [])
    # It may keep its own.
    assert (await nodes.client.patch("/v1/partitions/first", json={"hosts": ["http://alias"]})).status_code == 200


async def test_hosts_of_one_partition_serve_one_store(nodes):
    description = await refused(await register(nodes, "second", "http://b", "http://alias"), 409)
    assert description.startswith("Hosts of partition second serve different stores: 0a, 0b")


@pytest.mark.parametrize(
    ("hosts", "fences"),
    [(["http://a", "http://alias"], True), (["http://a", "http://older"], False), (["http://a", "http://away"], False)],
)
async def test_a_partition_fences_if_all_its_hosts_do(nodes, hosts, fences):
    assert (await nodes.client.patch("/v1/partitions/first", json={"hosts": hosts})).status_code == 200
    assert await shown(nodes) == (fences, "0a", [])


async def test_one_store_that_was_registered_twice_is_shown(nodes):
    """The second one did not answer when it was registered."""
    partition = await put_partition(nodes.catalog, "second", "http://alias")
    await nodes.catalog.partitions.replace(replace(partition, store="0a", version=2))
    assert await shown(nodes) == (True, "0a", ["second"])
    listed = (await nodes.client.get("/v1/partitions")).json()
    assert [entry["same_store"] for entry in listed] == [["second"], ["first"]]


# -- tenants that are pinned there -------------------------------------------------------------------------------------


@pytest.fixture
async def pinned(api):
    for name in ("p", "q"):
        await put_partition(api.catalog, name)
    for project in ("a", "", "Gr\u00c3\u00bc"):
        await api.catalog.tenants.put(Tenant(project, spread=3, pinned="p"))
    await api.catalog.tenants.put(Tenant("z", pinned="q"))


@pytest.mark.parametrize("change", [{"state": "cordoned"}, {"state": "drained"}, {"weight": 0}, {"state": "disabled"}])
async def test_a_change_that_has_new_queues_of_tenants_refused_names_them(api, pinned, change):
    response = await api.client.patch("/v1/partitions/p", json=change)
    assert (response.status_code, response.json()) == (200, {"pinned": [None, "Gr\u00fc", "a"], "more": False})
    assert (await api.client.patch("/v1/partitions/p", json={"state": "enabled", "weight": 1})).content == b""


async def test_of_many_pinned_tenants_some_are_named(api, pinned, monkeypatch):
    monkeypatch.setattr(pins, "NAMED", 2)
    response = await api.client.patch("/v1/partitions/p", json={"state": "cordoned"})
    assert response.json() == {"pinned": [None, "Gr\u00fc"], "more": True}


async def test_tenants_are_pinned_to_another_partition(api, pinned):
    response = await api.client.post("/v1/partitions/p/repin", json={"to": "q"})
    assert (response.status_code, response.json()) == (200, {"tenants": 3})
    assert await api.catalog.tenants.find(pinned="p", limit=9) == []
    assert await api.catalog.tenants.get("a") == Tenant("a", 3, "q")
    assert (await api.client.post("/v1/partitions/p/repin", json={"to": "q"})).json() == {"tenants": 0}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "to: must be"),
        ({"to": "r"}, "to: r is not a registered partition"),
        ({"to": "p"}, "to: p is no other partition that takes new queues"),
        ({"to": "o"}, "to: o is no other partition that takes new queues"),
        ({"to": "q", "from": "p"}, "from: "),
    ],
)
async def test_where_no_tenant_can_be_pinned(api, pinned, body, said):
    await put_partition(api.catalog, "o")
    await api.client.patch("/v1/partitions/o", json={"state": "cordoned"})
    assert said in await refused(await api.client.post("/v1/partitions/p/repin", json=body))
    assert len(await api.catalog.tenants.find(pinned="p", limit=9)) == 3


async def test_a_partition_that_tenants_are_pinned_to_is_not_deleted_unless_they_are_pinned_elsewhere(api, pinned):
    description = await refused(await api.client.delete("/v1/partitions/p"), 409)
    assert "Partition p was not removed: tenants -, Gr\u00fc, a are pinned to it, so that their" in description
    assert "--repin TO" in description
    await refused(await api.client.delete("/v1/partitions/p?repin=p"))
    await put_placement(api.catalog, "a", "q", "p")
    await refused(await api.client.delete("/v1/partitions/p?repin=q"), 409)
    assert len(await api.catalog.tenants.find(pinned="p", limit=9)) == 3, "it stays, and so do they"
    placement = (await api.catalog.placements.find(limit=1))[0]
    await api.catalog.placements.remove(placement.key, placement.epoch, placement.incarnation)
    response = await api.client.delete("/v1/partitions/p?repin=q")
    assert (response.status_code, response.json()) == (200, {"tenants": 3})
    assert [p.name for p in await api.catalog.partitions.all()] == ["q"]
    assert len(await api.catalog.tenants.find(pinned="q", limit=9)) == 4


async def test_one_tenant_whose_pin_changes_meanwhile_is_left_alone(api, pinned, monkeypatch):
    real = SQLiteTenants.get

    async def overtaken(self, project):
        if project == "a":
            await self.change("a", members={"pinned": None})
        return await real(self, project)

    monkeypatch.setattr(SQLiteTenants, "get", overtaken)
    assert (await api.client.post("/v1/partitions/p/repin", json={"to": "q"})).json() == {"tenants": 2}
    assert await real(api.catalog.tenants, "a") == Tenant("a", 3)
