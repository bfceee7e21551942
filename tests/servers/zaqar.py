"""Real Zaqar releases as child processes, and what any server process under test needs.

``zaqar()`` runs one release under gunicorn, in an environment of its own, over a given MongoDB. ``ServerProcess`` is
the part that knows no Zaqar: start, await, show the log when it fails, stop, and never outlive the tests.
"""

from __future__ import annotations

import ctypes
import errno
import http.client
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pymongo

from tests.servers.interpreters import interpreter
from tests.servers.mongod import free_port

PINS = Path(__file__).resolve().parents[1] / "wire" / "pins"
HOST = "127.0.0.1"
START_SECONDS = 180.0
STOP_SECONDS = 60.0
PORT_ATTEMPTS = 5
# The words of the pinned gunicorn of Zaqar for a port that is not free, and those of our own servers.
_PORT_TAKEN = ("Connection in use", os.strerror(errno.EADDRINUSE))

# Upstream's own zaqar.transport.wsgi.app reads the machine's configuration; this reads one file, so that several run
# side by side.
_WSGI_MODULE = """\
import os

from oslo_config import cfg
from oslo_log import log
from zaqar import bootstrap

conf = cfg.CONF
log.register_options(conf)
conf(project="zaqar", args=[], default_config_files=[os.environ["ZAQAR_CONFIGURATION"]])
log.setup(conf, "zaqar")
application = bootstrap.Bootstrap(conf).transport.app
"""

_CONFIGURATION = """\
[DEFAULT]
auth_strategy =
admin_mode = {admin_mode}
pooling = {pooling}
unreliable = True
enable_deprecated_api_versions = {deprecated}
[drivers]
transport = wsgi
message_store = mongodb
management_store = mongodb
[drivers:message_store:mongodb]
uri = {mongodb}
database = {store}_messages
[drivers:management_store:mongodb]
uri = {mongodb}
database = {store}_management
[signed_url]
secret_key = a secret of the tests
[oslo_policy]
policy_file = {policy}
"""


class ServerFailed(Exception):
    """A server under test did not start, or died; the message ends with its log."""


class PortTaken(ServerFailed):
    """Another process took the port after it was chosen and before the server bound it."""


