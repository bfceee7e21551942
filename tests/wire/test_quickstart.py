"""``marconi-proxy quickstart``: the first use, with every way to end it."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.contract import version_1
from tests.faults.evil_host import unused_port
from tests.servers.fake_partition import Call, FakePartition, raw_answer, until
from tests.servers.mongod import free_port
from tests.servers.zaqar import Zaqar
from tests.wire.door import request_headers
from tests.wire.raw_http import exchange

PROGRAM = str(Path(sys.executable).with_name("marconi-proxy"))
HOST = "127.0.0.1"
SECONDS = 120
QUEUES = {"tour-blue": ("invoices", "orders", "payments"), "tour-green": ("letters", "orders")}
# In the environment of a quickstart, and so of all that it starts.
_MARK = "MARCONI_TEST_QUICKSTART"


class Quickstart:
    """A quickstart under way, with a state directory and ports of its own."""

    def __init__(self, directory: Path, *arguments: str, state: Path | None = None) -> None:
        self.state = state or directory / "state"
        self._mark = uuid.uuid4().hex
        self._out, self._err = directory / "stdout", directory / "stderr"
        self.public, self.admin = free_port(), free_port()
        where = ("--public", f"{HOST}:{self.public}", "--admin", f"{HOST}:{self.admin}")
        env = {**os.environ, "XDG_STATE_HOME": str(self.state), _MARK: self._mark}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                (PROGRAM, "quickstart", *where, *arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def says(self, text: str) -> None:
        """Return when stdout has ``text``. Raises AssertionError if the quickstart ends before."""
        until(lambda: text in self.out or self.process.poll() is not None, f"{text!r} in\n{self.out}\n{self.err}")
        assert text in self.out, f"{self.out}\n{self.err}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment for commands in another terminal."""
        path = f"{Path(PROGRAM).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "MARCONI_PROXY_ADMIN_URL": f"http://{HOST}:{self.admin}"}

    def ended(self) -> int:
        """Return its status, when it has ended."""
        return self.process.wait(SECONDS)

    @property
    def processes(self) -> set[int]:
        """Process ids of it and all that it started, and all that those started."""
        found = set()
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and f"{_MARK}={self._mark}".encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
        return found

    def assert_nothing_left(self) -> None:
        """No process, and both ports are free."""
        assert self.processes == set()
        for port in (self.public, self.admin):
            with socket.create_server((HOST, port)):
                pass


Start = Callable[..., Quickstart]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a quickstart with these arguments; whatever happens, nothing of it survives the test."""
    started: list[Quickstart] = []

    def begin(*arguments: str, state: Path | None = None) -> Quickstart:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        started.append(Quickstart(directory, *arguments, state=state))
        return started[-1]

    yield begin
    for quickstart in started:
        for pid in quickstart.processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        quickstart.process.wait(SECONDS)


@contextmanager
def claims_scripted(partition: FakePartition) -> Iterator[None]:
    """Have a scripted partition answer the tour's claims as a Zaqar would."""
    claimed = [
        {"id": f"{n:024x}", "href": f"/v2/queues/orders/messages?pop={n + 1}", "ttl": 300, "age": 0} for n in range(2)
    ]

    def answer(call: Call) -> bytes:
        messages = [one | {"body": {"number": n, "for": call.project}} for n, one in enumerate(claimed)]
        body = json.dumps({"messages": messages}).encode()
        return raw_answer(201, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)

    with partition.script("POST", ".*/claims", answer):
        yield


def queues_at(address: tuple[str, int]) -> dict[str, list[str]]:
    """Which queues of the tour's tenants a partition has."""
    found = {}
    for tenant in QUEUES:
        answer = exchange(address, "GET", "/v2/queues", request_headers(tenant, {}).items())
        found[tenant] = [entry["name"] for entry in json.loads(answer.body)["queues"]]
    return found


