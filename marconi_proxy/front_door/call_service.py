"""The story of a call that the fast path has not answered, by ASGI: read its body, decide, carry out, relay.

A call to an open queue passes through ``serve`` and ``_forward`` only; the domain logic of other decisions is in
``lifecycle`` (writes of placements), ``chain`` (queues with history) and ``local`` (answers of our own). A call that
writes has a permit from before the lookup of its queue (``write_gate``).
"""

from __future__ import annotations

import asyncio
import logging

from catalog.model import PartitionState, Placement, PlacementState, Segment
from marconi_proxy.front_door.call import Call
from marconi_proxy.front_door.local import SCOPE_KEY, LocalCall
from marconi_proxy.front_door.placer import too_many_changes
from marconi_proxy.front_door.refusals import NOT_PROCESSED, ClientGone, bad_request, not_found, unavailable
from marconi_proxy.front_door.relay import read_body, relay, without_operator_routes
from marconi_proxy.front_door.worker import Worker
from marconi_proxy.front_door.write_gate import Late, stamped
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
from marconi_proxy.routing.identity import accepts_json, namespace, well_formed
from marconi_proxy.routing.listing_query import ListingQuery, RepeatedFilter, Unfit, parse_listing
from marconi_proxy.routing.route import Effect, RouteKind
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import BadAnswer, Closed, NotSent, Unanswered, Withdrawn
from marconi_proxy.upstream.exchange import Failure, Upstream

LOG = logging.getLogger(__name__)

# How often a call is decided anew because its queue has changed in between.
_ROUNDS = 5

_LISTINGS = frozenset({RouteKind.QUEUES, RouteKind.TOPICS})


