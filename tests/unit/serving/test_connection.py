"""One client connection, without a network, by each way of a request to the application."""

from __future__ import annotations

import asyncio
import gc

import pytest

from serving.asgi import CALL, AsgiCall
from serving.buffered_request import BufferedRequest
from serving.connection import READ_AHEAD, Connection
from serving.server import LINGER
from tests.unit.serving.stage import (
    CHUNKED,
    HIGH,
    LIMITS,
    POST,
    WAYS,
    Application,
    Client,
    head,
    pass_time,
    serve,
    settle,
)


@pytest.fixture(params=WAYS)
def application(request: pytest.FixtureRequest) -> Application:
    """Everything holds whether and how an application takes requests before ASGI."""
    return Application(request.param)


@pytest.fixture
async def client(application: Application) -> Client:
    return Client(serve(application))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


# -- requests and their order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_requests_are_answered_however_they_are_cut(client, application, size):
    chunked = CHUNKED + b"2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-A: trailer\r\n\r\n"
    await client.send(*cut(head() + POST + chunked + head(b"*", method=b"OPTIONS"), size))
    assert application.requests == [
        ("GET", b"/v2", b""),
        ("POST", b"/v2/queues", b"hello"),
        ("POST", b"/v2/queues", b"hello"),
        ("OPTIONS", b"*", b""),
    ]
    assert [(status, headers[b"a"], body) for status, headers, body in client.answers] == [
        (200, b"b", b""),
        (200, b"b", b"hello"),
        (200, b"b", b"hello"),
        (200, b"b", b""),
    ]
    assert not client.closed


async def test_a_whole_request_is_offered_with_its_scope(client, application):
    await client.send(POST)
    assert len(application.offered) == (application.way != "by ASGI only")
    for request in application.offered:
        assert request.body == b"hello"
        assert request.scope["headers"] == [(b"host", b"x"), (b"content-length", b"5")]
        base = {"type", "http_version", "method", "target", "headers", "client", "server", "scheme"}
        assert request.scope.keys() == base


@pytest.mark.parametrize("chunks", [[POST[:-2], POST[-2:]], [CHUNKED + b"0\r\n\r\n"]], ids=["in pieces", "chunked"])
async def test_a_request_whose_body_is_to_come_goes_by_asgi(client, application, chunks):
    await client.send(*chunks)
    assert (len(application.requests), application.offered) == (1, [])


async def test_a_pipeline_of_a_thousand_is_answered_in_order(client, application):
    await client.send(b"".join(head(b"/%d" % number) for number in range(1000)))
    await settle(10_000)
    assert [target for _, target, _ in application.requests] == [b"/%d" % number for number in range(1000)]
    assert client.statuses == [200] * 1000


async def test_a_request_waits_for_the_one_before_it(client, application):
    application.go.clear()
    await client.send(POST, head(b"/v2/two"))
    assert (client.statuses, len(application.offered)) == ([], int(application.way != "by ASGI only"))
    application.go.set()
    await settle()
    assert [target for _, target, _ in application.requests] == [b"/v2/queues", b"/v2/two"]
    assert client.statuses == [200, 200]


async def test_a_pipeline_costs_no_more_than_its_bytes(client, application):
    application.go.clear()
    await client.send(POST)
    sent = 0
    while not client.transport.paused:
        await client.send(head(b"/" + b"x" * 900))
        sent += 1
    assert client.connection._parser.buffered <= READ_AHEAD + 1000
    application.go.set()
    await settle(100 * sent)
    assert client.statuses == [200] * (1 + sent)
    assert not client.transport.paused


async def test_an_upgrade_is_ignored_and_the_body_stays_a_body(client, application):
    """RFC 9110 section 7.8: as Java's HttpClient asks for HTTP/2."""
    upgrade = (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAA",
        b"Content-Length: 5",
    )
    await client.send(head(b"/v2", *upgrade, method=b"POST") + b"hello" + head(b"/v2/two"))
    assert application.requests == [("POST", b"/v2", b"hello"), ("GET", b"/v2/two", b"")]
    assert client.statuses == [200, 200]


