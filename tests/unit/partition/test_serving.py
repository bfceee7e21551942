"""Options, the command line, and what the package must not know."""

from __future__ import annotations

import ast
import asyncio
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from partition.api.node import Node
from partition.errors import BadInput, StorageUnavailable, WrongStore
from partition.model.limits import Limits
from partition.model.queue import Epoch, QueueKey
from partition.serving import lifespan as lifespan_module
from partition.serving import options
from partition.serving import readiness as readiness_module
from partition.serving.cli import Exit, main
from partition.serving.lifespan import Worker, sweep_for_ever
from partition.serving.readiness import StorageProbe
from partition.serving.server import open_node
from partition.storage.opening import open_storage
from partition.validation import subscription_body
from serving.asgi import CALL
from serving.readiness import Condition
from tests.unit.partition_api import WholeRequest

ROOT = Path(__file__).parents[3]
STORAGE = {"storage.uri": "sqlite:////tmp/messages.db"}


def imported(path: Path) -> set[str]:
    """The top-level packages that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


MODULES = sorted((ROOT / "partition").rglob("*.py"))


def test_the_partition_stands_alone():
    for path in MODULES:
        assert not imported(path) & {"marconi_proxy", "catalog", "tests"}, path


@pytest.mark.parametrize("package", ["model", "validation"])
def test_pure_packages_do_no_input_or_output(package):
    allowed = set(sys.stdlib_module_names) - {"asyncio", "socket", "sqlite3", "os", "logging", "threading"} | {
        "partition"
    }
    for path in (ROOT / "partition" / package).glob("*.py"):
        assert imported(path) <= allowed, path


@pytest.mark.parametrize("name", ["max_messages_post_size", "max_queue_metadata"])
def test_the_largest_body_fits_the_room_for_bodies(name):
    sizes = {"storage.uri": "sqlite:////x", "server.max_bodies": 2_000_000}
    with pytest.raises(options.OptionError, match=rf"\[server\] max_bodies: is less than \[transport\] {name}"):
        options.load(overrides=sizes | {f"transport.{name}": 2_000_001})
    assert options.load(overrides=sizes | {f"transport.{name}": 2_000_000}).server.max_bodies == 2_000_000


def test_limits_have_the_defaults_of_the_api_but_for_subscribers_to_whom_nothing_is_delivered():
    found = options.limits(options.load(None, STORAGE))
    assert found == replace(Limits(), subscriber_types=())
    for subscriber in ("http://hooks.example/", "mailto:a@example", "nonsense", 7):
        with pytest.raises(BadInput, match="does not deliver to subscribers"):
            subscription_body.new({"subscriber": subscriber}, found)


def test_options_come_from_files_the_environment_and_overrides(tmp_path, monkeypatch):
    file = tmp_path / "a.conf"
    file.write_text(
        "[storage]\nuri = sqlite:////from/file\n[transport]\nmax_claim_ttl = 100\nmax_message_ttl = 61\n"
        "[limits:transport]\nqueue_paging_uplimit = 7\n[server]\nworkers = 2\n[something_else]\na = b\n"
    )
    monkeypatch.setenv("OS_TRANSPORT__MAX_CLAIM_TTL", "200")
    conf = options.load(str(file), {"server.workers": "3", "server.bind": None})
    found = options.limits(conf)
    assert (found.max_claim_ttl, found.max_message_ttl, found.max_queues_per_page) == (200, 61, 7)
    assert (conf.server.workers, conf.storage.uri) == (3, "sqlite:////from/file")


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({}, "[storage] uri"),
        ({"storage.uri": "nosuch://u:secret@h/d"}, "[storage] uri"),
        ({**STORAGE, "server.bind": "here"}, "[server] bind"),
        ({**STORAGE, "server.workers": "0"}, "[server] workers"),
        ({**STORAGE, "transport.max_claim_ttl": "x"}, "[transport] max_claim_ttl"),
    ],
)
def test_wrong_options_are_named(overrides, named):
    with pytest.raises(options.OptionError) as caught:
        options.load(None, overrides)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(options.OptionError):
        options.load("/no/such/file", STORAGE)


async def prepare(uri: str) -> None:
    await (await open_storage(uri)).close()


def test_check_finds_a_store_in_order_and_out_of_order(tmp_path, capsys):
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    assert main(["check", "--storage", uri]) == Exit.FAILED  # and does not make one
    assert f"there is nothing at {uri}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    asyncio.run(prepare(uri))
    assert main(["check", "--storage", uri]) == Exit.DONE
    assert "is in order" in capsys.readouterr().out
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("INSERT INTO tally VALUES (1, 0, 5, 0)")
    connection.close()
    assert main(["check", "--storage", uri]) == Exit.REFUSED
    assert "total of its messages is wrong" in capsys.readouterr().out


def test_reopen_removes_all_marks(tmp_path, capsys):
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    assert main(["reopen", "--storage", uri]) == Exit.FAILED  # and does not make one
    assert list(tmp_path.iterdir()) == []

    async def close_a_queue() -> None:
        storage = await open_storage(uri)
        await storage.fence(QueueKey("p", "orders"), Epoch("life", 7))
        await storage.close()

    asyncio.run(close_a_queue())
    for count in (1, 0):
        assert main(["reopen", "--storage", uri]) == Exit.DONE
        assert f"reopened {count} queues that were closed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["check", "--storage", "nosuch://h"], Exit.USAGE, "no storage driver"),
        (["check", "--storage", "sqlite://relative"], Exit.USAGE, "four slashes"),
        (["serve", "--storage", "sqlite://relative"], Exit.USAGE, "four slashes"),
        (["check", "--storage", "sqlite:////no/such/directory/x.db"], Exit.FAILED, "[storage] uri: there is nothing"),
        (["serve", "--storage", "sqlite:////no/such/directory/x.db"], Exit.FAILED, "[storage] uri: storage /no/such/"),
        (["check", "--storage", "sqlite:////usr"], Exit.FAILED, "storage /usr: it is a directory"),
        (["serve", "--storage", "sqlite:////usr"], Exit.FAILED, "storage /usr: it is a directory"),
        (["serve", "--storage", "sqlite:////tmp/x.db", "--bind", "nowhere"], Exit.USAGE, "[server] bind"),
        (["serve"], Exit.USAGE, "[storage] uri"),
    ],
)
def test_what_the_operator_can_mend_is_one_line(arguments, status, says, capsys):
    assert main(arguments) == status
    printed = capsys.readouterr().err
    assert says in printed
    assert printed.count("\n") == 1


def test_usage():
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == Exit.USAGE


async def test_an_empty_key_is_none(tmp_path):
    """Any client could sign with it."""
    given = {"storage.uri": f"sqlite:///{tmp_path / 'store.db'}", "signed_url.secret_key": ""}
    await prepare(given["storage.uri"])
    node = await open_node(options.load(None, given))
    await node.storage.close()
    assert node.secret is None


async def test_a_worker_makes_no_store(tmp_path):
    """Not even when the one it was started for is moved away: it may be put back."""
    conf = options.load(None, {"storage.uri": f"sqlite:///{tmp_path / 'store.db'}"})
    with pytest.raises(StorageUnavailable, match=r"store\.db: there is no store any more"):
        await open_node(conf)
    assert list(tmp_path.iterdir()) == []


# A worker's life


class Lifespan:
    """The server's side of the ASGI lifespan."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._events: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def receive(self) -> dict[str, str]:
        return await self._events.get()

    async def send(self, message: dict[str, str]) -> None:
        await self.told.put(message)

    async def says(self, event: str) -> str:
        await self._events.put({"type": f"lifespan.{event}"})
        return (await self.told.get())["type"]


