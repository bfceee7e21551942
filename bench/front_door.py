"""How fast the front door forwards, next to nginx and HAProxy doing the same on the same core.

One run starts a stub host (nginx answering 550 bytes of JSON, or a small one of our own where nginx is missing), front
doors of one worker each, with the compiled recogniser of heads and with the pure one, and nginx and HAProxy as plain
keep-alive proxies, where they are installed. All proxies are pinned to one core, load and stub to another. Rounds
alternate between the proxies, so that a noisy machine disturbs all alike; medians are printed, and ``ratio``, the rate
as a share of nginx's. Rates of different runs cannot be compared. The processor time of a call (us) is that of the
proxy's processes, in user and kernel mode; ``cpu_ratio`` is nginx's divided by it. In ``different``, no two requests
have the same head.

    python -m bench.front_door                            32 connections, 3 rounds of 4 seconds
    python -m bench.front_door --rounds 7 --connections 1 32 256
    python -m bench.front_door --seconds 10 -f json

The comparison needs nginx or haproxy, and the load wrk (Debian packages nginx-light, haproxy, wrk). Without wrk,
``bench.load`` makes the load; it is slower than nginx, so that ratios are too high, and a line below the table points
that out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from catalog import open_catalog
from catalog.model import API_VERSIONS, Partition
from serving.head_recogniser import COMPILED

HEADERS = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c", "X-Project-Id": "bench"}
PATH = "/v2/queues/orders/messages"
ANSWER = json.dumps({"messages": [], "links": [], "padding": "x" * 504})
POST = json.dumps({"messages": [{"ttl": 300, "body": "x" * 980}]})

STUB_CONF = """
daemon off; worker_processes 1; pid {dir}/stub.pid; error_log {dir}/stub.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
  scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{answer}'; }} }}
}}
"""
PROXY_CONF = """
daemon off; worker_processes 1; pid {dir}/proxy.pid; error_log {dir}/proxy.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
  scgi_temp_path {dir}/s;
  upstream stub {{ server 127.0.0.1:{stub}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
HAPROXY_CONF = """
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}
  default_backend stub
backend stub
  http-reuse always
  server stub 127.0.0.1:{stub}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, seconds: float = 20.0) -> None:
    """Return once something listens on ``port``. Raises RuntimeError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


@contextlib.contextmanager
def running(
    command: list[str], core: int, port: int, log: Path, environment: dict[str, str] | None = None
) -> Iterator[int]:
    """Run a server pinned to ``core`` (its children too) until the block ends. Yields its process id."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
        try:
            try:
                wait_for(port)
            except RuntimeError:
                sys.stderr.write(log.read_text(errors="replace"))
                raise
            yield server.pid
        finally:
            server.terminate()
            server.wait(20)


def processor_time(pid: int) -> float:
    """Return the seconds that a process and its children have used so far, in user and kernel mode (Linux, proc(5))."""
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(int, used[11:13])) / os.sysconf("SC_CLK_TCK") + sum(processor_time(int(c)) for c in children)


def nginx(directory: Path, name: str, conf: str) -> list[str]:
    path = directory / f"{name}.conf"
    path.write_text(conf)
    return [shutil.which("nginx") or "nginx", "-c", str(path), "-p", str(directory)]


async def register(uri: str, host: str) -> None:
    """Initialise a catalog with one partition, at ``host``."""
    catalog = await open_catalog(uri)
    await catalog.init()
    await catalog.partitions.insert(Partition("stub", (host,), api_versions=API_VERSIONS, api_versions_set=True))
    await catalog.close()


# Each request has another id, in a header that proxies pass on.
DIFFERENT = """
local count = 0
request = function()
  count = count + 1
  wrk.headers["X-Auth-Token"] = string.format("%032x", count)
  return wrk.format()
end
"""


def wrk_load(
    port: int, method: str, connections: int, seconds: int, core: int, directory: Path, path: str = PATH
) -> dict[str, float]:
    """Return requests/s and latency in ms (p50, p99) of one wrk run. Raises RuntimeError if any answer was an error.

    ``method``: GET or POST, with " different" after it for heads that all differ.
    """
    script = directory / f"{method}.lua"
    method, _, different = method.partition(" ")
    body = f"wrk.body = '{POST}'\n" if method == "POST" else ""
    headers = "".join(f"wrk.headers['{name}'] = '{value}'\n" for name, value in HEADERS.items())
    more = DIFFERENT if different else ""
    script.write_text(
        f"wrk.method = '{method}'\n{body}{headers}wrk.headers['Content-Type'] = 'application/json'\n{more}"
    )
    done = subprocess.run(
        [
            *("taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"),
            *("-s", str(script), f"http://127.0.0.1:{port}{path}"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"some calls failed:\n{done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if rate is None:
        raise RuntimeError(f"wrk printed no rate:\n{done.stdout}")
    return {"rate": float(rate[1]), "p50": _latency(done.stdout, "50%"), "p99": _latency(done.stdout, "99%")}


def _latency(output: str, percentile: str) -> float:
    found = re.search(rf"^\s+{percentile}\s+([\d.]+)(us|ms|s)$", output, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk printed no latency:\n{output}")
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def python_load(
    port: int, method: str, connections: int, seconds: int, core: int, _: Path, path: str = PATH
) -> dict[str, float]:
    """Return the figures of ``wrk_load``, from a run of ``bench.load`` in a process of its own; all heads are alike."""
    method = method.partition(" ")[0]
    done = subprocess.run(
        [
            *("taskset", "-c", str(core), sys.executable, "-m", "bench.load", "--connections", str(connections)),
            *("--seconds", str(seconds), "--method", method, "--body", POST if method == "POST" else ""),
            *(argument for pair in HEADERS.items() for argument in ("--header", ": ".join(pair))),
            f"http://127.0.0.1:{port}{path}",
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(arguments: argparse.Namespace, directory: Path) -> list[dict[str, object]]:
    """Run the bench; return a row for each kind of request, number of connections, and proxy."""
    load_core, proxy_core = 0, 1
    load = wrk_load if shutil.which("wrk") else python_load
    stub_port = free_port()
    uri = f"sqlite:///{directory}/catalog.sqlite"
    stub = (
        nginx(directory, "stub", STUB_CONF.format(dir=directory, port=stub_port, answer=ANSWER))
        if shutil.which("nginx")
        else [sys.executable, "-m", "bench.stub", "--port", str(stub_port), "--answer", ANSWER]
    )
    program = str(Path(sys.executable).with_name("marconi-proxy"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(stub, load_core, stub_port, directory / "stub.out"))
        asyncio.run(register(uri, f"http://127.0.0.1:{stub_port}"))
        proxies: dict[str, tuple[int, int]] = {}

        def start(name: str, command: Callable[[int], list[str]], environment: dict[str, str] | None = None) -> None:
            port = free_port()
            log = directory / f"{name}.out"
            proxies[name] = port, stack.enter_context(running(command(port), proxy_core, port, log, environment))

        def front_door(port: int) -> list[str]:
            return [program, "serve", "public", "--catalog", uri, "--bind", f"127.0.0.1:{port}", "--workers", "1"]

        def haproxy(port: int) -> list[str]:
            conf = directory / "haproxy.conf"
            conf.write_text(HAPROXY_CONF.format(port=port, stub=stub_port))
            return [str(shutil.which("haproxy")), "-db", "-f", str(conf)]

        if COMPILED:
            start("compiled", front_door)
        start("pure", front_door, {"MARCONI_PURE": "1"})
        if shutil.which("nginx"):
            conf = PROXY_CONF.replace("{port}", "{{port}}").format(dir=directory, stub=stub_port)
            start("nginx", lambda port: nginx(directory, "proxy", conf.replace("{port}", str(port))))
        if shutil.which("haproxy"):
            start("haproxy", haproxy)
        for name in ("compiled", "pure"):
            if name in proxies:
                # The first post places the queue, so that only forwarding is measured.
                load(proxies[name][0], "POST", 1, 1, load_core, directory)
        rows = []
        for kind in ("GET", "POST", "GET different"):
            for connections in arguments.connections:
                runs: dict[str, list[dict[str, float]]] = {name: [] for name in proxies}
                for _ in range(arguments.rounds):
                    for name, (port, pid) in proxies.items():
                        before = processor_time(pid)
                        run = load(port, kind, connections, arguments.seconds, load_core, directory)
                        run["us"] = (processor_time(pid) - before) / (run["rate"] * arguments.seconds) * 1e6
                        runs[name].append(run)
                rows += summarise(f"{kind} x {connections}", runs)
        return rows


def summarise(request: str, runs: dict[str, list[dict[str, float]]]) -> list[dict[str, object]]:
    """Return a row of medians over rounds for each proxy. ``added_p50_ms``: its p50 less nginx's."""

    def median(name: str, figure: str) -> float:
        return statistics.median(run[figure] for run in runs[name])

    rows = []
    for name in runs:
        row: dict[str, object] = {
            "request": request,
            "proxy": name,
            "rps": round(median(name, "rate")),
            "us": round(median(name, "us"), 1),
            "p50_ms": round(median(name, "p50"), 3),
            "p99_ms": round(median(name, "p99"), 3),
        }
        if "nginx" in runs:
            row["ratio"] = round(median(name, "rate") / median("nginx", "rate"), 3)
            row["cpu_ratio"] = round(median("nginx", "us") / median(name, "us"), 3)
            row["added_p50_ms"] = round(median(name, "p50") - median("nginx", "p50"), 3)
        rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, nargs="+", default=[32])
    parser.add_argument("--seconds", type=int, default=4, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        parser.error("two cores are needed: one for the proxies, one for load and stub")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        # nginx's worker may run as another user, and must reach its directory.
        Path(directory).chmod(0o755)
        rows = measure(arguments, Path(directory))
    if arguments.format == "json":
        print(json.dumps(rows, indent=2))
        return 0
    if not shutil.which("nginx"):
        print("nginx is not installed: no comparison")
    if not shutil.which("wrk"):
        print("wrk is not installed: bench.load is slower than nginx, so the ratios are too high")
    columns = list(rows[0])
    print("  ".join(f"{column:>13}" for column in columns))
    for row in rows:
        print("  ".join(f"{row[column]!s:>13}" for column in columns))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
