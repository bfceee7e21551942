"""The answers of a node with a full disk, and with files that are locked, damaged, gone or read-only.

Each time writes are 503 with Retry-After, and the log has the file and the reason. Once the cause is gone, acknowledged
messages are there, without a restart.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from partition.serving.cli import Exit, main
from tests.servers.marconi import MarconiProxy, marconi_proxy
from tests.servers.partition import PartitionNode, start_partition
from tests.wire.conftest import logged
from tests.wire.script import CLIENT

MESSAGES = "/v2/queues/orders/messages"
HEADERS = {"Client-ID": CLIENT, "X-Project-Id": "p"}
LARGE = "x" * 20_000
OPENED = "the storage is open"


@dataclass
class Client:
    """Posts through ``url``, and remembers the bodies that were acknowledged."""

    url: str
    acknowledged: list[str] = field(default_factory=list)
    _count: int = 0

    def ask(self, method: str, path: str, document: object = None) -> httpx.Response:
        # To load certificates, which are not used, would take longer than the request.
        return httpx.request(method, self.url + path, headers=HEADERS, json=document, timeout=30, verify=False)

    def post(self, text: str = "small") -> httpx.Response:
        self._count += 1
        body = f"{self._count} {text}"
        answer = self.ask("POST", MESSAGES, {"messages": [{"ttl": 3600, "body": body}]})
        if answer.status_code == 201:
            self.acknowledged.append(body)
        return answer

    def stored(self) -> list[str]:
        """The bodies of all messages there are."""
        found: list[str] = []
        path = f"{MESSAGES}?limit=20&echo=true&include_claimed=true"
        while True:
            page = self.ask("GET", path).json()
            found += [message["body"] for message in page["messages"]]
            if not page["links"]:
                return found
            path = page["links"][0]["href"]


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["title"] == "Service temporarily unavailable"


def lines_about(node: PartitionNode, path: Path, reason: str) -> int:
    """Return the number of lines of the log with this file and reason."""
    return len(re.findall(rf"ERROR .*storage {re.escape(str(path))}: {reason}", node.process.log.read_text()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "store"
    directory.mkdir()
    return directory / "messages.db"


@contextmanager
def running(path: Path, directory: Path, workers: int = 2, **more: object) -> Iterator[PartitionNode]:
    """Run a node until every worker has opened the store."""
    log = directory / "partition.log"
    before = log.read_text().count(OPENED) if log.exists() else 0
    node = start_partition(f"sqlite:///{path}", directory, workers=workers, **more)
    try:
        with logged(node.process):
            node.process.wait_until(lambda: log.read_text().count(OPENED) == before + workers)
            yield node
    finally:
        node.process.stop()


@pytest.fixture
def node(path: Path, tmp_path: Path) -> Iterator[PartitionNode]:
    with running(path, tmp_path) as node:
        yield node


@pytest.fixture
def client(node: PartitionNode) -> Client:
    client = Client(node.url)
    for _ in range(3):
        assert client.post().status_code == 201
    return client


@pytest.fixture(autouse=True)
def in_order_in_the_end(path: Path) -> Iterator[None]:
    yield
    assert main(["check", "--storage", f"sqlite:///{path}"]) == Exit.DONE


@contextmanager
def no_room(node: PartitionNode, size: int) -> Iterator[None]:
    """Let no file of the workers grow beyond ``size`` bytes. The process that started them may set and undo this."""
    unlimited = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
    for worker in node.process.children:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (size, unlimited[1]))
    try:
        yield
    finally:
        for worker in node.process.children:
            resource.prlimit(worker, resource.RLIMIT_FSIZE, unlimited)


# No room


def test_no_room(client: Client, node: PartitionNode, path: Path) -> None:
    with no_room(node, 500_000):
        for _ in range(100):
            refused = client.post(LARGE)
            if refused.status_code != 201:
                break
        assert_unavailable(refused)
        assert lines_about(node, path, "reading or writing it failed") >= 1
        kept = list(client.acknowledged)
        assert len(kept) > 3
        assert [body for body in client.stored() if body in kept] == kept
    assert client.post(LARGE).status_code == 201
    assert client.post().status_code == 201
    assert [body for body in client.stored() if body in client.acknowledged] == client.acknowledged


def test_a_node_without_room_is_alive_and_not_ready(path: Path, tmp_path: Path) -> None:
    """A small write still succeeds then, within the space that the log has already."""
    with running(path, tmp_path, workers=1) as node:
        client = Client(node.url)
        assert client.ask("GET", "/v1/ready").status_code == 200
        with no_room(node, 500_000):
            assert client.post().status_code == 201
            node.process.wait_until(lambda: client.ask("GET", "/v1/ready").status_code == 503)
            unready = client.ask("GET", "/v1/ready")
            assert unready.headers["retry-after"] == "1"
            assert "no room" in unready.json()["conditions"]["storage"]["reason"]
            assert client.ask("GET", "/v1/health").status_code == 204
        node.process.wait_until(lambda: client.ask("GET", "/v1/ready").status_code == 200)


def test_no_room_for_posts_that_wait_together(client: Client, node: PartitionNode) -> None:
    """Posts at the same time are one commit: those that it was refused with are not there, the others are."""
    refused: set[str] = set()

    def post(number: int) -> None:
        one = Client(node.url, _count=number)
        answer = one.post(LARGE)
        if answer.status_code == 503 and "may have been processed" not in answer.text:
            refused.add(f"{number + 1} {LARGE}")
        else:
            client.acknowledged.extend(one.acknowledged)

    with no_room(node, 1_000_000), ThreadPoolExecutor(16) as pool:
        list(pool.map(post, range(1000, 1100)))
    stored = client.stored()
    assert set(client.acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert refused & set(stored) == set()
    assert len(client.acknowledged) < 103


def test_no_room_seen_from_the_front_door(client: Client, node: PartitionNode, tmp_path: Path) -> None:
    with marconi_proxy(f"sqlite:///{tmp_path / 'catalog.db'}", tmp_path / "door") as door:
        door.run("partition", "register", "own", "--host", node.url)
        outside = Client(door.public_url)
        assert_served(door, outside)
        with no_room(node, 4096):
            refused = outside.post()
            assert_unavailable(refused)
            assert refused.headers["retry-after"] == "2"  # that of the partition
            assert outside.ask("GET", MESSAGES).status_code == 200
        assert outside.post().status_code == 201
        assert outside.stored()[-2:] == outside.acknowledged


def assert_served(door: MarconiProxy, client: Client) -> None:
    """The workers of the front door learn of a partition in their own time."""
    door.public.wait_until(lambda: client.post().status_code == 201)


# A file that another process has locked


def test_a_lock_for_longer_than_anybody_waits(client: Client, node: PartitionNode, path: Path) -> None:
    """As by a careless backup. Reading goes on."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor() as pool:
        refused = pool.submit(client.post)
        assert client.stored() == client.acknowledged
        assert_unavailable(refused.result())
    assert lines_about(node, path, "another process has kept it locked for too long") >= 1
    other.execute("ROLLBACK")
    other.close()
    assert client.post().status_code == 201
    assert client.stored() == client.acknowledged


