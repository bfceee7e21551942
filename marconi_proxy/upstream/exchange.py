"""One call to a partition: it takes a place, a host is picked, and another if a retry is safe, all under one deadline.

``retries`` has the table of safe retries, and the budget that bounds their number, so that a partition in trouble does
not get a multiple of its load. ``places`` has the calls in flight and those that wait.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine, Hashable
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol

from catalog.model import Partition, PartitionState
from marconi_proxy.upstream.balance import Balancer, Host
from marconi_proxy.upstream.connection import Connection, HostUnavailable, UpstreamAnswer
from marconi_proxy.upstream.errors import (
    Abandoned,
    Closed,
    DeadlineExceeded,
    NotSent,
    PartitionBusy,
    PartitionDisabled,
    Unanswered,
    UpstreamError,
    Withdrawn,
)
from marconi_proxy.upstream.latency import UsualLatency
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.places import GiveUp, Places
from marconi_proxy.upstream.pool import Pool
from marconi_proxy.upstream.retries import FLOOR, RetryBudget, may_retry
from serving.deadlines import Deadlines
from serving.head_recogniser import ResponseRecogniser

LOG = logging.getLogger(__name__)

# Methods without an effect: a call may be given up, sent twice, and be the trial of a host (RFC 9110 section 9.2.1).
SAFE = frozenset({b"GET", b"HEAD"})
# After these a safe call is tried on another host: the host or its gateway is in trouble (RFC 9110 section 15.6).
UNAVAILABLE = frozenset({502, 503, 504})
# The status and header by which marconi-partition refuses a write of an earlier epoch than its queue was closed to.
CLOSED_STATUS = 409
_CLOSED = b"x-marconi-closed"
# With less time left (seconds) no other try begins: its answer would come too late. Loops also fire timers a bit early.
_LEAST_TIME = 0.01
# A wait for a place lasts its time, and up to a fourth of it more: one timer serves all that wait.
_TICKS = 4


def closed_by(answer: UpstreamAnswer) -> Closed | None:
    """Return the error to raise instead of an answer that means "closed to this call", giving the answer up; else
    None."""
    if answer.status == CLOSED_STATUS:
        for name, value in answer.headers:
            if name == _CLOSED:
                answer.abandon()
                return Closed(f"the queue takes no writes of epochs before {value.decode('latin-1')} there")
    return None


class Guard(Protocol):
    """An observer of a call's tries: ``sending`` is called in the step that sends one, ``answered`` when the head of
    its answer has arrived."""

    def sending(self) -> None:
        """Raise Withdrawn if the call must not be sent (again)."""

    def answered(self, status: int) -> None: ...


class Caller(Protocol):
    """The client of a call. ``half_closed``: it sends nothing more, and may have left. ``on_left``, if it is set, is
    called with False when the client closes its side, and with True when it is gone for certain."""

    on_left: Callable[[bool], None] | None

    @property
    def half_closed(self) -> bool: ...


class UpstreamCall(NamedTuple):
    """A request ready to be sent, but for its Host. ``lines`` end with CRLF, and have the Content-Length of ``body``.

    ``repeatable``: may be sent again after it might have been processed (API section 8.1). ``guard``: observes each
    try, except those of ``send_at_once``. ``project``: places are shared among projects. ``caller``: its client, if its
    departure matters.
    """

    method: bytes
    target: bytes
    lines: bytes
    body: bytes
    repeatable: bool
    guard: Guard | None = None
    project: bytes = b""
    caller: Caller | None = None

    def serialise(self, authority: bytes) -> bytes:
        return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n%b" % (self.method, self.target, authority, self.lines, self.body)


def _closed_while_idle(error: UpstreamError) -> bool:
    """Return whether the host merely closed a kept connection, which is no sign of trouble."""
    return isinstance(error, Unanswered) and not isinstance(error, DeadlineExceeded) and error.on_kept_connection


def _evidence(error: UpstreamError) -> int:
    """Return how much a failure shows of the call: an answer, more than a try without one, more than none."""
    if isinstance(error, HostUnavailable):
        return 2
    return 0 if isinstance(error, NotSent) else 1


class _Stay:
    """One awaited call, of which the client may leave: ``end`` cancels its task as ``asyncio.timeout`` does."""

    __slots__ = ("_task", "ended")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self.ended = False

    def end(self) -> None:
        if not self.ended and self._task is not None:
            self.ended = True
            self._task.cancel()

    def took_back(self) -> bool:
        """Return whether a CancelledError is due to ``end`` alone."""
        return self.ended and self._task is not None and self._task.uncancel() == 0


class Failure(NamedTuple):
    """How a call sent at once ended, at which host, and the loop time of its deadline."""

    error: UpstreamError
    host: Host
    deadline: float


Ending = UpstreamAnswer | Failure


class CallAtOnce:
    """A call that is sent without waiting. The front door derives its own from it, with what it needs at the end.

    ``recognise``: as ``Connection.begin`` has it.
    """

    __slots__ = ("connection", "deadline", "host", "over", "safe", "upstream")

    recognise: ClassVar[ResponseRecogniser | None] = None

    connection: Connection
    deadline: float
    host: Host
    over: bool
    safe: bool
    upstream: Upstream

    def ended(self, ending: Ending) -> None:
        """Take the answer as ``Upstream.send`` would return it, or a Failure for ``Upstream.resume``. Called once."""
        raise NotImplementedError

    def ready(self) -> None:
        self.upstream.end_at_once(self)

    def left(self, gone: bool) -> None:
        """Take in that the client has left, as ``Caller.on_left``. Once the call is over, its connection may have the
        call of another client."""
        if self.over:
            return
        self.upstream.client_left(self, self.connection.give_up if self.safe else None, gone)


def _abandon(attempt: asyncio.Task[Ending]) -> None:
    """Give up the answer of an attempt that came too late to count."""
    if not attempt.cancelled():
        ending = attempt.result()
        if isinstance(ending, UpstreamAnswer):
            ending.abandon()


class Upstream:
    """One partition as this worker reaches it. Keeps its knowledge of hosts when the partition is changed."""

    def __init__(self, partition: Partition, pool: Pool, limits: UpstreamLimits, chance: random.Random) -> None:
        self.partition = partition
        # Also true once a host was seen to fence: that may be known here before the catalog has it.
        self.fences = partition.fences
        self._pool = pool
        self._limits = limits
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._balancer = self._balance(partition, {})
        self._places: Places[asyncio.Future[None]] = Places(limits.max_concurrency, limits.max_waiting)
        self._patience: Deadlines[asyncio.Future[None]] = Deadlines(limits.wait_timeout)
        self._budget = RetryBudget(limits.max_concurrency)
        self._retrying = 0
        self._usual = UsualLatency(limits.try_timeout)

    def __repr__(self) -> str:
        places = self._places
        calls = f"{places.taken} calls, {len(places.apart)} of departed clients, {places.waiting} waiting"
        return f"<Upstream {self.partition.name}: {calls}; {', '.join(map(repr, self._balancer.hosts))}>"

    @property
    def hosts(self) -> tuple[Host, ...]:
        return self._balancer.hosts

    def _balance(self, partition: Partition, known: dict[str, Host]) -> Balancer:
        return Balancer([known.get(url) or Host(url) for url in partition.hosts], self._limits, self._chance)

    def update(self, partition: Partition) -> None:
        """Take over an operator's change; calls in flight end where they are."""
        if partition.hosts != self.partition.hosts:
            self._balancer = self._balance(partition, {h.url: h for h in self._balancer.hosts})
            self.fences = False
        self.partition = partition
        self.fences = self.fences or partition.fences

    @property
    def usable(self) -> bool:
        """Whether calls have a chance: some host does not fail all the time."""
        return self._balancer.usable(self._loop.time())

    # -- sending -----------------------------------------------------------------------------------------------------

    async def send(self, call: UpstreamCall, *, within: float | None = None) -> UpstreamAnswer:
        """Send a call to a host of the partition. Raises UpstreamError; only NotSent means "not processed".

        ``within``: seconds after which the call is given up, if that is less than the deadline of all calls.
        """
        if self.partition.state is PartitionState.DISABLED:
            raise PartitionDisabled(f"partition {self.partition.name} is disabled")
        limit = self._limits.deadline
        deadline = self._loop.time() + (limit if within is None else min(within, limit))
        if self._places.taken >= self._places.limit:
            await self._wait_for_place(call, deadline)
        else:
            self._places.taken += 1
        self._budget.calls += 1
        return await self._leavable(call, self._try(call, deadline))

    async def _try(self, call: UpstreamCall, deadline: float) -> UpstreamAnswer:
        safe = call.method in SAFE
        host = self._balancer.pick(self._loop.time(), safe=safe)
        if safe and self._limits.hedge and self._balancer.another(host):
            ending = await self._hedge(call, host, deadline)
        else:
            ending = await self._attempt(call, host, deadline)
        return await self._try_again(call, ending) if isinstance(ending, Failure) else ending

    async def _attempt(self, call: UpstreamCall, host: Host, deadline: float) -> Ending:
        try:
            return await self._send_once(call, host, deadline)
        except UpstreamError as error:
            return Failure(error, host, deadline)

    async def _hedge(self, call: UpstreamCall, host: Host, deadline: float) -> Ending:
        """Send a safe call to one host, and to a second one too if the first takes longer than usual; return the first
        answer, or the failure of the last."""
        begin = self._loop.time()
        first = self._loop.create_task(self._attempt(call, host, deadline))
        attempts = {first}
        winner = None
        try:
            await asyncio.wait(attempts, timeout=self._usual.seconds)
            if not first.done() and self._budget.spend():
                second = self._balancer.pick(self._loop.time(), [host])
                attempts.add(self._loop.create_task(self._attempt(call, second, deadline)))
            pending = attempts
            while winner is None:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                winner = next((attempt for attempt in done if not isinstance(attempt.result(), Failure)), None)
                if not pending:
                    winner = winner or done.pop()
        finally:
            for attempt in attempts:
                if attempt is not winner:
                    attempt.cancel()
                    attempt.add_done_callback(_abandon)
        self._usual.note(self._loop.time() - begin)
        return winner.result()

    def send_at_once(self, call: UpstreamCall, sent: CallAtOnce) -> bool:
        """Send a call without waiting; return whether it was sent. If not, use ``send``.

        It is sent if the picked host has a kept connection. The call's guard is not asked: the caller has just checked
        its right. ``sent.ended`` is called then.
        """
        places = self._places
        if self.partition.state is PartitionState.DISABLED or places.taken >= places.limit:
            return False
        now = self._loop.time()
        safe = call.method in SAFE
        if safe and self._limits.hedge:
            return False
        host = self._balancer.pick(now, safe=safe)
        connection = self._kept(call, host)
        if connection is None:
            return False
        places.taken += 1
        self._budget.calls += 1
        host.in_flight += 1
        sent.connection = connection
        sent.host = host
        sent.upstream = self
        sent.safe = safe
        sent.over = False
        sent.deadline = deadline = now + self._limits.deadline
        if call.caller is not None:
            call.caller.on_left = sent.left
        connection.begin(
            call.serialise(host.origin.authority),
            head_only=call.method == b"HEAD",
            # PERF: the length spares the call where there is no other host.
            deadline=self._try_until(host, now, deadline) if safe and len(self._balancer.hosts) > 1 else deadline,
            stall=self._limits.deadline,
            ready=sent.ready,
            recognise=sent.recognise,
        )
        return True

    def end_at_once(self, sent: CallAtOnce) -> None:
        """Take in that the answer of a call that was sent at once is ready."""
        sent.over = True
        host = sent.host
        host.in_flight -= 1
        ending: Ending
        answer = None
        try:
            ending = answer = sent.connection.result()
            self._note_answer(host, answer)
            if sent.safe and answer.status in UNAVAILABLE:
                self._check(answer, host)
        except UpstreamError as error:
            if answer is None:
                self._note_failure(host, error)
            ending = Failure(error, host, sent.deadline)
        self._ended(answer, sent)
        try:
            sent.ended(ending)
        except Exception:
            # The error must not reach the connection, which has no part in it.
            LOG.exception("the end of a call could not be told")

    async def resume(self, call: UpstreamCall, failure: Failure) -> UpstreamAnswer:
        """Continue after the failure of ``send_at_once``, as ``send`` would. Raises as ``send``."""
        self._places.taken += 1
        return await self._leavable(call, self._try_again(call, failure))

    async def _try_again(self, call: UpstreamCall, failure: Failure) -> UpstreamAnswer:
        """Retry after a failure, as far as rule and budget allow. Otherwise return the last answer that a host gave, or
        raise the last failure, but not a NotSent if an earlier try was sent."""
        error, host, deadline = failure
        safe = call.method in SAFE
        tried: list[Host] = []
        worst = error
        while may_retry(error, repeatable=call.repeatable, safe=safe) and self._loop.time() < deadline - _LEAST_TIME:
            stale = _closed_while_idle(error)
            if not stale:
                tried.append(host)
                # Each host once: a host that refused will refuse again.
                if len(tried) >= len(self._balancer.hosts):
                    break
            # A try after a refused connection adds no load: no host has seen the call.
            adds = not isinstance(error, NotSent)
            if adds and self._retrying >= FLOOR and not self._budget.spend():
                break
            host = self._balancer.pick(self._loop.time(), tried, safe=safe)
            self._retrying += adds
            try:
                # If one kept connection was stale, the others may be stale too.
                return await self._send_once(call, host, deadline, anew=stale, tried=tried)
            except UpstreamError as latest:
                error = latest
                if _evidence(error) >= _evidence(worst):
                    worst = error
            finally:
                self._retrying -= adds
        if isinstance(worst, HostUnavailable):
            return worst.answer
        raise worst

    async def _send_once(
        self, call: UpstreamCall, host: Host, deadline: float, *, anew: bool = False, tried: list[Host] | None = None
    ) -> UpstreamAnswer:
        safe = call.method in SAFE
        until = self._try_until(host, self._loop.time(), deadline, tried or ()) if safe else deadline
        host.in_flight += 1
        try:
            connection = None if anew else self._kept(call, host)
            if connection is None:
                connection = await self._pool.connect(host.origin, until)
            if call.guard is not None:
                self._ask(call.guard, connection)
            answer = await connection.exchange(
                call.serialise(host.origin.authority),
                head_only=call.method == b"HEAD",
                deadline=until,
                stall=self._limits.deadline,
            )
        except Withdrawn:
            raise
        except UpstreamError as error:
            self._note_failure(host, error)
            raise
        finally:
            host.in_flight -= 1
        if call.guard is not None:
            call.guard.answered(answer.status)
        self._note_answer(host, answer)
        closed = closed_by(answer)
        if closed is not None:
            self.fences = True
            raise closed
        if safe and answer.status in UNAVAILABLE:
            self._check(answer, host)
        return answer

    def _try_until(self, host: Host, now: float, deadline: float, tried: Collection[Host] = ()) -> float:
        """Return the loop time by which a safe call is answered, or tried on another host, if there is one that is not
        in trouble."""
        limit = now + self._limits.try_timeout
        return limit if limit < deadline and self._balancer.another(host, tried) else deadline

    def _check(self, answer: UpstreamAnswer, host: Host) -> None:
        """Raise HostUnavailable for a 503 of a host that is not the only one."""
        if answer.complete and len(self._balancer.hosts) > 1:
            raise HostUnavailable(f"{host.url} answered {answer.status}", answer)

    @staticmethod
    def _ask(guard: Guard, connection: Connection) -> None:
        try:
            guard.sending()
        except Withdrawn:
            connection.close()
            raise

    def _kept(self, call: UpstreamCall, host: Host) -> Connection | None:
        """Return a kept connection for the call.

        The host may be closing one just now. A call that must not be sent twice cannot be repaired then, so it needs a
        connection that was used a moment ago, or a new one.
        """
        return self._pool.take(host.origin, self._limits.idle_timeout if call.repeatable else self._limits.fresh_idle)

    # -- hosts -------------------------------------------------------------------------------------------------------

    def _note_answer(self, host: Host, answer: UpstreamAnswer) -> None:
        if answer.status >= 500:
            if self._balancer.failed(host, self._loop.time()):
                self._log_ejection(host, f"it answered {answer.status}")
            return
        host.answers += 1
        if (host.failures or host.ejected_until) and self._balancer.succeeded(host, self._loop.time()):
            LOG.warning("host %s of partition %s is back", host.url, self.partition.name)

    def _note_failure(self, host: Host, error: UpstreamError) -> None:
        if isinstance(error, Abandoned) or _closed_while_idle(error):
            return
        if self._balancer.failed(host, self._loop.time()):
            self._log_ejection(host, error)

    def _log_ejection(self, host: Host, reason: object) -> None:
        LOG.warning("host %s of partition %s is left out: %s", host.url, self.partition.name, reason)
        if self._balancer.panics:
            LOG.error("most hosts of partition %s fail: all of them get calls", self.partition.name)

    async def probe(self, host: Host, call: UpstreamCall) -> None:
        """Send a call to one host, within the time to connect, and note for the host whether it is answered. It takes
        no place, and a status from 500 is no answer."""
        deadline = self._loop.time() + self._limits.connect_timeout
        reason: object = None
        try:
            connection = self._pool.take(host.origin, self._limits.fresh_idle)
            if connection is None:
                connection = await self._pool.connect(host.origin, deadline)
            request = call.serialise(host.origin.authority)
            answer = await connection.exchange(request, head_only=False, deadline=deadline, stall=0.0)
            answer.abandon()
            if answer.status >= 500:
                reason = f"it answered {answer.status}"
        except UpstreamError as error:
            if _closed_while_idle(error):
                return
            reason = error
        now = self._loop.time()
        if reason is None:
            self._balancer.probe_succeeded(host, now)
        elif self._balancer.probe_failed(host, now):
            self._log_ejection(host, f"probes failed: {reason}")

    # -- places ------------------------------------------------------------------------------------------------------

    async def _wait_for_place(self, call: UpstreamCall, deadline: float) -> None:
        """Wait for a place, and take it. Raises PartitionBusy, also if the client leaves meanwhile."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        now = self._loop.time()
        displaced: asyncio.Future[None] | None = waiter
        if now + self._limits.wait_timeout < deadline:
            displaced = self._places.wait(call.project, waiter)
        if displaced is waiter:
            raise self._busy()
        if displaced is not None and not displaced.done():
            displaced.set_exception(self._busy())
        if not self._patience:
            self._loop.call_later(self._limits.wait_timeout / _TICKS, self._end_waits)
        self._patience.add(waiter, now)
        if call.caller is not None:
            call.caller.on_left = partial(self._waiter_left, waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back()  # cancelled in the step in which it got the place
            else:
                self._places.withdraw(call.project, waiter)
            raise
        finally:
            self._patience.discard(waiter)

    def _busy(self) -> PartitionBusy:
        return PartitionBusy(f"partition {self.partition.name} has {self._places.taken} calls of this worker in flight")

    def _end_waits(self) -> None:
        for waiter in self._patience.expired(self._loop.time()):
            if not waiter.done():
                waiter.set_exception(self._busy())
        if self._patience:
            self._loop.call_later(self._limits.wait_timeout / _TICKS, self._end_waits)

    def _waiter_left(self, waiter: asyncio.Future[None], gone: bool) -> None:
        if gone and not waiter.done():
            # Not Abandoned, which leaves open whether a write was sent.
            waiter.set_exception(PartitionBusy("the client left before the call was sent"))

    async def _leavable(self, call: UpstreamCall, trying: Coroutine[Any, Any, UpstreamAnswer]) -> UpstreamAnswer:
        """Await the tries of a call that has a place, and give the place back. When the client is gone, a safe call
        ends, and others are counted apart. Raises as ``send``."""
        stay = _Stay()
        caller = call.caller
        if caller is not None:
            leave = partial(self.client_left, stay, stay.end if call.method in SAFE else None)
            caller.on_left = leave
            if caller.half_closed:
                leave(False)
        answer: UpstreamAnswer | None = None
        try:
            answer = await trying
            return answer
        except asyncio.CancelledError:
            if stay.took_back():
                raise Abandoned("the client has left") from None
            raise
        finally:
            if caller is not None:
                caller.on_left = None
            self._ended(answer, stay)

    def client_left(self, key: Hashable, give_up: GiveUp | None, gone: bool) -> None:
        """Free the place of a call. Its client is ``gone``, or has closed its side and may be gone."""
        if gone and give_up is not None:
            give_up()
        elif key not in self._places.apart:
            waiter, victim = self._places.set_apart(key, give_up)
            self._hand_over(waiter)
            if victim is not None:
                victim()

    def _ended(self, answer: UpstreamAnswer | None, key: Hashable) -> None:
        """Give a call's place back; a long answer keeps it until its last piece is taken."""
        places = self._places
        if answer is not None and not answer.complete:
            answer.on_end = partial(self._give_back, key)
        elif places.waiting or places.apart:
            self._give_back(key)
        else:  # PERF: as ``give_back`` would
            places.taken -= 1

    def _give_back(self, key: Hashable = None) -> None:
        self._hand_over(self._places.give_back(key))

    def _hand_over(self, waiter: asyncio.Future[None] | None) -> None:
        """Let a waiter have the place that it was given, or the next one if its wait has ended."""
        while waiter is not None and waiter.done():
            waiter = self._places.give_back()
        if waiter is not None:
            waiter.set_result(None)