async def test_a_worker_opens_and_closes_its_store():
    steps = []

    class Store:
        async def sweep(self):
            steps.append("sweep")
            return False

        async def close(self):
            steps.append("close")

    class OneNode:
        storage = Store()
        clock = staticmethod(lambda: 0)

    async def open_node():
        steps.append("open")
        return OneNode()

    lifespan = Lifespan()
    living = asyncio.create_task(Worker(open_node, 60)({"type": "lifespan"}, lifespan.receive, lifespan.send))
    assert await lifespan.says("startup") == "lifespan.startup.complete"
    await asyncio.sleep(0)
    assert await lifespan.says("shutdown") == "lifespan.shutdown.complete"
    await living
    assert steps == ["open", "sweep", "close"]


async def test_a_worker_stops_though_a_sweep_does_not_notice_it_at_once(monkeypatch):
    monkeypatch.setattr(lifespan_module, "_PAUSE", 0.001)
    sweeping = asyncio.Event()

    class Store:
        async def sweep(self):
            sweeping.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return False  # as a call does that is just then answered

        async def close(self):
            pass

    class OneNode:
        storage = Store()
        clock = staticmethod(lambda: 0)

    async def open_node():
        return OneNode()

    lifespan = Lifespan()
    living = asyncio.create_task(Worker(open_node, 60)({"type": "lifespan"}, lifespan.receive, lifespan.send))
    assert await lifespan.says("startup") == "lifespan.startup.complete"
    await sweeping.wait()
    async with asyncio.timeout(30):
        assert await lifespan.says("shutdown") == "lifespan.shutdown.complete"
    await living