def test_starting_beside_a_lock(path: Path, tmp_path: Path) -> None:
    """The node logs it once, and starts, because everything can be read."""
    with running(path, tmp_path) as node:
        before = Client(node.url)
        before.post()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with running(path, tmp_path) as node:
        assert lines_about(node, path, "another process has kept it locked for too long") == 1
        client = Client(node.url)
        assert client.stored() == before.acknowledged
        other.execute("ROLLBACK")
        other.close()
        assert client.post().status_code == 201


# A file that is damaged, gone, or another one


def spoilt_by_garbage(path: Path) -> Callable[[], object]:
    good = path.read_bytes()
    path.write_bytes(os.urandom(len(good)))
    return lambda: path.write_bytes(good)


def spoilt_by_truncation(path: Path) -> Callable[[], object]:
    good = path.read_bytes()
    os.truncate(path, 5000)
    return lambda: path.write_bytes(good)


def emptied(path: Path) -> Callable[[], object]:
    good = path.read_bytes()
    os.truncate(path, 0)
    return lambda: path.write_bytes(good)


def moved_away(path: Path) -> Callable[[], object]:
    away = path.rename(path.with_name("away.db"))
    return lambda: away.rename(path)


def moved_with_its_directory(path: Path) -> Callable[[], object]:
    away = path.parent.rename(path.parent.with_name("away"))
    return lambda: away.rename(path.parent)


