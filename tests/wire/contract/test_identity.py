"""Clients, projects and names (API 1.2-1.4)."""

from __future__ import annotations

import uuid

import pytest

from tests.wire.contract.targets import Target
from tests.wire.contract.tenant import Tenant
from tests.wire.contract.versions import LATE, V1, V2
from tests.wire.script import CLIENT, OTHER_CLIENT

SPELLINGS = [CLIENT, CLIENT.replace("-", ""), CLIENT.upper(), f"{{{CLIENT}}}", f"urn:uuid:{CLIENT}"]
NAMES = ["qtestqueue", "TESTqueue", "hyphen-name", "_undersore", "-", "0", "a.dot", "i" * 64]


def test_a_client_is_the_same_in_every_spelling(tenant: Tenant) -> None:
    tenant.create("orders")
    for spelling in SPELLINGS:
        tenant.post("orders", spelling, client=spelling)
    for spelling in SPELLINGS:
        assert tenant.bodies("orders", "", client=spelling) == []
    assert tenant.bodies("orders", "", client=OTHER_CLIENT) == SPELLINGS


def test_a_client_may_be_any_uuid(tenant: Tenant) -> None:
    tenant.create("orders")
    clients = [str(uuid.UUID(int=0)), str(uuid.uuid5(uuid.NAMESPACE_DNS, "a")), "f" * 32]
    for client in clients:
        tenant.post("orders", client, client=client)
    assert tenant.bodies("orders", "", client=OTHER_CLIENT) == clients


def test_names(tenant: Tenant) -> None:
    for name in NAMES:
        tenant.create(name)
        tenant.post(name, name)
    assert {name: tenant.bodies(name) for name in NAMES} == {name: [name] for name in NAMES}
    assert [one["name"] for one in tenant.ask("GET", "/queues").document["queues"]] == sorted(NAMES)


def test_names_are_case_sensitive(tenant: Tenant) -> None:
    tenant.create("orders")
    tenant.create("Orders")
    tenant.post("orders", 1)
    assert (tenant.counts("orders"), tenant.counts("Orders")) == ((1, 0, 1), (0, 0, 0))


def test_projects_share_nothing(target: Target, version: str) -> None:
    one, other = Tenant(target, version), Tenant(target, version)
    one.create("orders")
    identifier, _ = one.post("orders", 1, 2)
    claim = one.claim("orders", limit=1)
    assert claim is not None
    other.create("orders")
    assert other.bodies("orders", "echo=true&include_claimed=true") == []
    assert other.ask("GET", other.message("orders", identifier)).status == 404
    assert other.ask("DELETE", other.message("orders", identifier)).status == 204
    assert other.ask("GET", f"/queues/orders/claims/{claim.id}").status == 404
    assert other.ask("PATCH", f"/queues/orders/claims/{claim.id}", {"ttl": 60, "grace": 60}).status == 404
    assert other.ask("DELETE", f"/queues/orders/claims/{claim.id}").status == 204
    assert other.claim("orders") is None
    assert other.ask("DELETE", "/queues/orders").status == 204
    assert one.counts("orders") == (1, 1, 2)


@V2
@pytest.mark.parametrize("project", ["a b", "p" * 256, "~!*'()", "a/b", "_"])
def test_a_project_may_be_called_almost_anything(target: Target, version: str, project: str) -> None:
    tenant = Tenant(target, version, project)
    queue = f"orders-{uuid.uuid4().hex[:8]}"
    tenant.create(queue)
    tenant.post(queue, project)
    assert tenant.bodies(queue) == [project]
    assert tenant.ask("DELETE", f"/queues/{queue}").status == 204


@V1
def test_v1_without_a_project_is_a_namespace_of_its_own(tenant: Tenant) -> None:
    queue = f"orders-{uuid.uuid4().hex[:8]}"
    nobody = {"X-Project-Id": None}
    assert tenant.ask("PUT", f"/queues/{queue}", headers=nobody).status == 201
    assert tenant.ask("GET", f"/queues/{queue}").status == 404
    assert tenant.ask("GET", "/queues").status == 204
    tenant.create("mine")
    marker = queue[:-1]  # the namespace is shared with other tests
    listed = tenant.ask("GET", f"/queues?limit=1&marker={marker}", headers=nobody)
    assert [one["name"] for one in listed.document["queues"]] == [queue]
    assert tenant.ask("GET", "/queues/mine", headers=nobody).status == 404
    assert tenant.ask("DELETE", f"/queues/{queue}", headers=nobody).status == 204


@V1
def test_v1_needs_no_client_but_for_posting_and_listing(tenant: Tenant) -> None:
    nobody = {"Client-ID": None}
    assert tenant.ask("PUT", "/queues/orders", headers=nobody).status == 201
    identifier, _ = tenant.post("orders", 1, 2)
    assert tenant.ask("GET", "/queues/orders/stats", headers=nobody).status == 200
    assert tenant.ask("GET", tenant.message("orders", identifier), headers=nobody).status == 200
    assert tenant.ask("GET", f"/queues/orders/messages?ids={identifier}", headers=nobody).status == 200
    assert tenant.ask("POST", "/queues/orders/claims", {"ttl": 60, "grace": 60}, nobody).status == 201


@LATE
def test_every_version_sees_the_same_queues_and_messages(tenant: Tenant) -> None:
    first = tenant.speaking("v1")
    tenant.create("orders", {"colour": "red"})
    tenant.post("orders", "late")
    first.post("orders", "first")
    assert first.ask("GET", "/queues/orders/metadata").document == {"colour": "red"}
    for one in (tenant, first):
        messages, _ = one.page("orders", "echo=true")
        assert [message["body"] for message in messages] == ["late", "first"]
        assert all(message["href"].startswith(one.href("/queues/orders/messages/")) for message in messages)
    claim = first.claim("orders")
    assert claim is not None
    read = tenant.ask("GET", f"/queues/orders/claims/{claim.id}").document
    assert [message["body"] for message in read["messages"]] == ["late", "first"]
