"""Requests that name no queue: the version document, home documents, liveness, unknown paths, and header checks."""

from __future__ import annotations

from tests.wire.script import Script
from tests.wire.table.steps import (
    FORM,
    NO_CLIENT,
    NO_PROJECT,
    NOTHING,
    RELEASES,
    VERSIONS,
    delete,
    get,
    head,
    options,
    patch,
    post,
    put,
)

_LIVENESS = {"v1": "/v1/health", "v1.1": "/v1.1/ping", "v2": "/v2/ping"}


def _version_document() -> Script:
    return Script(
        "version document",
        "v1",
        (
            get("/", 300, NOTHING),
            get("/", 300),
            get("/?x=1&limit=bad", 300, NOTHING),
            get("/", 300, {"Accept": "application/*;q=0.2, text/html"}),
            get("/", 406, {"Accept": "text/plain"}),
            get("/", 406, {"Accept": "application/xml"}),
            get("/", 400, FORM, body=""),
            head("/", 405, NOTHING),
            post("/", 405, "{}", NOTHING),
            options("/", 200, NOTHING),
        ),
        ("16",),
    )


def _home(v: str) -> Script:
    without_headers = 200 if v == "v1" else 400
    return Script(
        "home document",
        v,
        (
            get(f"/{v}/", 200),
            get(f"/{v}/?limit=bad", 200),
            get(f"/{v}/", 200, FORM),
            get(f"/{v}/", 400, FORM, body=""),
            get(f"/{v}/", 406, {"Accept": "text/plain"}),
            get(f"/{v}/", 406, {"Accept": "application/json-home"}),
            get(f"/{v}/", without_headers, NO_CLIENT),
            get(f"/{v}/", without_headers, NO_PROJECT),
            get(f"/{v}/", 400, {"Client-ID": "1234"}),
            get(f"/{v}/", 400, {"X-Project-Id": ""}),
            head(f"/{v}/", 405),
            post(f"/{v}/", 405, "{}"),
            options(f"/{v}/", 200),
            options(f"/{v}/", 200, NOTHING),
        ),
        RELEASES[v],
    )


def _liveness(v: str) -> Script:
    path = _LIVENESS[v]
    without_headers = 204 if v == "v1" else 400
    return Script(
        "liveness",
        v,
        (
            get(path, 204),
            head(path, 204),
            get(path + "?x=1", 204),
            get(path, without_headers, NOTHING),
            head(path, without_headers, NOTHING),
            get(path, 400, {"Client-ID": ""}),
            get(path, 400, {"X-Project-Id": ""}),
            get(path, 406, {"Accept": "text/plain"}),
            head(path, 406, {"Accept": "application/xml"}),
            post(path, 405, "{}"),
            put(path, 405),
            delete(path, 405),
            options(path, 200),
            options(path, 200, NOTHING),
            get(path + "/", 404),
        ),
        RELEASES[v],
    )


def _unknown_paths(v: str) -> Script:
    # v1 without its trailing slash is left out: the front door may answer it (recommended in API section 1.1).
    return Script(
        "unknown paths",
        v,
        (
            get(f"/{v}/nope", 404),
            get(f"/{v}/nope", 404, NOTHING),
            get(f"/{v}/nope", 404, {"Accept": "text/plain"}),
            post(f"/{v}/nope", 404, "{}"),
            head(f"/{v}/nope", 404),
            get(f"/{v}/queues/orders/nope", 404),
            get(f"/{v}/queues/orders/messages/a/b", 404),
            get(f"/{v}/queues/orders/claims/a/b", 404),
            get(f"/{v}/queues/a%2Fb", 404),
            get(f"/{v}//queues", 404),
            get(f"/{v}/Queues", 404),
            get(f"/{v}/queues/orders/", 404),
            get("/nope", 404, NOTHING),
            get("/v3/", 404),
            get("/v1.2/queues", 404),
            get("/V2/queues", 404),
            post("/queues", 404, "{}"),
            delete("/v3/queues/orders", 404),
        ),
        RELEASES[v],
    )


def _operator_routes(v: str) -> Script:
    return Script(
        "operator routes",
        v,
        (
            get(f"/{v}/pools", 404),
            get(f"/{v}/pools?limit=bad", 404, NOTHING),
            get(f"/{v}/%70ools", 404),
            put(f"/{v}/pools/one", 404, '{"weight": 1, "uri": "mongodb://127.0.0.1"}'),
            patch(f"/{v}/pools/one", 404, '{"weight": 2}'),
            delete(f"/{v}/pools/one", 404),
            get(f"/{v}/flavors", 404),
            put(f"/{v}/flavors/fast", 404, '{"pool_list": ["one"]}'),
            *((get(f"/{v}/health", 404), head(f"/{v}/health", 404)) if v != "v1" else ()),
        ),
        RELEASES[v],
    )


