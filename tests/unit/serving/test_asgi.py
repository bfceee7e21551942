"""ASGI for one request, as an application sees it, and for the life of an application."""

from __future__ import annotations

import asyncio
import gc

import pytest

from serving.asgi import CALL, Lifespan
from tests.unit.serving.stage import CHUNKED, LIMITS, POST, Client, head, pass_time, serve, settle

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def answer(send, *pieces: bytes, status: int = 200, headers=()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": pieces[-1] if pieces else b""})


class Reading:
    """Reads the body to its end and keeps the messages; answers ``ok``. Reads only when ``go`` is set."""

    def __init__(self) -> None:
        self.messages: list[dict] = []
        self.scopes: list[dict] = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        await self.go.wait()
        while True:
            self.messages.append(await receive())
            if not self.messages[-1].get("more_body"):
                break
        if self.messages[-1]["type"] == "http.request":
            await answer(send, b"ok")


async def test_the_scope():
    application = Reading()
    client = Client(serve(application))
    await client.send(head(b"/a%2Fb%C3%A9//?c=%20#d", b"X-A: B", version=b"1.0"))
    (scope,) = application.scopes
    assert scope.pop("extensions").keys() == {CALL}
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.0",
        "method": "GET",
        "scheme": "http",
        "target": b"/a%2Fb%C3%A9//?c=%20#d",
        "path": "/a/bé//",
        "raw_path": b"/a%2Fb%C3%A9//",
        "query_string": b"c=%20",
        "root_path": "",
        "headers": [(b"host", b"x"), (b"x-a", b"B")],
        "client": ("192.0.2.1", 1234),
        "server": ("127.0.0.1", 80),
    }


async def test_a_body_comes_as_it_arrives():
    application = Reading()
    client = Client(serve(application))
    await client.send(CHUNKED + b"2\r\nhe\r\n")
    await client.send(b"3\r\nllo\r\n")
    await client.send(b"0\r\n\r\n")
    assert [(message["body"], message["more_body"]) for message in application.messages] == [
        (b"he", True),
        (b"llo", True),
        (b"", False),
    ]


async def test_pieces_that_arrived_before_they_were_asked_for_are_one():
    application = Reading()
    application.go.clear()
    client = Client(serve(application))
    await client.send(CHUNKED + b"2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n")
    application.go.set()
    await settle()
    assert application.messages == [{"type": "http.request", "body": b"hello", "more_body": False}]


async def test_small_pieces_count_by_their_bytes():
    application = Reading()
    application.go.clear()
    server = serve(application, max_bodies=100)
    client = Client(server)
    await client.send(CHUNKED, *[b"1\r\na\r\n"] * 100, b"0\r\n\r\n")
    assert not server.reserve(1)
    application.go.set()
    await settle()
    assert client.statuses == [200]
    assert server.reserve(100)


# -- 100-continue (RFC 9110 section 10.1.1) ----------------------------------------------------------------------------

EXPECT = head(b"/v2", b"Expect: 100-continue", b"Content-Length: 5", method=b"POST")


async def test_the_body_is_asked_for_once_when_the_application_reads():
    application = Reading()
    application.go.clear()
    client = Client(serve(application))
    await client.send(EXPECT)
    assert client.transport.written == b""
    application.go.set()
    await settle()
    assert client.transport.written == CONTINUE
    await client.send(b"he", b"llo")
    assert client.transport.written.count(b"100 Continue") == 1
    assert b"HTTP/1.1 200 OK" in client.transport.written


@pytest.mark.parametrize(
    "sent",
    [EXPECT + b"he", EXPECT.replace(b"1.1", b"1.0"), head(b"/v2", b"Expect: 100-continue")],
    ids=["it comes", "HTTP/1.0", "no body"],
)
async def test_a_client_that_does_not_wait_is_not_answered_100(sent):
    client = Client(serve(Reading()))
    await client.send(sent)
    await client.send(b"hello")
    assert b"100 Continue" not in client.transport.written


