"""nginx and HAProxy in front of the front door: what each breaks by default, and that our configuration breaks nothing.

``CASES`` is the table in the operator guide.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.servers.balancer import KINDS, balancer
from tests.servers.fake_partition import FakePartition, raw_answer
from tests.servers.marconi import marconi_proxy
from tests.servers.mongod import free_port
from tests.wire.conftest import logged
from tests.wire.door import Door
from tests.wire.evil.client import PATIENCE, answers, connect
from tests.wire.raw_http import Answer

PROJECT = "balanced"
# The address of the client, another one than that of the balancers.
CLIENT = "127.0.0.9"


class Case(NamedTuple):
    """``sent`` has the same effect through a balancer as without, but for those ``broken_by`` that have their defaults.

    ``name``: as the operator guide has it. ``leaves``: the client ends its side of the connection before there is an
    answer. ``readable``: else the balancer answers itself, in its own words.
    """

    name: str
    sent: bytes
    broken_by: tuple[str, ...] = ()
    leaves: bool = False
    readable: bool = True


def _request(line: str, *headers: str, body: bytes = b"", version: str = "HTTP/1.1") -> bytes:
    lines = [f"{line} {version}", "Host: x", f"X-Project-Id: {PROJECT}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def _post(*headers: str, body: bytes, **more: Any) -> bytes:
    return _request("POST /v1/queues/q/messages", *headers, body=body, **more)


_MILLION = 1 << 20
CASES = [
    Case("a body of [public] max_body", _post(f"Content-Length: {_MILLION}", body=b"x" * _MILLION)),
    Case("a larger body", _post(f"Content-Length: {_MILLION + 1}", body=b"x" * (_MILLION + 1)), ("nginx",)),
    Case("a request line of 20,000 bytes", _request("GET /v1/queues/q/messages?ids=" + "a" * 20_000), KINDS),
    Case("a header of 20,000 bytes", _request("GET /v1/queues/q", "X-Auth-Token: " + "a" * 20_000), KINDS),
    Case("200 headers", _request("GET /v1/queues/q", *["A: b"] * 200), ("haproxy",)),
    Case("a client that ends its side and waits", _request("GET /v1/queues/q/stats"), ("nginx",), leaves=True),
    Case("a chunked body", _post("Transfer-Encoding: chunked", body=b"2\r\n[]\r\n0\r\n\r\n")),
    Case("a body after 100 Continue", _post("Content-Length: 2", "Expect: 100-continue", body=b"[]")),
    Case(
        "Upgrade: h2c with a body", _post("Content-Length: 2", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", body=b"[]")
    ),
    Case("escapes in the path and the query", _request("GET /v1/queues/q/messages/a%2Fb%20c?x=%2F&y=a+b")),
    Case("an escaped name", _request("GET /v1/queues/%71")),
    Case("a client of HTTP/1.0", _request("GET /v1/queues/q", version="HTTP/1.0")),
    Case("a header with an underscore", _request("GET /v1/queues/q", "X_Project_Id: other")),
    Case("two Content-Length headers", _post("Content-Length: 2", "Content-Length: 3", body=b"[]"), readable=False),
    Case("a header that is none", _request("GET /v1/queues/q", "A B: c"), readable=False),
    Case("a refusal of the front door", _request("GET /v1/queues/q", "X-Project-Id: other")),
    Case("a path with two dots", _request("GET /v1/queues/../queues/q")),
]


class Effect(NamedTuple):
    """The effects of a request on client and partition. ``is_json``: of the answer's body. ``client``: its address."""

    status: int
    is_json: bool
    seen: list[tuple[str, str, bytes]]
    client: list[str]


class Stage(NamedTuple):
    """``addresses``: of the balancers by (kind, whether with our configuration), and of the front door by None."""

    addresses: dict[tuple[str, bool] | None, tuple[str, int]]
    host: FakePartition


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("balancers")
    with ExitStack() as stack:
        options = {"public.trust_forwarded_for": True}
        catalog = f"sqlite:///{directory / 'catalog.db'}"
        proxy = stack.enter_context(marconi_proxy(catalog, directory, workers=1, options=options))
        stack.enter_context(logged(proxy.public))
        host = stack.enter_context(FakePartition())
        door = Door(proxy)
        door.tell_all(door.register(host.url), host)
        assert door.ask("PUT", "/v1/queues/q", PROJECT).status == 201
        answer = raw_answer(200, [("content-length", "2"), ("content-type", "application/json")], b"{}")
        stack.enter_context(host.script("GET|POST", r"/v1/queues/(q|%71).*", answer))
        addresses: dict[tuple[str, bool] | None, tuple[str, int]] = {None: proxy.public_address}
        for kind in KINDS:
            for shipped in (False, True):
                name = directory / f"{kind}-{shipped}"
                running = balancer(kind, name, proxy.public_port, shipped=shipped)
                addresses[kind, shipped] = stack.enter_context(running)
        yield Stage(addresses, host)