@pytest.mark.parametrize(
    ("request_head", "connection", "stays"),
    [
        (head(), None, True),
        (head(b"/v2", b"Connection: close"), b"close", False),
        (head(version=b"1.0"), b"close", False),
        (head(b"/v2", b"Connection: keep-alive", version=b"1.0"), b"keep-alive", True),
    ],
)
async def test_the_client_decides_whether_the_connection_stays(client, request_head, connection, stays):
    await client.send(request_head + head(b"/v2/two"))
    assert client.statuses == [200, 200] if stays else [200]
    assert client.answers[0][1].get(b"connection") == connection
    assert (client.transport.ended or client.closed) is not stays


# -- the end of a client's input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [head(), POST, head() + POST])
async def test_a_half_closed_client_gets_its_answers(client, application, sent):
    """RFC 9112 section 9.6."""
    application.go.clear()
    await client.send(sent)
    await client.end_input()
    assert not client.closed
    application.go.set()
    await settle()
    assert client.statuses == [200] * sent.count(b"HTTP/1.1")
    assert client.closed
    assert not client.transport.aborted


class Watching:
    """Keeps each request until it is answered, and notes the departure of its client."""

    def __init__(self, *, takes: bool) -> None:
        self.takes = takes
        self.call: AsgiCall | BufferedRequest | None = None
        self.left: list[bool] = []
        self.go = asyncio.Event()

    def try_fast_path(self, request: BufferedRequest) -> bool:
        if self.takes:
            self._watch(request)
        return self.takes

    async def __call__(self, scope, receive, send) -> None:
        self._watch(scope["extensions"][CALL])
        await self.go.wait()
        self.call.respond(200, [], b"")

    def _watch(self, call: AsgiCall | BufferedRequest) -> None:
        self.call = call
        call.on_left = self.left.append


@pytest.mark.parametrize("takes", [True, False], ids=["taken", "by ASGI"])
async def test_an_application_learns_that_a_client_has_left(takes):
    application = Watching(takes=takes)
    client = Client(serve(application))
    await client.send(head())
    assert not application.call.half_closed
    await client.end_input()
    assert application.left == [False]
    assert application.call.half_closed
    await client.abort()
    assert application.left == [False, True]
    application.go.set()
    await settle()


@pytest.mark.parametrize("takes", [True, False], ids=["taken", "by ASGI"])
async def test_a_client_that_leaves_after_its_answer_is_not_news(takes):
    application = Watching(takes=takes)
    client = Client(serve(application))
    await client.send(head())
    if takes:
        application.call.respond(200, [], b"")
    application.go.set()
    await settle()
    assert client.statuses == [200]
    await client.end_input()
    await client.abort()
    assert application.left == []


@pytest.mark.parametrize("sent", [b"", b"GET /v2", head() + b"G"])
async def test_the_end_of_the_input_ends_a_connection_without_a_request(client, sent):
    if sent:
        await client.send(sent)
    await client.end_input()
    assert client.closed
    assert client.statuses == [200] * sent.count(b"\r\n\r\n")


async def test_a_request_that_ends_midway_is_dropped(client, application):
    await client.send(POST[:-1])
    await client.end_input()
    assert client.closed
    assert (application.requests, application.disconnects, client.statuses) == ([], 1, [])


@pytest.mark.parametrize("midway", [POST[:-1], POST[:-5], CHUNKED, CHUNKED + b"5\r\nhello\r\n"])
async def test_a_request_that_ends_midway_is_dropped_in_its_turn(client, application, midway):
    application.go.clear()
    await client.send(head() + midway)
    await client.end_input()
    application.go.set()
    await settle()
    assert client.closed
    assert (len(application.requests), application.disconnects, client.statuses) == (1, 0, [200])
    assert client.server.reserve(LIMITS.max_bodies)


async def test_a_client_that_aborted_is_not_answered(client, application):
    application.go.clear()
    await client.send(POST)
    await client.abort()
    application.go.set()
    await settle()
    assert (application.requests, application.disconnects, client.statuses) == ([], 1, [])


# -- bytes that are no request -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (head(b"x:443", method=b"CONNECT"), 501),
        (head(b"/v2", b"Transfer-Encoding: gzip, chunked"), 501),
        (head(b"/v2", b"Expect: more"), 417),
        (CHUNKED + b"zz\r\n", 400),
        (head(b"/v2", b"X: " + b"x" * LIMITS.max_head), 400),
    ],
)
async def test_bytes_that_are_no_request_are_refused_in_their_turn(client, application, data, status):
    application.go.clear()
    await client.send(head() + data, head(b"/v2/after"))
    assert client.statuses == []
    application.go.set()
    await settle()
    assert client.statuses == [200, status]
    assert client.refusal(status)
    assert len(application.requests) == 1


