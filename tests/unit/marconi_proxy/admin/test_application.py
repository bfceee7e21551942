"""Rules for every request to the admin API."""

from __future__ import annotations

import pytest

from catalog.sqlite.partitions import SQLitePartitions
from marconi_proxy import options
from marconi_proxy.admin.application import build
from marconi_proxy.admin.policy import require_protection, rules
from marconi_proxy.admin.routes import ROUTES, AdminRoute, add_routes
from tests.unit.admin_api import admin_api

CATALOG = {"catalog.uri": "sqlite:////unused"}


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path) as api:
        yield api


def walk(nodes, prefix=""):
    for node in nodes:
        path = f"{prefix}/{node.raw_segment}"
        if node.method_map:
            yield path, node.method_map
        yield from walk(node.children, path)


def test_every_route_of_the_application_is_a_row_with_policy_and_documentation():
    app = build(options.load(overrides=CATALOG), None, None, None)
    walked = {
        (method, path)
        for path, methods in walk(app._router._roots)
        for method, responder in methods.items()
        if "routes" in responder.__module__
    }
    assert walked == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        assert route.policy in rules(None)
        assert route.doc.endswith(".")


@pytest.mark.parametrize(("handler", "policy"), [("partitions.list", "nobody"), ("partitions.nothing", "admin")])
def test_a_row_that_names_what_there_is_not_stops_the_start(handler, policy):
    row = AdminRoute("GET", "/v1/x", handler, policy, "X.")
    with pytest.raises((KeyError, AttributeError)):
        add_routes(None, {"partitions": object()}, rules(None), (row,))


@pytest.mark.parametrize("accept", ["text/plain", "application/xml", "application/json;q=0"])
async def test_clients_that_want_no_json_get_406(api, accept):
    response = await api.client.get("/v1/partitions", headers={"accept": accept})
    assert response.status_code == 406
    assert response.json().keys() == {"title", "description"}


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "text/plain, application/json;q=0.1"])
async def test_clients_that_take_json_get_it(api, accept):
    assert (await api.client.get("/v1/health", headers={"accept": accept})).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b"null", b'{"hosts": NaN}', b"\xff\xfe{}", b"{}x", b'"x"', b"[" * 100000, b" " * 1048577],
    ids=lambda body: repr(body[:8]),
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_body_that_is_no_object_is_400(api, method, body):
    response = await api.client.request(method, "/v1/partitions/p", content=body)
    assert response.status_code == 400
    assert response.json()["title"] == "Invalid request body"


async def test_a_body_without_length_is_bounded_too(api):
    async def endless():
        while True:
            yield b" " * 65536

    response = await api.client.put("/v1/partitions/p", content=endless())
    assert response.status_code == 400


async def test_a_failure_that_nobody_foresaw_is_503_and_logged(api, monkeypatch, caplog):
    async def fail(*_):
        raise RuntimeError("the stars are wrong")

    monkeypatch.setattr(SQLitePartitions, "all", fail)
    response = await api.client.get("/v1/partitions")
    assert response.status_code == 503
    assert 5 <= int(response.headers["retry-after"]) <= 10
    assert response.json().keys() == {"title", "description"}
    assert "stars" not in response.text
    assert "the stars are wrong" in caplog.text


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v2/partitions", "/v1/nothing"])
async def test_unknown_paths_are_404_in_our_shape(api, path):
    response = await api.client.get(path)
    assert response.status_code == 404
    assert response.json().keys() == {"title", "description"}


async def test_a_trailing_slash_is_ignored(api):
    assert (await api.client.get("/v1/partitions/")).status_code == 204


async def test_without_a_token_everybody_may(api):
    assert (await api.client.get("/v1/partitions", headers={"x-auth-token": "x"})).status_code == 204


@pytest.mark.parametrize("headers", [{}, {"x-auth-token": ""}, {"x-auth-token": "wrong"}, {b"x-auth-token": b"\xff"}])
async def test_with_a_token_every_verb_needs_it(tmp_path, headers):
    async with admin_api(tmp_path, admin__token="secret") as api:
        for route in ROUTES:
            path = route.path.format(name="p", project="a", queue="q", move="m", plan="l", member="w")
            response = await api.client.request(route.method, path, headers=headers, json={})
            assert response.status_code == 401, route
            assert response.json().keys() == {"title", "description"}, route
            response = await api.client.request(route.method, path, headers={"x-auth-token": "secret"}, json={})
            assert response.status_code != 401, route


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        ({}, False),
        ({"admin.bind": "0.0.0.0:8889"}, True),
        ({"admin.bind": "0.0.0.0:8889", "admin.token": "x"}, False),
        ({"admin.bind": "[::]:8889", "admin.allow_unauthenticated": True}, False),
    ],
)
def test_other_machines_are_not_let_in_unasked(overrides, refused):
    conf = options.load(overrides=CATALOG | overrides)
    if refused:
        with pytest.raises(options.OptionError, match=r"^\[admin\] bind: "):
            require_protection(conf)
    else:
        require_protection(conf)