class CallService:
    """Carries out the calls of one worker, which has started."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def serve(self, call: Call) -> None:
        """Carry out a call by ASGI, and answer it. Raises RequestRefused, ClientGone, CatalogError, UpstreamError."""
        if call.key is None:
            await self._serve_without_queue(call)
            return
        await self._receive(call)
        await self._relay(call, await (self._write(call) if call.route.rule.writes else self._read(call)))

    async def resume(self, call: Call, ending: UpstreamAnswer | Failure | Late | Closed) -> None:
        """Carry on with a call that the fast path has sent, by ASGI now: retry, relay a long answer, or refuse. Raises
        as ``serve``."""
        try:
            if isinstance(ending, (Late, Closed)):
                raise ending
            answer = ending if isinstance(ending, UpstreamAnswer) else await self._retry(call, ending)
        except Closed as closed:
            self._look_anew(call, call.placement, closed)
            answer = await self._write(call)
        await self._relay(call, answer)

    async def _receive(self, call: Call) -> None:
        """Read the body of a call, and address it."""
        settings = self._worker.settings
        scope = call.asgi.scope
        call.body = await read_body(call.head, call.asgi.receive, settings.max_body)
        scheme = scope["scheme"].encode()
        call.address(scope["client"], scheme, self._worker.own, trust_forwarded_for=settings.trust_forwarded_for)

    async def _retry(self, call: Call, failure: Failure) -> UpstreamAnswer:
        """Go on after the failure of the only try so far, with the same permit. Raises UpstreamError."""
        permit = call.permit
        try:
            request = stamped(call.request, call.route, call.placement, call.upstream)
            answer = await call.upstream.resume(request._replace(guard=permit), failure)
            if permit is not None:
                permit.check(answer)
            return answer
        finally:
            if permit is not None:
                permit.end()
            self.mind_deletion(call, call.placement, call.segment)

    async def _read(self, call: Call) -> UpstreamAnswer:
        """Carry out a call that changes nothing, with or without a lease. Raises as ``serve``."""
        for _ in range(_ROUNDS):
            placement, decision = await self._decide(call)
            if placement is not None and self.is_too_old(placement):
                placement, decision = await self._decide_latest(call)
            answer = await self._do(decision, call, placement)
            if answer is not None:
                return answer
        raise too_many_changes()

    async def _write(self, call: Call) -> UpstreamAnswer:
        """Carry out a call that writes, by the steps of ``fencing.fence``, waiting for the end of a seal. Raises as
        ``serve``."""
        worker = self._worker
        assert call.key is not None
        clock = asyncio.get_running_loop().time
        lasting = is_held(call.route.rule)
        request = call.request
        since: float | None = None
        refused: Closed | None = None
        rounds = 0
        while rounds < _ROUNDS:
            placement = None
            call.permit = permit = worker.gate.begin(call.key, lasting=lasting)
            call.request = request._replace(guard=permit)
            try:
                placement, decision = await self._decide(call)
                if decision is not Action.HOLD:
                    rounds += 1
                    answer = await self._do(decision, call, placement)
                    if answer is not None:
                        permit.check(answer)
                        return answer
                    continue
                if permit.overtaken:
                    continue  # the feed has shown a change since: the placement may be older
                # In the same step as this check.
                change = worker.directory.change(call.key)
            except Withdrawn as error:
                if permit.unanswered:
                    raise Unanswered("a try was not answered, and another one is not allowed") from error
                LOG.info("%s: beginning again", error)
                continue
            except Closed as closed:
                self._look_anew(call, placement, closed)
                refused = closed
                continue
            finally:
                permit.end()
            since = clock() if since is None else since
            assert placement is not None
            await worker.holds.wait(placement.move, since, change, call.asgi.receive)
            if not call.client_waits():
                raise ClientGone
        if refused is not None:
            if placement is not None:
                # A catalog of an earlier time than its partitions has this effect. (Without a placement, the queue was
                # deleted just before it was closed for a switch, and is open again once it is created.)
                LOG.error(
                    "queue %s/%s is closed on partition %s to the epoch of its placement: the catalog is older than "
                    "the partition. If the catalog was restored from a backup, run marconi-partition reopen with the "
                    "storage of this partition",
                    call.key.project or "-",
                    call.key.queue,
                    placement.partition,
                )
            raise refused
        raise too_many_changes()

    def is_too_old(self, placement: Placement) -> bool:
        """Return whether the cached placement may be stale by more than the time that movers wait before they delete a
        segment. A read of a queue with history then needs a fresh placement from the catalog."""
        used_again = has_history(placement) or placement.group is not None
        # A healthy feed may be silent for almost a lease, so a shorter ``linger`` must not cost all reads a lookup.
        longest = max(self._worker.settings.linger, self._worker.settings.lease)
        return used_again and self._worker.directory.silence() > longest

    def _look_anew(self, call: Call, placement: Placement | None, closed: Closed) -> None:
        """Drop the placement of a queue, because its partition has refused a write by it as stale."""
        assert call.key is not None
        self._worker.directory.forget(call.key)
        where = "by rule" if placement is None else f"of epoch {placement.epoch} to partition {placement.partition}"
        LOG.warning(
            "queue %s/%s: a write %s came after a switch and was refused there; reading the placement anew: %s",
            call.key.project or "-",
            call.key.queue,
            where,
            closed,
        )

    # -- decisions and how each is carried out -----------------------------------------------------------------------

    async def _decide(self, call: Call) -> tuple[Placement | None, Decision]:
        assert call.key is not None
        directory = self._worker.directory
        placement = directory.cached(call.key) or await directory.find(call.key)
        decision = decide(placement, call.route, call.target)
        if decision is Action.LOOK:
            return await self._decide_latest(call)
        return placement, decision

    async def _decide_latest(self, call: Call) -> tuple[Placement | None, Decision]:
        assert call.key is not None
        placement = await self._worker.directory.look(call.key)
        return placement, decide(placement, call.route, call.target, latest=True)

    async def _do(self, decision: Decision, call: Call, placement: Placement | None) -> UpstreamAnswer | None:
        """Carry out the decision; return the answer, None if the call is to be decided anew."""
        if isinstance(decision, Forward):
            return await self._forward(decision, call, placement)
        if isinstance(decision, Action):
            return await self._act(decision, call)
        assert placement is not None
        return await self._spread(decision, call, placement)

    async def _forward(self, decision: Forward, call: Call, placement: Placement | None) -> UpstreamAnswer:
        segment = decision.segment
        request = call.request
        if placement is not None:
            await self._tie(call, placement)
        # PERF: most often without a coroutine of its own.
        upstream = self._worker.directory.known_upstream(segment.partition)
        try:
            if upstream is None:
                upstream = await self._upstream(segment)
            if placement is not None:
                request = stamped(request, call.route, placement, upstream)
            return await upstream.send(request)
        finally:
            if decision.unsettled:  # it was unknown whether the queue exists
                assert call.key is not None
                self._worker.lifecycle.settle_later(call.key, segment)
            else:
                self.mind_deletion(call, placement, segment)

    async def _tie(self, call: Call, placement: Placement) -> None:
        """Before a call that names a dead-letter queue, place that queue where its source is."""
        if call.may_tie:
            dead_letter = dead_letter_queue("PATCH", call.route, call.body)
            if dead_letter is not None:
                await self._worker.lifecycle.placer.tie(placement, dead_letter)

    async def _spread(self, decision: Spread, call: Call, placement: Placement) -> UpstreamAnswer:
        """Carry out a call to a queue with history."""
        await self._tie(call, placement)
        answer = await self._worker.chain.carry_out(decision, call.request, call.route, placement, call.client_waits)
        last = placement.segments[-1]
        if placement.state in (PlacementState.CREATING, PlacementState.DELETING):
            self._worker.lifecycle.settle_later(placement.key, last)
        else:
            self.mind_deletion(call, placement, last)
        return answer

    def mind_deletion(self, call: Call, placement: Placement | None, segment: Segment) -> None:
        """After a call, however it ended: settle its queue if the placement was dropped meanwhile and the call may have
        created the queue anew. (``Directory.on_removal`` does so if the feed shows a deletion later.)"""
        key = call.key
        if call.route.rule.effect is not Effect.CREATES or key is None:
            return
        cached = self._worker.directory.cached(key)
        if cached is not placement and cached != placement:
            self._worker.lifecycle.settle_later(key, segment)

    async def _upstream(self, segment: Segment) -> Upstream:
        upstream = await self._worker.directory.upstream(segment.partition)
        if upstream is None:
            raise unavailable(f"The queue's partition is not registered. {NOT_PROCESSED}", 30)
        return upstream

    async def _act(self, decision: Action, call: Call) -> UpstreamAnswer | None:
        """Carry out a decision other than to forward; return the answer, None if the call is to be decided anew."""
        assert call.key is not None
        lifecycle = self._worker.lifecycle
        clock = asyncio.get_running_loop().time
        limit = self._worker.settings.upstream.deadline
        if decision is Action.DELETE:
            limit = min(limit, lifecycle.deletion_limit)
        until = clock() + limit

        async def send(placement: Placement) -> UpstreamAnswer:
            segment = placement.segments[-1]
            if has_history(placement):
                answer = await self._worker.chain.client(call.request, call.route, placement, until).one(segment)
            else:
                left = until - clock()
                if left <= 0:
                    raise NotSent("the call's time was used up before it was its turn")
                upstream = await self._upstream(segment)
                answer = await upstream.send(stamped(call.request, call.route, placement, upstream), within=left)
            if call.permit is not None:
                call.permit.check(answer)  # a late answer is no evidence for the placement
            return answer

        if decision is Action.CREATE:
            dead_letter = dead_letter_queue(call.method, call.route, call.body)
            return await lifecycle.create(
                call.key, call.route.version, send, dead_letter, call.client_waits, call.permit
            )
        if decision is Action.DELETE:
            return await lifecycle.delete(call.key, send, call.client_waits, call.permit)
        if decision is Action.BY_RULE:
            partition = await lifecycle.placer.choose(call.key, call.route.version, new=False)
            by_rule = await self._worker.directory.upstream(partition.name)
            return None if by_rule is None else await by_rule.send(call.request)
        raise AssertionError(f"{decision} has no way to carry it out here")

    async def _relay(self, call: Call, answer: UpstreamAnswer) -> None:
        if answer.complete:
            call.respond(answer)
        else:
            await relay(answer, call.asgi, call.request_id, self._worker.settings.upstream.deadline)

    # -- calls that no queue decides ---------------------------------------------------------------------------------

    async def _serve_without_queue(self, call: Call) -> None:
        route, head = call.route, call.head
        query = self._listing_query(call)
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
            scope, receive, send = call.asgi
            project = namespace(route.version, head.project) or ""
            scope[SCOPE_KEY] = LocalCall(route, project, call.request_id, query)
            await self._worker.local(dict(scope), receive, send)
            return
        await self._receive(call)
        answer = await self._ask_any(call)
        if route.rule.kind is RouteKind.HOME and call.method == "GET" and answer.status == 200:
            answer = await _without_operator_routes(answer)
        if route.rule.local and answer.status < 400:
            # The front door refuses the request, so a partition that accepts it must not decide.
            answer.abandon()
            raise bad_request("The request is not well-formed. The request was not processed.")
        await self._relay(call, answer)

    def _listing_query(self, call: Call) -> ListingQuery | RepeatedFilter | Unfit | None:
        rule = call.route.rule
        if not rule.local or rule.kind not in _LISTINGS:
            return None
        settings = self._worker.settings
        raw_query = call.target.partition(b"?")[2]
        return parse_listing(
            rule.kind,
            call.route.version,
            raw_query,
            default_page=settings.default_page,
            max_page=settings.max_page,
        )

    async def _ask_any(self, call: Call) -> UpstreamAnswer:
        """Return the answer of any partition that speaks the version. Raises RequestRefused, UpstreamError."""
        version = call.route.version
        upstreams = self._worker.directory.upstreams
        serving = [u for u in upstreams if u.partition.state is not PartitionState.DISABLED]
        speaking = [u for u in serving if not version or version in u.partition.api_versions]
        if not speaking:
            if serving and all(u.partition.api_versions for u in serving):
                # A server answers so for a version that is switched off (API section 1.1).
                raise not_found()
            raise unavailable(f"No partition can take this request. {NOT_PROCESSED}", 10)
        self._worker.chance.shuffle(speaking)
        for upstream in speaking[:-1]:
            try:
                return await upstream.send(call.request)
            except NotSent as error:
                LOG.info("trying another partition: %s", error)
        return await speaking[-1].send(call.request)


async def _without_operator_routes(answer: UpstreamAnswer) -> UpstreamAnswer:
    """Return a partition's home document for clients. Raises BadAnswer if it is no home document."""
    try:
        body = without_operator_routes(await answer.read())
    except ValueError as error:
        raise BadAnswer(f"a partition answered a home document with something else: {error}") from error
    headers = [pair for pair in answer.headers if pair[0] != b"content-length"]
    return UpstreamAnswer(answer.status, [*headers, (b"content-length", b"%d" % len(body))], body, None)