async def test_a_refused_client_may_finish_sending(client):
    await client.send(b"nonsense\r\n\r\n", b"x" * 100_000)
    assert client.statuses == [400]
    assert (client.transport.ended, client.closed) == (True, False)
    await pass_time(client.server, LINGER)
    assert client.closed
    assert client.server.connections == set()


async def test_a_refused_client_that_has_finished_is_not_waited_for(client):
    await client.send(b"nonsense\r\n\r\n")
    await client.end_input()
    assert client.closed


async def test_a_broken_body_ends_its_request(client, application):
    await client.send(CHUNKED, b"1\r\na\r\nzz\r\n")
    assert (application.requests, application.disconnects, client.statuses) == ([], 1, [400])


@pytest.mark.parametrize("broken", [b"zz\r\n", b"1\r\na\r\nzz\r\n", b"0\r\nnonsense\r\n\r\n"])
async def test_a_body_that_arrives_broken_is_no_request(client, application, broken):
    """Else an application that does not read its body would carry out what is refused."""
    await client.send(CHUNKED + broken)
    assert (application.requests, application.disconnects, client.statuses) == ([], 0, [400])
    assert client.server.reserve(LIMITS.max_bodies)


@pytest.mark.parametrize(
    "late", [[b"hello", head(b"/v2/two")], [b"hello" + head(b"/v2/two")], [b"hello" + POST], [b"hellononsense\r\n\r\n"]]
)
async def test_nothing_is_taken_after_the_answer_that_is_the_last(late, caplog):
    """RFC 9112 section 9.6: the client may send it again, elsewhere."""
    targets = []

    async def early(scope, receive, send):
        targets.append(scope["target"])
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body"})

    client = Client(serve(early))
    await client.send(POST[:-5])
    assert client.answers[0][1][b"connection"] == b"close"
    await client.send(*late)
    assert (targets, client.statuses, caplog.text) == ([b"/v2/queues"], [400], "")
    assert client.transport.ended


# -- timeouts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"G", b"GET /v2 HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
@pytest.mark.parametrize("first", [b"", head()], ids=["the first", "the second"])
async def test_a_head_that_is_late_is_refused(client, first, sent):
    await client.send(first + sent)
    await pass_time(client.server, LIMITS.head_timeout - 1)
    await client.send(b"X")  # a byte now and then is no progress
    assert client.statuses == [200] * bool(first)
    await pass_time(client.server, 1)
    if sent != b"\r\n":
        assert "within 30 seconds" in client.refusal()
    assert client.statuses[-1] == 400


async def test_a_silent_connection_is_closed_without_a_word(client):
    await pass_time(client.server, LIMITS.head_timeout)
    assert client.closed
    assert client.transport.written == b""


async def test_an_idle_connection_is_closed_without_a_word(client):
    await client.send(head())
    await pass_time(client.server, LIMITS.keep_alive - 1)
    await client.send(head())
    await pass_time(client.server, LIMITS.keep_alive - 1)
    assert not client.closed
    await pass_time(client.server, 1)
    assert (client.closed, client.statuses) == (True, [200, 200])


