"""Real gunicorn, real workers, real sockets: the listener, its limits, its start and its end."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.zaqar import ServerProcess, status_of
from tests.wire.raw_http import exchange

ECHO = str(Path(__file__).with_name("echo_service.py"))
PROXY = str(Path(sys.executable).with_name("marconi-proxy"))
HOST = "127.0.0.1"
SECONDS = 60


class Service:
    """A service in a process of its own, on a port that the kernel chose."""

    def __init__(self, name: str, command: list[str], directory: Path, env: dict[str, str] | None = None) -> None:
        self.process = ServerProcess(name, command, directory / f"{name}.log", env)
        self.process.wait_until(lambda: "listening on" in self.log)
        self.port = int(re.search(r"listening on (?:http://127\.0\.0\.1:)?(\d+)", self.log)[1])
        self.process.wait_until(lambda: status_of(*self.address, "/") > 0)

    @property
    def log(self) -> str:
        return self.process.log.read_text()

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    def get(self, target: str, **headers: str):
        answer = exchange(self.address, "GET", target, headers.items())
        return answer.status, json.loads(answer.body)

    def send(self, *chunks: bytes) -> bytes:
        """Send, and return everything that comes until the server ends the connection."""
        with socket.create_connection(self.address, timeout=SECONDS) as connection:
            for chunk in chunks:
                connection.sendall(chunk)
            return received(connection)

    def ended(self, signal_number: int) -> int:
        """Send a signal to the master; return its status when it and its workers are gone."""
        workers = self.process.children
        os.kill(self.process.pid, signal_number)
        status = self.process._process.wait(SECONDS)
        for pid in workers:
            assert not Path(f"/proc/{pid}").exists(), f"worker {pid} is left over"
        return status


def received(connection: socket.socket) -> bytes:
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def one_answer(connection: socket.socket) -> bytes:
    """One of the echo service's answers, which end with a brace; the connection stays open."""
    data = b""
    while not data.endswith(b"}"):
        chunk = connection.recv(65536)
        assert chunk, data
        data += chunk
    return data


@contextmanager
def running(*arguments, **keywords):
    service = Service(*arguments, **keywords)
    try:
        yield service
    finally:
        service.process.stop()


def echo(directory: Path, *options: str, name: str = "echo"):
    return running(name, [sys.executable, ECHO, *options], directory, env={"PYTHONPATH": os.getcwd()})


def admin(directory: Path, *options: str, env: dict[str, str] | None = None):
    catalog = f"sqlite:///{directory / 'catalog.db'}"
    command = [PROXY, "serve", "admin", "--catalog", catalog, "--bind", f"{HOST}:0", *options]
    return running("admin", command, directory, env=env)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with echo(tmp_path_factory.mktemp("echo"), "public.max_head=2048") as service:
        yield service


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    with echo(tmp_path_factory.mktemp("hasty"), "public.head_timeout=1") as service:
        yield service


def refusal(data: bytes) -> str:
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), data[:200]
    assert b"\r\ncontent-type: application/json\r\n" in head
    assert b"\r\ndate: " in head
    assert b"server:" not in head
    return json.loads(body)["description"]


@pytest.mark.parametrize("target", ["/", "/a%2Fb?", "/a#b", "/?x=%zz&y", "/a//"])
def test_the_target_arrives_as_it_was_sent(service, target):
    status, seen = service.get(target)
    assert (status, seen["target"]) == (200, target)


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET x/ HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00"])
def test_what_is_refused_is_refused_in_json(service, sent):
    assert refusal(service.send(sent))


def test_a_head_too_large_is_refused_however_it_comes(service):
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 3000 + b"\r\n\r\n"
    assert "larger than 2048" in refusal(service.send(head))
    assert "larger than 2048" in refusal(service.send(*(head[i : i + 1] for i in range(len(head)))))
    # Much more than one read takes: the answer must survive that the rest is never looked at.
    assert "larger than 2048" in refusal(service.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 1000000))


def test_a_body_larger_than_any_head_is_none_of_the_limits_business(service):
    answer = exchange(service.address, "POST", "/", [], b"b" * 500000)
    assert json.loads(answer.body)["size"] == 500000


def test_a_head_that_is_late_is_refused(hasty):
    assert "within 1 seconds" in refusal(hasty.send(b"GET / HTTP/1.1\r\nHost: "))


def test_a_silent_connection_is_closed(hasty):
    assert hasty.send() == b""


def test_a_broken_body_is_refused_and_its_application_told(service):
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(service.address, timeout=SECONDS) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # the application reads
        connection.sendall(b"zz\r\n")
        assert refusal(received(connection))
    service.process.wait_until(lambda: "application saw a disconnect" in service.log)


def test_a_connection_too_many_is_answered_503(tmp_path):
    with (
        echo(tmp_path, "public.max_connections=1") as service,
        socket.create_connection(service.address, timeout=SECONDS) as first,
    ):
        first.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
        assert first.recv(100).startswith(b"HTTP/1.1 100 ")  # it is under way, so it makes no room
        assert service.send().startswith(b"HTTP/1.1 503 ")


