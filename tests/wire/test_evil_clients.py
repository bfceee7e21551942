"""Evil clients against both servers, over raw sockets: the front door, and marconi-partition."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.servers.fake_partition import FakePartition, raw_answer, until
from tests.servers.marconi import marconi_proxy
from tests.servers.partition import start_partition
from tests.servers.zaqar import ServerProcess
from tests.wire.conftest import logged
from tests.wire.door import Door
from tests.wire.evil.cases import CASES, PING, PROJECT, Case
from tests.wire.evil.client import answers, connect, talk
from tests.wire.raw_http import Answer, BadAnswer, exchange

# How many clients talk at a time.
CLIENTS = 16
KINDS = ["front door", "marconi-partition"]
# Paths of the queues in the table whose names a partition refuses.
_NO_NAME = r"/v1/queues/(?!(?:q|a|b|%71)\Z).+"


@dataclass(frozen=True)
class Server:
    """One of the two, and the partition's host behind it, if it is the front door."""

    address: tuple[str, int]
    process: ServerProcess
    behind: FakePartition | None

    def queues(self, project: str) -> list[str]:
        """Return the queues of a project, by name."""
        answer = exchange(self.address, "GET", "/v1/queues?limit=20", [("X-Project-Id", project)])
        return [queue["name"] for queue in json.loads(answer.body)["queues"]] if answer.body else []

    def seen(self, project: str) -> list[str] | None:
        """Return the request lines that have come to the partition; None if this is the partition."""
        return self.behind and [f"{call.method} {call.target}" for call in self.behind.of(project)]

    def serves(self) -> bool:
        """Return whether another client is served."""
        return exchange(self.address, "GET", "/v1/health", []).status == 204


@contextmanager
def running(directory: Path, drain_time: float = 0.0, **options: str) -> Iterator[dict[str, Server]]:
    """Run both servers with one worker each, with these ``options``, by their names in the environment."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in options.items():
            patch.setenv(f"OS_{name}", value)
        node = start_partition(f"sqlite:///{directory / 'messages.db'}", directory, drain_time=drain_time)
        stack.callback(node.process.stop)
        catalog = f"sqlite:///{directory / 'catalog.db'}"
        drain = {"public.drain_time": drain_time}
        proxy = stack.enter_context(marconi_proxy(catalog, directory, workers=1, options=drain))
        stack.enter_context(logged(node.process, proxy.public))
        for process in (node.process, proxy.public, proxy.admin):
            stack.callback(process.kill)  # SIGTERM would drain first
        host = stack.enter_context(FakePartition())
        stack.enter_context(host.script("PUT", _NO_NAME, raw_answer(400, [("content-length", "0")])))
        door = Door(proxy)
        door.tell_all(door.register(host.url), host)
        yield {
            "front door": Server(proxy.public_address, proxy.public, host),
            "marconi-partition": Server(node.address, node.process, None),
        }


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    with running(tmp_path_factory.mktemp("patient")) as servers:
        yield servers


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    return servers[request.param]


# -- the table ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case."""

    answers: tuple[Answer, ...]
    queues: list[str]
    seen: list[str] | None
    others_are_served: bool

    @property
    def statuses(self) -> tuple[int, ...]:
        return tuple(answer.status for answer in self.answers)


def play(server: Server, case: Case, number: int) -> Outcome | Exception:
    """Send a case and the end of the input. Look what it has done, and whether another client is served."""
    project = f"evil-{number:016d}"
    assert len(project) == len(PROJECT)
    sent = (case.sent + (PING if case.whole else b"")).replace(PROJECT, project.encode())
    try:
        received = answers(talk(server.address, sent), bodiless=case.bodiless)
        return Outcome(received, server.queues(project), server.seen(project), server.serves())
    except (OSError, BadAnswer, ValueError) as failure:
        return failure


