"""One call to a partition: a host is picked, and another if a retry is safe, all under one deadline.

``may_retry`` is the table of safe retries. A budget bounds their number, so that a partition in trouble does not get a
multiple of its load.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import ClassVar, NamedTuple, Protocol

from catalog.model import Partition, PartitionState
from marconi_proxy.upstream.balance import Balancer, Host
from marconi_proxy.upstream.connection import Connection, UpstreamAnswer
from marconi_proxy.upstream.errors import (
    Closed,
    ConnectFailed,
    DeadlineExceeded,
    NotSent,
    PartitionBusy,
    PartitionDisabled,
    Unanswered,
    UpstreamError,
    Withdrawn,
)
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from serving.head_recogniser import ResponseRecogniser

LOG = logging.getLogger(__name__)

RETRY_BUDGET = 0.2
RETRY_FLOOR = 3
# The status and header by which marconi-partition refuses a write of an earlier epoch than its queue was closed to.
CLOSED_STATUS = 409
_CLOSED = b"x-marconi-closed"
# With less time left (seconds) no other try begins: its answer would come too late. Loops also fire timers a bit early.
_LEAST_TIME = 0.01


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


class UpstreamCall(NamedTuple):
    """A request ready to be sent, but for its Host. ``lines`` end with CRLF, and have the Content-Length of ``body``.

    ``repeatable``: may be sent again after it might have been processed (API section 8.1). ``guard``: observes each
    try, except those of ``send_at_once``.
    """

    method: bytes
    target: bytes
    lines: bytes
    body: bytes
    repeatable: bool
    guard: Guard | None = None

    def serialise(self, authority: bytes) -> bytes:
        return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n%b" % (self.method, self.target, authority, self.lines, self.body)


def may_retry(error: UpstreamError, *, repeatable: bool) -> bool:
    """Return whether a call that ended so may be retried at once, on another host or a new connection.

    ============================================  ==========  ===============
    how it ended                                  repeatable  not repeatable
    ============================================  ==========  ===============
    ConnectFailed                                 yes         yes
    Unanswered (dropped without a byte)           yes         no
    BadAnswer (began to answer)                   no          no
    DeadlineExceeded                              no          no
    PartitionBusy, PartitionDisabled              no          no
    ============================================  ==========  ===============
    """
    if isinstance(error, ConnectFailed):
        return True
    return repeatable and isinstance(error, Unanswered) and not isinstance(error, DeadlineExceeded)


def _closed_while_idle(error: UpstreamError) -> bool:
    """Return whether the host merely closed a kept connection, which is no sign of trouble."""
    return isinstance(error, Unanswered) and not isinstance(error, DeadlineExceeded) and error.on_kept_connection


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

    __slots__ = ("connection", "deadline", "host", "upstream")

    recognise: ClassVar[ResponseRecogniser | None] = None

    connection: Connection
    deadline: float
    host: Host
    upstream: Upstream

    def ended(self, ending: Ending) -> None:
        """Take the answer as ``Upstream.send`` would return it, or a Failure for ``Upstream.resume``. Called once."""
        raise NotImplementedError

    def ready(self) -> None:
        self.upstream.end_at_once(self)


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
        self._active = 0
        self._retrying = 0

    def _balance(self, partition: Partition, known: dict[str, Host]) -> Balancer:
        hosts = [known.get(url) or Host(url) for url in partition.hosts]
        return Balancer(hosts, self._limits.eject_after, self._limits.eject_for, self._chance)

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

    async def send(self, call: UpstreamCall, *, within: float | None = None) -> UpstreamAnswer:
        """Send a call to a host of the partition. Raises UpstreamError; only NotSent means "not processed".

        ``within``: seconds after which the call is given up, if that is less than the deadline of all calls.
        """
        if self.partition.state is PartitionState.DISABLED:
            raise PartitionDisabled(f"partition {self.partition.name} is disabled")
        if self._active >= self._limits.max_concurrency:
            raise PartitionBusy(f"partition {self.partition.name} has {self._active} calls of this worker under way")
        self._active += 1
        answer: UpstreamAnswer | None = None
        try:
            now = self._loop.time()
            limit = self._limits.deadline
            deadline = now + (limit if within is None else min(within, limit))
            host = self._balancer.pick(now)
            try:
                answer = await self._send_once(call, host, deadline)
            except UpstreamError as error:
                failure = error
            if answer is None:
                answer = await self._try_again(call, host, failure, deadline)
            return answer
        finally:
            self._ended(answer)

    def send_at_once(self, call: UpstreamCall, sent: CallAtOnce) -> bool:
        """Send a call without waiting; return whether it was sent. If not, use ``send``.

        It is sent if the picked host has a kept connection. The call's guard is not asked: the caller has just checked
        its right. ``sent.ended`` is called then.
        """
        if self.partition.state is PartitionState.DISABLED or self._active >= self._limits.max_concurrency:
            return False
        now = self._loop.time()
        host = self._balancer.pick(now)
        connection = self._kept(call, host)
        if connection is None:
            return False
        self._active += 1
        host.in_flight += 1
        sent.connection = connection
        sent.host = host
        sent.upstream = self
        sent.deadline = now + self._limits.deadline
        connection.begin(
            call.serialise(host.origin.authority),
            head_only=call.method == b"HEAD",
            deadline=sent.deadline,
            stall=self._limits.deadline,
            ready=sent.ready,
            recognise=sent.recognise,
        )
        return True

    def end_at_once(self, sent: CallAtOnce) -> None:
        """Take in that the answer of a call that was sent at once is ready."""
        host = sent.host
        host.in_flight -= 1
        ending: Ending
        try:
            ending = answer = sent.connection.result()
            self._note_success(host)
        except UpstreamError as error:
            answer = None
            self._note_failure(host, error)
            ending = Failure(error, host, sent.deadline)
        self._ended(answer)
        try:
            sent.ended(ending)
        except Exception:
            # The error must not reach the connection, which has no part in it.
            LOG.exception("the end of a call could not be told")

    async def resume(self, call: UpstreamCall, failure: Failure) -> UpstreamAnswer:
        """Continue after the failure of ``send_at_once``, as ``send`` would. Raises as ``send``."""
        self._active += 1
        answer: UpstreamAnswer | None = None
        try:
            answer = await self._try_again(call, failure.host, failure.error, failure.deadline)
            return answer
        finally:
            self._ended(answer)

    def _ended(self, answer: UpstreamAnswer | None) -> None:
        """End the count of a call in flight; a long answer counts until its last piece is taken."""
        if answer is None or answer.complete:
            self._active -= 1
        else:
            answer.on_end = self._taken

    def _taken(self) -> None:
        self._active -= 1

    async def _try_again(
        self, call: UpstreamCall, host: Host, failure: UpstreamError, deadline: float
    ) -> UpstreamAnswer:
        """Retry after ``failure`` at ``host``, as far as rule and budget allow; otherwise raise the last failure, but
        not a NotSent if an earlier try was sent."""
        if self._retrying >= max(RETRY_FLOOR, RETRY_BUDGET * self._active):
            raise failure
        self._retrying += 1
        tried: list[Host] = []
        worst = failure
        try:
            while may_retry(failure, repeatable=call.repeatable) and self._loop.time() < deadline - _LEAST_TIME:
                stale = _closed_while_idle(failure)
                if not stale:
                    tried.append(host)
                    # Each host once: a host that refused will refuse again.
                    if len(tried) >= len(self._balancer.hosts):
                        break
                host = self._balancer.pick(self._loop.time(), tried)
                try:
                    # If one kept connection was stale, the others may be stale too.
                    return await self._send_once(call, host, deadline, anew=stale)
                except UpstreamError as error:
                    failure = error
                    if not isinstance(error, NotSent) or isinstance(worst, NotSent):
                        worst = error
        finally:
            self._retrying -= 1
        raise worst

    async def _send_once(
        self, call: UpstreamCall, host: Host, deadline: float, *, anew: bool = False
    ) -> UpstreamAnswer:
        limits = self._limits
        host.in_flight += 1
        try:
            connection = None if anew else self._kept(call, host)
            if connection is None:
                connection = await self._pool.connect(host.origin, deadline)
            if call.guard is not None:
                self._ask(call.guard, connection)
            answer = await connection.exchange(
                call.serialise(host.origin.authority),
                head_only=call.method == b"HEAD",
                deadline=deadline,
                stall=limits.deadline,
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
        self._note_success(host)
        closed = closed_by(answer)
        if closed is not None:
            self.fences = True
            raise closed
        return answer

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

    def _note_success(self, host: Host) -> None:
        if host.failures and self._balancer.succeeded(host):
            LOG.warning("host %s of partition %s is back", host.url, self.partition.name)

    def _note_failure(self, host: Host, error: UpstreamError) -> None:
        if not _closed_while_idle(error) and self._balancer.failed(host, self._loop.time()):
            LOG.warning("host %s of partition %s is left out: %s", host.url, self.partition.name, error)