def settle(path: Path) -> None:
    """Have everything in the file itself, where a test can spoil it and put it back."""
    other = sqlite3.connect(path, isolation_level=None)
    # Beside readers this may need more than one attempt.
    while other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        pass
    other.close()


SPOILING = [
    (spoilt_by_garbage, "it is not a SQLite database"),
    (spoilt_by_truncation, "it is damaged"),
    (emptied, "it is empty"),
    (moved_away, "it is not there any more"),
    (moved_with_its_directory, "there is no directory"),
]


@pytest.mark.parametrize(("spoil", "reason"), SPOILING)
def test_a_file_that_is_spoilt_while_it_is_served(
    client: Client, node: PartitionNode, path: Path, spoil: Callable[[Path], Callable[[], object]], reason: str
) -> None:
    settle(path)
    mend = spoil(path)
    for _ in range(6):  # more than there are workers
        assert_unavailable(client.post())
        assert_unavailable(client.ask("GET", MESSAGES))
    assert lines_about(node, path, reason) >= 1
    mend()
    assert client.post().status_code == 201
    assert client.stored() == client.acknowledged
    assert "Traceback" not in node.process.log.read_text()


def test_a_worker_that_starts_beside_a_damaged_file(client: Client, node: PartitionNode, path: Path) -> None:
    """It answers 503 like the others, and does not take the server with it."""
    settle(path)
    mend = spoilt_by_garbage(path)
    opened = node.process.log.read_text().count(OPENED)
    old = set(node.process.children)
    for worker in old:
        os.kill(worker, signal.SIGKILL)
    # Both new workers have not only started, but logged it.
    node.process.wait_until(lambda: lines_about(node, path, "it is not a SQLite database") == 2)
    assert set(node.process.children) & old == set()
    assert_unavailable(client.post())
    assert_unavailable(client.ask("GET", MESSAGES))
    mend()
    node.process.wait_until(lambda: client.post().status_code == 201)
    node.process.wait_until(lambda: node.process.log.read_text().count(OPENED) == opened + 2)
    assert client.stored() == client.acknowledged


# Files that may not be written


def confined(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.servers.confined", *arguments)


def test_a_file_that_may_not_be_written(path: Path, tmp_path: Path) -> None:
    with running(path, tmp_path) as node:
        before = Client(node.url)
        before.post()
    path.chmod(0o444)
    with running(path, tmp_path, launcher=confined()) as node:
        client = Client(node.url)
        assert_unavailable(client.post())
        assert lines_about(node, path, "no permission to write to it") >= 1
        assert client.stored() == before.acknowledged
    for file in path.parent.iterdir():  # what SQLite made beside it has the same permissions
        file.chmod(0o644)
    with running(path, tmp_path, launcher=confined()) as node:
        assert Client(node.url).post().status_code == 201


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: path.parent.chmod(0o555), "no permission to write to it"),
        (lambda path: path.chmod(0o000), "it cannot be opened; is there permission for the file and its directory?"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a directory"),
        (spoilt_by_garbage, "it is not a SQLite database"),
        (spoilt_by_truncation, "it is damaged"),
    ],
)
def test_what_stops_the_start_is_one_sentence(
    command: str, prepare: Callable[[Path], object], reason: str, path: Path, tmp_path: Path
) -> None:
    with running(path, tmp_path, workers=1) as node:
        Client(node.url).post()
    keep = path.read_bytes()
    prepare(path)
    uri = f"sqlite:///{path}"
    more = ("--bind", "127.0.0.1:0") if command == "serve" else ()
    done = subprocess.run(
        confined("-m", "partition", command, "--storage", uri, *more),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == Exit.FAILED
    assert done.stderr.startswith(f"marconi-partition: [storage] uri: storage {path}: {reason}")
    assert (done.stderr.count("\n"), done.stdout) == (1, "")
    path.parent.chmod(0o755)
    if path.is_dir():
        path.rmdir()
    else:
        path.chmod(0o644)
    path.write_bytes(keep)