class ServerProcess:
    """A server in a session of its own, logging to ``log``; it gets SIGTERM when the process that started it dies."""

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it makes one system call and takes no lock
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def children(self) -> tuple[int, ...]:
        """Process ids of the direct children, which for a pre-forking server are its workers."""
        return tuple(int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())

    def wait_until(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Return when ``ready()`` is true; an OSError or a broken answer from it means not yet.

        Raises PortTaken if the log has its words, ServerFailed if the process ends or the time is up.
        """
        deadline = time.monotonic() + seconds
        while True:
            if any(words in self.log_tail() for words in _PORT_TAKEN):
                raise PortTaken(self._failure("found its port taken"))
            if self._process.poll() is not None:
                raise ServerFailed(self._failure(f"ended with code {self._process.returncode}"))
            with suppress(OSError, http.client.HTTPException):
                if ready():
                    return
            if time.monotonic() > deadline:
                raise ServerFailed(self._failure(f"was not ready after {seconds:.0f} s"))
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end, and return its exit code; negative for a signal. Raises TimeoutExpired."""
        return self._process.wait(START_SECONDS)

    def stop(self) -> None:
        """Ask it to end, then make it end, with all it started. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.kill()

    def kill(self) -> None:
        """End it and all it started at once, as a power cut would: nothing is flushed or closed. Idempotent."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def log_tail(self, characters: int = 6000) -> str:
        return self.log.read_text(errors="replace")[-characters:]

    def _failure(self, what: str) -> str:
        return f"{self.name} {what}; its log:\n{self.log_tail()}"


def on_a_free_port(start: Callable[[int], ServerProcess], ready: Callable[[int], bool]) -> tuple[ServerProcess, int]:
    """Start a server on a free port and wait until it is ready; if another process took the port, on another one.

    Raises ServerFailed.
    """
    for attempt in range(1, PORT_ATTEMPTS + 1):
        port = free_port()
        process = start(port)
        try:
            process.wait_until(lambda port=port: ready(port))
        except BaseException as failure:
            process.stop()
            if isinstance(failure, PortTaken) and attempt < PORT_ATTEMPTS:
                process.log.write_text("")
                continue
            raise
        return process, port
    raise AssertionError("unreachable: the last attempt raises")


def status_of(host: str, port: int, path: str) -> int:
    """The status of ``GET path``. Raises OSError or HTTPException while there is no server."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@dataclass(frozen=True)
class Zaqar:
    """A running Zaqar: its ``release`` ("16" or "23"), where it listens, and its process."""

    release: str
    port: int
    process: ServerProcess

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port


@contextmanager
def zaqar(
    release: str,
    mongodb: str,
    *,
    admin_mode: bool = False,
    pooling: bool = False,
    name: str = "zaqar",
    workers: int = 1,
    threads: int = 4,
) -> Iterator[Zaqar]:
    """Run Zaqar ``release`` ("16": 16.0.0 with v1, v1.1 and v2; "23": 23.0.1) in databases of its own in ``mongodb``.

    ``mongodb`` is the URI of a server or replica set; the databases are dropped at the end. ``admin_mode`` serves the
    operator's routes (API section 5); pools and flavors also need ``pooling``. ``threads`` are those of each worker.
    Raises ServerFailed.
    """
    python = interpreter(PINS / f"zaqar{release}.txt")
    store = f"zaqar_{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory(prefix=f"{name}-{release}-") as directory:
        home = Path(directory)
        configuration = _write_configuration(home, release, mongodb, store, admin_mode=admin_mode, pooling=pooling)

        def start(port: int) -> ServerProcess:
            options = ("--worker-class", "gthread", "--threads", str(threads), "--workers", str(workers))
            bind = ("--bind", f"{HOST}:{port}", "--pythonpath", directory, "--worker-tmp-dir", directory)
            return ServerProcess(
                f"{name} (Zaqar {release})",
                (str(python), "-m", "gunicorn", *options, *bind, "zaqar_of_the_tests:application"),
                home / "log",
                {"ZAQAR_CONFIGURATION": str(configuration), "HOME": directory},
            )

        try:
            process, port = on_a_free_port(start, lambda port: status_of(HOST, port, "/") == 300)
            try:
                yield Zaqar(release, port, process)
            finally:
                process.kill()  # its databases are dropped, and its way of stopping takes two seconds
        finally:
            _drop(mongodb, store)


def _write_configuration(
    home: Path, release: str, mongodb: str, store: str, *, admin_mode: bool, pooling: bool
) -> Path:
    (home / "zaqar_of_the_tests.py").write_text(_WSGI_MODULE)
    policy = home / "policy.yaml"
    policy.write_text("")
    configuration = home / "zaqar.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            admin_mode=admin_mode,
            pooling=pooling,
            deprecated="1,1.1" if release == "16" else "",
            mongodb=_without_replica_set(mongodb),
            store=store,
            policy=policy,
        )
    )
    return configuration


def _without_replica_set(uri: str) -> str:
    """For ``replicaSet=`` Zaqar's driver uses a class that PyMongo no longer has; the driver finds the set without."""
    parts = urlsplit(uri)
    options = [option for option in parts.query.split("&") if not option.startswith("replicaSet=")]
    return urlunsplit(parts._replace(query="&".join(options)))


def _drop(mongodb: str, store: str) -> None:
    """Remove the databases of ``store``; Zaqar adds suffixes of its own to the names it was given."""
    with pymongo.MongoClient(mongodb, serverSelectionTimeoutMS=5000) as client:
        for database in client.list_database_names():
            if database.startswith(store):
                client.drop_database(database)


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