@pytest.fixture(scope="module")
def outcomes(servers: dict[str, Server]) -> dict[tuple[str, str], Outcome | Exception]:
    """Play every case at every server, many at a time."""
    found = {}
    with ThreadPoolExecutor(CLIENTS) as clients:
        for kind, server in servers.items():
            played = clients.map(partial(play, server), CASES, itertools.count())
            found |= {(kind, case.name): outcome for case, outcome in zip(CASES, played, strict=True)}
    return found


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", KINDS)
def test_case(outcomes: dict[tuple[str, str], Outcome | Exception], kind: str, case: Case) -> None:
    outcome = outcomes[kind, case.name]
    if isinstance(outcome, Exception):
        raise outcome
    is_node = kind == "marconi-partition"
    statuses = case.node_statuses if is_node and case.node_statuses is not None else case.statuses
    expected = [(*statuses, 204) if case.kept else statuses]
    queues = [list(case.queues)]
    if is_node and b"/queues/early" in case.sent:
        before = (201,) * len(case.queues)
        expected += [before, (*before, 201)]
        queues.append([*case.queues, "early"])
    assert outcome.statuses in expected
    assert outcome.queues in [sorted(names) for names in queues]
    assert outcome.others_are_served
    if not is_node:
        seen = [f"PUT /v1/queues/{queue}" for queue in case.queues] if case.seen is None else list(case.seen)
        assert outcome.seen == seen
    if not case.kept and outcome.answers and outcome.answers[-1].status >= 400:
        refusal = outcome.answers[-1]
        assert (refusal.header("content-type"), refusal.header("connection")) == ("application/json", "close")
        assert json.loads(refusal.body).keys() == {"title", "description"}


# -- clients that wait, leave or do not read ---------------------------------------------------------------------------

USUAL = b"Host: x\r\nClient-ID: 3381af92-2b9e-11e3-b191-71861300734c\r\nX-Project-Id: %b\r\n"
BODY = b'{"messages": [{"body": 1}]}'


def post(project: str, *headers: bytes) -> bytes:
    """Return the head of a post of ``BODY``, which both servers read before they do anything."""
    lines = b"".join(header + b"\r\n" for header in (b"Content-Length: %d" % len(BODY), *headers))
    return b"POST /v2/queues/q/messages HTTP/1.1\r\n" + USUAL % project.encode() + lines + b"\r\n"