def _exchange(address: tuple[str, int], sent: bytes, go_on: Callable[[socket.socket], None] | None = None) -> Answer:
    """Send a request from CLIENT, and call ``go_on``; return the answer."""
    with socket.create_connection(address, timeout=PATIENCE, source_address=(CLIENT, 0)) as connection:
        connection.sendall(sent)
        if go_on is not None:
            go_on(connection)
        return _read(connection)


def _read(connection: socket.socket) -> Answer:
    """Return the answer, but for one of 100; one of status 0 if there is none."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    found = [answer for answer in answers(received) if answer.status >= 200]
    return found[0] if found else Answer(0, (), b"")


def _effect(stage: Stage, by: tuple[str, bool] | None, case: Case) -> Effect:
    before = len(stage.host.calls)
    if case.leaves:
        with stage.host.hold("GET", ".*/stats") as held:

            def leave(connection: socket.socket) -> None:
                held.wait()
                connection.shutdown(socket.SHUT_WR)
                if by is None or by[1] or by[0] not in case.broken_by:
                    held.release()  # else the connection must end before there is an answer

            answer = _exchange(stage.addresses[by], case.sent, leave)
    else:
        answer = _exchange(stage.addresses[by], case.sent)
    calls = [call for call in stage.host.calls[before:] if call.project is not None]
    return Effect(
        answer.status,
        not case.readable or _is_json(answer.body),
        [(call.method, call.target, call.body) for call in calls],
        [call.headers["x-forwarded-for"].partition(",")[0] for call in calls],
    )


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", KINDS)
def test_our_configuration_breaks_nothing(stage: Stage, kind: str, case: Case) -> None:
    assert _effect(stage, (kind, True), case) == _effect(stage, None, case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_break_what_the_table_has(stage: Stage, kind: str, case: Case) -> None:
    direct, through = _effect(stage, None, case), _effect(stage, (kind, False), case)
    assert (through._replace(client=direct.client) != direct) is (kind in case.broken_by), (direct, through)
    # By default neither passes on the address of a client.
    assert CLIENT not in through.client


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shipped", [False, True], ids=["defaults", "ours"])
def test_a_front_door_that_is_not_there(tmp_path: Path, kind: str, shipped: bool) -> None:
    with balancer(kind, tmp_path / "balancer", free_port(), shipped=shipped) as address:
        answer = _exchange(address, _request("GET /v1/queues/q"))
    assert answer.status == (503 if shipped or kind == "haproxy" else 502)
    assert (_is_json(answer.body), answer.header("retry-after")) == ((True, "5") if shipped else (False, None))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shipped", [False, True], ids=["defaults", "ours"])
def test_a_front_door_that_breaks_off(tmp_path: Path, kind: str, shipped: bool) -> None:
    """A post is not repeated: it may have been stored."""
    with (
        FakePartition() as host,
        balancer(kind, tmp_path / "balancer", host.port, shipped=shipped) as address,
        host.hold("POST", "/v1/queues/q/messages") as held,
        connect(address) as connection,
    ):
        connection.sendall(_post("Content-Length: 2", body=b"[]"))
        held.wait()
        held.lose()
        answer = _read(connection)
        assert host.count("POST", "/v1/queues/q/messages", PROJECT) == 1
    assert answer.status == (503 if shipped else 502)
    assert _is_json(answer.body) is shipped


@pytest.mark.parametrize(
    ("kind", "shipped", "kept"), [("nginx", False, False), *((kind, True, True) for kind in KINDS)]
)
def test_connections_are_kept(tmp_path: Path, kind: str, shipped: bool, kept: bool) -> None:
    with FakePartition() as host, balancer(kind, tmp_path / "balancer", host.port, shipped=shipped) as address:
        for _ in range(5):
            _exchange(address, _request("GET /v1/queues/kept/stats"))
        calls = [call for call in host.calls if call.path.startswith("/v1/queues/kept")]
        assert len(calls) == 5
        assert (len({call.connection for call in calls}) == 1) is kept


def test_the_operator_guide_has_the_table() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "operator-guide.rst").read_text()
    rows = guide.partition("HAProxy by default\n")[2].partition("\n\n")[0]
    found = re.findall(r"^   \* - (.+)\n     -(?: (breaks): .+)?\n     -(?: (breaks): .+)?$", rows, re.MULTILINE)
    table = {name: tuple(k for k, broken in zip(KINDS, marks, strict=True) if broken) for name, *marks in found}
    assert table == {case.name: case.broken_by for case in CASES}
