"""The real mover under real clients: what they got before a move they use after it; and a worker that stands still."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.fake_partition import until
from tests.servers.interpreters import interpreter
from tests.servers.marconi import marconi_proxy
from tests.servers.partition import PartitionNode
from tests.servers.suspension import suspend
from tests.servers.zaqar import PINS, ServerProcess, Zaqar
from tests.wire.conftest import logged
from tests.wire.door import Client, Door, request_headers, unread
from tests.wire.hand import pid_of
from tests.wire.raw_http import Answer, exchange

_EXECUTABLE = Path(sys.executable).with_name("marconi-proxy")
SCRIPT = Path(__file__).with_name("clients") / "zaqar_client_across.py"
# Seconds: a program has some dozen calls, and waits twice for a move.
PATIENCE = 120.0
QUICK = {"moving.linger": 0.5, "moving.back_off": 0.2}
VERSIONS = ("v1", "v1.1", "v2")


class Mover:
    """Orders moves of a front door, which ``process`` carries out, a real mover."""

    def __init__(self, door: Door, process: ServerProcess) -> None:
        self.door = door
        self.process = process

    def order(self, project: str, queue: str, target: str) -> str:
        status, document = self.door.admin("POST", "/v1/moves", {"project": project, "queue": queue, "to": target})
        assert status == 201, document
        (move,) = document["moves"]
        found: str = move["id"]
        return found

    def show(self, move: str) -> dict[str, Any]:
        status, document = self.door.admin("GET", f"/v1/moves/{move}")
        assert status == 200, document
        shown: dict[str, Any] = document
        return shown

    def segments(self, project: str, queue: str) -> list[str]:
        """Return the partitions of a queue's segments."""
        placement = self.door.placement(project, queue)
        assert placement is not None
        return [segment["partition"] for segment in placement["segments"]]

    def until_in(self, move: str, *states: str) -> dict[str, Any]:
        found: dict[str, Any] = until(
            lambda: (shown := self.show(move))["state"] in states and shown, f"move {move} is {' or '.join(states)}"
        )
        return found


@contextmanager
def mover_process(catalog: str, directory: Path, options: Mapping[str, object]) -> Iterator[ServerProcess]:
    """Run a mover, with ``options`` by ``GROUP.NAME``."""
    env = {f"OS_{name.replace('.', '__')}".upper(): str(value) for name, value in options.items()}
    command = (str(_EXECUTABLE), "mover", "--catalog", catalog)
    log = directory / f"mover-{uuid.uuid4().hex[:8]}.log"
    process = ServerProcess("marconi-proxy mover", command, log, env)
    try:
        with logged(process):
            yield process
    finally:
        process.stop()


@contextmanager
def running(
    directory: Path, partitions: Mapping[str, str], catalog: str | None = None, **options: object
) -> Iterator[Mover]:
    """Run a front door over these partitions, and a mover; on SQLite unless a catalog is given."""
    uri = catalog or f"sqlite:///{directory / 'catalog.db'}"
    merged = QUICK | {name.replace("__", "."): value for name, value in options.items()}
    with marconi_proxy(uri, directory, options=merged) as proxy, logged(proxy.public, proxy.admin):
        for name, url in partitions.items():
            proxy.run("partition", "register", name, "--host", url)
        with mover_process(uri, directory, merged) as process:
            yield Mover(Door(proxy), process)


# -- the same program --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mover(
    nodes: Callable[[str, int], PartitionNode], zaqar16: Zaqar, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mover]:
    partitions = {"ours": nodes("sqlite", 0).url, "zaqar": zaqar16.url}
    with running(tmp_path_factory.mktemp("live"), partitions) as mover:
        yield mover


@pytest.fixture(params=["ours to zaqar", "zaqar to ours"])
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    source, _, target = request.param.partition(" to ")
    return source, target


@pytest.mark.parametrize(
    ("pins", "version"), [*(("clients-zaqarclient3", version) for version in VERSIONS), ("clients", "v2")]
)
def test_a_client_program_does_not_notice(version: str, pins: str, way: tuple[str, str], mover: Mover) -> None:
    source, target = way
    project, queue = mover.door.tenant(pinned=source), "orders"
    command = (str(interpreter(PINS / f"{pins}.txt")), str(SCRIPT), version[1:], mover.door.proxy.public_url)
    program = subprocess.Popen(
        (*command, project, queue),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"},
    )
    watchdog = threading.Timer(PATIENCE, program.kill)
    watchdog.start()
    try:
        assert program.stdin is not None
        assert program.stdout is not None

        def go_on() -> None:
            program.stdin.write("\n")
            program.stdin.flush()

        assert program.stdout.readline() == "posted\n", program.stdout.read()
        move = mover.order(project, queue, target)
        mover.until_in(move, "draining")
        go_on()
        assert program.stdout.readline() == "emptied\n", program.stdout.read()
        mover.until_in(move, "done")
        go_on()
        said, _ = program.communicate()
        assert program.returncode == 0, said
        assert "the old bookmark" in json.loads(said)["held"]
    finally:
        watchdog.cancel()
        program.kill()
        program.wait()