async def test_a_request_under_way_has_no_timeout(client, application):
    application.go.clear()
    await client.send(POST, b"GET /v2/two")
    await pass_time(client.server, 1000)
    application.go.set()
    await settle()
    await client.send(b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.statuses == [200, 200]


async def test_a_body_that_is_late_is_refused(client, application):
    await client.send(POST[:-5])
    await pass_time(client.server, LIMITS.body_timeout - 1)
    await client.send(b"hell")
    assert client.statuses == []
    await pass_time(client.server, 1)
    assert "did not arrive within 60 seconds" in client.refusal()
    assert (application.requests, application.disconnects) == ([], 1)


async def test_a_body_that_the_application_does_not_read_is_not_late():
    application = Application()

    async def slow(scope, receive, send):
        await application.go.wait()
        await application(scope, receive, send)

    application.go.clear()
    client = Client(serve(slow))
    size = READ_AHEAD + 2
    await client.send(head(b"/v2", b"Content-Length: %d" % size, method=b"POST") + b"x" * (READ_AHEAD + 1))
    assert client.transport.paused
    await pass_time(client.server, LIMITS.body_timeout)
    application.go.set()
    await settle()
    assert not client.transport.paused
    await client.send(b"x")
    assert client.answers[0][2] == b"x" * size


async def test_a_closed_connection_leaves_nothing_waiting(client):
    await client.send(POST[:-1])
    await client.abort()
    server = client.server
    assert [len(each) for each in (server.heads, server.bodies, server.idle, server.stuck, server.lingering)] == [0] * 5


# -- clients that do not read ------------------------------------------------------------------------------------------

LARGE = head(b"/v2", b"Content-Length: 70000", method=b"POST") + b"x" * 70_000


async def test_a_slow_reader_is_aborted(client):
    client.transport.reads = False
    await client.send(LARGE)
    await pass_time(client.server, LIMITS.send_timeout)
    assert client.transport.aborted
    assert client.server.connections == set()


async def test_a_reader_that_goes_on_is_served(client):
    client.transport.reads = False
    await client.send(LARGE)
    for _ in range(3):
        client.transport.read(1024 * 10)
        await pass_time(client.server, LIMITS.send_timeout)
    assert not client.closed
    client.transport.reads = True
    client.transport.read(client.transport.pending)
    await client.send(head())
    assert client.statuses == [200, 200]


async def test_a_client_that_does_not_read_gets_no_further_answers(client, application):
    client.transport.reads = False
    await client.send(LARGE + head() * 5)
    assert len(application.requests) == 1
    client.transport.read(client.transport.pending)
    await settle(100)
    assert client.statuses == [200] * 6


async def test_a_half_closed_client_gets_what_it_has_not_read_yet(client):
    client.transport.reads = False
    await client.send(LARGE + head())
    await client.end_input()
    assert not client.closed
    client.transport.read(client.transport.pending)
    await settle()
    assert (client.statuses, client.closed, client.transport.aborted) == ([200, 200], True, False)


@pytest.mark.parametrize("ends", ["close", "half-close", "keep-alive", "nonsense"])
async def test_a_closing_connection_whose_client_does_not_read_is_aborted(client, ends):
    """It has less pending than the high-water mark, so that no answer waits for it."""
    client.transport.reads = False
    await client.send(head(b"/v2", b"Connection: close") if ends == "close" else head())
    assert 0 < client.transport.pending < HIGH
    if ends == "half-close":
        await client.end_input()
    elif ends == "nonsense":
        await client.send(b"nonsense\r\n\r\n")
        await pass_time(client.server, LINGER)
    elif ends == "keep-alive":
        await pass_time(client.server, LIMITS.keep_alive)
    assert (client.closed, client.transport.aborted) == (True, False)
    await pass_time(client.server, LIMITS.send_timeout)
    assert client.transport.aborted
    assert client.server.connections == set()


# -- room --------------------------------------------------------------------------------------------------------------


async def test_the_connection_that_is_idle_for_longest_makes_room(application):
    server = serve(application, max_connections=2)
    first, second = Client(server), Client(server)
    await second.send(head())
    await first.send(head())
    third = Client(server)
    await third.send(head())
    assert (first.closed, second.closed, third.statuses) == (False, True, [200])


async def test_a_slow_head_makes_room_if_no_connection_is_idle(application):
    server = serve(application, max_connections=1)
    slow = Client(server)
    await slow.send(b"GET /")
    other = Client(server)
    await other.send(head())
    assert (slow.closed, slow.statuses, other.statuses) == (True, [], [200])


async def test_a_connection_too_many_is_refused_if_none_waits(application):
    server = serve(application, max_connections=1)
    application.go.clear()
    busy = Client(server)
    await busy.send(POST)
    refused = Client(server)
    assert "limit of connections" in refused.refusal(503)
    await refused.send(head())
    assert (refused.closed, refused.statuses) == (True, [503])
    application.go.set()
    await settle()
    assert busy.statuses == [200]


async def test_a_client_address_has_a_limit_of_its_own(application):
    server = serve(application, max_per_client=1, trusted_clients=frozenset({"192.0.2.9"}))
    first = Client(server, "192.0.2.1")
    assert "This address" in Client(server, "192.0.2.1").refusal(503)
    assert not Client(server, "192.0.2.2").closed
    assert [Client(server, "192.0.2.9").closed for _ in range(3)] == [False] * 3
    await first.abort()
    assert not Client(server, "192.0.2.1").closed


@pytest.mark.parametrize(
    "sent",
    [
        [POST],
        [POST[:-5], b"hello"],
        [CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"],
        [CHUNKED, b"3\r\nhel\r\n", b"2\r\nlo\r\n", b"0\r\n\r\n"],
    ],
    ids=["whole", "in pieces", "chunked", "in chunks"],
)
async def test_bodies_count_until_they_are_answered(application, sent):
    server = serve(application, max_bodies=9)
    application.go.clear()
    first, second = Client(server), Client(server)
    await first.send(POST)
    await second.send(*sent)
    assert "too many requests in flight" in second.refusal(503)
    third = Client(server)
    await third.send(head())
    application.go.set()
    await settle()
    assert (first.statuses, third.statuses) == ([200], [200])
    fourth = Client(server)
    await fourth.send(*sent)
    assert fourth.statuses == [200]
    assert server.reserve(9)


async def test_a_body_that_does_not_come_takes_no_room(application):
    """Else a hundred clients that announce large bodies would stop the posts of all others."""
    server = serve(application, max_bodies=5)
    announced = [Client(server) for _ in range(10)]
    for client in announced:
        await client.send(POST[:-5])
    client = Client(server)
    await client.send(POST)
    await client.send(POST[:-5], b"hello")
    assert client.statuses == [200, 200]
    for client in announced:
        await client.send(b"hello")
        assert client.statuses == [200]


@pytest.mark.parametrize("sent", [POST, POST[:-1], CHUNKED + b"5\r\nhello\r\n"])
async def test_the_body_of_a_client_that_aborted_counts_no_longer(application, sent):
    server = serve(application, max_bodies=5)
    application.go.clear()
    client = Client(server)
    await client.send(sent)
    await client.abort()
    application.go.set()
    await settle()
    assert server.reserve(5)


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [head(), POST, CHUNKED + b"0\r\n\r\n"])
async def test_every_answer_during_a_drain_is_the_last_of_its_connection(client, sent):
    await client.send(head())
    client.server.drain()
    await client.send(sent + head(b"/v2/after"))
    assert client.statuses == [200, 200]
    assert [headers.get(b"connection") for _, headers, _ in client.answers] == [None, b"close"]
    assert client.transport.ended or client.closed


async def test_a_refusal_during_a_drain_is_as_ever(client):
    client.server.drain()
    await client.send(b"nonsense\r\n\r\n")
    assert client.refusal()


# -- faults of the application -----------------------------------------------------------------------------------------


async def test_an_application_that_fails_to_take_a_request_gets_it_by_asgi(application, caplog):
    def fail(_):
        raise RuntimeError("not today")

    application.try_fast_path = fail
    client = Client(serve(application))
    await client.send(POST)
    assert application.requests == [("POST", b"/v2/queues", b"hello")]
    assert "not today" in caplog.text


# -- garbage -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_garbage():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage")
@pytest.mark.parametrize(
    "sent",
    [[head()], [POST], [POST[:-2], POST[-2:]], [CHUNKED + b"1\r\na\r\n", b"0\r\n\r\n"], [head() * 3]],
    ids=["GET", "POST", "in pieces", "chunked", "a pipeline"],
)
async def test_requests_leave_no_reference_cycles(client, application, sent):
    for _ in range(20):
        await client.send(*sent)
    assert set(client.statuses) == {200}
    application.offered.clear()
    assert gc.collect() == 0


@pytest.mark.usefixtures("_no_garbage")
@pytest.mark.parametrize("ending", ["closed", "aborted", "refused", "half-closed"])
async def test_a_connection_that_ended_leaves_none(client, application, ending):
    application.go.clear()
    await client.send(POST)
    if ending == "aborted":
        await client.abort()
    application.go.set()
    await settle()
    if ending == "half-closed":
        await client.end_input()
    elif ending == "refused":
        await client.send(b"nonsense\r\n\r\n")
        await pass_time(client.server, LINGER)
    elif ending == "closed":
        await pass_time(client.server, LIMITS.keep_alive)
    await settle()
    application.offered.clear()
    client.transport.protocol = client.connection = None  # a transport lets go of its protocol
    assert [one for one in gc.get_objects() if isinstance(one, Connection | BufferedRequest | AsgiCall)] == []
    assert gc.collect() == 0