async def test_a_worker_with_a_wrong_store_does_not_start():
    async def open_node():
        raise WrongStore("storage /x: it has schema 9, and this release knows 1")

    lifespan = Lifespan()
    living = asyncio.create_task(Worker(open_node, 60)({"type": "lifespan"}, lifespan.receive, lifespan.send))
    assert await lifespan.says("startup") == "lifespan.startup.failed"
    await living


async def test_a_worker_answers_503_until_its_store_can_be_opened(tmp_path, monkeypatch, caplog):
    """Its master would stop the whole server if it ended instead."""
    monkeypatch.setattr(lifespan_module, "_PAUSE", 0.001)
    mended = asyncio.Event()
    opened = asyncio.Event()

    async def open_node():
        if not mended.is_set():
            raise StorageUnavailable("storage /x: it is damaged")
        storage = await open_storage(f"sqlite:///{tmp_path / 'store.db'}")
        opened.set()
        return Node(storage)

    worker = Worker(open_node, 60)
    lifespan = Lifespan()
    living = asyncio.create_task(worker({"type": "lifespan"}, lifespan.receive, lifespan.send))
    assert await lifespan.says("startup") == "lifespan.startup.complete"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(worker), base_url="http://node") as client:
        assert (await client.get("/v1/health")).status_code == 204
        unready = await client.get("/v1/ready")
        assert (unready.status_code, unready.json()["conditions"]["storage"]["met"]) == (503, False)
        refused = await client.get("/v1/queues")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.json()["title"] == "Service temporarily unavailable"
        assert "storage /x: it is damaged" in caplog.text
        mended.set()
        await opened.wait()
        while (await client.get("/v1/ready")).status_code != 200:
            pass
    assert await lifespan.says("shutdown") == "lifespan.shutdown.complete"
    await living


class Asked:
    """A store that answers probes as the test has it, or not at all."""

    def __init__(self):
        self.pings = 0
        self.failure = None
        self.held = None

    async def ping(self):
        self.pings += 1
        if self.held is not None:
            await self.held.wait()
        if self.failure is not None:
            raise self.failure


async def test_a_store_is_asked_once_for_many_probes(monkeypatch):
    store = Asked()
    probe = StorageProbe(store)
    assert (
        await asyncio.gather(*[probe.condition() for _ in range(9)])
        == [Condition("storage", True, "it takes writes")] * 9
    )
    assert store.pings == 1
    monkeypatch.setattr(readiness_module, "_AGE", 0.0)
    store.failure = StorageUnavailable("storage /x: the disk is full")
    assert await probe.condition() == Condition("storage", False, "storage /x: the disk is full")
    assert store.pings == 2
    await probe.stop()