# -- hrefs as they are -------------------------------------------------------------------------------------------------


class Queue:
    """One queue as a client of a version uses it, over plain HTTP."""

    def __init__(self, mover: Mover, version: str, project: str) -> None:
        self._door = mover.door
        self._version = version
        self._project = project
        self.path = f"/{version}/queues/orders"

    def ask(self, method: str, href: str, status: int, body: Any = None) -> Any:
        answer = self._door.ask(method, href, self._project, body)
        assert answer.status == status, (method, href, answer)
        return json.loads(answer.body) if answer.body else None

    def post(self, *numbers: int) -> str:
        """Return the Location of what was posted."""
        messages = [{"ttl": 300, "body": number} for number in numbers]
        body = messages if self._version == "v1" else {"messages": messages}
        answer = self._door.ask("POST", f"{self.path}/messages", self._project, body)
        assert answer.status == 201, answer
        location = answer.header("location")
        assert location is not None
        return location

    def list(self, href: str) -> tuple[list[int], str]:
        """Return what is on the page, and where it goes on."""
        document = self.ask("GET", href, 200)
        return [message["body"] for message in document["messages"]], document["links"][0]["href"]

    def many(self, href: str) -> list[int]:
        document = self.ask("GET", href, 200)
        messages = document if self._version == "v1" else document["messages"]
        return sorted(message["body"] for message in messages)

    def claim(self, limit: int) -> tuple[str, list[str], list[int]]:
        """Return (the location of the claim, the hrefs of its messages, their bodies)."""
        body = {"ttl": 300, "grace": 60}
        answer = self._door.ask("POST", f"{self.path}/claims?limit={limit}", self._project, body)
        assert answer.status == 201, answer
        document = json.loads(answer.body)
        messages = document if self._version == "v1" else document["messages"]
        location = answer.header("location")
        assert location is not None
        return location, [message["href"] for message in messages], [message["body"] for message in messages]


@pytest.mark.parametrize("version", VERSIONS)
def test_hrefs_and_markers_are_good_there_and_back_again(version: str, way: tuple[str, str], mover: Mover) -> None:
    """The move is reversed before anything was consumed: the third segment is on the partition of the first."""
    source, target = way
    project = mover.door.tenant(pinned=source)
    queue = Queue(mover, version, project)
    queue.ask("PUT", queue.path, 201)
    old = queue.post(0, 1, 2, 3)
    page, marker = queue.list(f"{queue.path}/messages?echo=true&limit=1&include_claimed=true")
    assert page == [0]
    where, hrefs, claimed = queue.claim(2)
    assert claimed == [0, 1]

    move = mover.order(project, "orders", target)
    mover.until_in(move, "draining")
    there = queue.post(10, 11)
    status, document = mover.door.admin("POST", f"/v1/moves/{move}/reverse")
    assert status == 200, document
    until(lambda: len(mover.segments(project, "orders")) == 3, "writes go back")
    assert mover.segments(project, "orders") == [source, target, source]
    back = queue.post(20, 21)

    everything = ",".join(location.partition("ids=")[2] for location in (old, there, back))
    assert queue.many(f"{queue.path}/messages?ids={everything}") == [0, 1, 2, 3, 10, 11, 20, 21]
    seen = []
    while len(seen) < 7:
        page, marker = queue.list(marker)
        seen += page
    assert seen == [1, 2, 3, 10, 11, 20, 21]
    queue.ask("PATCH", where, 204, {"ttl": 600, "grace": 60})
    assert len(queue.ask("GET", where, 200)["messages"]) == 2
    queue.ask("DELETE", hrefs[0], 204)
    queue.ask("DELETE", hrefs[1].partition("?")[0], 403)
    queue.ask("DELETE", where, 204)
    consumed = []
    while len(consumed) < 7:
        _, hrefs, claimed = queue.claim(10)
        consumed += claimed
        for href in hrefs:
            queue.ask("DELETE", href, 204)
    assert consumed == [1, 2, 3, 10, 11, 20, 21]
    mover.until_in(move, "done")
    assert mover.segments(project, "orders") == [source]
    queue.post(30)
    assert queue.list(marker)[0] == [30]


