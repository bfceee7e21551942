"""The three loads of ``bench.partition`` on any server of API v2, closed-loop. Prints one JSON object.

``posts``   one message of about 1 KiB per POST
``lists``   pages of 10 messages, one after another, out of a queue of at least 1000
``claims``  claim one message and delete it; timed as a pair. The queue is stocked before, and again when it is empty;
            the clock stops meanwhile

Each has a queue of its own. An answer other than the expected one ends the run with an error. Only a claim that finds
nothing (204) is counted separately, as ``empty``, and retried while the clock runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import uvloop

from bench.load import Client, figures
from marconi_proxy.upstream.errors import UpstreamError
from marconi_proxy.upstream.pool import Origin, Pool

PROJECT = "bench"
HEADERS = {
    "Client-ID": "3381af92-2b9e-11e3-b191-71861300734c",
    "X-Project-Id": PROJECT,
    "Content-Type": "application/json",
    "Accept": "application/json",
}
BODY = "x" * 1000
PAGE = 10
# Pages that are listed over and over.
PAGES = 100
# Messages in one post of stock; Zaqar allows no more in one claim or page either.
AT_ONCE = 20
# Messages that are stocked for claims at a time.
STOCK = 2000

Clients = list[Client]


class WrongAnswer(Exception):
    """A server's answer was not the expected one, so no figure of the run counts."""


def posted(messages: int) -> str:
    return json.dumps({"messages": [{"ttl": 3600, "body": BODY}] * messages})


def queue(name: str) -> str:
    return f"/v2/queues/{name}"


async def due(client: Client, request: bytes, status: int) -> bytes:
    """Return the body of the answer. Raises WrongAnswer unless it has ``status``."""
    got, body = await client.exchange(request)
    if got != status:
        line = request[: request.index(b"\r\n")].decode()
        raise WrongAnswer(f"{line} was answered {got} and not {status}: {body[:500].decode(errors='replace')}")
    return body


async def stock(clients: Clients, name: str, messages: int) -> None:
    """Post at least so many messages."""
    request = clients[0].serialised("POST", f"{queue(name)}/messages", posted(AT_ONCE))
    left: Iterator[int] = iter(range(0, messages, AT_ONCE))

    async def some(client: Client) -> None:
        for _ in left:
            await due(client, request, 201)

    await asyncio.gather(*(some(client) for client in clients))


async def posts(clients: Clients, seconds: float) -> dict[str, float]:
    request = clients[0].serialised("POST", f"{queue('posts')}/messages", posted(1))

    async def one(client: Client) -> None:
        await due(client, request, 201)

    return await timed(clients, seconds, one)


async def lists(clients: Clients, seconds: float) -> dict[str, float]:
    pages = await page_requests(clients[0])
    if len(pages) < PAGES:
        await stock(clients, "lists", (PAGES - len(pages)) * PAGE)
        pages = await page_requests(clients[0])
    if len(pages) < PAGES:
        raise WrongAnswer(f"{len(pages)} full pages are listed, though {PAGES} are there")
    turn = count()

    async def one(client: Client) -> None:
        body = await due(client, pages[next(turn) % len(pages)], 200)
        if body.count(b'"ttl"') != PAGE:
            raise WrongAnswer(f"a page has not {PAGE} messages: {body[:500].decode(errors='replace')}")

    return await timed(clients, seconds, one)


async def page_requests(client: Client) -> list[bytes]:
    """Walk the queue, page by page; return the requests of full pages, PAGES at most."""
    found: list[bytes] = []
    target = f"{queue('lists')}/messages?limit={PAGE}&echo=true"
    while len(found) < PAGES:
        request = client.serialised("GET", target)
        page = json.loads(await due(client, request, 200))
        if len(page["messages"]) < PAGE:
            break
        found.append(request)
        target = page["links"][0]["href"]
    return found


async def timed(clients: Clients, seconds: float, one: Callable[[Client], Awaitable[None]]) -> dict[str, float]:
    """Have every client repeat ``one`` for so many seconds; return the figures."""
    latencies: list[float] = []
    begin = time.monotonic()

    async def repeat(client: Client) -> None:
        while (start := time.monotonic()) < begin + seconds:
            await one(client)
            latencies.append(time.monotonic() - start)

    await asyncio.gather(*(repeat(client) for client in clients))
    return figures(latencies, time.monotonic() - begin)


async def claims(clients: Clients, seconds: float) -> dict[str, float]:
    claim = clients[0].serialised("POST", f"{queue('claims')}/claims?limit=1", json.dumps({"ttl": 300, "grace": 60}))
    latencies: list[float] = []
    empty = 0
    took = 0.0

    async def work(client: Client, until: float) -> None:
        nonlocal left, empty
        while left > 0 and (start := time.monotonic()) < until:
            left -= 1
            status, body = await client.exchange(claim)
            if status == 204:
                left += 1
                empty += 1
                continue
            if status != 201:
                raise WrongAnswer(f"a claim was answered {status}: {body[:500].decode(errors='replace')}")
            message = json.loads(body)["messages"][0]["href"]
            await due(client, client.serialised("DELETE", message), 204)
            latencies.append(time.monotonic() - start)

    while took < seconds:
        await stock(clients, "claims", STOCK)
        left = STOCK
        begin = time.monotonic()
        await asyncio.gather(*(work(client, begin + seconds - took) for client in clients))
        took += time.monotonic() - begin
    if not latencies:
        raise WrongAnswer("no claim found a message, though there are")
    return {**figures(latencies, took), "empty": empty}


LOADS = {"posts": posts, "lists": lists, "claims": claims}


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Run the load; return events per second, latency in ms (p50, p99), and for claims the number of empty ones."""
    pool = Pool(connect_timeout=5, idle_timeout=60, max_head=1 << 20)
    origin = Origin.of(arguments.url)
    clients = [Client(pool, origin, HEADERS) for _ in range(arguments.connections)]
    found = await LOADS[arguments.load](clients, arguments.seconds)
    pool.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("load", choices=list(LOADS))
    parser.add_argument("url", help="http://HOST:PORT")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0)
    try:
        print(json.dumps(uvloop.run(run(parser.parse_args()))))
    except (WrongAnswer, UpstreamError) as failure:
        sys.exit(f"{type(failure).__name__}: {failure}")