def first_steps(quickstart: Quickstart) -> list[str]:
    """Return the commands of the README for a running quickstart, with the address of this one."""
    text = (Path(__file__).parents[2] / "README.rst").read_text()
    shown = text.partition("\nFirst steps\n")[2].partition("\nMore\n")[0]
    activation, *steps = [line.strip() for line in shown.splitlines() if line.startswith("    ")]
    assert activation == ". .venv/bin/activate"
    assert len(steps) >= 5
    return [step.replace("127.0.0.1:8888", f"{HOST}:{quickstart.public}") for step in steps]


FIGURES = re.compile(
    r"posted (\d+), delivered (\d+), lost (\d+), duplicated (\d+), out of order (\d+), "
    r"longest write pause (\d+) ms as clients felt it; the move held writes for (\d+) ms"
)


def live_move(quickstart: Quickstart) -> tuple[str, str, str]:
    """Check the lines of the tour about the move under traffic; return queue, source and target."""
    said = [line.strip() for line in quickstart.out.splitlines()]
    (began,) = [
        re.fullmatch(r"3 producers of tour-blue post to (\S+) on (\S+), 3 .*", line) for line in said if "3 pr" in line
    ]
    assert began is not None
    queue, source = began.groups()
    (ordered,) = [line for line in said if line.startswith(f"An operator ordered: move start tour-blue {queue} --to ")]
    target = ordered.rpartition(" ")[2]
    assert f"Writes go to {target} now; what is left on {source} is read first" in said
    (figures,) = filter(None, (FIGURES.fullmatch(line) for line in said))
    posted, delivered, lost, duplicated, out_of_order, _, _ = map(int, figures.groups())
    assert posted == delivered >= 100
    assert lost == duplicated == out_of_order == 0
    return queue, source, target


NO_QUEUES: dict[str, list[str]] = {tenant: [] for tenant in QUEUES}


def of(**partitions: FakePartition | Zaqar) -> list[str]:
    return [argument for name, one in partitions.items() for argument in ("--partition", f"{name}={one.url}")]


@pytest.fixture
def staying(start: Start) -> Iterator[tuple[Quickstart, FakePartition]]:
    """A quickstart that has shown its tour and stays up, and its partition."""
    with FakePartition() as partition, working_tour(partition):
        quickstart = start(*of(one=partition))
        quickstart.says("It stays up until Ctrl-C")
        yield quickstart, partition


@contextmanager
def working_tour(partition: FakePartition) -> Iterator[None]:
    """The tour's claimed messages and what is left of them, which a scripted partition knows nothing of."""
    left = json.dumps({"messages": {"free": 3, "claimed": 0, "total": 3}}).encode()
    stats = raw_answer(200, [("Content-Type", "application/json"), ("Content-Length", str(len(left)))], left)
    with (
        claims_scripted(partition),
        partition.script("GET", ".*/stats", stats),
        partition.script("DELETE", ".*/messages", raw_answer(204, [])),
    ):
        yield


