"""One call against hosts that fail: the tries that follow, their hosts, their number, and their limits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from catalog.model import Partition, PartitionState
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import (
    Abandoned,
    BadAnswer,
    ConnectFailed,
    DeadlineExceeded,
    NotSent,
    PartitionBusy,
    PartitionDisabled,
    Unanswered,
    Withdrawn,
)
from marconi_proxy.upstream.exchange import CallAtOnce, Failure, Upstream, UpstreamCall
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Origin, Pool
from marconi_proxy.upstream.retries import FLOOR
from serving.head_recogniser import ResponseRecogniser
from tests.faults.conftest import MAX_HEAD
from tests.faults.evil_host import (
    CLOSE,
    HALF_CLOSE,
    OK,
    PATIENCE,
    READ,
    READ_HEAD,
    RESET,
    STALL,
    EvilHost,
    Peer,
    Request,
    Step,
    answer,
    ever,
    later,
    say,
    serve,
    settled,
    tell,
    unused_port,
    wait,
)

GET = UpstreamCall(b"GET", b"/v2/queues/q/stats", b"client-id: c\r\n", b"", repeatable=True)
POST = UpstreamCall(b"POST", b"/v2/queues/q/messages", b"content-length: 2\r\n", b"{}", repeatable=False)
BOTH = pytest.mark.parametrize("call", [GET, POST], ids=["GET", "POST"])


class Recording(Pool):
    """The pool, with the ports that it connected to, or tried to."""

    def __init__(self) -> None:
        super().__init__(connect_timeout=PATIENCE, idle_timeout=60.0, max_head=MAX_HEAD)
        self.tries: list[int] = []

    async def connect(self, origin: Origin, deadline: float) -> Any:
        self.tries.append(origin.port)
        return await super().connect(origin, deadline)


class InOrder(random.Random):
    """Chance that always takes the first: of two hosts alike, the one that the partition names first is picked."""

    def random(self) -> float:
        return 0.0

    def shuffle(self, x: Any) -> None:
        """Leave the order."""


@pytest.fixture
async def pool() -> AsyncIterator[Recording]:
    pool = Recording()
    yield pool
    pool.close()
    await settled(lambda: not pool._all)


def partition(*hosts: EvilHost | str, state: PartitionState = PartitionState.ENABLED) -> Partition:
    return Partition("p1", tuple(h if isinstance(h, str) else h.url for h in hosts), state=state)


class Sent(CallAtOnce):
    def __init__(self) -> None:
        self.ending: asyncio.Future[UpstreamAnswer | Failure] = asyncio.get_running_loop().create_future()

    def ended(self, ending: UpstreamAnswer | Failure) -> None:
        self.ending.set_result(ending)


class Recognised(Sent):
    """The answer has headers all the same, for the tests to look at."""

    recognise = ResponseRecogniser((b"x-request-id",), (b"x-request-id",), (), (b"transfer-encoding",))

    def ended(self, ending: UpstreamAnswer | Failure) -> None:
        if isinstance(ending, UpstreamAnswer) and ending.lines is not None:
            lines = ending.lines.splitlines()
            ending.headers += [(name, value) for line in lines for name, _, value in [line.partition(b": ")]]
            ending.headers.append((b"content-length", b"%d" % len(ending.body)))
        super().ended(ending)


class AtOnce(Upstream):
    """Sends at once what can be, and waits for the rest, as the front door does before ASGI."""

    sent = Sent

    async def send(self, call: UpstreamCall, *, within: float | None = None) -> UpstreamAnswer:
        sent = self.sent()
        if within is not None or not self.send_at_once(call, sent):
            return await super().send(call, within=within)
        ending = await asyncio.shield(sent.ending)
        return await self.resume(call, ending) if isinstance(ending, Failure) else ending


class AtOnceRecognised(AtOnce):
    sent = Recognised


@pytest.fixture(autouse=True, params=[Upstream, AtOnce, AtOnceRecognised], ids=["awaited", "at once", "recognised"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Upstream]:
    """Everything holds for both ways to send."""
    monkeypatch.setattr(f"{__name__}.UPSTREAM", request.param)
    return request.param


UPSTREAM: type[Upstream] = Upstream


def reach(pool: Pool, *hosts: EvilHost | str, **limits: Any) -> Upstream:
    return UPSTREAM(partition(*hosts), pool, UpstreamLimits(**{"deadline": PATIENCE, **limits}), InOrder())


async def body(answering: Any) -> bytes:
    got: UpstreamAnswer = await answering
    return await got.read()


# -- what is sent ------------------------------------------------------------------------------------------------------


async def test_the_request_on_the_wire(pool: Pool) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        call = UpstreamCall(
            b"POST", b"/v2/queues/%71/messages?a=1,2&b=%2C", b"X: y\r\ncontent-length: 4\r\n", b"\0\r\n\xff", False
        )
        assert await body(reach(pool, host).send(call)) == b"ok"
        (request,) = host.requests
        assert (request.method, request.target) == (call.method, call.target)
        assert request.headers == {b"host": b"127.0.0.1:%d" % host.port, b"x": b"y", b"content-length": b"4"}
        assert request.body == call.body


async def test_no_body_is_read_after_head(pool: Pool) -> None:
    async with EvilHost([READ, say(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"), READ, say(OK)]) as host:
        upstream = reach(pool, host)
        assert await body(upstream.send(GET._replace(method=b"HEAD"))) == b""
        assert await body(upstream.send(GET)) == b"ok"
        assert host.connections == 1


@BOTH
async def test_calls_follow_each_other_on_one_connection(pool: Pool, call: UpstreamCall) -> None:
    async with EvilHost([serve(lambda request: answer(200, request.target))]) as host:
        upstream = reach(pool, host, fresh_idle=PATIENCE)
        targets = [b"/%d" % i for i in range(20)]
        assert [await body(upstream.send(call._replace(target=target))) for target in targets] == targets
        assert host.connections == 1


async def test_calls_at_a_time_have_a_connection_each(pool: Pool) -> None:
    gate = asyncio.Event()
    async with EvilHost([READ, wait(gate), say(OK)]) as host:
        upstream = reach(pool, host)
        calls = [asyncio.create_task(body(upstream.send(GET))) for _ in range(20)]
        await settled(lambda: len(host.requests) == 20)
        gate.set()
        assert await asyncio.gather(*calls) == [b"ok"] * 20
        assert host.connections == 20


# -- connections that a host drops -------------------------------------------------------------------------------------

DROPS: dict[str, list[Step]] = {
    "closes before reading": [CLOSE],
    "resets before reading": [RESET],
    "closes in the middle of reading": [READ_HEAD, CLOSE],
    "closes after reading": [READ, CLOSE],
    "resets after reading": [READ, RESET],
    "half-closes": [READ, HALF_CLOSE],
}


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
async def test_a_repeatable_call_on_a_connection_that_the_host_drops_is_sent_once_more(
    pool: Recording, drop: list[Step]
) -> None:
    go = asyncio.Event()
    async with EvilHost([READ, say(OK), wait(go), *drop], [READ, say(answer(200, b"again"))]) as host:
        upstream = reach(pool, host, eject_after=1)
        assert await body(upstream.send(GET)) == b"ok"
        go.set()
        assert await body(upstream.send(GET)) == b"again"
        assert pool.tries == [host.port, host.port]
        # A host that closes what it kept is not in trouble.
        assert upstream._balancer.hosts[0].failures == 0


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
async def test_a_call_that_must_not_be_repeated_is_not_sent_twice_on_a_dropped_connection(
    pool: Recording, drop: list[Step]
) -> None:
    go = asyncio.Event()
    async with EvilHost([READ, say(OK), wait(go), *drop], [ever(READ, say(OK))]) as host, EvilHost([STALL]) as other:
        upstream = reach(pool, host, other, fresh_idle=PATIENCE)
        assert await body(upstream.send(GET)) == b"ok"
        go.set()
        with pytest.raises(Unanswered):
            await upstream.send(POST)
        await host.script_ended(0)
        assert pool.tries == [host.port]
        assert [request.method for request in host.requests].count(b"POST") <= 1


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
@BOTH
async def test_a_new_connection_that_the_host_drops(pool: Recording, drop: list[Step], call: UpstreamCall) -> None:
    async with EvilHost(drop) as host, EvilHost([ever(READ, say(OK))]) as other:
        upstream = reach(pool, host, other)
        if call.repeatable:
            assert await body(upstream.send(call)) == b"ok"
            assert pool.tries == [host.port, other.port]
        else:
            with pytest.raises(Unanswered):
                await upstream.send(call)
            assert pool.tries == [host.port]
            assert other.requests == []
        assert upstream._balancer.hosts[0].failures == 1


async def test_a_connection_closed_at_the_very_moment_of_sending(pool: Recording) -> None:
    stay = asyncio.Event()
    async with EvilHost([READ, say(OK), wait(stay)], [READ, say(answer(200, b"again"))]) as host:
        upstream = reach(pool, host)
        assert await body(upstream.send(GET)) == b"ok"
        # Nothing runs between this and the sending, so this side cannot know.
        host.peers[0].hang_up_now()
        assert await body(upstream.send(GET)) == b"again"
        assert pool.tries == [host.port, host.port]


async def test_of_many_connections_closed_at_once_only_one_is_tried(pool: Recording) -> None:
    kept = [READ, say(OK), wait(asyncio.Event())]
    async with EvilHost(kept, kept, kept, [READ, say(answer(200, b"again"))]) as host:
        upstream = reach(pool, host)
        await asyncio.gather(*(body(upstream.send(GET)) for _ in range(3)))
        assert pool.tries == [host.port] * 3
        for peer in host.peers:
            peer.hang_up_now()
        assert await body(upstream.send(GET)) == b"again"
        assert pool.tries == [host.port] * 4
        assert len(host.requests) == 4


async def test_a_call_is_not_sent_on_one_stale_connection_after_the_other(pool: Recording) -> None:
    stale = [READ, say(OK), READ, CLOSE]
    async with EvilHost(stale, stale, stale, [READ, say(answer(200, b"again"))]) as host:
        upstream = reach(pool, host)
        await asyncio.gather(*(body(upstream.send(GET)) for _ in range(3)))
        assert await body(upstream.send(GET)) == b"again"
        assert len(host.requests) == 3 + 2


async def test_a_stale_connection_and_then_a_host_that_fails(pool: Recording) -> None:
    async with EvilHost([READ, say(OK), wait(asyncio.Event())], [READ, CLOSE]) as host:
        upstream = reach(pool, host)
        await body(upstream.send(GET))
        host.peers[0].hang_up_now()
        with pytest.raises(Unanswered) as caught:
            await upstream.send(GET)
        assert not caught.value.on_kept_connection
        assert pool.tries == [host.port] * 2


@pytest.mark.parametrize(
    ("call", "idle", "connections"),
    [(POST, 0.0, 1), (POST, 5.0, 2), (GET, 5.0, 1), (GET, 59.0, 1), (GET, 61.0, 2)],
    ids=["a fresh one", "not so fresh", "fresh enough for GET", "still", "for nobody"],
)
async def test_how_long_a_connection_may_have_been_idle(
    pool: Pool, call: UpstreamCall, idle: float, connections: int
) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        upstream = reach(pool, host, fresh_idle=1.0, idle_timeout=60.0)
        await body(upstream.send(GET))
        kept = pool.take(host.origin, PATIENCE)
        assert kept is not None
        kept.idle_since -= idle
        pool._idle[host.origin].append(kept)
        await body(upstream.send(call))
        assert host.connections == connections


# -- hosts that cannot be reached --------------------------------------------------------------------------------------


@BOTH
async def test_a_host_that_refuses_and_one_that_does_not(pool: Recording, call: UpstreamCall) -> None:
    refusing = unused_port()
    async with EvilHost([ever(READ, say(OK))]) as host:
        upstream = reach(pool, f"http://127.0.0.1:{refusing}", host)
        assert await body(upstream.send(call)) == b"ok"
        assert pool.tries == [refusing, host.port]
        assert len(host.requests) == 1


@BOTH
async def test_hosts_that_all_refuse_are_tried_once_each(pool: Recording, call: UpstreamCall) -> None:
    ports = [unused_port() for _ in range(3)]
    upstream = reach(pool, *(f"http://127.0.0.1:{port}" for port in ports))
    with pytest.raises(NotSent):
        await upstream.send(call)
    assert sorted(pool.tries) == sorted(ports)


@BOTH
async def test_the_deadline_bounds_all_tries_to_connect(pool: Recording, call: UpstreamCall) -> None:
    # A host that takes the connection but never shakes hands, as long as the deadline lasts.
    async with EvilHost([STALL]) as silent, EvilHost([ever(READ, say(OK))]) as host:
        upstream = reach(pool, f"https://127.0.0.1:{silent.port}", host, deadline=0.1)
        with pytest.raises(ConnectFailed):
            await upstream.send(call)
        # With no time left to hear the answer, nothing is sent any more.
        await silent.script_ended(0)
        assert pool.tries == [silent.port]
        assert host.requests == []


@BOTH
async def test_no_call_is_sent_on_a_kept_connection_once_the_deadline_is_over(
    pool: Recording, call: UpstreamCall
) -> None:
    async with EvilHost([STALL]) as silent, EvilHost([ever(READ, say(OK))]) as host:
        await body(reach(pool, host).send(GET))
        upstream = reach(pool, f"https://127.0.0.1:{silent.port}", host, deadline=0.1, fresh_idle=PATIENCE)
        with pytest.raises(ConnectFailed):
            await upstream.send(call)
        assert len(host.requests) == 1


# -- hosts that answer badly or late -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply", [b"\0\1\2", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"], ids=["garbage", "half"]
)
@BOTH
async def test_a_bad_answer_is_not_asked_for_again(pool: Recording, call: UpstreamCall, reply: bytes) -> None:
    async with EvilHost([READ, say(reply), CLOSE]) as host, EvilHost([ever(READ, say(OK))]) as other:
        with pytest.raises(BadAnswer):
            await reach(pool, host, other).send(call)
        assert pool.tries == [host.port]
        assert len(host.requests) == 1


@BOTH
async def test_a_late_answer_is_not_asked_for_again(pool: Recording, call: UpstreamCall) -> None:
    async with EvilHost([READ, STALL]) as host, EvilHost([ever(READ, say(OK))]) as other:
        with pytest.raises(DeadlineExceeded):
            await reach(pool, host, other, deadline=0.1).send(call)
        assert pool.tries == [host.port]
        assert len(host.requests) == 1


async def test_the_second_try_has_only_what_the_first_left_of_the_deadline(pool: Recording) -> None:
    async with EvilHost([READ, CLOSE]) as host, EvilHost([READ, STALL]) as other:
        with pytest.raises(DeadlineExceeded):
            await reach(pool, host, other, deadline=0.1).send(GET)
        assert pool.tries == [host.port, other.port]
        assert len(host.requests) + len(other.requests) == 2


@pytest.mark.parametrize(("status", "failures"), [(400, 0), (404, 0), (500, 1), (501, 1), (507, 1)])
@BOTH
async def test_an_error_of_the_partition_is_an_answer(
    pool: Recording, call: UpstreamCall, status: int, failures: int
) -> None:
    async with EvilHost([ever(READ, say(answer(status, b"{}")))]) as host, EvilHost([STALL]) as other:
        upstream = reach(pool, host, other)
        assert (await upstream.send(call)).status == status
        assert pool.tries == [host.port]
        # That of the server counts against the host, though the call is not sent again.
        assert upstream.hosts[0].failures == failures


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_safe_call_is_sent_elsewhere_when_a_host_is_unavailable(pool: Recording, status: int) -> None:
    async with EvilHost([ever(READ, say(answer(status)))]) as host, EvilHost([ever(READ, say(OK))]) as other:
        upstream = reach(pool, host, other)
        assert await body(upstream.send(GET)) == b"ok"
        assert await body(upstream.send(GET._replace(method=b"HEAD"))) == b""
        assert upstream.hosts[0].failures == 1
        assert upstream._places.taken == 0


@pytest.mark.parametrize("call", [POST, GET._replace(method=b"DELETE")], ids=["POST", "DELETE"])
async def test_a_call_with_effects_is_not_sent_elsewhere_after_a_503(pool: Recording, call: UpstreamCall) -> None:
    async with EvilHost([ever(READ, say(answer(503)))]) as host, EvilHost([ever(READ, say(OK))]) as other:
        assert (await reach(pool, host, other).send(call)).status == 503
        assert other.requests == []


async def test_a_503_of_all_hosts_is_the_answer(pool: Recording) -> None:
    async with (
        EvilHost([ever(READ, say(answer(503, b"one")))]) as one,
        EvilHost([ever(READ, say(answer(503, b"two")))]) as two,
    ):
        upstream = reach(pool, one, two)
        assert await body(upstream.send(GET)) in (b"one", b"two")
        assert len(one.requests) == len(two.requests) == 1
        assert upstream._places.taken == 0


async def test_a_503_is_better_than_no_answer(pool: Recording) -> None:
    refusing = f"http://127.0.0.1:{unused_port()}"
    async with EvilHost([ever(READ, say(answer(503, b"mine")))]) as host:
        assert await body(reach(pool, host, refusing).send(GET)) == b"mine"


async def test_a_host_that_answers_5xx_at_once_does_not_attract_calls(pool: Recording) -> None:
    """It took 90 % of them, since it looked least loaded."""
    gate = asyncio.Event()

    async def slowly(_: Request) -> bytes:
        await gate.wait()
        return OK

    async with EvilHost([serve(lambda _: answer(500))]) as host, EvilHost([serve(slowly)]) as other:
        upstream = reach(pool, host, other, max_concurrency=1000, eject_for=PATIENCE)
        calls = [asyncio.create_task(body(upstream.send(POST))) for _ in range(100)]
        await settled(lambda: len(host.requests) + len(other.requests) == 100)
        gate.set()
        await asyncio.gather(*calls)
        before = len(other.requests)
        for _ in range(100):
            await body(upstream.send(POST))
        assert len(other.requests) - before >= 100 - 5
        assert upstream.hosts[0].ejected_until


async def test_a_frozen_host_costs_a_safe_call_the_time_of_one_try(pool: Recording) -> None:
    """Calls failed after the whole deadline."""
    async with EvilHost([READ, STALL]) as frozen, EvilHost([ever(READ, say(OK))]) as other:
        upstream = reach(pool, frozen, other, try_timeout=0.05)
        assert await body(upstream.send(GET)) == b"ok"
        assert upstream.hosts[0].failures == 1
        await frozen.script_ended(0)


async def test_a_frozen_host_costs_a_safe_call_on_a_kept_connection_the_time_of_one_try(pool: Recording) -> None:
    async with EvilHost([READ, say(OK), READ, STALL]) as frozen, EvilHost([ever(READ, say(OK))]) as other:
        upstream = reach(pool, frozen, other, try_timeout=0.05)
        assert await body(upstream.send(GET)) == b"ok"
        assert await body(upstream.send(GET)) == b"ok"
        assert (len(frozen.requests), len(other.requests)) == (2, 1)


async def test_a_safe_call_has_the_whole_deadline_where_there_is_no_other_host(pool: Recording) -> None:
    late: list[Step] = [READ, later(0.1), say(OK)]
    async with EvilHost([ever(*late)]) as host:
        assert await body(reach(pool, host, try_timeout=0.02).send(GET)) == b"ok"
        # The other one is out: it would be worse.
        refusing = f"http://127.0.0.1:{unused_port()}"
        upstream = reach(pool, host, refusing, try_timeout=0.02, eject_after=1, eject_for=PATIENCE)
        upstream._balancer.failed(upstream.hosts[1], asyncio.get_running_loop().time())
        assert await body(upstream.send(GET)) == b"ok"


async def test_a_call_with_effects_has_the_whole_deadline(pool: Recording) -> None:
    late: list[Step] = [READ, later(0.1), say(OK)]
    async with EvilHost(late) as host, EvilHost([ever(READ, say(OK))]) as other:
        assert await body(reach(pool, host, other, try_timeout=0.02).send(POST)) == b"ok"
        assert other.requests == []


async def test_a_read_that_takes_longer_than_usual_is_hedged(pool: Recording) -> None:
    async with EvilHost([READ, STALL]) as slow, EvilHost([serve(lambda _: OK)]) as other:
        upstream = reach(pool, slow, other, hedge=True, try_timeout=PATIENCE / 2)
        upstream._usual.seconds = 0.01
        assert await body(upstream.send(GET)) == b"ok"
        await slow.script_ended(0)
        # To be slower than another one is no failure.
        assert [(host.failures, host.in_flight) for host in upstream.hosts] == [(0, 0), (0, 0)]
        assert upstream._places.taken == 0
        assert upstream._usual.seconds != 0.01  # it was noted


async def test_a_hedged_read_that_fails_leaves_the_other_one(pool: Recording) -> None:
    failed = asyncio.Event()
    async with EvilHost([READ, wait(failed), say(OK)]) as slow, EvilHost([READ, tell(failed), CLOSE]) as other:
        upstream = reach(pool, slow, other, hedge=True)
        upstream._usual.seconds = 0.01
        assert await body(upstream.send(GET)) == b"ok"
        assert upstream.hosts[1].failures == 1


async def test_a_write_and_a_read_in_time_are_not_hedged(pool: Recording) -> None:
    async with EvilHost([serve(lambda _: OK)]) as host, EvilHost([serve(lambda _: OK)]) as other:
        upstream = reach(pool, host, other, hedge=True, try_timeout=PATIENCE)
        for call in (GET, POST):
            assert await body(upstream.send(call)) == b"ok"
        upstream._usual.seconds = 0.0
        assert await body(upstream.send(POST)) == b"ok"
        assert other.requests == []


async def test_a_hedged_read_that_is_cancelled_leaves_nothing(pool: Recording) -> None:
    async with EvilHost([READ, STALL]) as one, EvilHost([READ, STALL]) as two:
        upstream = reach(pool, one, two, hedge=True)
        upstream._usual.seconds = 0.01
        call = asyncio.create_task(upstream.send(GET))
        await settled(lambda: len(one.requests) == len(two.requests) == 1)
        await cancelled(call)
        await settled(lambda: [host.in_flight for host in upstream.hosts] == [0, 0])
        assert upstream._places.taken == 0


async def test_a_redirect_is_not_followed(pool: Recording) -> None:
    async with EvilHost([ever(READ, say(answer(302, b"", b"location: http://127.0.0.1:1/x")))]) as host:
        assert (await reach(pool, host).send(GET)).status == 302
        assert pool.tries == [host.port]


# -- limits ------------------------------------------------------------------------------------------------------------


async def test_calls_beyond_the_limit_of_a_partition_wait_a_while(pool: Recording) -> None:
    gate = asyncio.Event()
    async with EvilHost([ever(READ, wait(gate), say(OK))]) as host:
        upstream = reach(pool, host, max_concurrency=2, max_waiting=1)
        under_way = [asyncio.create_task(body(upstream.send(GET))) for _ in range(3)]
        await settled(lambda: len(host.requests) == 2 and upstream._places.waiting == 1)
        with pytest.raises(PartitionBusy):
            await upstream.send(GET)
        gate.set()
        assert await asyncio.gather(*under_way) == [b"ok"] * 3
        assert await body(upstream.send(GET)) == b"ok"
        assert len(host.requests) == 4
        assert (upstream._places.taken, upstream._places.waiting) == (0, 0)


async def test_a_wait_for_a_place_ends(pool: Recording) -> None:
    async with EvilHost([READ, STALL]) as host:
        upstream = reach(pool, host, max_concurrency=1, wait_timeout=0.05)
        first = asyncio.create_task(upstream.send(GET))
        await settled(lambda: host.requests)
        with pytest.raises(PartitionBusy):
            await upstream.send(GET)
        waiting = asyncio.create_task(upstream.send(GET))
        await settled(lambda: upstream._places.waiting)
        await cancelled(waiting)
        await cancelled(first)
        assert (upstream._places.taken, upstream._places.waiting) == (0, 0)


async def test_a_call_without_the_time_to_wait_for_a_place_is_refused_at_once(pool: Recording) -> None:
    async with EvilHost([READ, STALL]) as host:
        upstream = reach(pool, host, max_concurrency=1, wait_timeout=10.0)
        first = asyncio.create_task(upstream.send(GET))
        await settled(lambda: host.requests)
        with pytest.raises(PartitionBusy):
            await upstream.send(GET, within=5.0)
        await cancelled(first)


async def test_one_project_does_not_take_all_places(pool: Recording) -> None:
    gate = asyncio.Semaphore(0)

    async def when_asked(_: Request) -> bytes:
        await gate.acquire()
        return OK

    async with EvilHost([serve(when_asked)]) as host:
        upstream = reach(pool, host, max_concurrency=2, max_waiting=50, wait_timeout=PATIENCE / 2)
        loud = [asyncio.create_task(body(upstream.send(POST._replace(project=b"loud")))) for _ in range(52)]
        await settled(lambda: upstream._places.waiting == 50)
        # The queue is full: this one displaces one of the other project, and is the second to be served.
        quiet = asyncio.create_task(body(upstream.send(POST._replace(project=b"quiet"))))
        await settled(lambda: sum(call.done() for call in loud) == 1)
        for _ in range(4):
            gate.release()
        assert await quiet == b"ok"
        assert sum(call.done() for call in loud) <= 4
        for _ in range(100):
            gate.release()
        results = await asyncio.gather(*loud, return_exceptions=True)
        assert results.count(b"ok") == 51
        assert [type(r) for r in results if r != b"ok"] == [PartitionBusy]


# -- clients that leave ------------------------------------------------------------------------------------------------


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Client:
    """A client of the front door, as ``upstream.exchange.Caller``."""

    def __init__(self) -> None:
        self.half_closed = False
        self.on_left: Callable[[bool], None] | None = None

    def leave(self, *, gone: bool) -> None:
        self.half_closed = True
        if self.on_left is not None:
            self.on_left(gone)


async def crowd(upstream: Upstream, call: UpstreamCall, number: int) -> tuple[list[Client], list[asyncio.Task[bytes]]]:
    clients = [Client() for _ in range(number)]
    return clients, [asyncio.create_task(body(upstream.send(call._replace(caller=client)))) for client in clients]


async def test_a_safe_call_ends_when_its_client_is_gone(pool: Recording) -> None:
    """Departed clients held all places of a partition."""
    async with EvilHost(*[[READ, STALL]] * 4, [serve(lambda _: OK)]) as host:
        upstream = reach(pool, host, max_concurrency=4)
        clients, calls = await crowd(upstream, GET, 4)
        await settled(lambda: len(host.requests) == 4)
        for client in clients:
            client.leave(gone=True)
        assert {type(r) for r in await asyncio.gather(*calls, return_exceptions=True)} == {Abandoned}
        assert upstream._places.taken == 0
        assert await body(upstream.send(GET)) == b"ok"
        # The host has not failed.
        assert upstream.hosts[0].failures == upstream.hosts[0].in_flight == 0


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "half-closed"])
async def test_a_write_goes_on_when_its_client_has_left_and_is_counted_apart(pool: Recording, gone: bool) -> None:
    gate = asyncio.Event()
    async with EvilHost(*[[READ, wait(gate), say(OK)]] * 4, [serve(lambda _: OK)]) as host:
        upstream = reach(pool, host, max_concurrency=4)
        clients, calls = await crowd(upstream, POST, 4)
        await settled(lambda: len(host.requests) == 4)
        for client in clients:
            client.leave(gone=gone)
        assert (upstream._places.taken, len(upstream._places.apart)) == (0, 4)
        assert await body(upstream.send(GET)) == b"ok"
        gate.set()
        assert await asyncio.gather(*calls) == [b"ok"] * 4
        assert (upstream._places.taken, len(upstream._places.apart)) == (0, 0)


async def test_a_client_that_leaves_after_its_answer_ends_no_call_of_another(pool: Recording) -> None:
    gate = asyncio.Event()
    async with EvilHost([READ, say(OK), READ, say(OK), READ, wait(gate), say(OK)]) as host:
        upstream = reach(pool, host)
        assert await body(upstream.send(GET)) == b"ok"
        client, sent = Client(), Sent()
        assert upstream.send_at_once(GET._replace(caller=client), sent)
        leave = client.on_left
        assert leave is not None
        await sent.ending
        other = asyncio.create_task(body(upstream.send(GET)))
        await settled(lambda: len(host.requests) == 3)
        leave(True)
        gate.set()
        assert await other == b"ok"
        assert pool.tries == [host.port]


async def test_a_client_that_closes_its_side_gets_its_answer(pool: Recording) -> None:
    gate = asyncio.Event()
    async with EvilHost([READ, wait(gate), say(OK)]) as host:
        upstream = reach(pool, host, max_concurrency=1)
        (client,), (call,) = await crowd(upstream, GET, 1)
        await settled(lambda: host.requests)
        client.leave(gone=False)
        assert (upstream._places.taken, len(upstream._places.apart)) == (0, 1)
        gate.set()
        assert await call == b"ok"
        assert (upstream._places.taken, len(upstream._places.apart)) == (0, 0)


async def test_of_too_many_clients_that_closed_their_side_the_oldest_call_ends(pool: Recording) -> None:
    async with EvilHost([READ, STALL]) as host:
        upstream = reach(pool, host, max_concurrency=2)
        clients, calls = await crowd(upstream, GET, 2)
        await settled(lambda: len(host.requests) == 2)
        for client in clients:
            client.leave(gone=False)
        later, more = await crowd(upstream, GET, 2)
        await settled(lambda: len(host.requests) == 4)
        later[0].leave(gone=False)
        with pytest.raises(Abandoned):
            await calls[0]
        assert not calls[1].done()
        assert (upstream._places.taken, len(upstream._places.apart)) == (1, 2)
        for client in (*clients, *later):
            client.leave(gone=True)
        await asyncio.gather(*calls, *more, return_exceptions=True)
        assert (upstream._places.taken, len(upstream._places.apart)) == (0, 0)


async def test_a_client_that_leaves_while_its_call_waits_for_a_place(pool: Recording) -> None:
    async with EvilHost([READ, STALL]) as host:
        upstream = reach(pool, host, max_concurrency=1)
        first = asyncio.create_task(upstream.send(GET))
        await settled(lambda: host.requests)
        (client,), (call,) = await crowd(upstream, POST, 1)
        await settled(lambda: upstream._places.waiting == 1)
        client.leave(gone=True)
        with pytest.raises(PartitionBusy):  # not sent: a creation takes its placement back
            await call
        assert upstream._places.waiting == 0
        assert len(host.requests) == 1
        await cancelled(first)


async def test_a_client_that_left_frees_its_place_for_one_that_waits(pool: Recording) -> None:
    async with EvilHost([READ, STALL], [serve(lambda _: OK)]) as host:
        upstream = reach(pool, host, max_concurrency=1)
        (client,), (call,) = await crowd(upstream, POST, 1)
        await settled(lambda: host.requests)
        waiting = asyncio.create_task(body(upstream.send(GET)))
        await settled(lambda: upstream._places.waiting == 1)
        client.leave(gone=True)
        assert await waiting == b"ok"
        assert (upstream._places.taken, len(upstream._places.apart)) == (0, 1)
        await cancelled(call)


@pytest.mark.parametrize("end", [CLOSE, RESET, say(b"\0")], ids=["closed", "reset", "garbage"])
async def test_a_failed_call_gives_its_place_back(pool: Recording, end: Step) -> None:
    async with EvilHost([READ, end, STALL]) as host:
        upstream = reach(pool, host, max_concurrency=1)
        for _ in range(3):
            with pytest.raises((Unanswered, BadAnswer)):
                await upstream.send(POST)


async def test_a_call_given_up_gives_its_place_back(pool: Recording) -> None:
    async with EvilHost([READ, STALL], [READ, say(OK)]) as host:
        upstream = reach(pool, host, max_concurrency=1)
        given_up = asyncio.create_task(upstream.send(GET))
        await settled(lambda: host.requests)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert await body(upstream.send(GET)) == b"ok"
        assert upstream._balancer.hosts[0].in_flight == 0


async def test_a_disabled_partition_is_sent_nothing(pool: Recording) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        upstream = reach(pool, host)
        upstream.update(partition(host, state=PartitionState.DISABLED))
        with pytest.raises(PartitionDisabled):
            await upstream.send(GET)
        assert pool.tries == []
        upstream.update(partition(host, state=PartitionState.CORDONED))
        assert await body(upstream.send(GET)) == b"ok"


async def failing_at_once(pool: Recording, number: int, tokens: float | None = None) -> tuple[int, Upstream]:
    """Let ``number`` safe calls lose their connections at once; return the number answered after all. ``tokens``: of
    the budget, before these calls."""
    drop = asyncio.Event()
    async with EvilHost([READ, wait(drop), CLOSE]) as one, EvilHost([serve(lambda _: OK)]) as two:
        upstream = reach(pool, one, two, eject_after=1000)
        if tokens is not None:
            upstream._budget._tokens = tokens
        upstream.hosts[1].in_flight = 1000
        calls = [asyncio.create_task(body(upstream.send(GET))) for _ in range(number)]
        await settled(lambda: len(one.requests) == number)
        drop.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        return results.count(b"ok"), upstream


async def test_all_calls_in_flight_at_a_host_that_dies_are_sent_elsewhere(pool: Recording) -> None:
    """A fifth of them was, and the others failed."""
    assert (await failing_at_once(pool, 40))[0] == 40


async def test_the_retry_budget(pool: Recording) -> None:
    # It has saved eight tries, one of 40 calls, and lends the floor besides.
    answered, upstream = await failing_at_once(pool, 40, tokens=0.0)
    assert FLOOR + 8 <= answered < 40
    # The floor is given back.
    assert upstream._retrying == 0


async def test_posts_that_no_host_has_seen_cost_no_budget(pool: Recording) -> None:
    """Ten were refused, though another host would have taken them."""
    refusing = f"http://127.0.0.1:{unused_port()}"
    async with EvilHost([serve(lambda _: OK)]) as host:
        upstream = reach(pool, refusing, host, eject_after=1000)
        upstream._budget._tokens, upstream._retrying = 0.0, FLOOR
        upstream.hosts[1].in_flight = 1000
        calls = [body(upstream.send(POST)) for _ in range(30)]
        assert await asyncio.gather(*calls) == [b"ok"] * 30
        assert upstream._retrying == FLOOR


# -- hosts left out ----------------------------------------------------------------------------------------------------


async def test_a_host_that_keeps_failing_is_left_out(pool: Recording, caplog: pytest.LogCaptureFixture) -> None:
    refusing = unused_port()
    async with EvilHost([serve(lambda _: OK)]) as host:
        upstream = reach(pool, f"http://127.0.0.1:{refusing}", host, eject_after=2, eject_for=PATIENCE)
        first, second = upstream._balancer.hosts
        for _ in range(2):
            second.in_flight = 100  # so that the first looks less loaded, failures and all
            assert await body(upstream.send(POST)) == b"ok"
            assert pool.tries.count(refusing) == first.failures
        second.in_flight = 100
        for _ in range(10):
            assert await body(upstream.send(POST)) == b"ok"
        assert pool.tries.count(refusing) == 2
        assert len(host.requests) == 12
        assert [r.getMessage() for r in caplog.records if "left out" in r.getMessage()] != []
        assert len([r for r in caplog.records if "left out" in r.getMessage()]) == 1


async def test_a_single_host_is_never_left_out(pool: Recording) -> None:
    async with EvilHost(*[[READ, CLOSE]] * 5, [ever(READ, say(OK))]) as host:
        upstream = reach(pool, host, eject_after=1, eject_for=PATIENCE)
        for _ in range(5):
            with pytest.raises(Unanswered):
                await upstream.send(POST)
        assert await body(upstream.send(POST)) == b"ok"
        assert upstream._balancer.hosts[0].failures == 0


async def test_hosts_that_are_changed(pool: Recording) -> None:
    refusing = f"http://127.0.0.1:{unused_port()}"
    async with EvilHost([ever(READ, say(OK))]) as host, EvilHost([ever(READ, say(answer(200, b"new")))]) as new:
        upstream = reach(pool, refusing, host)
        await body(upstream.send(GET))
        known = upstream._balancer.hosts
        upstream.update(partition(refusing, new))
        assert upstream._balancer.hosts[0] is known[0]
        assert upstream._balancer.hosts[0].failures == 1
        assert await body(upstream.send(GET)) == b"new"
        upstream.update(partition(host))
        assert await body(upstream.send(GET)) == b"ok"


async def test_a_call_under_way_ends_where_it_is_when_hosts_change(pool: Recording) -> None:
    gate = asyncio.Event()
    async with EvilHost([READ, wait(gate), say(OK)]) as host, EvilHost([STALL]) as new:
        upstream = reach(pool, host)
        under_way = asyncio.create_task(body(upstream.send(GET)))
        await settled(lambda: host.requests)
        upstream.update(partition(new))
        gate.set()
        assert await under_way == b"ok"


async def test_one_that_gives_an_answer_up_in_the_middle_closes_its_connection(pool: Recording) -> None:
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 70_000
    done = asyncio.Event()

    async def note_the_end(peer: Peer) -> None:
        await peer.wait_closed_by_client()
        done.set()

    async with EvilHost([READ, say(long), note_the_end], [READ, say(OK), tell(done)]) as host:
        upstream = reach(pool, host)
        got = await upstream.send(GET)
        got.abandon()
        async with asyncio.timeout(PATIENCE):
            await done.wait()
        assert await body(upstream.send(GET)) == b"ok"
        assert host.connections == 2


# -- a guard -----------------------------------------------------------------------------------------------------------


class Counting:
    """A guard that lets so many tries pass."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.statuses: list[int] = []

    def sending(self) -> None:
        if not self.left:
            raise Withdrawn("not any more")
        self.left -= 1

    def answered(self, status: int) -> None:
        self.statuses.append(status)


