"""Thousands of idle and slow clients on one worker of the front door: its memory, and the service of others.

An idle client has had an answer and keeps its connection. A slow one sends a byte of its request now and then. Each
row has the worker's resident memory, the kilobytes of it that each of these clients costs, and the rate and latency of
eight other clients. All are on this machine; clients come from several loopback addresses, since one has too few ports.

    python -m bench.idle_clients --idle 20000 --slow 2000

The worker, and each process of clients, may have as many connections as the hard limit of open files allows (ulimit
-Hn); more are not tried, and the rows show how many there were.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from bench.front_door import ANSWER, free_port, python_load, register, running

# Open files of a process besides its connections.
SPARE = 200
# Clients of one address: fewer than it has ports.
CROWD = 5000
IDLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = b"POST /v1/queues/slow/messages HTTP/1.1\r\nHost: x\r\nX-Project-Id: slow\r\nContent-Length: 100000\r\n\r\n["
# Seconds between two bytes of a slow client.
PAUSE = 2.0


class Crowd:
    """Clients of one address. ``hold`` opens their connections; slow ones go on sending until ``close``."""

    def __init__(self, server: tuple[str, int], address: str) -> None:
        self._server = server
        self._address = address
        self._idle: list[socket.socket] = []
        self._slow: list[socket.socket] = []
        self._ended = threading.Event()
        self._trickle = threading.Thread(target=self._send_on)

    def hold(self, idle: int, slow: int) -> None:
        """Open the connections, and return when each idle client has had its answer. Raises OSError."""
        for _ in range(idle):
            connection = self._connect()
            self._idle.append(connection)
            connection.sendall(IDLE)
            received = b""
            while not received.endswith(b"}]}"):
                piece = connection.recv(65536)
                if not piece:
                    raise ConnectionError("the worker has ended a connection")
                received += piece
        for _ in range(slow):
            connection = self._connect()
            self._slow.append(connection)
            connection.sendall(SLOW)
        self._trickle.start()

    def _connect(self) -> socket.socket:
        return socket.create_connection(self._server, timeout=60, source_address=(self._address, 0))

    def _send_on(self) -> None:
        while not self._ended.wait(PAUSE):
            for connection in self._slow:
                connection.sendall(b" ")

    def close(self) -> None:
        """Close the connections."""
        self._ended.set()
        if self._trickle.ident is not None:
            self._trickle.join()
        for connection in (*self._idle, *self._slow):
            connection.close()


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has (Linux, proc(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def crowd(port: int, number: int, idle: int, slow: int) -> Iterator[None]:
    """Have a crowd in a process of its own."""
    command = [sys.executable, "-m", "bench.idle_clients", "--crowd", f"127.0.1.{number}", str(port)]
    command += ["--idle", str(idle), "--slow", str(slow)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise RuntimeError("the clients were not served")
            yield
        finally:
            process.stdin.close()


def crowds(total: int) -> list[int]:
    """Divide clients among addresses."""
    return [min(CROWD, total - first) for first in range(0, total, CROWD)]


def measure(idle: int, slow: int, seconds: int, directory: Path) -> list[dict[str, float]]:
    """Return a row without a crowd, one with idle clients, and one with slow clients besides."""
    stub_port, port = free_port(), free_port()
    uri = f"sqlite:///{directory}/catalog.sqlite"
    patience = {"keepalive": 3600, "body_timeout": 3600, "max_connections": idle + slow + SPARE}
    os.environ.update({f"OS_PUBLIC__{name.upper()}": str(value) for name, value in patience.items()})
    stub = [sys.executable, "-m", "bench.stub", "--port", str(stub_port), "--answer", ANSWER]
    door = [str(Path(sys.executable).with_name("marconi-proxy")), "serve", "public", "--catalog", uri]
    door += ["--bind", f"127.0.0.1:{port}", "--workers", "1"]
    rows: list[dict[str, float]] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(stub, 0, stub_port, directory / "stub.out"))
        asyncio.run(register(uri, f"http://127.0.0.1:{stub_port}"))
        master = stack.enter_context(running(door, 1, port, directory / "front_door.out"))
        python_load(port, "POST", 1, 1, 0, directory)  # places the queue
        (worker,) = map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())
        number = present = 0
        before = resident(worker)
        for more_idle, more_slow in ((0, 0), (idle, 0), (0, slow)):
            for size in crowds(more_idle + more_slow):
                number += 1
                stack.enter_context(crowd(port, number, size if more_idle else 0, size if more_slow else 0))
            present += more_idle + more_slow
            run = python_load(port, "GET", 8, seconds, 0, directory)
            now = resident(worker)
            rows.append(
                {
                    "clients": present,
                    "megabytes": round(now / 1e6, 1),
                    "kilobytes_each": round((now - before) / 1000 / present, 2) if present else 0.0,
                    "rate": round(run["rate"]),
                    "p50_ms": run["p50"],
                    "p99_ms": run["p99"],
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=20_000, help="idle clients (default: %(default)s)")
    parser.add_argument("--slow", type=int, default=2000, help="slow clients (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of load in each row (default: %(default)s)")
    parser.add_argument("--crowd", help=argparse.SUPPRESS)
    parser.add_argument("port", nargs="?", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if arguments.crowd:
        clients = Crowd(("127.0.0.1", arguments.port), arguments.crowd)
        clients.hold(arguments.idle, arguments.slow)
        print("ready", flush=True)
        sys.stdin.read()
        clients.close()
        return
    slow = min(arguments.slow, hard - SPARE)
    idle = min(arguments.idle, hard - SPARE - slow)
    with tempfile.TemporaryDirectory() as directory:
        for row in measure(idle, slow, arguments.seconds, Path(directory)):
            print(json.dumps(row))


if __name__ == "__main__":
    main()