def test_the_tour_over_partitions_that_it_starts_itself(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --partition: three nodes of our own; exit 0, nothing left, and their messages are there the next time."""
    # Options of the proxy in the environment are no concern of the partitions.
    monkeypatch.setenv("OS_LOG__LEVEL", "warning")
    quickstart = start()
    quickstart.says("It stays up until Ctrl-C")
    lines = [line.strip() for line in quickstart.out.splitlines()]
    named = [line.split()[1] for line in lines if line.endswith("speaks v1, v1.1, v2")]
    assert named == ["local-1", "local-2", "local-3"]
    places = {line.rpartition(" ")[2] for line in lines if " is on partition " in line}
    assert len(places) > 1
    assert places <= set(named)
    assert "Every step held." in lines
    address = (HOST, quickstart.public)
    headers = [*request_headers("somebody", {}).items(), ("Content-Type", "application/json")]
    posted = exchange(
        address, "POST", "/v2/queues/kept/messages", headers, b'{"messages": [{"ttl": 3600, "body": "there"}]}'
    )
    assert posted.status == 201
    for step in first_steps(quickstart):
        done = subprocess.run(
            ("bash", "-c", step), capture_output=True, text=True, env=quickstart.environment, check=False
        )
        assert done.returncode == 0, f"{step}\n{done.stderr}"
        assert done.stdout
    queue, source, target = live_move(quickstart)
    assert {source, target} < set(named)
    # It is there as long as the quickstart stays: a move like any other.
    moves = json.loads(exchange((HOST, quickstart.admin), "GET", "/v1/moves", []).body)["moves"]
    assert [(move["queue"], move["source"], move["target"]) for move in moves] == [(queue, source, target)]
    quickstart.process.send_signal(signal.SIGINT)
    assert quickstart.ended() == 0, quickstart.err
    quickstart.assert_nothing_left()

    again = start(state=quickstart.state)
    again.says("It stays up until Ctrl-C")
    listed = exchange((HOST, again.public), "GET", "/v2/queues/kept/messages?echo=true", headers)
    assert [message["body"] for message in json.loads(listed.body)["messages"]] == ["there"]
    # The first tour has completed its move, because no later process might.
    moves = json.loads(exchange((HOST, again.admin), "GET", "/v1/moves", []).body)["moves"]
    (first,) = [move for move in moves if move["queue"] == queue]
    assert first["state"] == "queue-deleted"


def test_what_an_earlier_release_kept_is_brought_up_to_date(start: Start, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "marconi-proxy" / "quickstart"
    kept.mkdir(parents=True)
    version_1.make(f"sqlite:///{kept / 'catalog.sqlite'}")
    with FakePartition() as partition:
        quickstart = start(*of(one=partition), state=tmp_path / "kept")
        for old in version_1.PARTITIONS:
            quickstart.says(f"Partition {old.name}, of an earlier quickstart, takes no new queues now")


def test_what_lies_in_the_working_directory_is_not_run(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("partition", "marconi_proxy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    quickstart = start("--exit")
    assert quickstart.ended() == 0, quickstart.err


def test_two_do_not_share_a_state(staying: tuple[Quickstart, FakePartition], start: Start) -> None:
    """A second quickstart over the same state: exit 1, and the message has the remedy. The first goes on."""
    first, partition = staying
    second = start(*of(one=partition), state=first.state)
    assert second.ended() == 1
    assert f"another quickstart keeps its state in {first.state / 'marconi-proxy' / 'quickstart'}" in second.err
    assert "XDG_STATE_HOME" in second.err
    assert first.process.poll() is None


@pytest.mark.parametrize("text", ["one", "=http://127.0.0.1:1", "one=", "one=127.0.0.1:8001"])
def test_a_partition_that_is_none_is_a_usage_error(text: str, start: Start) -> None:
    """Not NAME=URL: exit 2, and the message has the argument and an example."""
    quickstart = start("--partition", text, "--exit")
    assert quickstart.ended() == 2
    assert f"{text!r} is not NAME=URL such as one=http://127.0.0.1:8001" in quickstart.err


def test_the_tour_over_two_zaqars(start: Start, zaqar16: Zaqar, zaqar23: Zaqar) -> None:
    """With two real partitions and --exit: exit 0, the tour's lines are there, queues are deleted, no process left."""
    quickstart = start(*of(sixteen=zaqar16, twentythree=zaqar23), "--exit")
    assert quickstart.ended() == 0, quickstart.err
    lines = [line.strip() for line in quickstart.out.splitlines()]
    assert f"Partition sixteen at {zaqar16.url} speaks v1, v1.1, v2" in lines
    assert f"Partition twentythree at {zaqar23.url} speaks v2" in lines
    placed = {}
    for tenant, queues in QUEUES.items():
        for queue in queues:
            assert f"{tenant} created queue {queue}" in lines
            (where,) = [line for line in lines if line.startswith(f"{tenant}/{queue} is on partition ")]
            placed[tenant, queue] = where.rpartition(" ")[2]
        assert f"{tenant} posted 5 messages to orders" in lines
        assert f"{tenant} claimed the first 2 of orders" in lines
        assert f"{tenant} deleted them with its claim; 3 messages are left" in lines
    for tenant in QUEUES:
        (listed,) = [line for line in lines if line.startswith(f"{tenant} listed its queues")]
        names = sorted(line.rpartition(" ")[2] for line in lines if line.startswith(f"{tenant} created queue "))
        assert listed.endswith(f", page by page: {', '.join(names)}")
        assert tenant != "tour-blue" or " across partitions sixteen and twentythree, " in listed
    assert set(placed.values()) == {"sixteen", "twentythree"}
    # Not the other way: clients may use versions that twentythree does not speak.
    assert live_move(quickstart)[1:] == ("twentythree", "sixteen")
    assert lines[-1] == "Every step held."
    assert quickstart.err == ""
    assert queues_at(zaqar16.address) == queues_at(zaqar23.address) == NO_QUEUES
    quickstart.assert_nothing_left()
    assert (quickstart.state / "marconi-proxy" / "quickstart" / "catalog.sqlite").exists()


def test_with_one_partition_it_is_said_why_no_queue_is_moved(staying: tuple[Quickstart, FakePartition]) -> None:
    quickstart, _ = staying
    assert "  No queue is moved: there is one partition only\n" in quickstart.out


def test_without_a_way_it_is_said_why_no_queue_is_moved(start: Start) -> None:
    """Two partitions, each with a version that the other does not speak: every step before is shown."""
    versions = {"one": ["1", "2"], "two": ["1.1", "2"]}
    with ExitStack() as stack:
        partitions = {}
        for name, ids in versions.items():
            partition = partitions[name] = stack.enter_context(FakePartition())
            stack.enter_context(working_tour(partition))
            body = json.dumps({"versions": [{"id": one} for one in ids]}).encode()
            stack.enter_context(
                partition.script("GET", "/", raw_answer(300, [("Content-Length", str(len(body)))], body))
            )
        quickstart = start(*of(**partitions), "--exit")
        assert quickstart.ended() == 0, quickstart.err
    assert "No queue is moved: no partition speaks all versions of the API that another one speaks" in quickstart.out
    quickstart.assert_nothing_left()


def test_a_message_that_the_tours_consumers_never_see_fails_it(start: Start) -> None:
    """A message is taken by another consumer: the tour reports it as lost. Exit 1, all is cleaned up."""
    quickstart = start("--exit")
    quickstart.says("3 producers of tour-blue post to ")
    queue = quickstart.out.partition("3 producers of tour-blue post to ")[2].split()[0]
    address = (HOST, quickstart.public)
    headers = [*request_headers("tour-blue", {}).items(), ("Content-Type", "application/json")]

    def steal() -> str | None:
        path = f"/v2/queues/{queue}/claims?limit=1"
        claimed = exchange(address, "POST", path, headers, b'{"ttl": 600, "grace": 600}')
        return json.loads(claimed.body)["messages"][0]["href"] if claimed.status == 201 else None

    stolen = until(steal, "a message is there to take")
    assert exchange(address, "DELETE", stolen, headers).status == 204
    assert quickstart.ended() == 1
    assert ", lost 1, duplicated 0, out of order 0" in quickstart.out
    assert f"every message is delivered once and in order while tour-blue/{queue} is moved" in quickstart.err
    assert "Every step held" not in quickstart.out
    quickstart.assert_nothing_left()


def test_ctrl_c_while_a_queue_is_moved_leaves_nothing(start: Start, zaqar16: Zaqar, zaqar23: Zaqar) -> None:
    """SIGINT as soon as it is ordered, wherever the move is by then: exit 1, no process, no queue on either side."""
    quickstart = start(*of(sixteen=zaqar16, twentythree=zaqar23))
    quickstart.says("An operator ordered: ")
    os.kill(quickstart.process.pid, signal.SIGINT)
    assert quickstart.ended() == 1
    assert "interrupted before the tour was over" in quickstart.err
    assert queues_at(zaqar16.address) == queues_at(zaqar23.address) == NO_QUEUES
    quickstart.assert_nothing_left()


def test_a_partition_that_does_not_answer_is_named(start: Start) -> None:
    """With a partition that does not answer: exit 1 and a clear message."""
    dead = f"http://{HOST}:{unused_port()}"
    with FakePartition() as partition:
        quickstart = start(*of(one=partition), "--partition", f"two={dead}", "--exit")
        assert quickstart.ended() == 1
    assert f"partition two at {dead} does not answer; is it running?" in quickstart.err
    assert "Traceback" not in quickstart.err
    assert "created queue" not in quickstart.out
    quickstart.assert_nothing_left()


def test_a_partition_without_v2_is_named(start: Start) -> None:
    """A partition that the tour cannot use: exit 1, and the message has its versions."""
    versions = b'{"versions": [{"id": "1"}]}'
    with (
        FakePartition() as partition,
        partition.script("GET", "/", raw_answer(300, [("Content-Length", str(len(versions)))], versions)),
    ):
        quickstart = start(*of(one=partition), "--exit")
        assert quickstart.ended() == 1
    assert f"partition one at {partition.url} speaks v1 only; the tour needs v2" in quickstart.err
    quickstart.assert_nothing_left()


@pytest.mark.parametrize("option", ["--public", "--admin"])
def test_a_port_that_is_taken_is_named(option: str, start: Start) -> None:
    """A port of another server, such as a Zaqar at its usual 8888: exit 1, and the message has the port. The tour makes
    no call to that server."""
    with FakePartition() as partition, FakePartition() as other:
        bind = f"{HOST}:{other.port}"
        quickstart = start(*of(one=partition), "--exit", option, bind)
        assert quickstart.ended() == 1
        assert other.calls == partition.calls == []
    assert f"{option}: cannot listen on {bind}: {os.strerror(errno.EADDRINUSE)}" in quickstart.err
    quickstart.assert_nothing_left()


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536"])
def test_an_address_that_is_none_is_a_usage_error(address: str, start: Start) -> None:
    """Not HOST:PORT: exit 2, and the message has the option."""
    quickstart = start("--partition", "one=http://127.0.0.1:1", "--public", address)
    assert quickstart.ended() == 2
    assert f"--public: '{address}' is not HOST:PORT" in quickstart.err
    assert "Traceback" not in quickstart.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_stay_leaves_nothing(
    number: signal.Signals, staying: tuple[Quickstart, FakePartition]
) -> None:
    """SIGINT during the stay: exit 0, nothing left running, ports free, queues deleted."""
    quickstart, partition = staying
    assert {queue for _, queue in partition.store.queues} == {"invoices", "letters", "orders", "payments"}
    # It works while it stays, on both ports.
    listed = exchange((HOST, quickstart.public), "GET", "/v2/queues", request_headers("tour-blue", {}).items())
    assert [entry["name"] for entry in json.loads(listed.body)["queues"]] == list(QUEUES["tour-blue"])
    placements = json.loads(exchange((HOST, quickstart.admin), "GET", "/v1/placements", []).body)
    assert len(placements["placements"]) == 5
    assert len(quickstart.processes) > 5, "two listeners and their workers, and a mover"
    os.kill(quickstart.process.pid, number)
    assert quickstart.ended() == 0
    assert quickstart.out.rstrip().endswith("Stopped; nothing is left running.")
    assert quickstart.err == ""
    assert queues_at(partition.address) == NO_QUEUES
    quickstart.assert_nothing_left()


def test_ctrl_c_in_the_middle_of_the_tour_leaves_nothing(start: Start) -> None:
    """SIGINT while a step of the tour waits for its partition: exit 1, nothing left running, queues deleted."""
    with FakePartition() as partition, partition.hold("POST", ".*/claims") as held:
        quickstart = start(*of(one=partition))
        held.wait()
        os.kill(quickstart.process.pid, signal.SIGINT)
        until(lambda: queues_at(partition.address) == NO_QUEUES, "the tour's queues are deleted")
        held.release()
        assert quickstart.ended() == 1
    assert "interrupted before the tour was over" in quickstart.err
    assert "Every step held" not in quickstart.out
    quickstart.assert_nothing_left()


def test_a_killed_quickstart_takes_its_servers_along(staying: tuple[Quickstart, FakePartition]) -> None:
    """kill -9 of the quickstart process: its children end by themselves."""
    quickstart, _ = staying
    children = quickstart.processes - {quickstart.process.pid}
    assert len(children) > 3
    quickstart.process.kill()
    assert quickstart.ended() == -signal.SIGKILL
    until(lambda: not quickstart.processes, "its children end by themselves")
    quickstart.assert_nothing_left()


@pytest.mark.parametrize(("name", "command"), [("admin", b"\0serve\0admin\0"), ("mover", b"\0mover\0")])
def test_a_server_that_dies_during_the_stay_ends_it(
    name: str, command: bytes, staying: tuple[Quickstart, FakePartition]
) -> None:
    """A child is killed: exit 1, and the message names it; no process is left."""
    quickstart, _ = staying
    (child,) = [
        pid
        for pid in quickstart.processes
        if command in Path(f"/proc/{pid}/cmdline").read_bytes()
        and int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1]) == quickstart.process.pid
    ]
    os.kill(child, signal.SIGKILL)
    assert quickstart.ended() == 1
    assert f"{name} ended with status -9" in quickstart.err
    until(lambda: not quickstart.processes, "the workers of the killed one end by themselves")
    quickstart.assert_nothing_left()


