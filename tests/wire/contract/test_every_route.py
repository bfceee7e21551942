"""The refusals that all routes share: methods, headers, types, names, unknown paths (API 1.1-1.4)."""

from __future__ import annotations

import pytest

from tests.wire.contract import quirks
from tests.wire.contract.routes import METHODS, ON_EVERY_PATH, Path
from tests.wire.contract.tenant import Reply, Tenant

FORM = "application/x-www-form-urlencoded"
NOT_JSON = ["text/plain", "plain/text", "application/xml", "application/json-home", "application/json;q=0"]
UUID = "3381af92-2b9e-11e3-b191-71861300734c"
NO_UUIDS = ["", "1234", "aa2-bb3", UUID + "0", UUID[:-1], UUID[:-1] + "g"]

every_path = pytest.mark.parametrize(
    ("path", "version"), [pytest.param(path, version, id=f"{version}{path.path}") for path, version in ON_EVERY_PATH]
)
every_named_path = pytest.mark.parametrize(
    ("path", "version"),
    [pytest.param(path, version, id=f"{version}{path.path}") for path, version in ON_EVERY_PATH if path.named],
)


def refused(answer: Reply, method: str, status: int, title: str | None) -> bool:
    """Whether it is this refusal: a JSON object with the title, but no body for HEAD."""
    if answer.status != status:
        return False
    if method == "HEAD":
        return answer.body == b""
    return (answer.header("Content-Type") or "").startswith("application/json") and answer.title == title


@every_path
def test_405_for_methods_that_are_not_served(tenant: Tenant, path: Path) -> None:
    """API section 1.1: with an Allow header, and decided after the header checks."""
    for method in set(METHODS) - set(path.methods):
        answer = tenant.ask(method, path.of(), "{}")
        assert refused(answer, method, 405, "405 Method Not Allowed"), (method, answer)
        assert set((answer.header("Allow") or "").split(", ")) - {"OPTIONS"} == set(path.methods)
        assert tenant.ask(method, path.of(), "{}", {"Client-ID": "1234"}).status == 400


@every_path
def test_400_without_client(tenant: Tenant, version: str, path: Path) -> None:
    """API section 1.2: on every route of v1.1 and v2; in v1 for posting and listing messages."""
    for method in path.methods:
        needed = tenant.late or (path.path == "/queues/{}/messages" and method in ("GET", "POST"))
        answer = tenant.ask(method, path.of(), _body(method), {"Client-ID": None})
        assert refused(answer, method, 400, "Missing header value") is needed, (method, answer)


@every_path
def test_400_for_a_client_that_is_no_uuid(tenant: Tenant, path: Path) -> None:
    """API section 1.2: on any route of any version."""
    for client in NO_UUIDS:
        answer = tenant.ask(path.methods[0], path.of(), _body(path.methods[0]), {"Client-ID": client})
        assert refused(answer, path.methods[0], 400, "Wrong UUID value"), (client, answer)
    for method in path.methods:
        assert refused(
            tenant.ask(method, path.of(), _body(method), {"Client-ID": "x"}), method, 400, "Wrong UUID value"
        )


@every_path
def test_400_without_project(tenant: Tenant, path: Path) -> None:
    """API section 1.2: v1 does without, but none takes an empty one."""
    for method in path.methods:
        missing = tenant.ask(method, path.of(), _body(method), {"X-Project-Id": None})
        assert refused(missing, method, 400, "Project-Id Missing") is tenant.late, (method, missing)
        empty = tenant.ask(method, path.of(), _body(method), {"X-Project-Id": ""})
        assert refused(empty, method, 400, "Empty project header not allowed"), (method, empty)


@every_path
def test_406_for_clients_that_take_no_json(tenant: Tenant, path: Path) -> None:
    """API section 1.2: on every route. The body may be empty."""
    for method in path.methods:
        assert tenant.ask(method, path.of(), _body(method), {"Accept": NOT_JSON[0]}).status == 406
    for accept in NOT_JSON:
        answer = tenant.ask(path.methods[0], path.of(), headers={"Accept": accept})
        assert answer.status == 406, (accept, answer)


@every_path
def test_400_for_forms(tenant: Tenant, path: Path) -> None:
    """API section 1.2: whatever the case, with any Content-Length, even 0; without a body it is harmless."""
    for method in path.methods:
        for body in ("", "a=b"):
            answer = tenant.ask(method, path.of(), body, {"Content-Type": FORM.upper()})
            assert refused(answer, method, 400, "Invalid Content-Type"), (method, answer)
    method = path.methods[0]
    harmless = tenant.ask(method, path.of(), headers={"Content-Type": FORM})
    assert harmless.status < 400 or harmless.title != "Invalid Content-Type"