def _header_checks(v: str) -> Script:
    """The order of API section 1.2, on a route with a queue: form type, Accept, Client-ID, project, name."""
    queue = f"/{v}/queues/orders"
    required = 201 if v == "v1" else 400
    no_read = 204 if v == "v1" else 400
    return Script(
        "header checks",
        v,
        (
            put(queue, required, headers=NO_CLIENT),
            get(f"{queue}/messages?echo=true", 400, NO_CLIENT),
            get(f"{queue}/messages?echo=true", no_read, NO_PROJECT),
            get(f"{queue}/messages", 400, {"Client-ID": ""}),
            get(f"{queue}/messages", 400, {"Client-ID": "1234"}),
            get(f"{queue}/messages", 400, {"Client-ID": "aa2-bb3"}),
            get(f"{queue}/messages", 400, {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734"}),
            get(f"{queue}/messages", 400, {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734cc"}),
            get(f"{queue}/messages", 204 if v == "v1" else 200, {"Client-ID": "3381AF922B9E11E3B19171861300734C"}),
            get(
                f"{queue}/messages",
                204 if v == "v1" else 200,
                {"Client-ID": "{3381af92-2b9e-11e3-b191-71861300734c}"},
            ),
            get(
                f"{queue}/messages",
                204 if v == "v1" else 200,
                {"Client-ID": "urn:uuid:3381af92-2b9e-11e3-b191-71861300734c"},
            ),
            delete(queue, 400, headers={"Client-ID": "1234"}),
            delete(queue, 400, headers={"X-Project-Id": ""}),
            delete(queue, 406, headers={"Accept": "plain/text"}),
            put(queue, 406, headers={"Accept": "plain/text"}),
            put(queue, 406, headers={"Accept": "application/xml"}),
            put(queue, 400, "{}", FORM),
            put(queue, 400, "{}", {**FORM, "Accept": "text/plain", "Client-ID": "1234"}),
            put(queue, 406, headers={"Accept": "text/plain", "Client-ID": "1234", "X-Project-Id": ""}),
            put(queue, 400, headers={"Client-ID": "1234", "X-Project-Id": ""}),
            put(f"/{v}/queues/bad%20name", 400, headers={"X-Project-Id": ""}),
            put(queue, 204 if v == "v1" else 201, headers={"Content-Type": "text/plain", "Accept": ""}),
            put(queue, 204, headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}),
            put(queue, 204, headers={"Accept": "text/html, application/*;q=0.1"}),
            put(queue, 204, headers={"Accept": "*/*", "User-Agent": "", "Cookie": "a=b", "X-Other": "1, 2"}),
            put(queue, 400, headers={"X-Project-Id": "p" * 257}),
            put(queue, 201, headers={"X-Project-Id": "${project} with space"}),
            delete(queue, 204, headers={"X-Project-Id": "${project} with space"}),
            post(queue, 405, "{}"),
            post(queue, 405 if v == "v1" else 400, "{}", NO_CLIENT),
            delete(f"/{v}/queues", 405),
            head(f"/{v}/queues", 405),
            options(queue, 200),
            options(queue, 200, NOTHING),
            options(f"/{v}/queues", 200),
        ),
        RELEASES[v],
    )


def _names(v: str) -> Script:
    created = 201
    return Script(
        "queue names",
        v,
        (
            put(f"/{v}/queues/TESTqueue", created),
            put(f"/{v}/queues/hyphen-name", created),
            put(f"/{v}/queues/_undersore", created),
            put(f"/{v}/queues/with.dot", created),
            put(f"/{v}/queues/-.-", created),
            put(f"/{v}/queues/{'i' * 64}", created),
            put(f"/{v}/queues/%6Frders", created),
            put(f"/{v}/queues/orders", 204),
            get(f"/{v}/queues/%6F%72ders/stats", 200),
            put(f"/{v}/queues/{'i' * 65}", 400),
            put(f"/{v}/queues/@$@^qw", 400),
            put(f"/{v}/queues/a%20b", 400),
            put(f"/{v}/queues/a+b", 400),
            put(f"/{v}/queues/a%0Ab", 400),
            put(f"/{v}/queues/%E6%BC%A2%E5%AD%97", 400),
            put(f"/{v}/queues/a%FFb", 400),
            put(f"/{v}/queues/a%zz", 400),
            put(f"/{v}/queues/~tilde", 400),
            put(f"/{v}/queues/", 400),
            get(f"/{v}/queues/", 400),
            delete(f"/{v}/queues/a%20b", 400),
            get(f"/{v}/queues/a%20b", 400),
            get(f"/{v}/queues/a%20b/stats", 400),
            get(f"/{v}/queues/a%20b/messages", 400),
            post(f"/{v}/queues/a%20b/messages", 400, "[]"),
            delete(f"/{v}/queues/a%20b/messages?ids=a", 400),
            get(f"/{v}/queues/a%20b/messages/b", 400),
            delete(f"/{v}/queues/a%20b/messages/b", 400),
            post(f"/{v}/queues/a%20b/claims", 400, '{"ttl": 60, "grace": 60}'),
            get(f"/{v}/queues/a%20b/claims/c", 400),
            patch(f"/{v}/queues/a%20b/claims/c", 400, '{"ttl": 60}'),
            delete(f"/{v}/queues/a%20b/claims/c", 400),
        ),
        RELEASES[v],
    )


SCRIPTS = (
    _version_document(),
    *(
        script(v)
        for script in (_home, _liveness, _unknown_paths, _operator_routes, _header_checks, _names)
        for v in VERSIONS
    ),
)