@pytest.mark.parametrize(
    ("method", "path", "step"),
    [
        ("PUT", "/v2/queues/payments", "PUT /v2/queues/payments as tour-blue answered 201"),
        ("POST", ".*/messages", "POST /v2/queues/orders/messages as tour-blue answered 201"),
        ("POST", ".*/claims", "POST /v2/queues/orders/claims?limit=2 as tour-blue answered 201"),
        ("GET", ".*/stats", "GET /v2/queues/orders/stats as tour-blue answered 200"),
    ],
)
def test_a_broken_tour_says_which_step(method: str, path: str, step: str, start: Start) -> None:
    """A partition answers 500 to one of the steps: exit 1, and the message has the step and the answer."""
    broken = b'{"title": "Broken as told"}'
    answer = raw_answer(500, [("Content-Type", "application/json"), ("Content-Length", str(len(broken)))], broken)
    with FakePartition() as partition, working_tour(partition), partition.script(method, path, answer):
        quickstart = start(*of(one=partition), "--exit")
        assert quickstart.ended() == 1
        assert queues_at(partition.address) == NO_QUEUES
    assert f"this did not hold: {step}" in quickstart.err
    assert "Broken as told" in quickstart.err
    assert "Traceback" not in quickstart.err
    assert "Every step held" not in quickstart.out
    quickstart.assert_nothing_left()


