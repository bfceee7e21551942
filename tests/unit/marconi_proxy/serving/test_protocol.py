"""The protocol without a network: chunks go in exactly as given, timers fire at the test's command."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import weakref

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from marconi_proxy.serving.buffered_request import BufferedRequest
from marconi_proxy.serving.buffered_response import BUFFERED_RESPONSE
from marconi_proxy.serving.protocol import LINGER, ConnectionLimits, FrontDoorProtocol

MAX_HEAD = 1024
TIMEOUT = 30.0


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written = b""
        self.ended = self.closed = self.paused = False

    def write(self, data):
        assert not self.closed, "written after close"
        assert not self.ended, "written after the end"
        self.written += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


class Timers:
    """The loop as the protocol uses it, with timers that only ``fire`` ends."""

    def __init__(self, loop):
        self.create_task = loop.create_task
        self.loop = loop
        self.set = []

    def call_later(self, delay, callback, *args):
        handle = asyncio.TimerHandle(delay, callback, args, self.loop)
        self.set.append(handle)
        return handle

    @property
    def running(self):
        return [handle for handle in self.set if not handle.cancelled()]

    def fire(self, delay):
        (handle,) = [handle for handle in self.running if handle.when() == delay]
        self.set.remove(handle)
        handle._run()


@pytest.fixture(autouse=True, params=["by ASGI only", "at once", "later", "never", "handed over"])
def taken(request, monkeypatch):
    """Everything holds whether and how an application takes requests before ASGI."""
    monkeypatch.setattr(Connection, "taken", request.param)
    return request.param


class Connection:
    """A client's view: ``send`` chunks, look at ``answers``. Requests are answered when ``go`` is set."""

    taken = "by ASGI only"

    def __init__(self, max_connections=100, state=None):
        self.requests = []
        self.offered = []
        self.disconnects = 0
        self.go = asyncio.Event()
        self.go.set()
        self.timers = Timers(asyncio.get_running_loop())
        self.transport = Transport()
        config = Config(
            self.application, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None
        )
        config.load()
        config.loaded_app = self.application if self.taken == "by ASGI only" else Taking(self)
        limits = ConnectionLimits(MAX_HEAD, TIMEOUT, max_connections)
        self.protocol = FrontDoorProtocol(config, state or ServerState(), {}, self.timers, limits=limits)
        self.protocol.connection_made(self.transport)

    async def application(self, scope, receive, send):
        body = b""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.disconnects += 1
                return
            body += event["body"]
            if not event["more_body"]:
                break
        await self.go.wait()
        self.requests.append((scope["method"], scope["target"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(self, *chunks):
        for chunk in chunks:
            if not self.transport.closed:
                self.protocol.data_received(chunk)
        await self.settle()

    async def settle(self):
        # Every task that can go on, does; the application takes a handful of turns.
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def statuses(self):
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.transport.written)]

    def refusal(self):
        """The JSON of the last answer, which ends the connection."""
        head, _, body = self.transport.written.rpartition(b"HTTP/1.1 400 ")[2].partition(b"\r\n\r\n")
        assert b"content-type: application/json\r\n" in head
        assert b"connection: close" in head
        assert b"content-length: %d\r\n" % len(body) in head
        document = json.loads(body)
        assert document.keys() == {"title", "description"}
        return document["description"]


class Taking:
    """An application that takes requests before ASGI, or declines to."""

    def __init__(self, connection):
        self._connection = connection
        self._under_way = set()

    async def __call__(self, scope, receive, send):
        await self._connection.application(scope, receive, send)

    def try_fast_path(self, request):
        self._connection.offered.append(request)
        how = self._connection.taken
        if how == "never":
            return False
        if how == "by hand":
            return True
        if how == "at once" and self._connection.go.is_set():
            self._answer(request)
        else:
            task = asyncio.get_running_loop().create_task(self._answer_later(request))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return True

    async def _answer_later(self, request):
        await self._connection.go.wait()
        if self._connection.taken == "handed over":
            request.hand_over(self._connection.application)
        else:
            self._answer(request)

    def _answer(self, request):
        if request.disconnected:
            self._connection.disconnects += 1
        else:
            self._connection.requests.append((request.scope["method"], request.scope["target"], request.body))
        assert request.respond(200, [(b"content-length", b"0")], b"")


def head(target=b"/v2", *headers, method=b"GET"):
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: x", *headers, b"", b""])


def padded(size, *headers):
    """A head of exactly ``size`` bytes, in several headers."""
    line = head(b"/v2", *headers)
    while len(line) < size:
        room = min(size - len(line), 200) if size - len(line) - 200 > 20 else size - len(line)
        line = line[:-2] + b"X: " + b"x" * (room - 5) + b"\r\n\r\n"
    assert len(line) == size
    return line


def cut(data, size=1):
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/v1/queues?",
        b"/v2/a#b?c",
        b"/v2/a%2Fb",
        b"/v2?a=?&b=%00",
        b"/v2//x//y/",
        b"//x//y",
        b"/v?b#",
        b"*",
        b"/v;,~$'()",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10000])