def everything(connection: socket.socket) -> bytes:
    """Return what comes until the server ends the connection."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    return received


def test_a_client_that_asks_first_is_asked_for_its_body(server: Server) -> None:
    with connect(server.address) as connection:
        connection.sendall(post("asks-first", b"Expect: 100-continue", b"Connection: close"))
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert everything(connection).startswith(b"HTTP/1.1 201 ")


def test_a_client_of_http_1_0_is_not_asked(server: Server) -> None:
    with connect(server.address) as connection:
        connection.sendall(post("old", b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert server.serves()
        connection.sendall(BODY)
        assert everything(connection).startswith(b"HTTP/1.1 201 ")


ABORTED = {
    "nothing": b"",
    "a letter": b"P",
    "half a head": post("aborts")[:-2],
    "a head": post("aborts"),
    "half a body": post("aborts") + BODY[:9],
    "a request": post("aborts") + BODY,
    "a refused request": b"\x00",
    "a pipeline": (post("aborts") + BODY) * 20,
}


@pytest.mark.parametrize("sent", ABORTED.values(), ids=ABORTED)
def test_a_client_that_aborts_is_no_fault(server: Server, sent: bytes) -> None:
    for _ in range(5):
        with connect(server.address) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(sent)
    assert server.serves()


def test_clients_that_do_not_read_hold_little_memory(server: Server) -> None:
    """A pipeline costs no more than its bytes, and its answers wait for the client."""
    (worker,) = server.process.children
    before = resident(worker)
    clients = [connect(server.address) for _ in range(100)]
    for client in clients:
        client.setblocking(False)
        with suppress(BlockingIOError):
            while client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000):
                pass
    assert server.serves()
    assert resident(worker) - before < 60_000_000
    for client in clients:
        client.close()


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -- clients that are slow ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    public = ("HEAD_TIMEOUT", "BODY_TIMEOUT", "SEND_TIMEOUT", "KEEPALIVE")
    options = {f"PUBLIC__{name}": "1" for name in public} | {"SERVER__REQUEST_TIMEOUT": "1", "SERVER__KEEPALIVE": "1"}
    with running(tmp_path_factory.mktemp("impatient"), **options) as servers:
        yield servers


CHUNKED_POST = post("slow").replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")
# The bytes that come at once, those that come one by one, and the statuses.
SLOW = {
    "nothing": (b"", b"", ()),
    "empty lines": (b"", b"\r\n" * 100, (400,)),
    "a request line": (b"", b"GET /" + b"x" * 100, (400,)),
    "a head": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"A: " + b"x" * 100, (400,)),
    "half a head": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"", (400,)),
    "no body": (post("slow"), b"", (400,)),
    "a body": (post("slow"), BODY[:-1], (400,)),
    "half a body": (post("slow") + BODY[:9], b"", (400,)),
    "a chunk size": (CHUNKED_POST, b"0" * 100, (400,)),
    "a chunk": (CHUNKED_POST + b"1b\r\n", BODY[:-1], (400,)),
    "an extension": (CHUNKED_POST + b"1b;", b"x" * 100, (400,)),
    "trailers": (CHUNKED_POST + b"0\r\n", b"A: b\r\n" * 20, (400,)),
    "nothing after an answer": (PING, b"", (204,)),
    "a second line": (PING, b"GET /" + b"x" * 100, (204, 400)),
    "a second body": (PING + post("slow"), BODY[:-1], (204, 400)),
}


def dribble(address: tuple[str, int], at_once: bytes, slowly: bytes) -> tuple[int, ...]:
    """Send some bytes at once and others slowly; return the statuses that came until the connection ended."""
    received = b""
    with connect(address) as connection:
        connection.sendall(at_once)
        for byte in slowly:
            if select.select([connection], [], [], 0.1)[0]:
                piece = connection.recv(1 << 16)
                received += piece
                if not piece:
                    break
            # The server may have ended the connection since.
            with suppress(ConnectionError):
                connection.sendall(bytes([byte]))
        with suppress(ConnectionResetError):
            received += everything(connection)
    return tuple(answer.status for answer in answers(received))


def test_slow_clients_are_refused_and_hold_up_no_other(impatient: dict[str, Server]) -> None:
    with ThreadPoolExecutor(2 * len(SLOW)) as clients:
        found = {
            (kind, name): clients.submit(dribble, server.address, at_once, slowly)
            for kind, server in impatient.items()
            for name, (at_once, slowly, _) in SLOW.items()
        }
        for server in impatient.values():
            assert server.serves()
    statuses = {key: future.result() for key, future in found.items()}
    assert statuses == {(kind, name): expected for kind in impatient for name, (_, _, expected) in SLOW.items()}
    assert impatient["front door"].queues("slow") == []
    assert impatient["front door"].seen("slow") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_reads_nothing_is_aborted(impatient: dict[str, Server], kind: str) -> None:
    server = impatient[kind]
    with connect(server.address, receive_buffer=4096) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000_000)
    assert server.serves()


# -- a stop ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_drain_answers_each_client_once_more(drained: dict[str, Server], kind: str) -> None:
    server = drained[kind]
    with connect(server.address) as kept:
        kept.sendall(PING)
        assert kept.recv(1 << 16).startswith(b"HTTP/1.1 204 ")
        server.process.signal(signal.SIGTERM)
        until(lambda: is_last(talk(server.address, PING)), "the drain has begun")
        (unready,) = answers(talk(server.address, b"GET /v1/ready HTTP/1.1\r\nHost: h\r\n\r\n"))
        assert unready.status == 503
        assert not json.loads(unready.body)["conditions"]["accepting"]["met"]
        # The one that was idle, and new ones, have the answer that tells them to go elsewhere.
        kept.sendall(PING + PING)
        received = everything(kept)
        assert is_last(received)
        assert len(answers(received)) == 1
    server.process.signal(signal.SIGINT)
    assert server.process.ended() == 0


def is_last(received: bytes) -> bool:
    return answers(received)[-1].header("connection") == "close"


@pytest.fixture(scope="module")
def drained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    with running(tmp_path_factory.mktemp("drained"), drain_time=600.0) as servers:
        yield servers


# -- afterwards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["servers", "impatient", "drained"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_client_was_a_fault_of_the_server(request: pytest.FixtureRequest, kind: str, fixture: str) -> None:
    """All that the tests above have left in the logs; they stand in this order."""
    log = request.getfixturevalue(fixture)[kind].process.log.read_text()
    assert log
    assert [line for line in log.splitlines() if " ERROR " in line or "Traceback" in line] == []