def test_claims_out_of_order_break_the_tour(start: Start) -> None:
    """It checks more than statuses: a partition that claims nothing old, or another tenant's messages, is found out."""
    strange = json.dumps({"messages": [{"href": "/x", "body": {"number": 4, "for": "tour-green"}}]}).encode()
    answer = raw_answer(201, [("Content-Type", "application/json"), ("Content-Length", str(len(strange)))], strange)
    with FakePartition() as partition, partition.script("POST", ".*/claims", answer):
        quickstart = start(*of(one=partition), "--exit")
        assert quickstart.ended() == 1
    assert "this did not hold: the oldest messages claimed first" in quickstart.err
    quickstart.assert_nothing_left()


def test_a_password_of_the_catalog_is_shown_to_nobody(start: Start) -> None:
    """Neither the arguments of the children nor output and logs have the password."""
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        quickstart = start(
            "--partition", "one=http://127.0.0.1:1", "--catalog", f"mongodb://me:geheim@{HOST}:{port}/catalog"
        )
        silent.settimeout(SECONDS)
        connected, _ = silent.accept()  # by the child that prepares the catalog
        connected.close()
        children = quickstart.processes - {quickstart.process.pid}
        assert children
        for pid in children:
            assert b"geheim" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert quickstart.ended() == 1
    assert "the catalog cannot be prepared" in quickstart.err
    assert "geheim" not in quickstart.out + quickstart.err
    for log in quickstart.state.rglob("*.log"):
        assert "geheim" not in log.read_text()
    quickstart.assert_nothing_left()