async def test_the_target_is_what_was_received(target, size):
    connection = Connection()
    await connection.send(*cut(head(target), size))
    assert connection.requests == [("GET", target, b"")]
    assert connection.statuses == [200]


@pytest.mark.parametrize(
    "target", [b"http://x/", b"x:80", b"x", b"?a", b"**", b"*/", b"/v2/\xc3\xa9", b"/v2/a b", b"", b"/\x00"]
)
async def test_targets_of_other_forms_are_refused(target):
    connection = Connection()
    await connection.send(head(target))
    assert connection.requests == []
    assert connection.statuses == [400]
    assert connection.refusal()


async def test_a_target_may_have_its_limit_and_no_byte_more(monkeypatch):
    monkeypatch.setattr(f"{__name__}.MAX_HEAD", 1_000_000)
    longest = b"/v2/" + b"x" * 65531
    connection = Connection()
    await connection.send(head(longest))
    assert (connection.requests, connection.statuses) == ([("GET", longest, b"")], [200])
    connection = Connection()
    await connection.send(head(longest + b"x"))
    assert (connection.requests, connection.statuses) == ([], [400])
    assert "longer than 65535 bytes" in connection.refusal()


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        head(b"x:443", method=b"CONNECT"),
        b"GET /v2 HTTP/2.0\r\n\r\n",
        b"GET /v2\r\n\r\n",
        head(b"/v2", b"A B: c"),
        head(b"/v2", b"Content-Length: x"),
        head(b"/v2", b"Content-Length: 1", b"Content-Length: 2"),
        head(b"/v2", b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        head(b"/v2", b"Transfer-Encoding: chunked, identity"),
        head(b"/v2", b"Upgrade: h2c", b"Connection: upgrade", b"Content-Length: 3", method=b"POST") + b"abc",
        head(b"/v2", b"Upgrade: h2c", b"Connection: upgrade", b"Transfer-Encoding: chunked", method=b"POST"),
    ],
)
async def test_what_is_no_good_request_is_refused_in_json(data):
    connection = Connection()
    await connection.send(data)
    assert (connection.requests, connection.statuses) == ([], [400])
    assert connection.refusal()


@pytest.mark.parametrize("size", [1, 3, 100, 5000])
async def test_a_head_may_have_its_limit_and_no_byte_more(size):
    connection = Connection()
    await connection.send(*cut(padded(MAX_HEAD), size))
    assert connection.statuses == [200]
    connection = Connection()
    await connection.send(*cut(padded(MAX_HEAD + 1), size))
    assert (connection.requests, connection.statuses) == ([], [400])
    assert "larger than 1024 bytes" in connection.refusal()


async def test_a_head_that_never_ends_is_refused_at_its_limit():
    connection = Connection()
    chunks = [b"GET /v2 HTTP/1.1\r\nX: ", *[b"x" * 100] * 9]
    await connection.send(*chunks)
    assert connection.statuses == []
    await connection.send(b"x" * 200)
    assert connection.statuses == [400]


async def test_line_ends_before_a_request_are_bounded_too():
    connection = Connection()
    await connection.send(*[b"\r\n" * 100] * 6)
    assert connection.statuses == [400]


@pytest.mark.parametrize("size", [1, 10, 1000, 100000])
async def test_body_bytes_do_not_count(size):
    connection = Connection()
    body = b"b" * 5000
    request = padded(MAX_HEAD, b"Content-Length: 5000") + body
    await connection.send(*cut(request * 2, size))
    while connection.transport.paused:
        await connection.settle()
    assert connection.requests == [("GET", b"/v2", body)] * 2