async def test_a_refused_expectation_ends_the_connection():
    async def refuse(scope, receive, send):
        await answer(send, status=400)

    client = Client(serve(refuse))
    await client.send(EXPECT)
    await client.send(head())
    assert client.statuses == [400]
    assert client.transport.ended


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_in_pieces(version):
    async def application(scope, receive, send):
        await answer(send, b"he", b"", b"llo")

    client = Client(serve(application))
    await client.send(head(version=version))
    written = client.transport.written
    assert (b"transfer-encoding: chunked" in written) is (version == b"1.1")
    assert (b"connection: close" in written) is client.closed is (version == b"1.0")
    assert written.endswith(b"\r\n\r\nhello" if version == b"1.0" else b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")


async def test_pieces_wait_for_the_client_to_read():
    sent = []

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        for number in range(4):
            sent.append(number)
            await send({"type": "http.response.body", "body": b"x" * 40_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    client = Client(serve(application))
    client.transport.reads = False
    await client.send(head())
    assert sent == [0, 1]
    client.transport.read(client.transport.pending)
    await settle()
    assert sent == [0, 1, 2, 3]


async def test_a_sender_is_woken_when_its_client_is_gone():
    ended = []

    async def application(scope, receive, send):
        await answer(send, b"x" * 70_000, b"y")
        ended.append(scope["extensions"][CALL].gone)

    client = Client(serve(application))
    client.transport.reads = False
    await client.send(head())
    assert ended == []
    await pass_time(client.server, LIMITS.send_timeout)
    assert (ended, client.transport.aborted) == ([True], True)


async def test_a_complete_answer_needs_no_messages():
    async def application(scope, receive, send):
        scope["extensions"][CALL].respond(201, [(b"a", b"b")], b"made")

    client = Client(serve(application))
    await client.send(POST)
    assert [(status, body) for status, _, body in client.answers] == [(201, b"made")]
    assert not client.closed


@pytest.mark.parametrize("how", ["raises", "returns", "is cancelled"])
async def test_an_application_that_does_not_answer_is_answered_for(how, caplog):
    async def application(scope, receive, send):
        if how == "raises":
            raise RuntimeError("not today")
        if how == "is cancelled":
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

    client = Client(serve(application))
    await client.send(head() + POST)
    assert client.statuses == [500, 500]
    assert client.answers[0][1][b"content-type"] == b"application/json"
    assert ("not today" in caplog.text) is (how == "raises")
    assert ("gave no answer" in caplog.text) is (how == "returns")


async def test_an_answer_on_a_connection_that_is_closing_is_no_fault(caplog):
    """A reset is seen by the transport before the connection is lost."""

    async def application(scope, receive, send):
        client.transport.closed = True
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    client = Client(serve(application))
    await client.send(POST)
    assert (client.transport.written, caplog.text) == (b"", "")


@pytest.mark.parametrize("how", ["raises", "returns", "too much", "too little", "answers anew"])
async def test_an_answer_that_breaks_off_aborts_the_connection(how, caplog):
    async def application(scope, receive, send):
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hell", "more_body": True})
        if how == "raises":
            raise RuntimeError("not today")
        if how == "too much":
            await send({"type": "http.response.body", "body": b"o!"})
        if how == "too little":
            await send({"type": "http.response.body", "body": b""})
        if how == "answers anew":
            scope["extensions"][CALL].respond(500, [], b"")

    client = Client(serve(application))
    await client.send(head() + head())
    assert client.transport.aborted
    assert client.transport.written.endswith(b"hell")
    assert client.transport.written.count(b"HTTP/1.1") == 1
    assert ("cut off" in caplog.text) is how.startswith("too")


async def test_nothing_follows_an_answer():
    async def application(scope, receive, send):
        await answer(send, b"he", b"llo")
        await send({"type": "http.response.body", "body": b"HTTP/1.1 200 OK\r\n\r\n"})
        await answer(send, b"another")
        scope["extensions"][CALL].respond(500, [], b"")

    client = Client(serve(application))
    await client.send(head())
    assert client.transport.written.endswith(b"0\r\n\r\n")
    assert client.transport.written.count(b"HTTP/1.1") == 1
    assert not client.closed


@pytest.mark.parametrize(
    ("sent", "max_bodies"),
    [(POST, 5), (POST[:-2], 5), (POST[:-5], 0), (CHUNKED + b"1\r\na\r\n", 5), (CHUNKED, 0)],
    ids=["whole", "sized", "sized, without room", "chunked", "chunked, without room"],
)
async def test_receive_ends_with_the_answer(sent, max_bodies):
    messages = []

    async def application(scope, receive, send):
        await answer(send, b"early")
        messages.append(await receive())

    client = Client(serve(application, max_bodies=max_bodies))
    await client.send(sent)
    assert (messages, client.statuses) == ([{"type": "http.disconnect"}], [200])
    assert client.server.tasks == set()


async def test_a_watcher_of_the_client_ends_with_the_answer_or_the_client():
    seen = []
    go = asyncio.Event()

    async def application(scope, receive, send):
        await receive()
        watcher = asyncio.create_task(receive())
        await go.wait()
        await answer(send)
        seen.append(await watcher)

    answered, gone = (Client(serve(application)) for _ in range(2))
    await answered.send(POST)
    await gone.send(POST)
    await gone.abort()
    go.set()
    await settle()
    assert seen == [{"type": "http.disconnect"}] * 2
    assert (answered.statuses, gone.statuses) == ([200], [])


async def test_failures_leave_no_reference_cycles(caplog):
    async def application(scope, receive, send):
        raise RuntimeError("not today")

    client = Client(serve(application))
    await client.send(head())
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await client.send(head())
            caplog.clear()
        assert gc.collect() == 0
    finally:
        gc.enable()


# -- the life of an application ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["complete", "failed"])
async def test_a_life(outcome):
    phases = []

    async def application(scope, receive, send):
        assert scope["type"] == "lifespan"
        while True:
            phase = (await receive())["type"].removeprefix("lifespan.")
            phases.append(phase)
            await send({"type": f"lifespan.{phase}.{outcome}"})
            if phase == "shutdown" or outcome == "failed":
                return

    lifespan = Lifespan(application)
    assert await lifespan.start() is (outcome == "complete")
    await lifespan.stop()
    assert phases == ["startup", "shutdown"][: 2 if outcome == "complete" else 1]


async def test_an_application_that_fails_at_its_start_is_logged(caplog):
    async def application(scope, receive, send):
        raise RuntimeError("not today")

    assert not await Lifespan(application).start()
    assert "not today" in caplog.text