@every_path
def test_order_of_the_header_checks(tenant: Tenant, path: Path) -> None:
    """API section 1.2: type, accepted types, client, project."""
    method = path.methods[0]
    wrong: dict[str, str | None] = {
        "Content-Type": FORM,
        "Accept": "text/plain",
        "Client-ID": "1234",
        "X-Project-Id": "",
    }
    statuses = []
    for header, good in (("Content-Type", None), ("Accept", None), ("Client-ID", UUID), ("X-Project-Id", "p")):
        answer = tenant.ask(method, path.of(), "", wrong)
        statuses.append(answer.status)
        if header == "Client-ID":
            assert refused(answer, method, 400, "Wrong UUID value"), answer
        wrong[header] = good
    # To a client that takes no JSON, the status is enough.
    assert statuses == [400, 406, 400, 400]


BAD_NAMES = ["i" * 65, "%40%24%40%5Eqw", "%E6%B1%89%E5%AD%97", "a%20b", "a%00b", "a~b", "a%0Ab"]
# Names that the API recommends to refuse, and that the reference takes (API section 1.4).
PASSED_UPSTREAM = ["abc%0A", "%2E", "%2E%2E"]
# The front door has a word of its own for segments that parties on the way read differently.
NAME_REFUSED = ("Invalid queue identification", "Invalid topic identification", "Invalid API request")


@every_named_path
def test_400_for_names(tenant: Tenant, path: Path) -> None:
    """API section 1.4: on every route with a name, whatever the method."""
    for method in path.methods:
        for name in BAD_NAMES if method == path.methods[0] else BAD_NAMES[:1]:
            answer = tenant.ask(method, path.of(name), _body(method))
            assert refused(answer, method, 400, f"Invalid {path.kind} identification"), (method, name, answer)


@every_named_path
def test_400_for_names_that_no_client_could_address(tenant: Tenant, path: Path) -> None:
    """API section 1.4, quirks: a trailing newline, and the two names that are normalised away."""
    method = path.methods[0]
    good = tenant.ask(method, path.of("good"), _body(method)).status
    for name in PASSED_UPSTREAM:
        answer = tenant.ask(method, path.of(name), _body(method))
        if tenant.expected(True, {quirks.ODD_NAMES_PASS: False}):
            assert answer.status == 400
            assert answer.title in NAME_REFUSED
        else:
            assert answer.status == good, (name, answer)


@every_named_path
def test_400_for_a_project_that_is_too_long(tenant: Tenant, path: Path) -> None:
    """API section 1.4: checked on routes that carry a name."""
    for method in path.methods:
        answer = tenant.ask(method, path.of(), _body(method), {"X-Project-Id": "p" * 257})
        assert refused(answer, method, 400, f"Invalid {path.kind} identification"), (method, answer)


UNKNOWN_PATHS = [
    "/nope",
    "/queues/orders/nope",
    "/queues/orders/messages/x/y",
    "/queues/orders/claims/x/messages",
    "/queues/orders/metadata/x",
    "/queues/orders/subscriptions/x/confirm/y",
    "/topics/news/claims",
    "/Queues",
    "/queues/a%2Fb",
    "/shards",
]


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_404_for_unknown_paths_before_any_header_check(tenant: Tenant, path: str) -> None:
    """API section 1.1."""
    for method in METHODS:
        answer = tenant.ask(method, path, _body(method))
        assert refused(answer, method, 404, "404 Not Found"), (method, answer)
    for spoilt in ({"Client-ID": None, "X-Project-Id": None}, {"Client-ID": "1234"}, {"Accept": "text/plain"}):
        assert tenant.ask("GET", path, headers=spoilt).status == 404


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("v1", "/ping"),
        ("v1.1", "/queues/orders/metadata"),
        ("v2", "/queues/orders/metadata"),
        *((old, f"/queues/orders/{part}") for old in ("v1", "v1.1") for part in ("purge", "share", "subscriptions")),
        *((old, "/topics") for old in ("v1", "v1.1")),
    ],
)
def test_404_for_what_another_version_has(tenant: Tenant, path: str) -> None:
    """API section 7."""
    tenant.create("orders")
    for method in METHODS:
        assert tenant.ask(method, path, _body(method)).status == 404


@pytest.mark.parametrize("path", ["/v3", "/v3/queues", "/v0/queues", "/V2/queues", "/v1.10/queues", "/2/queues"])
@pytest.mark.parametrize("version", ["v2"])
def test_404_for_unknown_versions(tenant: Tenant, path: str) -> None:
    assert tenant.follow("GET", path).status == 404


def _body(method: str) -> str | None:
    return "{}" if method in ("PUT", "POST", "PATCH") else None