# -- a worker that stands still ----------------------------------------------------------------------------------------


class Poster:
    """Posts one message after the other as long as the block lasts, and retries refused ones. ``posted``: the
    acknowledged bodies; ``refusals``: the other answers."""

    def __init__(self, client: Client, path: str, project: str) -> None:
        self._client = client
        self._path = path
        self._project = project
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.posted: list[str] = []
        self.refusals: list[Answer] = []

    def post(self, body: str) -> Answer:
        messages = {"messages": [{"ttl": 300, "body": body}]}
        return self._client.ask("POST", self._path, self._project, messages)

    def until_more(self) -> None:
        """Return when one that is posted from now on is acknowledged."""
        # One may be under way.
        enough = len(self.posted) + 2
        until(lambda: len(self.posted) >= enough, "posts go on")

    def _run(self) -> None:
        while not self._over.wait(0.05):
            answer = self.post(f"{len(self.posted)}")
            if answer.status == 201:
                self.posted.append(f"{len(self.posted)}")
            else:
                self.refusals.append(answer)

    def __enter__(self) -> Poster:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_a_frozen_worker_delays_a_move_and_nobody_else(
    nodes: Callable[[str, int], PartitionNode], tmp_path: Path
) -> None:
    north, south = nodes("sqlite", 0), nodes("sqlite", 1)
    queue = f"orders-{uuid.uuid4().hex[:8]}"
    path = f"/v2/queues/{queue}/messages"

    def bodies(node: PartitionNode, backend_name: str = queue) -> list[str]:
        found: list[str] = []
        href = f"/v2/queues/{backend_name}/messages?echo=true&limit=20"
        while True:
            answer = exchange(node.address, "GET", href, request_headers(project, {}).items())
            page = json.loads(answer.body)
            if not page["messages"]:
                return found
            found += [message["body"] for message in page["messages"]]
            href = page["links"][0]["href"]

    partitions = {"north": north.url, "south": south.url}
    options = {"directory__lease": 15.0, "directory__member_interval": 0.5}
    with running(tmp_path, partitions, **options) as mover, ThreadPoolExecutor(1) as thread:
        door = mover.door
        project = door.tenant(pinned="north")
        lively, frozen = door.workers[:2]
        with door.through(lively) as first, door.through(frozen) as second:
            stuck = Poster(second, path, project)
            until(lambda: stuck.post("warm").status == 201, "a worker takes writes")
            warm = bodies(north)
            # By the end of this move the mover knows which members live, so it seals the next one without delay.
            assert second.ask("PUT", "/v2/queues/another", project).status == 201
            mover.until_in(mover.order(project, "another", "south"), "done")
            with Poster(first, path, project) as poster:
                poster.until_more()
                suspend(frozen)
                try:
                    move = mover.order(project, queue, "south")

                    def waits_for() -> set[int]:
                        return {pid_of(name) for name in mover.show(move)["facts"].get("unacknowledged", ())}

                    until(lambda: waits_for() == {frozen}, "a seal is aborted for want of the frozen one only")
                    states = [entry["state"] for entry in mover.show(move)["log"]]
                    assert states[states.index("sealing") + 1] == "armed"
                    poster.until_more()
                    after_the_abort = poster.posted[-1]
                    # The first thing that it does when it runs again is a write, by what it knew.
                    asked = thread.submit(stuck.post, "frozen")
                    until(lambda: unread(door.proxy.public_port), "it has something to do")
                    shown = mover.until_in(move, "draining")
                    # It was not waited for any more, for it was gone: expired under the seal, or before.
                    assert frozen not in {pid_of(name) for name in shown["facts"]["barrier"]["acknowledged"]}
                    assert frozen not in {
                        pid_of(member["id"]) for member in door.admin("GET", "/v1/members")[1]["members"]
                    }
                    poster.until_more()
                    before = bodies(north)
                finally:
                    os.kill(frozen, signal.SIGCONT)
                status = asked.result().status
                until(lambda: stuck.post("thawed").status == 201, "it takes writes again")
                poster.until_more()
                placement = door.placement(project, queue)
                assert placement is not None
                there = placement["segments"][-1]["physical"]
        assert status in (201, 503)
        assert [answer for answer in poster.refusals if b"The request was not processed" not in answer.body] == []
        assert bodies(north) == before
        assert before[: len(warm)] == warm
        assert after_the_abort in before
        after = bodies(south, there)
        assert [body for body in after if not body.isdigit()] == ["frozen"] * (status == 201) + ["thawed"]
        assert before[len(warm) :] + [body for body in after if body.isdigit()] == poster.posted