def test_a_connection_too_many_takes_the_place_of_an_idle_one(tmp_path):
    with (
        echo(tmp_path, "public.max_connections=1") as service,
        socket.create_connection(service.address, timeout=SECONDS) as first,
    ):
        first.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one_answer(first).startswith(b"HTTP/1.1 200 ")
        assert service.get("/")[0] == 200
        assert received(first) == b""


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_requests_finish_and_leaves_nothing(tmp_path, signal_number):
    with echo(tmp_path) as service:
        with (
            socket.create_connection(service.address, timeout=SECONDS) as slow,
            socket.create_connection(service.address, timeout=SECONDS) as busy,
            socket.create_connection(service.address, timeout=SECONDS) as idle,
        ):
            slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            busy.sendall(b"POST /go HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
            idle.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert one_answer(idle)
            os.kill(service.process.pid, signal_number)
            # The idle connection is closed at once; the two that are busy get their answers.
            assert received(idle) == b""
            busy.sendall(b"x")
            assert received(busy).startswith(b"HTTP/1.1 200 ")
            assert received(slow).startswith(b"HTTP/1.1 200 ")
        assert service.ended(signal_number) == 0
        assert "application shut down" in service.log
        assert "Traceback" not in service.log
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(service.address, timeout=SECONDS)


def test_requests_that_never_finish_are_cut_off(tmp_path):
    with echo(tmp_path, "public.graceful_timeout=1") as service:
        with socket.create_connection(service.address, timeout=SECONDS) as slow:
            slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            assert service.get("/a")[0] == 200
            assert service.ended(signal.SIGTERM) == 0
        assert "application shut down" in service.log


def test_workers_of_a_master_that_was_killed_end_by_themselves(tmp_path):
    with echo(tmp_path) as service:
        (worker,) = service.process.children
        os.kill(service.process.pid, signal.SIGKILL)
        service.process._process.wait(SECONDS)
        watched = os.pidfd_open(worker)
        assert select.select([watched], [], [], SECONDS)[0], "the worker is still there"
        os.close(watched)


def test_the_admin_api_serves_and_ends(tmp_path):
    with admin(tmp_path) as service:
        first = service.log.splitlines()[0]
        assert f"admin API listening on http://{HOST}:{service.port}, workers: 1, catalog: sqlite:////" in first
        assert service.get("/v1/health") == (200, {"catalog": {"reachable": True}, "partitions": {}, "members": []})
        status, error = service.get("/v1/tenants/a%2Fb")
        assert (status, error["project"]) == (200, "a/b")
        assert service.ended(signal.SIGTERM) == 0
        assert "Traceback" not in service.log


def test_the_admin_api_with_a_token_from_the_environment(tmp_path):
    with admin(tmp_path, env={"OS_ADMIN__TOKEN": "verysecret"}) as service:
        assert service.get("/v1/health")[0] == 401
        assert service.get("/v1/health", **{"X-Auth-Token": "verysecret"})[0] == 200
        env = os.environ | {
            "MARCONI_PROXY_ADMIN_URL": f"http://{HOST}:{service.port}",
            "MARCONI_PROXY_ADMIN_TOKEN": "verysecret",
        }
        done = subprocess.run([PROXY, "partition", "list", "-f", "json"], env=env, capture_output=True, check=True)
        assert json.loads(done.stdout) == []
        assert "verysecret" not in service.log


def refused_start(*arguments: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [PROXY, *arguments], env=os.environ | env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_an_address_in_use_names_the_option(tmp_path):
    with socket.create_server((HOST, 0)) as taken:
        bind = f"{HOST}:{taken.getsockname()[1]}"
        status, error = refused_start("serve", "admin", "--catalog", f"sqlite:///{tmp_path / 'c.db'}", "--bind", bind)
    assert status == 1
    assert error == f"marconi-proxy: [admin] bind: cannot listen on {bind}: {os.strerror(errno.EADDRINUSE)}\n"


def test_an_address_of_another_machine_names_the_option(tmp_path):
    catalog = f"sqlite:///{tmp_path / 'c.db'}"
    status, error = refused_start("serve", "public", "--catalog", catalog, "--bind", "192.0.2.1:8888")
    assert status == 1
    assert "[public] bind: cannot listen on 192.0.2.1:8888" in error


def test_a_wrong_option_in_the_environment_names_itself(tmp_path):
    status, error = refused_start("serve", "public", "--catalog", "sqlite:////unused", OS_PUBLIC__WORKRES="1")
    assert status == 2
    assert error == (
        "marconi-proxy: environment variable OS_PUBLIC__WORKRES names no option; did you mean OS_PUBLIC__WORKERS?\n"
    )


def test_an_admin_api_for_everybody_needs_a_token(tmp_path):
    status, error = refused_start("serve", "admin", "--catalog", "sqlite:////unused", "--bind", "0.0.0.0:0")
    assert status == 2
    assert "[admin] token" in error
    assert "[admin] allow_unauthenticated" in error


def test_a_catalog_that_was_never_initialised_names_the_command(mongodb_database_uri):
    status, error = refused_start("serve", "public", "--bind", f"{HOST}:0", OS_CATALOG__URI=mongodb_database_uri)
    assert status == 1
    assert f"run: marconi-proxy catalog init --catalog {shlex.quote(mongodb_database_uri)}\n" in error


def test_the_command_for_a_catalog_that_was_never_initialised_shows_no_password(mongodb_database_uri):
    uri = f"{mongodb_database_uri}{'&' if '?' in mongodb_database_uri else '?'}appname=geheim"
    status, error = refused_start("serve", "public", "--bind", f"{HOST}:0", OS_CATALOG__URI=uri)
    assert status == 1
    assert "run: marconi-proxy catalog init, with the same configuration\n" in error
    assert "geheim" not in error