@pytest.mark.parametrize("size", [1, 50, 5000, 5600, 6100, 100000])
async def test_heads_count_by_themselves_on_a_connection(size):
    """A good request with a body, then a head too large, wherever the chunks are cut."""
    connection = Connection()
    good = head(b"/v2/good", b"Content-Length: 5000", method=b"POST") + b"b" * 5000
    await connection.send(*cut(good + padded(MAX_HEAD) + padded(MAX_HEAD + 1), size))
    await connection.settle()
    assert [target for _, target, _ in connection.requests] == [b"/v2/good", b"/v2"]
    assert connection.statuses[:2] == [200, 200]
    assert connection.transport.closed or connection.statuses[2:] == [400]


async def test_a_refusal_waits_for_the_answers_that_are_owed():
    connection = Connection()
    connection.go.clear()
    await connection.send(head(b"/v2/one") + b"nonsense\r\n\r\n")
    assert connection.statuses == []
    connection.go.set()
    await connection.settle()
    assert connection.statuses == [200]
    assert connection.transport.closed


async def test_a_broken_body_is_refused_and_its_request_disconnected():
    connection = Connection()
    await connection.send(head(b"/v2", b"Transfer-Encoding: chunked", method=b"POST"), b"zz\r\n")
    assert (connection.requests, connection.disconnects, connection.statuses) == ([], 1, [400])


async def test_a_refused_client_may_finish_sending():
    connection = Connection()
    await connection.send(b"nonsense\r\n\r\n", b"x" * 100000)
    assert connection.statuses == [400]
    assert connection.transport.ended
    assert not connection.transport.closed
    connection.timers.fire(LINGER)
    assert connection.transport.closed


async def test_an_upgrade_is_ignored_and_ends_the_connection():
    connection = Connection()
    await connection.send(head(b"/v2", b"Upgrade: h2c", b"Connection: upgrade") + b"PRI * HTTP/2.0\r\n\r\n")
    assert connection.requests == [("GET", b"/v2", b"")]
    assert connection.statuses == [200]
    assert connection.transport.closed