@BOTH
async def test_a_guard_sees_a_call_go_and_its_answer_come(pool: Recording, call: UpstreamCall) -> None:
    guard = Counting(1)
    async with EvilHost([ever(READ, say(answer(503)))]) as host:
        assert (await reach(pool, host).send(call._replace(guard=guard))).status == 503
    assert (guard.left, guard.statuses) == (0, [503])


@BOTH
async def test_what_a_guard_withdraws_is_not_sent_and_nobodys_fault(pool: Recording, call: UpstreamCall) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        upstream = reach(pool, host)
        with pytest.raises(Withdrawn):
            await upstream.send(call._replace(guard=Counting(0)))
        assert host.requests == []
        assert upstream._balancer.hosts[0].failures == 0
        await settled(lambda: not pool._all)


async def test_a_guard_is_asked_before_a_second_try_too(pool: Recording) -> None:
    async with EvilHost([READ, CLOSE]) as one, EvilHost([ever(READ, say(OK))]) as other:
        with pytest.raises(Unanswered) as caught:
            await reach(pool, one, other).send(GET._replace(guard=Counting(1)))
        # The first may have been done: that is what counts.
        assert not isinstance(caught.value, NotSent)
        assert (len(one.requests), len(other.requests)) == (1, 0)
        assert len(pool.tries) == 2
        guard = Counting(2)
        assert (await reach(pool, one, other).send(GET._replace(guard=guard))).status == 200
        assert (guard.left, guard.statuses) == (0, [200])


async def test_a_call_that_may_have_been_done_is_not_reported_as_not_sent(pool: Recording) -> None:
    """A creation that was not sent makes its worker take the placement back; this one must not."""
    async with EvilHost([READ, CLOSE]) as host:
        with pytest.raises(Unanswered):
            await reach(pool, host, f"http://127.0.0.1:{unused_port()}").send(GET)
        assert len(pool.tries) == 2
