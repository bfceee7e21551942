"""The path of a call that needs no waiting, before ASGI: without a task, at a fraction of the cost.

A call takes it if its queue is open and its placement cached, and its partition has a free connection. Every unusual
case is left to ``call_service``: before the sending, untouched; after it, by ``BufferedRequest.hand_over`` of the same
``Call``. Decision, headers, permit, deadline and counters are those of ``call_service``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from marconi_proxy.front_door.call import Call
from marconi_proxy.front_door.call_service import CallService
from marconi_proxy.front_door.relay import Asgi, Receive, Scope, Send
from marconi_proxy.front_door.worker import Worker
from marconi_proxy.front_door.write_gate import Late, stamped
from marconi_proxy.routing.decision import Forward, decide, is_held
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import Closed
from marconi_proxy.upstream.exchange import CLOSED_STATUS, Ending, closed_by
from serving.buffered_request import BufferedRequest


class FastPath:
    """The fast path of one worker. ``go_on(call, ending, asgi)`` answers a call that it cannot answer itself."""

    def __init__(
        self,
        worker: Worker,
        service: CallService,
        go_on: Callable[[Call, Ending | Late | Closed, Asgi], Awaitable[None]],
    ) -> None:
        self._worker = worker
        self._service = service
        self._go_on = go_on

    def try_to_send(self, call: Call, client: BufferedRequest) -> bool:
        """Send a call, and answer it later; return False, with nothing done, if it is not for the fast path."""
        worker = self._worker
        settings = worker.settings
        key, route = call.key, call.route
        placement = None if key is None else worker.directory.cached(key)
        if placement is None or len(client.body) > settings.max_body or call.may_tie:
            return False
        decision = decide(placement, route, call.target)
        if type(decision) is not Forward or decision.unsettled:
            return False
        if placement.group is not None and not route.rule.writes and self._service.is_too_old(placement):
            return False
        upstream = worker.directory.known_upstream(decision.segment.partition)
        if upstream is None:
            return False
        call.client = client
        call.body = client.body
        call.placement = placement
        call.segment = decision.segment
        call.on_end = self._ended
        call.address(client.client, b"http", worker.own, trust_forwarded_for=settings.trust_forwarded_for)
        request = stamped(call.request, route, placement, upstream) if upstream.fences else call.request
        if not route.rule.writes:
            return upstream.send_at_once(request, call)
        assert key is not None
        # There is no await between the lookup above and the sending, so this is one step, and its order is free.
        permit = worker.gate.begin_at_once(key, lasting=is_held(route.rule))
        if permit is None:
            return False
        call.permit = permit
        if upstream.send_at_once(request, call):
            return True
        permit.unanswered = 0
        permit.end()
        call.permit = None
        return False

    def _ended(self, call: Call, ending: Ending) -> None:
        """Answer a call that has ended, or hand it over."""
        permit = call.permit
        problem: Late | Closed | None = None
        if permit is not None and isinstance(ending, UpstreamAnswer):
            permit.answered(ending.status)
            # PERF: the comparison of a number spares all other answers the call.
            problem = closed_by(ending) if ending.status == CLOSED_STATUS else None
            if problem is not None:
                # The partition did nothing, so a late answer of this kind does no harm.
                call.upstream.fences = True
            else:
                problem = permit.late(ending)
            permit.end()
        self._service.mind_deletion(call, call.placement, call.segment)
        if problem is None and isinstance(ending, UpstreamAnswer) and ending.complete:
            call.respond(ending)
        else:
            cast("BufferedRequest", call.client).hand_over(partial(self._hand_over, call, problem or ending))

    async def _hand_over(
        self, call: Call, ending: Ending | Late | Closed, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await self._go_on(call, ending, Asgi(scope, receive, send))
