from __future__ import annotations

import pytest

from catalog.model import Tenant
from tests.unit.admin_api import admin_api, put_partition


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path) as api:
        await put_partition(api.catalog, "p")
        yield api


async def test_a_tenant_that_was_never_set_has_the_defaults(api):
    response = await api.client.get("/v1/tenants/a")
    assert response.status_code == 200
    assert response.json() == {"project": "a", "spread": 1, "pinned": None, "set": False}


async def test_a_tenant_is_set_and_unset(api):
    assert (await api.client.put("/v1/tenants/a", json={"spread": 3, "pinned": "p"})).status_code == 204
    assert (await api.client.get("/v1/tenants/a")).json() == {"project": "a", "spread": 3, "pinned": "p", "set": True}
    assert (await api.client.put("/v1/tenants/a", json={"spread": 2})).status_code == 204
    assert await api.catalog.tenants.get("a") == Tenant("a", 2)
    for _ in range(2):
        assert (await api.client.delete("/v1/tenants/a")).status_code == 204
    assert (await api.client.get("/v1/tenants/a")).json()["set"] is False


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"spread": 0}, "spread"),
        ({"spread": 1.5}, "spread"),
        ({"spread": True}, "spread"),
        ({"spread": None}, "spread"),
        ({"pinned": "q"}, "pinned"),
        ({"pinned": 1}, "pinned"),
        ({"pined": "p"}, "pined"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_invalid_tenant_is_400_and_names_the_member(api, method, body, member):
    response = await api.client.request(method, "/v1/tenants/a", json=body)
    assert response.status_code == 400
    assert response.json()["description"].startswith(f"{member}: ")
    assert await api.catalog.tenants.get("a") is None


async def test_what_a_change_does_not_name_stays_as_it_is(api):
    assert (await api.client.patch("/v1/tenants/a", json={"spread": 3})).status_code == 204
    assert (await api.client.patch("/v1/tenants/a", json={"pinned": "p"})).status_code == 204
    assert await api.catalog.tenants.get("a") == Tenant("a", 3, "p")
    assert (await api.client.patch("/v1/tenants/a", json={"pinned": None})).status_code == 204
    assert await api.catalog.tenants.get("a") == Tenant("a", 3)


async def test_a_change_of_nothing_is_400(api):
    response = await api.client.patch("/v1/tenants/a", json={})
    assert response.status_code == 400
    assert "spread, pinned" in response.json()["description"]


@pytest.mark.parametrize(
    ("path", "stored", "shown"),
    [
        ("-", "", None),
        ("id:-", "-", "-"),
        ("a%2Fb%3F", "a/b?", "a/b?"),
        ("%C3%A9", "\u00c3\u00a9", "\u00e9"),
        ("%E9", "\u00e9", "\u00e9"),
        ("%252F", "%2F", "%2F"),
    ],
)
async def test_projects_of_all_spellings(api, path, stored, shown):
    assert (await api.client.put(f"/v1/tenants/{path}", json={"spread": 5})).status_code == 204
    assert await api.catalog.tenants.get(stored) == Tenant(stored, 5)
    assert (await api.client.get(f"/v1/tenants/{path}")).json()["project"] == shown


@pytest.mark.parametrize("path", ["id:", "a%00b"])
async def test_what_names_no_project_is_400(api, path):
    assert (await api.client.get(f"/v1/tenants/{path}")).status_code == 400


async def test_a_slash_that_is_not_encoded_is_another_path(api):
    assert (await api.client.get("/v1/tenants/a/b")).status_code == 404


async def test_tenants_are_listed_in_pages_and_by_pin_and_spread(api):
    await put_partition(api.catalog, "q")
    tenants = (
        *(Tenant("", pinned="p"), Tenant("-", 2), Tenant("a%2Fb", 3), Tenant("a/b", 2, "q")),
        Tenant("\u00c3\u00a9", pinned="p"),
    )
    for tenant in tenants:
        await api.catalog.tenants.put(tenant)
    found, path = [], "/v1/tenants?limit=1"
    while page := (await api.client.get(path)).json()["tenants"]:
        found += page
        path = (await api.client.get(path)).json()["links"][0]["href"]
    assert found == [
        {"project": None, "spread": 1, "pinned": "p"},
        {"project": "-", "spread": 2, "pinned": None},
        {"project": "a%2Fb", "spread": 3, "pinned": None},
        {"project": "a/b", "spread": 2, "pinned": "q"},
        {"project": "\u00e9", "spread": 1, "pinned": "p"},
    ]
    for query, projects in (
        ("pinned=p", [None, "\u00e9"]),
        ("spread=2", ["-", "a/b"]),
        ("pinned=q&spread=2", ["a/b"]),
        ("pinned=r", []),
        ("pinned=p&marker=-", ["\u00e9"]),
    ):
        document = (await api.client.get(f"/v1/tenants?{query}")).json()
        assert [tenant["project"] for tenant in document["tenants"]] == projects


@pytest.mark.parametrize("query", ["spread=0", "spread=many", "limit=1001", "marker=id:", "pin=p"])
async def test_a_list_of_tenants_that_cannot_be_is_400(api, query):
    assert (await api.client.get(f"/v1/tenants?{query}")).status_code == 400
