"""httpx over our pool: its own words for our errors, our rules for everything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from marconi_proxy.upstream.pool import Pool
from marconi_proxy.upstream.transport import UpstreamTransport
from tests.faults.evil_host import (
    CLOSE,
    OK,
    PATIENCE,
    READ,
    RESET,
    STALL,
    EvilHost,
    Request,
    Step,
    answer,
    ever,
    say,
    serve,
    settled,
    unused_port,
    wait,
)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(connect_timeout=PATIENCE, idle_timeout=60.0, max_head=1048576)
    yield pool
    pool.close()
    await settled(lambda: not pool._all)


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    transport = UpstreamTransport(pool, max_idle=60.0)
    async with httpx.AsyncClient(transport=transport, timeout=PATIENCE, trust_env=False) as client:
        yield client


def echo(request: Request) -> bytes:
    return answer(200, request.method + b" " + request.target + b" " + request.body)


async def test_a_call(client: httpx.AsyncClient) -> None:
    async with EvilHost([serve(echo)]) as host:
        got = await client.post(
            f"{host.url}/v2/queues/q/messages?ids=a,b&x=%2C", content=b"\0{}\xff", headers={"a": "b"}
        )
        assert (got.status_code, got.content) == (200, b"POST /v2/queues/q/messages?ids=a,b&x=%2C \0{}\xff")
        assert got.http_version == "HTTP/1.1"
        (request,) = host.requests
        assert request.headers[b"host"] == b"127.0.0.1:%d" % host.port
        assert request.headers[b"a"] == b"b"
        assert request.headers[b"content-length"] == b"4"


async def test_a_body_of_unknown_length_is_sent_with_its_length(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one ", b"", b"two"):
            yield piece

    async with EvilHost([serve(echo)]) as host:
        got = await client.put(f"{host.url}/x", content=pieces())
        assert got.content == b"PUT /x one two"
        assert host.requests[0].headers[b"content-length"] == b"7"
        assert b"transfer-encoding" not in host.requests[0].headers


@pytest.mark.parametrize(
    ("method", "length"), [("GET", None), ("DELETE", None), ("POST", b"0"), ("PUT", b"0"), ("PATCH", b"0")]
)
async def test_a_call_without_a_body(client: httpx.AsyncClient, method: str, length: bytes | None) -> None:
    async with EvilHost([serve(echo)]) as host:
        await client.request(method, f"{host.url}/")
        assert host.requests[0].headers.get(b"content-length") == length


async def test_head(client: httpx.AsyncClient) -> None:
    async with EvilHost([ever(READ, say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"))]) as host:
        for _ in range(2):
            got = await client.head(f"{host.url}/v1/queues/q")
            assert (got.headers["content-length"], got.content) == ("9", b"")
        assert host.connections == 1


@pytest.mark.parametrize("status", [300, 302, 404, 500, 503])
async def test_any_status_is_an_answer_and_no_redirect_is_followed(client: httpx.AsyncClient, status: int) -> None:
    reply = answer(status, b"{}", b"location: http://127.0.0.1:1/", b"x-twice: 1", b"x-twice: 2")
    async with EvilHost([ever(READ, say(reply))]) as host:
        got = await client.get(f"{host.url}/")
        assert (got.status_code, got.json()) == (status, {})
        assert got.headers.get_list("x-twice") == ["1", "2"]
        assert len(host.requests) == 1


async def test_connections_are_those_of_the_pool(client: httpx.AsyncClient, pool: Pool) -> None:
    async with EvilHost([serve(echo)]) as host:
        for n in range(5):
            assert (await client.get(f"{host.url}/{n}")).content == b"GET /%d " % n
        assert host.connections == 1
        assert repr(pool) == "<Pool 0 busy, 1 idle, 1 origins>"
        await client.aclose()
        assert pool.take(host.origin, PATIENCE) is not None


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_a_call_that_must_not_be_repeated_has_a_new_connection(client: httpx.AsyncClient, method: str) -> None:
    async with EvilHost([serve(echo)]) as host:
        await client.get(f"{host.url}/")
        await client.request(method, f"{host.url}/")
        assert [request.connection for request in host.requests] == [0, 1]


DROPS: dict[str, list[Step]] = {"closed": [CLOSE], "reset": [RESET], "closed after reading": [READ, CLOSE]}


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
async def test_a_stale_connection_is_replaced(client: httpx.AsyncClient, drop: list[Step]) -> None:
    go = asyncio.Event()
    async with EvilHost([READ, say(OK), wait(go), *drop], [READ, say(answer(200, b"again"))]) as host:
        await client.get(f"{host.url}/")
        go.set()
        assert (await client.get(f"{host.url}/")).content == b"again"
        assert host.connections == 2


# -- bodies ------------------------------------------------------------------------------------------------------------

LONG = bytes(range(256)) * 4096


async def test_a_long_body_is_streamed(client: httpx.AsyncClient) -> None:
    go = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2 * len(LONG))
    async with EvilHost([READ, say(head + LONG), wait(go), say(LONG), ever(READ, say(OK))]) as host:
        async with client.stream("GET", f"{host.url}/") as got:
            body = b""
            async for chunk in got.aiter_raw():
                body += chunk
                go.set()  # the second half is sent only when some of the first has been read
        assert body == LONG * 2
        await client.get(f"{host.url}/")
        assert host.connections == 1


async def test_a_body_given_up_closes_its_connection(client: httpx.AsyncClient, pool: Pool) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2 * len(LONG))
    async with EvilHost([READ, say(head + LONG), STALL], [READ, say(OK)]) as host:
        async with client.stream("GET", f"{host.url}/") as got:
            assert got.status_code == 200
        await host.script_ended(0)
        assert pool.take(host.origin, PATIENCE) is None
        assert (await client.get(f"{host.url}/")).content == b"ok"


async def test_a_short_body_given_up_keeps_its_connection(client: httpx.AsyncClient) -> None:
    async with EvilHost([serve(echo)]) as host:
        for _ in range(2):
            async with client.stream("GET", f"{host.url}/"):
                pass
        assert host.connections == 1


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([CLOSE], httpx.RemoteProtocolError),
        ([READ, CLOSE], httpx.RemoteProtocolError),
        ([READ, RESET], httpx.RemoteProtocolError),
        ([READ, say(b"garbage"), STALL], httpx.RemoteProtocolError),
        ([READ, say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), CLOSE], httpx.RemoteProtocolError),
        ([READ, say(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2**20), STALL], httpx.RemoteProtocolError),
        ([READ, STALL], httpx.ReadTimeout),
        ([READ, say(b"HTTP/1.1 200 OK\r\n"), STALL], httpx.ReadTimeout),
    ],
    ids=[
        "closed",
        "closed after reading",
        "reset",
        "garbage",
        "cut short",
        "a huge head",
        "stalled",
        "stalled in head",
    ],
)
async def test_what_a_host_does_wrong(
    client: httpx.AsyncClient, script: list[Step], error: type[httpx.TransportError]
) -> None:
    async with EvilHost(script) as host:
        with pytest.raises(error) as caught:
            await client.get(f"{host.url}/x", timeout=httpx.Timeout(PATIENCE, read=0.05))
        assert type(caught.value) is error
        assert caught.value.request.url.path == "/x"
        assert host.connections == 1


@pytest.mark.parametrize(
    ("last", "error"), [(CLOSE, httpx.RemoteProtocolError), (STALL, httpx.ReadTimeout)], ids=["closed", "stalled"]
)
async def test_what_a_host_does_wrong_in_a_long_body(
    client: httpx.AsyncClient, pool: Pool, last: Step, error: type[httpx.TransportError]
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2 * len(LONG))
    async with EvilHost([READ, say(head + LONG), last]) as host:
        timeout = httpx.Timeout(PATIENCE, read=0.05)
        async with client.stream("GET", f"{host.url}/", timeout=timeout) as got:
            with pytest.raises(error):
                await got.aread()
        await host.script_ended(0)
        assert pool.take(host.origin, PATIENCE) is None


async def test_a_host_that_refuses(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        await client.get(f"http://127.0.0.1:{unused_port()}/")
    assert type(caught.value) is httpx.ConnectError


async def test_a_host_that_does_not_shake_hands(client: httpx.AsyncClient) -> None:
    async with EvilHost([STALL]) as host:
        with pytest.raises(httpx.ConnectTimeout):
            await client.get(f"https://127.0.0.1:{host.port}/", timeout=httpx.Timeout(PATIENCE, connect=0.05))


async def test_a_call_without_timeouts(client: httpx.AsyncClient) -> None:
    async with EvilHost([serve(echo)]) as host:
        assert (await client.get(f"{host.url}/", timeout=None)).content == b"GET / "


async def test_a_call_given_up_closes_its_connection(client: httpx.AsyncClient, pool: Pool) -> None:
    async with EvilHost([READ, STALL]) as host:
        calling = asyncio.create_task(client.get(f"{host.url}/"))
        await settled(lambda: host.requests)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await host.script_ended(0)
        assert pool.take(host.origin, PATIENCE) is None