async def test_a_store_that_does_not_answer_is_not_ready_and_not_asked_again(monkeypatch):
    monkeypatch.setattr(readiness_module, "_PATIENCE", 0.001)
    monkeypatch.setattr(readiness_module, "_AGE", 0.0)
    store = Asked()
    store.held = asyncio.Event()
    probe = StorageProbe(store)
    for _ in range(3):
        assert await probe.condition() == Condition("storage", False, "no answer within 0.001 s")
    assert store.pings == 1
    store.held.set()
    await asyncio.sleep(0)
    assert (await probe.condition()).met
    await probe.stop()


async def test_readiness_takes_no_other_method_and_a_stopping_worker_has_none(tmp_path):
    async def open_node():
        return Node(await open_storage(f"sqlite:///{tmp_path / 'store.db'}"))

    worker = Worker(open_node, 60)
    lifespan = Lifespan()
    living = asyncio.create_task(worker({"type": "lifespan"}, lifespan.receive, lifespan.send))
    assert await lifespan.says("startup") == "lifespan.startup.complete"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(worker), base_url="http://node") as client:
        for version in ("v1", "v1.1", "v2"):
            answer = await client.get(f"/{version}/ready")
            assert (answer.status_code, answer.json()["ready"]) == (200, True)
            assert (await client.head(f"/{version}/ready")).status_code == 200
        assert (await client.post("/v1/ready")).status_code == 405
    sent = []

    async def send(message):
        sent.append(message)

    call = SimpleNamespace(draining=True)
    scope = {"type": "http", "method": "GET", "path": "/v2/ready", "extensions": {CALL: call}}
    await worker(scope, None, send)
    assert sent[0]["status"] == 503
    assert b"stopping" in sent[1]["body"]
    assert await lifespan.says("shutdown") == "lifespan.shutdown.complete"
    await living


async def test_whole_requests_of_clients_go_without_asgi_once_the_store_is_open(tmp_path):
    async def open_node():
        return Node(await open_storage(f"sqlite:///{tmp_path / 'store.db'}"))

    def offered(port: int, target: bytes = b"/v1/queues") -> bool:
        scope = {"method": "GET", "target": target, "headers": [], "server": ("::1", port)}
        request = WholeRequest(scope, b"")
        taken = worker.try_fast_path(request)
        assert taken == (request.work is not None)
        if request.work is not None:
            request.work.close()
        return taken

    worker = Worker(open_node, 60, admin_port=8890)
    assert not offered(8888)
    lifespan = Lifespan()
    living = asyncio.create_task(worker({"type": "lifespan"}, lifespan.receive, lifespan.send))
    assert await lifespan.says("startup") == "lifespan.startup.complete"
    assert offered(8888)
    assert not offered(8890)
    assert not offered(8888, b"/v1/ready")
    assert await lifespan.says("shutdown") == "lifespan.shutdown.complete"
    await living


async def test_a_worker_stops_while_its_store_cannot_be_opened():
    async def open_node():
        raise StorageUnavailable("storage /x: it is damaged")

    lifespan = Lifespan()
    living = asyncio.create_task(Worker(open_node, 60)({"type": "lifespan"}, lifespan.receive, lifespan.send))
    assert await lifespan.says("startup") == "lifespan.startup.complete"
    assert await lifespan.says("shutdown") == "lifespan.shutdown.complete"
    await living


async def test_the_sweep_goes_on_after_a_failure_and_logs_it_once(caplog):
    class Store:
        left = 6

        async def sweep(self):
            self.left -= 1
            if self.left in (4, 3):
                raise StorageUnavailable("storage /x: the disk is full")
            if self.left == 0:
                raise asyncio.CancelledError
            return True

    with pytest.raises(asyncio.CancelledError):
        await sweep_for_ever(Store(), 0.001)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("command", ["serve", "check", "reopen"])
def test_commands_help_with_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert not ended.value.code
    assert f"marconi-partition {command} " in capsys.readouterr().out.partition("Examples:")[2]
