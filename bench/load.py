"""A closed-loop load generator over our own upstream pool, for machines without wrk. Prints one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping

import uvloop

from marconi_proxy.upstream.pool import Origin, Pool

# Seconds that a connection is kept unused; gunicorn closes it after two.
MAX_IDLE = 1.0


class Client:
    """A client of ``origin`` with one request at a time, each with ``headers``."""

    def __init__(self, pool: Pool, origin: Origin, headers: Mapping[str, str]) -> None:
        self._pool = pool
        self._origin = origin
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    def serialised(self, method: str, target: str, body: str = "") -> bytes:
        """Return the bytes of a request, so that a repeated one is serialised once."""
        octets = body.encode()
        length = f"content-length: {len(octets)}\r\n" if body else ""
        head = f"{method} {target} HTTP/1.1\r\nhost: {self._origin.authority.decode()}\r\n{self._lines}{length}\r\n"
        return head.encode() + octets

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body. Raises UpstreamError."""
        now = asyncio.get_running_loop().time()
        # Taken anew for each request, because the pool may close a connection that it believes to be idle.
        connection = self._pool.take(self._origin, MAX_IDLE) or await self._pool.connect(self._origin, now + 5)
        answer = await connection.exchange(request, head_only=False, deadline=now + 30, stall=30)
        return answer.status, await answer.read()


def figures(latencies: list[float], took: float) -> dict[str, float]:
    """Return events per second and latency in ms (p50, p99), from latencies in seconds."""
    ordered = sorted(latencies)
    return {
        "rate": len(ordered) / took,
        "p50": ordered[len(ordered) // 2] * 1000,
        "p99": ordered[len(ordered) * 99 // 100] * 1000,
    }


async def repeat(client: Client, request: bytes, until: float, latencies: list[float]) -> None:
    """Repeat ``request`` on one connection. Raises RuntimeError on an error answer."""
    # Not the loop's clock, which ticks in milliseconds under uvloop.
    while (start := time.monotonic()) < until:
        status, body = await client.exchange(request)
        if status >= 400:
            raise RuntimeError(f"answer {status}: {body[:200]!r}")
        latencies.append(time.monotonic() - start)


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Run the load; return requests per second and latency in ms (p50, p99)."""
    scheme, _, rest = arguments.url.partition("://")
    authority, _, path = rest.partition("/")
    headers = dict(header.split(": ", 1) for header in arguments.header)
    pool = Pool(connect_timeout=5, idle_timeout=60, max_head=1 << 20)
    origin = Origin.of(f"{scheme}://{authority}")
    latencies: list[float] = []
    clients = [Client(pool, origin, headers) for _ in range(arguments.connections)]
    begin = time.monotonic()
    until = begin + arguments.seconds
    await asyncio.gather(
        *(
            repeat(client, client.serialised(arguments.method, f"/{path}", arguments.body), until, latencies)
            for client in clients
        )
    )
    took = time.monotonic() - begin
    pool.close()
    return figures(latencies, took)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--body", default="")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0)
    print(json.dumps(uvloop.run(run(parser.parse_args()))))
