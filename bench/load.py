"""A closed-loop load generator over our own upstream pool, for machines without wrk. Prints one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import uvloop

from marconi_proxy.upstream.pool import Origin, Pool


async def worker(pool: Pool, origin: Origin, request: bytes, until: float, latencies: list[float]) -> None:
    """Repeat ``request`` on one connection. Raises RuntimeError on an error answer."""
    loop = asyncio.get_running_loop()
    connection = await pool.connect(origin, until)
    while (start := loop.time()) < until:
        if not connection.usable:
            connection = await pool.connect(origin, until)
        answer = await connection.exchange(request, head_only=False, deadline=start + 30, stall=30)
        await answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"answer {answer.status}: {answer.body[:200]!r}")
        latencies.append(loop.time() - start)


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Return requests/s and latency in ms (p50, p99)."""
    scheme, _, rest = arguments.url.partition("://")
    authority, _, path = rest.partition("/")
    body = arguments.body.encode()
    lines = "".join(f"{header}\r\n" for header in arguments.header)
    if body:
        lines += f"content-length: {len(body)}\r\n"
    request = f"{arguments.method} /{path} HTTP/1.1\r\nhost: {authority}\r\n{lines}\r\n".encode() + body
    pool = Pool(connect_timeout=5, idle_timeout=60, max_head=1 << 20)
    latencies: list[float] = []
    begin = time.monotonic()
    until = asyncio.get_running_loop().time() + arguments.seconds
    origin = Origin.of(f"{scheme}://{authority}")
    await asyncio.gather(*(worker(pool, origin, request, until, latencies) for _ in range(arguments.connections)))
    took = time.monotonic() - begin
    pool.close()
    latencies.sort()
    return {
        "rate": len(latencies) / took,
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[len(latencies) * 99 // 100] * 1000,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--body", default="")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0)
    print(json.dumps(uvloop.run(run(parser.parse_args()))))