@pytest.mark.parametrize("sent", [b"G", b"GET /v2 HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
async def test_a_head_that_is_late_is_refused(sent):
    connection = Connection()
    await connection.send(sent)
    connection.timers.fire(TIMEOUT)
    assert "within 30 seconds" in connection.refusal()


async def test_a_silent_connection_is_closed_without_a_word():
    connection = Connection()
    connection.timers.fire(TIMEOUT)
    assert connection.transport.closed
    assert connection.transport.written == b""


async def test_the_second_head_of_a_connection_may_not_be_late_either():
    connection = Connection()
    await connection.send(head())
    assert [handle.when() for handle in connection.timers.running] == [5]
    await connection.send(b"G", b"E", b"T")
    connection.timers.fire(TIMEOUT)
    assert connection.statuses == [200, 400]


async def test_complete_heads_leave_no_timer_but_that_of_idleness():
    connection = Connection()
    await connection.send(head(), head(), head())
    assert [handle.when() for handle in connection.timers.running] == [5]
    assert len([handle for handle in connection.timers.set if handle.when() == TIMEOUT]) == 1


async def test_a_late_head_behind_a_request_under_way_gets_more_time():
    connection = Connection()
    connection.go.clear()
    await connection.send(head(b"/v2/one"), b"GET /v2/two")
    connection.timers.fire(TIMEOUT)
    connection.go.set()
    await connection.settle()
    await connection.send(b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.statuses == [200, 200]


async def test_a_connection_too_many_is_told_so_and_closed():
    state = ServerState()
    first = Connection(max_connections=1, state=state)
    second = Connection(max_connections=1, state=state)
    assert second.transport.written.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in second.transport.written
    assert second.transport.closed
    second.protocol.connection_lost(None)
    await first.send(head())
    assert first.statuses == [200]


async def test_a_closed_connection_leaves_no_timer():
    connection = Connection()
    await connection.send(b"GET")
    connection.protocol.connection_lost(None)
    assert connection.timers.running == []


# -- requests that an application may take -----------------------------------------------------------------------------

POST = head(b"/v2/queues", b"Content-Length: 5", method=b"POST") + b"hello"


async def test_a_whole_request_is_offered_with_its_scope(taken):
    connection = Connection()
    await connection.send(POST)
    assert connection.requests == [("POST", b"/v2/queues", b"hello")]
    if taken != "by ASGI only":
        (request,) = connection.offered
        assert request.scope.keys() == {"type", "method", "target", "headers", "client", "scheme"}
        assert request.scope["headers"] == [(b"host", b"x"), (b"content-length", b"5")]


@pytest.mark.parametrize(
    "chunks",
    [
        [POST[:-2], POST[-2:]],
        [head(b"/elsewhere")],
        [head(b"/v2", b"Connection: close")],
        [head(b"/v2").replace(b"1.1", b"1.0")],
        [head(b"/v2", b"Upgrade: h2c", b"Connection: upgrade")],
        [head(b"/v2", b"Expect: 100-continue", b"Content-Length: 0")],
    ],
    ids=["in pieces", "no API path", "the last", "HTTP/1.0", "an upgrade", "one who waits"],
)
async def test_what_is_not_plain_and_whole_is_not_offered(chunks):
    connection = Connection()
    await connection.send(*chunks)
    assert len(connection.requests) == 1
    assert connection.offered == []


async def test_requests_of_a_pipeline_are_answered_in_turn():
    connection = Connection()
    await connection.send(POST + head(b"/v2/two"), head(b"/v2/three"))
    assert [target for _, target, _ in connection.requests] == [b"/v2/queues", b"/v2/two", b"/v2/three"]
    assert connection.statuses == [200, 200, 200]


async def test_a_request_behind_one_that_was_taken_waits_for_it():
    connection = Connection()
    connection.go.clear()
    await connection.send(POST, head(b"/v2/two"))
    assert connection.statuses == []
    connection.go.set()
    await connection.settle()
    assert [target for _, target, _ in connection.requests] == [b"/v2/queues", b"/v2/two"]
    assert connection.statuses == [200, 200]


async def test_an_application_that_fails_to_take_gets_it_by_asgi(taken, monkeypatch, caplog):
    def fail(self, request):
        raise RuntimeError("not today")

    monkeypatch.setattr(Taking, "try_fast_path", fail)
    connection = Connection()
    await connection.send(POST)
    assert connection.requests == [("POST", b"/v2/queues", b"hello")]
    assert ("not today" in caplog.text) is (taken != "by ASGI only")


async def test_a_server_that_stops_answers_what_was_taken_and_closes(taken):
    connection = Connection()
    connection.go.clear()
    await connection.send(POST)
    connection.protocol.shutdown()
    assert not connection.transport.closed
    connection.go.set()
    await connection.settle()
    assert connection.statuses == [200]
    # In answers that uvicorn writes, only newer releases send this header.
    assert b"connection: close" in connection.transport.written or taken not in ("at once", "later")
    assert connection.transport.closed


async def test_a_client_that_has_gone_is_not_answered():
    connection = Connection()
    connection.go.clear()
    await connection.send(POST)
    connection.protocol.connection_lost(None)
    connection.go.set()
    await connection.settle()
    assert connection.transport.written == b""


BROKEN = head(b"/v2/two", b"Transfer-Encoding: chunked", method=b"POST") + b"zz\r\n"


async def test_a_broken_request_in_a_pipeline_is_refused_in_its_turn():
    connection = Connection()
    connection.go.clear()
    await connection.send(POST + head(b"/v2/one") + BROKEN, head(b"/v2/after"))
    assert connection.statuses == []
    connection.go.set()
    await connection.settle()
    assert [target for _, target, _ in connection.requests] == [b"/v2/queues", b"/v2/one"]
    assert connection.statuses == [200, 200, 400]
    assert "not a valid HTTP/1.1 request" in connection.refusal()
    assert connection.transport.closed


async def test_nothing_is_written_to_a_connection_that_was_closed_meanwhile(monkeypatch):
    monkeypatch.setattr(Connection, "taken", "by hand")
    connection = Connection()
    await connection.send(POST)
    connection.transport.close()
    (request,) = connection.offered
    assert request.respond(200, [(b"content-length", b"0")], b"")
    assert connection.transport.written == b""


async def test_nor_is_it_by_asgi(monkeypatch, caplog):
    async def application(self, scope, receive, send):
        await self.go.wait()
        whole = scope["extensions"][BUFFERED_RESPONSE]
        self.requests.append((scope["target"], whole.client_gone))
        assert whole.respond(200, [(b"content-length", b"0")], b"")

    monkeypatch.setattr(Connection, "application", application)
    monkeypatch.setattr(Connection, "taken", "never")
    connection = Connection()
    connection.go.clear()
    await connection.send(POST)
    connection.transport.close()
    connection.go.set()
    await connection.settle()
    assert connection.requests == [(b"/v2/queues", True)]
    assert (connection.transport.written, caplog.text) == (b"", "")


@pytest.mark.parametrize(
    "late", [[b"hello", head(b"/v2/two")], [b"hello" + head(b"/v2/two")], [b"hello" + POST], [b"hellononsense\r\n\r\n"]]
)
async def test_nothing_is_taken_from_a_client_after_the_answer_that_is_its_last(late, monkeypatch, caplog):
    """RFC 9112 section 9.6. It may send it again, elsewhere."""

    async def application(self, scope, receive, send):
        self.requests.append(scope["target"])
        assert scope["extensions"][BUFFERED_RESPONSE].respond(400, [(b"content-length", b"0")], b"")

    monkeypatch.setattr(Connection, "application", application)
    connection = Connection()
    await connection.send(POST[:-5])
    await connection.send(*late)
    assert (connection.requests, connection.offered) == ([b"/v2/queues"], [])
    assert (connection.statuses, caplog.text) == ([400], "")
    assert connection.transport.ended


async def test_nor_when_it_is_handed_over(monkeypatch, caplog):
    monkeypatch.setattr(Connection, "taken", "by hand")
    connection = Connection()
    await connection.send(POST)
    connection.transport.close()
    (request,) = connection.offered
    request.hand_over(connection.application)
    await connection.settle()
    assert (connection.transport.written, caplog.text, connection.disconnects) == (b"", "", 1)


@pytest.mark.parametrize("gone", [False, True])
async def test_nothing_holds_a_request_that_has_been_dealt_with(gone):
    connection = Connection()
    connection.go.clear()
    await connection.send(POST)
    if gone:
        connection.protocol.connection_lost(None)
    connection.go.set()
    await connection.settle()
    assert connection.statuses == [200] * (not gone)
    connection.offered.clear()
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, BufferedRequest)]


@pytest.mark.parametrize("gone", [False, True])
async def test_a_connection_that_ended_leaves_no_garbage(gone):
    connection = Connection()
    connection.go.clear()
    await connection.send(POST)
    if gone:
        connection.protocol.connection_lost(None)
    connection.go.set()
    await connection.settle()
    if not gone:
        connection.protocol.connection_lost(None)
    connection.offered.clear()
    connection.timers.set.clear()
    protocol = weakref.ref(connection.protocol)
    gc.disable()
    try:
        del connection.protocol
        assert protocol() is None
    finally:
        gc.enable()


async def taken_by_hand():
    """A connection with one request that was taken and is not answered yet."""
    connection = Connection()
    await connection.send(head(b"/v2", method=b"HEAD"))
    return connection


async def test_an_answer_to_head_has_no_body(monkeypatch):
    monkeypatch.setattr(Connection, "taken", "by hand")
    connection = await taken_by_hand()
    (request,) = connection.offered
    assert request.respond(200, [(b"content-length", b"5")], b"hello")
    assert connection.transport.written.endswith(b"content-length: 5\r\n\r\n")


async def test_what_cannot_go_out_at_once_is_left_to_asgi(monkeypatch):
    monkeypatch.setattr(Connection, "taken", "by hand")
    connection = await taken_by_hand()
    (request,) = connection.offered
    assert not request.respond(200, [], b"unframed")
    connection.protocol.pause_writing()
    assert not request.respond(200, [(b"content-length", b"0")], b"")
    assert connection.transport.written == b""
    connection.protocol.resume_writing()
    request.hand_over(connection.application)
    await connection.settle()
    assert connection.statuses == [200]
