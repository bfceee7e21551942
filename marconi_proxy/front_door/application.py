"""The story of a call, from the ASGI scope to the partition's answer. One ``FrontDoor`` per worker process.

Raw ASGI: a call to an open queue passes through ``_serve`` and ``_forward`` only; domain logic is in ``lifecycle``
(writes of placements) or ``local`` (falcon). If such a call needs no waiting, it passes through ``try_fast_path``
instead, before ASGI. Calls that write need the worker's lease, and count as in flight from before the lookup of their
queue (``write_gate``).
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import random
import secrets
import time
from collections.abc import Awaitable
from functools import partial

from oslo_config.cfg import ConfigOpts

from catalog.errors import CatalogError
from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import Partition, PartitionState, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.fencing.fence import Ticket
from marconi_proxy.front_door.chain.dispatch import Chain
from marconi_proxy.front_door.chain.segment_client import without_line
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.lifecycle import Lifecycle
from marconi_proxy.front_door.local import SCOPE_KEY, LocalCall, make_local_application
from marconi_proxy.front_door.membership import Membership
from marconi_proxy.front_door.refusals import (
    MAYBE_PROCESSED,
    NOT_PROCESSED,
    ClientGone,
    Headers,
    RequestRefused,
    bad_request,
    from_fault,
    not_found,
    unavailable,
)
from marconi_proxy.front_door.relay import (
    Receive,
    Scope,
    Send,
    client_waits,
    read_body,
    relay,
    respond,
    without_operator_routes,
)
from marconi_proxy.front_door.seals import Seals
from marconi_proxy.front_door.settings import Settings
from marconi_proxy.front_door.write_gate import LOST_SIGHT, GuardedWrite, Late, WriteGate, stamp, stamped
from marconi_proxy.front_door.write_holds import WriteHolds
from marconi_proxy.routing.dead_letter import dead_letter_queue
from marconi_proxy.routing.decision import (
    Action,
    Decision,
    Forward,
    Spread,
    decide,
    decide_without_queue,
    has_history,
    is_held,
)
from marconi_proxy.routing.headers import (
    ANSWER_RULES,
    EPOCH,
    PSEUDONYM,
    REQUEST_RULES,
    BadHead,
    RequestHead,
    added_lines,
    answer_headers,
    answer_lines,
    pseudonym,
    read_head,
    recognised_head,
)
from marconi_proxy.routing.identity import accepts_json, names_queues, namespace, well_formed
from marconi_proxy.routing.listing_query import ListingQuery, RepeatedFilter, Unfit, parse_listing
from marconi_proxy.routing.route import Effect, ParsedRoute, RouteKind, parse
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import BadAnswer, Closed, NotSent, Unanswered, UpstreamError, Withdrawn
from marconi_proxy.upstream.exchange import CLOSED_STATUS, CallAtOnce, Failure, Upstream, UpstreamCall, closed_by
from marconi_proxy.upstream.pool import Pool
from serving.buffered_request import BufferedRequest
from serving.head_recogniser import METHODS, RequestRecogniser, ResponseRecogniser

LOG = logging.getLogger(__name__)

# Seconds that a starting worker waits for the catalog before it serves (and refuses) without it.
START_PATIENCE = 10.0
# How often a call is decided anew because its queue has changed in between.
_ROUNDS = 5

# The most addresses with a logged loop, each once.
_LOOPS = 100

_METHODS = {method: method.decode() for method in METHODS}

_LISTINGS = frozenset({RouteKind.QUEUES, RouteKind.TOPICS})


class _Taken(CallAtOnce):
    """The state of a call on the fast path, from its sending to its end. ``ticket`` and ``term`` are those of a call
    that writes; others have None and 0."""

    __slots__ = ("call", "door", "key", "placement", "request", "request_id", "route", "segment", "term", "ticket")

    recognise = ResponseRecogniser(*ANSWER_RULES)

    def __init__(self, door: FrontDoor, request: BufferedRequest, request_id: bytes, call: UpstreamCall) -> None:
        self.door = door
        self.request = request
        self.request_id = request_id
        self.call = call
        self.ticket: Ticket | None = None
        self.term = 0

    def decided(self, key: QueueKey, placement: Placement, segment: Segment, route: ParsedRoute) -> None:
        self.key = key
        self.placement = placement
        self.segment = segment
        self.route = route

    def ended(self, ending: UpstreamAnswer | Failure) -> None:
        self.door.answered(self, ending)


def _may_tie(method: str, route: ParsedRoute) -> bool:
    """Return whether the call may give a queue its dead-letter queue."""
    return method == "PATCH" and route.rule.kind is RouteKind.QUEUE


class FrontDoor:
    """The ASGI application. It needs our own server protocol, which puts the raw target into ``scope["target"]``."""

    # As ``serving.server.Server`` uses it.
    recognise = RequestRecogniser(*REQUEST_RULES)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._chance = random.Random()  # noqa: S311 - balances load, guards nothing
        # Ids in the form that OpenStack logs know, unique across workers, at the price of an increment.
        self._id_prefix = b"req-%b-" % secrets.token_hex(10).encode()
        self._ids = itertools.count(1)
        # Replaced by one of the catalog's identity, which all front doors over one catalog share: so each recognises
        # the requests that any of them has forwarded.
        self._own = pseudonym(secrets.token_hex(8))
        self._loops: set[str] = set()

    # -- life of the worker ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the catalog and the pool, and get in step. Raises CatalogError if the catalog cannot be used."""
        settings = self._settings
        limits = settings.upstream
        self._pool = Pool(
            connect_timeout=limits.connect_timeout, idle_timeout=limits.idle_timeout, max_head=limits.max_response_head
        )
        self._catalog: Catalog = await open_catalog(settings.catalog_uri)
        loop = asyncio.get_running_loop()
        self._gate = WriteGate(settings.lease, settings.ambiguity)
        self._seals = Seals(self._catalog, settings.seal_overdue, time.time, loop.call_later)
        self._directory = Directory(
            self._catalog,
            self._open_upstream,
            settings.cache_size,
            self._gate.fence,
            self._seals,
            self._gate.clock,  # its silence counts while the machine sleeps, too
        )
        self._holds = WriteHolds(settings.hold_max, settings.max_held, loop.time)
        self._membership = Membership(self._catalog, self._directory, self._gate, self._holds, settings.member_interval)
        self._directory.on_seal = self._membership.hurry
        self._gate.on_end = self._hurry
        self._lifecycle = Lifecycle(
            self._catalog,
            self._directory,
            takeover_after=settings.takeover_after,
            deadline=limits.deadline,
            begin=partial(self._gate.begin, lasting=True),
            later=loop.call_later,
        )
        self._chain = Chain(self._directory, limits.deadline, self._chance)
        # A post that was forwarded before the feed showed a deletion may have created the queue anew.
        self._directory.on_removal = self._lifecycle.settle_later
        self._local = make_local_application(self._catalog, self._directory, settings.pages)
        self._directory.on_identity = self._take_name
        await self._directory.start(START_PATIENCE)
        # Before the worker serves: without a registration it would refuse the first writes.
        await self._membership.start(START_PATIENCE if self._directory.synced else 0.0)

    def _take_name(self, identity: str) -> None:
        """Take the pseudonym of the catalog's identity, by which its front doors recognise forwarded requests."""
        self._own = pseudonym(identity)

    def _hurry(self) -> None:
        """Renew the membership at once, because a write to a queue has ended that may have been sealed meanwhile."""
        if self._seals:
            self._membership.hurry()

    def _open_upstream(self, partition: Partition) -> Upstream:
        return Upstream(partition, self._pool, self._settings.upstream, self._chance)

    async def stop(self) -> None:
        """End the background work, sign off, and close the connections."""
        # The background work may write, so it ends before the worker signs off.
        await self._lifecycle.stop()
        await self._seals.stop()
        await self._membership.stop()
        await self._directory.stop()
        self._pool.close()
        await self._catalog.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except Exception as error:
                    LOG.error("cannot start: %s", error)
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                _spare_garbage_collector()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # -- a call ------------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request_id = self._new_id()
        try:
            head = read_head(scope["headers"])
        except BadHead as error:
            await self._refuse(scope, send, bad_request(f"{error}."), request_id)
            return
        request_id = head.request_id or request_id
        if head.via is not None and self._own in head.via:
            await self._refuse_loop(scope, send, request_id)
            return
        await self._guarded(self._serve(scope, receive, send, head, request_id), scope, send, request_id)

    async def _refuse_loop(self, scope: Scope, send: Send, request_id: bytes) -> None:
        """Refuse a call that a front door of this catalog has forwarded: a partition's host leads back to it.

        The answer has the catalog's pseudonym in ``Via``, by which the admin API recognises a front door as a host.
        """
        peer = scope["client"][0] if scope["client"] else "an unknown address"
        if peer not in self._loops and len(self._loops) < _LOOPS:
            self._loops.add(peer)
            LOG.error(
                "%s %s came back from %s: a host of a partition leads to this front door; see marconi-proxy partition "
                "list for which, and give it other hosts with marconi-proxy partition set",
                scope["method"],
                scope["target"].decode("latin-1").partition("?")[0],
                peer,
            )
        refused = bad_request(
            "This request has passed this front door already: a partition's host leads back to it. "
            "The request was not processed."
        )
        await self._refuse(scope, send, refused, request_id, self._own)

    def _new_id(self) -> bytes:
        return self._id_prefix + b"%012x" % next(self._ids)

    async def _guarded(self, work: Awaitable[None], scope: Scope, send: Send, request_id: bytes) -> None:
        """Await ``work``, and answer its failures with refusals."""
        try:
            await work
        except RequestRefused as refused:
            await self._refuse(scope, send, refused, request_id)
        except ClientGone:
            pass
        except (UpstreamError, CatalogError) as error:
            LOG.info("%s refused: %s", request_id.decode("latin-1"), error)
            await self._refuse(scope, send, from_fault(error), request_id)
        except Exception:
            LOG.exception("%s failed", request_id.decode("latin-1"))
            fault = unavailable(f"The front door failed. {MAYBE_PROCESSED}")
            await self._refuse(scope, send, fault, request_id)

    # -- a call without waiting --------------------------------------------------------------------------------------

    def try_fast_path(self, request: BufferedRequest) -> bool:
        """Forward a request at once if its queue is open and cached and its partition has a free connection. Return
        whether it was forwarded; if not, nothing was done.

        PERF: this is ``__call__`` without a task, at half of the cost. Every unusual case is left to ``__call__``, also
        after the sending, by ``BufferedRequest.hand_over``.
        """
        recognised = request.recognised
        if recognised is not None:
            _, verb, target, lines, length, values = recognised
            method = _METHODS[verb]
            head = recognised_head(lines, length, *values)
        else:
            scope = request.scope
            method, target = scope["method"], scope["target"]
            verb = method.encode()
            try:
                head = read_head(scope["headers"])
            except BadHead:
                return False
            if head.via is not None and self._own in head.via:
                return False
        route = parse(method, target)
        project = namespace(route.version, head.project)
        if not route.named or project is None or not names_queues(project):
            return False
        key = QueueKey(project, route.queue)
        placement = self._directory.cached(key)
        if placement is None or len(request.body) > self._settings.max_body or _may_tie(method, route):
            return False
        decision = decide(placement, route, target)
        if type(decision) is not Forward or decision.unsettled:
            return False
        if placement.group is not None and not route.rule.writes and self._is_too_old(placement):
            return False
        upstream = self._directory.known_upstream(decision.segment.partition)
        if upstream is None:
            return False
        request_id = head.request_id or self._new_id()
        line = stamp(route, placement, upstream) if upstream.fences else b""
        peer = request.client
        lines = self._lines(head, peer[0] if peer else "", "http", request_id, request.body) + line
        call = UpstreamCall(verb, target, lines, request.body, route.rule.repeatable)
        taken = _Taken(self, request, request_id, call)
        taken.decided(key, placement, decision.segment, route)
        if not route.rule.writes:
            return upstream.send_at_once(call, taken)
        # There is no await between the lookup above and the sending, so this is one step, and its order is free.
        gate = self._gate
        lease = gate.lease
        if gate.clock() >= lease.until:
            return False
        taken.ticket = gate.fence.begin(key)
        taken.term = lease.number
        if upstream.send_at_once(call, taken):
            return True
        gate.end(taken.ticket)
        return False

    def answered(self, taken: _Taken, ending: UpstreamAnswer | Failure) -> None:
        """Answer a call of the fast path that has ended, or hand it over to ``_go_on``."""
        late: Late | Closed | None = None
        ticket = taken.ticket
        if ticket is not None and isinstance(ending, UpstreamAnswer):
            # PERF: the comparison of a number spares all other answers the call.
            late = closed_by(ending) if ending.status == CLOSED_STATUS else None
            if late is not None:
                # The partition did nothing, so a late answer of this kind does no harm.
                self._gate.end(ticket)
                taken.upstream.fences = True
            else:
                ambiguous = ending.status in LOST_SIGHT and is_held(taken.route.rule)
                late = self._gate.ended(ticket, taken.term, ending, ambiguous)
        self._mind_deletion(taken.route, taken.key, taken.placement, taken.segment)
        if late is None and isinstance(ending, UpstreamAnswer) and ending.complete:
            headers: Headers | bytes
            if ending.lines is not None:
                headers = answer_lines(ending.lines, ending.request_id, taken.request_id)
            else:
                headers = answer_headers(ending.headers, taken.request_id)
            taken.request.respond(ending.status, headers, ending.body)
            return
        taken.request.hand_over(partial(self._go_on, taken, late or ending))

    async def _go_on(
        self,
        taken: _Taken,
        ending: UpstreamAnswer | Failure | Late | Closed,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Continue a call of the fast path as an ASGI application: retry, relay a long answer, or refuse."""

        async def rest() -> None:
            try:
                if isinstance(ending, (Late, Closed)):
                    raise ending
                answer = ending if isinstance(ending, UpstreamAnswer) else await self._resume(taken, ending)
            except Closed as closed:
                self._look_anew(taken.key, taken.placement, closed)
                call = taken.call._replace(lines=without_line(taken.call.lines, EPOCH))
                answer = await self._write(call, taken.key, taken.route, scope, receive)
            await self._relay(answer, scope, send, taken.request_id)

        await self._guarded(rest(), scope, send, taken.request_id)

    async def _resume(self, taken: _Taken, failure: Failure) -> UpstreamAnswer:
        """Continue a call that was sent once, within the same ticket. Raises UpstreamError."""
        write = None
        if taken.ticket is not None:
            write = self._gate.failed(taken.ticket, taken.term, lasting=is_held(taken.route.rule))
        try:
            answer = await taken.upstream.resume(taken.call._replace(guard=write), failure)
            if write is not None:
                write.check(answer)
            return answer
        finally:
            if write is not None:
                write.end()
            self._mind_deletion(taken.route, taken.key, taken.placement, taken.segment)

    async def _refuse(
        self, scope: Scope, send: Send, refused: RequestRefused, request_id: bytes, own: bytes = PSEUDONYM
    ) -> None:
        status, headers, body = refused.answer()
        headers += [(b"via", b"1.1 " + own), (b"x-openstack-request-id", request_id)]
        respond(scope, status, headers, body)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, head: RequestHead, request_id: bytes) -> None:
        route = parse(scope["method"], scope["target"])
        project = namespace(route.version, head.project)
        if not route.named or project is None or not names_queues(project):
            await self._serve_without_queue(scope, receive, send, request_id, route, head, project)
            return
        body = await read_body(head, receive, self._settings.max_body)
        call = self._call(scope, route, head, body, request_id)
        key = QueueKey(project, route.queue)
        if route.rule.writes:
            answer = await self._write(call, key, route, scope, receive)
        else:
            answer = await self._read(call, key, route, scope)
        await self._relay(answer, scope, send, request_id)

    async def _read(self, call: UpstreamCall, key: QueueKey, route: ParsedRoute, scope: Scope) -> UpstreamAnswer:
        """Carry out a call that changes nothing, with or without a lease. Raises RequestRefused, CatalogError,
        UpstreamError."""
        for _ in range(_ROUNDS):
            placement, decision = await self._decide(key, route, call.target)
            if placement is not None and self._is_too_old(placement):
                placement, decision = await self._decide_latest(key, route, call.target)
            answer = await self._do(decision, call, key, placement, route, scope)
            if answer is not None:
                return answer
        raise _too_many()

    async def _write(
        self, call: UpstreamCall, key: QueueKey, route: ParsedRoute, scope: Scope, receive: Receive
    ) -> UpstreamAnswer:
        """Carry out a call that writes, by the steps of ``fencing.fence``, waiting for the end of a seal. Raises
        RequestRefused, ClientGone, CatalogError, UpstreamError."""
        clock = asyncio.get_running_loop().time
        lasting = is_held(route.rule)
        since: float | None = None
        refused: Closed | None = None
        rounds = 0
        while rounds < _ROUNDS:
            placement = None
            write = self._gate.begin(key, lasting=lasting)
            try:
                placement, decision = await self._decide(key, route, call.target)
                if decision is not Action.HOLD:
                    rounds += 1
                    answer = await self._do(decision, call._replace(guard=write), key, placement, route, scope, write)
                    if answer is not None:
                        write.check(answer)
                        return answer
                    continue
                if write.overtaken:
                    continue  # the feed has shown a change since: the placement may be older
                # In the same step as this check.
                change = self._directory.change(key)
            except Withdrawn as error:
                if write.unanswered:
                    raise Unanswered("a try was not answered, and another one is not allowed") from error
                LOG.info("%s: beginning again", error)
                continue
            except Closed as closed:
                self._look_anew(key, placement, closed)
                refused = closed
                continue
            finally:
                write.end()
            since = clock() if since is None else since
            assert placement is not None
            await self._holds.wait(placement.move, since, change, receive)
            if not client_waits(scope):
                raise ClientGone
        if refused is not None:
            if placement is not None:
                # A catalog of an earlier time than its partitions has this effect. (Without a placement, the queue was
                # deleted just before it was closed for a switch, and is open again once it is created.)
                LOG.error(
                    "queue %s/%s is closed on partition %s to the epoch of its placement: the catalog is older than "
                    "the partition. If the catalog was restored from a backup, run marconi-partition reopen with the "
                    "storage of this partition",
                    key.project or "-",
                    key.queue,
                    placement.partition,
                )
            raise refused
        raise _too_many()

    def _is_too_old(self, placement: Placement) -> bool:
        """Return whether the cached placement may be stale by more than the time that movers wait before they delete a
        segment. A read of a queue with history then needs a fresh placement from the catalog."""
        used_again = has_history(placement) or placement.group is not None
        # A healthy feed may be silent for almost a lease, so a shorter ``linger`` must not cost all reads a lookup.
        longest = max(self._settings.linger, self._settings.lease)
        return used_again and self._directory.silence() > longest

    def _look_anew(self, key: QueueKey, placement: Placement | None, closed: Closed) -> None:
        """Drop the placement of a queue, because its partition has refused a write by it as stale."""
        self._directory.forget(key)
        where = "by rule" if placement is None else f"of epoch {placement.epoch} to partition {placement.partition}"
        LOG.warning(
            "queue %s/%s: a write %s came after a switch and was refused there; reading the placement anew: %s",
            key.project or "-",
            key.queue,
            where,
            closed,
        )

    async def _decide(self, key: QueueKey, route: ParsedRoute, target: bytes) -> tuple[Placement | None, Decision]:
        placement = self._directory.cached(key) or await self._directory.find(key)
        decision = decide(placement, route, target)
        if decision is Action.LOOK:
            return await self._decide_latest(key, route, target)
        return placement, decision

    async def _decide_latest(
        self, key: QueueKey, route: ParsedRoute, target: bytes
    ) -> tuple[Placement | None, Decision]:
        placement = await self._directory.look(key)
        return placement, decide(placement, route, target, latest=True)

    async def _do(
        self,
        decision: Decision,
        call: UpstreamCall,
        key: QueueKey,
        placement: Placement | None,
        route: ParsedRoute,
        scope: Scope,
        write: GuardedWrite | None = None,
    ) -> UpstreamAnswer | None:
        """Carry out the decision; return the answer, None if the call is to be decided anew."""
        if isinstance(decision, Forward):
            return await self._forward(call, key, placement, decision, route)
        if isinstance(decision, Action):
            return await self._act(decision, call, key, route, scope, write)
        assert placement is not None
        return await self._spread(decision, call, placement, route, scope)

    async def _relay(self, answer: UpstreamAnswer, scope: Scope, send: Send, request_id: bytes) -> None:
        if answer.complete:
            headers = answer_headers(answer.headers, request_id)
            respond(scope, answer.status, headers, answer.body)
        else:
            await relay(answer, scope, send, request_id, self._settings.upstream.deadline)

    def _call(
        self, scope: Scope, route: ParsedRoute, head: RequestHead, body: bytes, request_id: bytes
    ) -> UpstreamCall:
        """Return a client's request as it is forwarded."""
        peer = scope["client"]
        lines = self._lines(head, peer[0] if peer else "", scope["scheme"], request_id, body)
        return UpstreamCall(scope["method"].encode(), scope["target"], lines, body, route.rule.repeatable)

    def _lines(self, head: RequestHead, peer: str, scheme: str, request_id: bytes, body: bytes) -> bytes:
        lines = head.lines + added_lines(
            head,
            peer.encode(),
            scheme.encode(),
            request_id,
            self._own,
            trust_forwarded_for=self._settings.trust_forwarded_for,
        )
        # Partitions ignore chunked bodies, silently where a body is optional (API section 1.5).
        if head.chunked or head.length is not None:
            lines += b"content-length: %d\r\n" % len(body)
        return lines

    async def _forward(
        self, call: UpstreamCall, key: QueueKey, placement: Placement | None, decision: Forward, route: ParsedRoute
    ) -> UpstreamAnswer:
        segment = decision.segment
        if placement is not None:
            await self._tie(call, placement, route)
        # PERF: most often without a coroutine of its own.
        upstream = self._directory.known_upstream(segment.partition)
        try:
            if upstream is None:
                upstream = await self._upstream(segment)
            if placement is not None and upstream.fences:
                call = stamped(call, route, placement, upstream)
            return await upstream.send(call)
        finally:
            if decision.unsettled:  # it was unknown whether the queue exists
                self._lifecycle.settle_later(key, segment)
            else:
                self._mind_deletion(route, key, placement, segment)

    async def _tie(self, call: UpstreamCall, placement: Placement, route: ParsedRoute) -> None:
        """Before a call that names a dead-letter queue, place that queue where its source is."""
        if _may_tie(call.method.decode(), route):
            dead_letter = dead_letter_queue("PATCH", route, call.body)
            if dead_letter is not None:
                await self._lifecycle.placer.tie(placement, dead_letter)

    async def _spread(
        self, decision: Spread, call: UpstreamCall, placement: Placement, route: ParsedRoute, scope: Scope
    ) -> UpstreamAnswer:
        """Carry out a call to a queue with history."""
        await self._tie(call, placement, route)
        answer = await self._chain.carry_out(decision, call, route, placement, lambda: client_waits(scope))
        last = placement.segments[-1]
        if placement.state in (PlacementState.CREATING, PlacementState.DELETING):
            self._lifecycle.settle_later(placement.key, last)
        else:
            self._mind_deletion(route, placement.key, placement, last)
        return answer

    def _mind_deletion(self, route: ParsedRoute, key: QueueKey, placement: Placement | None, segment: Segment) -> None:
        """After a call, however it ended: settle its queue if the placement was dropped meanwhile and the call may have
        created the queue anew. (``Directory.on_removal`` does so if the feed shows a deletion later.)"""
        if route.rule.effect is Effect.CREATES and self._directory.cached(key) != placement:
            self._lifecycle.settle_later(key, segment)

    async def _upstream(self, segment: Segment) -> Upstream:
        upstream = await self._directory.upstream(segment.partition)
        if upstream is None:
            raise unavailable(f"The queue's partition is not registered. {NOT_PROCESSED}", 30)
        return upstream

    async def _act(
        self,
        decision: Action,
        call: UpstreamCall,
        key: QueueKey,
        route: ParsedRoute,
        scope: Scope,
        write: GuardedWrite | None,
    ) -> UpstreamAnswer | None:
        """Carry out a decision other than to forward; return the answer, None if the call is to be decided anew."""
        clock = asyncio.get_running_loop().time
        limit = self._settings.upstream.deadline
        if decision is Action.DELETE:
            limit = min(limit, self._lifecycle.deletion_limit)
        until = clock() + limit

        async def send(placement: Placement) -> UpstreamAnswer:
            segment = placement.segments[-1]
            if has_history(placement):
                answer = await self._chain.client(call, route, placement, until).one(segment)
            else:
                left = until - clock()
                if left <= 0:
                    raise NotSent("the call's time was used up before it was its turn")
                upstream = await self._upstream(segment)
                answer = await upstream.send(stamped(call, route, placement, upstream), within=left)
            if write is not None:
                write.check(answer)  # a late answer is no evidence for the placement
            return answer

        def wanted() -> bool:
            return client_waits(scope)

        if decision is Action.CREATE:
            dead_letter = dead_letter_queue(call.method.decode(), route, call.body)
            return await self._lifecycle.create(key, route.version, send, dead_letter, wanted, write)
        if decision is Action.DELETE:
            return await self._lifecycle.delete(key, send, wanted, write)
        if decision is Action.BY_RULE:
            partition = await self._lifecycle.placer.choose(key, route.version, new=False)
            upstream = await self._directory.upstream(partition.name)
            if upstream is None:
                return None
            return await upstream.send(call)
        raise AssertionError(f"{decision} has no way to carry it out here")

    # -- calls that no queue decides ---------------------------------------------------------------------------------

    async def _serve_without_queue(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: bytes,
        route: ParsedRoute,
        head: RequestHead,
        project: str | None,
    ) -> None:
        query = self._listing_query(scope, route)
        fit = route.rule.local and query is not Unfit.INVALID and well_formed(route.version, head)
        decision = decide_without_queue(route, well_formed=fit)
        if decision is Action.NOT_FOUND:
            raise not_found(show=accepts_json(head.get(b"accept")))
        if decision is Action.BAD_PATH:
            raise bad_request("The path has a segment . or .., or a fragment. The request was not processed.")
        if decision is Action.LOCAL:
            if isinstance(query, RepeatedFilter):
                raise bad_request(f'The filter "{query.name}" is given more than once. The request was not processed.')
            assert not isinstance(query, Unfit)
            scope[SCOPE_KEY] = LocalCall(route, project or "", request_id, query)
            await self._local(dict(scope), receive, send)
            return
        body = await read_body(head, receive, self._settings.max_body)
        answer = await self._ask_any(self._call(scope, route, head, body, request_id), route)
        if route.rule.kind is RouteKind.HOME and scope["method"] == "GET" and answer.status == 200:
            answer = await _without_operator_routes(answer)
        if route.rule.local and answer.status < 400:
            # The front door refuses the request, so a partition that accepts it must not decide.
            answer.abandon()
            raise bad_request("The request is not well-formed. The request was not processed.")
        await self._relay(answer, scope, send, request_id)

    def _listing_query(self, scope: Scope, route: ParsedRoute) -> ListingQuery | RepeatedFilter | Unfit | None:
        if not route.rule.local or route.rule.kind not in _LISTINGS:
            return None
        settings = self._settings
        raw_query = scope["target"].partition(b"?")[2]
        return parse_listing(
            route.rule.kind,
            route.version,
            raw_query,
            default_page=settings.default_page,
            max_page=settings.max_page,
        )

    async def _ask_any(self, call: UpstreamCall, route: ParsedRoute) -> UpstreamAnswer:
        """Return the answer of any partition that speaks the version. Raises RequestRefused, UpstreamError."""
        serving = [u for u in self._directory.upstreams if u.partition.state is not PartitionState.DISABLED]
        speaking = [u for u in serving if not route.version or route.version in u.partition.api_versions]
        if not speaking:
            if serving and all(u.partition.api_versions for u in serving):
                # A server answers so for a version that is switched off (API section 1.1).
                raise not_found()
            raise unavailable(f"No partition can take this request. {NOT_PROCESSED}", 10)
        self._chance.shuffle(speaking)
        for upstream in speaking[:-1]:
            try:
                return await upstream.send(call)
            except NotSent as error:
                LOG.info("trying another partition: %s", error)
        return await speaking[-1].send(call)


async def _without_operator_routes(answer: UpstreamAnswer) -> UpstreamAnswer:
    """Return a partition's home document for clients. Raises BadAnswer if it is no home document."""
    try:
        body = without_operator_routes(await answer.read())
    except ValueError as error:
        raise BadAnswer(f"a partition answered a home document with something else: {error}") from error
    headers = [pair for pair in answer.headers if pair[0] != b"content-length"]
    return UpstreamAnswer(answer.status, [*headers, (b"content-length", b"%d" % len(body))], body, None)


def _too_many() -> RequestRefused:
    return unavailable(f"Too many concurrent calls change this queue. {NOT_PROCESSED}")


def _spare_garbage_collector() -> None:
    """Exempt the objects that live as long as the worker from collection, and collect more rarely.

    PERF: a call leaves no cycles behind, so there is little to collect; the defaults took 8 % of a worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def make_application(conf: ConfigOpts) -> FrontDoor:
    """Return the front door that ``conf`` describes; it starts with the ASGI lifespan, in its worker."""
    return FrontDoor(Settings.from_options(conf))
