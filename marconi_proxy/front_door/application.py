"""The front door as an ASGI application: the life of its worker, and where each call enters and its failures end.

A call is offered to ``fast_path`` first, before ASGI. ``call_service`` carries out the others.
"""

from __future__ import annotations

import gc
import itertools
import logging
import secrets
from collections.abc import Awaitable

from oslo_config.cfg import ConfigOpts

from catalog.errors import CatalogError
from marconi_proxy.front_door.call import Call
from marconi_proxy.front_door.call_service import CallService
from marconi_proxy.front_door.fast_path import FastPath
from marconi_proxy.front_door.refusals import (
    MAYBE_PROCESSED,
    ClientGone,
    RequestRefused,
    bad_request,
    from_fault,
    unavailable,
)
from marconi_proxy.front_door.relay import Asgi, Receive, Scope, Send, respond
from marconi_proxy.front_door.settings import Settings
from marconi_proxy.front_door.worker import Worker
from marconi_proxy.front_door.write_gate import Late
from marconi_proxy.routing.headers import (
    PSEUDONYM,
    REQUEST_RULES,
    BadHead,
    answer_headers,
    read_head,
    recognised_head,
    take_hop,
)
from marconi_proxy.upstream.errors import Closed, UpstreamError
from marconi_proxy.upstream.exchange import Ending
from serving.buffered_request import BufferedRequest
from serving.head_recogniser import METHODS, RequestRecogniser

LOG = logging.getLogger(__name__)

# The most addresses with a logged loop, each once.
_LOOPS = 100

_METHODS = {method: method.decode() for method in METHODS}

# RFC 9110 section 7.6.2: the methods that Max-Forwards is about.
_COUNTS_HOPS = frozenset({"OPTIONS", "TRACE"})


class FrontDoor:
    """The application of one worker process. It needs our own server, ``serving``: for ``scope["target"]``, the raw
    target, and for ``recognise`` and ``try_fast_path``, which ``serving.buffered_request`` explains."""

    recognise = RequestRecogniser(*REQUEST_RULES)

    def __init__(self, settings: Settings) -> None:
        self.worker = Worker(settings)
        self._service = CallService(self.worker)
        self._fast_path = FastPath(self.worker, self._service, self._go_on)
        # Ids in the form that OpenStack logs know, unique across workers, at the price of an increment.
        self._id_prefix = b"req-%b-" % secrets.token_hex(10).encode()
        self._ids = itertools.count(1)
        self._loops: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        request_id = self._new_id()
        try:
            head = read_head(scope["headers"], scope["http_version"])
        except BadHead as error:
            self._refuse(scope, bad_request(f"{error}."), request_id)
            return
        request_id = head.request_id or request_id
        if head.via is not None and self.worker.own in head.via:
            self._refuse_loop(scope, request_id)
            return
        if scope["method"] in _COUNTS_HOPS and (scope["target"] == b"*" or not take_hop(head)):
            self._answer_last_hop(scope, request_id)
            return
        call = Call(scope["method"], scope["target"], head, request_id)
        call.go_by(Asgi(scope, receive, send))
        await self._guarded(call, self._service.serve(call))

    def try_fast_path(self, request: BufferedRequest) -> bool:
        """Forward a request at once, if it is for the fast path. Return whether it is; if not, nothing was done."""
        recognised = request.recognised
        if recognised is not None:
            _, verb, target, lines, length, values = recognised
            method = _METHODS[verb]
            head = recognised_head(lines, length, *values)
        else:
            scope = request.scope
            method, target = scope["method"], scope["target"]
            try:
                head = read_head(scope["headers"], scope["http_version"])
            except BadHead:
                return False
            if method in _COUNTS_HOPS or (head.via is not None and self.worker.own in head.via):
                return False
        return self._fast_path.try_to_send(Call(method, target, head, self._new_id()), request)

    async def _go_on(self, call: Call, ending: Ending | Late | Closed, asgi: Asgi) -> None:
        call.go_by(asgi)
        call.request = call.request._replace(caller=call.client)
        await self._guarded(call, self._service.resume(call, ending))

    def _new_id(self) -> bytes:
        return self._id_prefix + b"%012x" % next(self._ids)

    def _answer_last_hop(self, scope: Scope, request_id: bytes) -> None:
        """Answer an OPTIONS or TRACE request that asks this server, not a partition (RFC 9110 section 9.3.7)."""
        if scope["method"] == "OPTIONS":
            respond(scope, 200, answer_headers([], request_id), b"")
            return
        refused = RequestRefused(501, "Not implemented", "TRACE is not supported. The request was not processed.")
        self._refuse(scope, refused, request_id)

    # -- life of the worker ------------------------------------------------------------------------------------------

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.worker.start()
                except Exception as error:
                    LOG.error("cannot start: %s", error)
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                _spare_garbage_collector()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.worker.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # -- failures ----------------------------------------------------------------------------------------------------

    async def _guarded(self, call: Call, work: Awaitable[None]) -> None:
        """Await ``work``, and answer its failures with refusals."""
        request_id = call.request_id
        try:
            await work
            return
        except ClientGone:
            return
        except RequestRefused as error:
            refused = error
        except (UpstreamError, CatalogError) as error:
            LOG.info("%s refused: %s", request_id.decode("latin-1"), error)
            refused = from_fault(error)
        except Exception:
            LOG.exception("%s failed", request_id.decode("latin-1"))
            refused = unavailable(f"The front door failed. {MAYBE_PROCESSED}")
        self._refuse(call.asgi.scope, refused, request_id)

    def _refuse(self, scope: Scope, refused: RequestRefused, request_id: bytes, own: bytes = PSEUDONYM) -> None:
        status, headers, body = refused.answer()
        headers += [(b"via", b"1.1 " + own), (b"x-openstack-request-id", request_id)]
        respond(scope, status, headers, body)

    def _refuse_loop(self, scope: Scope, request_id: bytes) -> None:
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
        self._refuse(scope, refused, request_id, self.worker.own)


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
