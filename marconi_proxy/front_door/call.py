"""One call of a client, from its head to its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Protocol

from catalog.model import Placement, QueueKey, Segment
from marconi_proxy.front_door.refusals import Headers
from marconi_proxy.front_door.relay import Asgi, client_waits
from marconi_proxy.front_door.write_gate import WritePermit
from marconi_proxy.routing.headers import ANSWER_RULES, RequestHead, added_lines, answer_headers, answer_lines
from marconi_proxy.routing.identity import names_queues, namespace
from marconi_proxy.routing.route import RouteKind, parse
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.exchange import CallAtOnce, Caller, Ending, UpstreamCall
from serving.asgi import CALL
from serving.head_recogniser import ResponseRecogniser


class Client(Caller, Protocol):
    """The server's side of a call: ``serving.buffered_request.BufferedRequest`` or ``serving.asgi.AsgiCall``."""

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]] | bytes, body: bytes) -> None:
        """Send a complete answer; the headers may be serialised lines."""


@lru_cache(4096)
def _queue_key(version: str, project_id: bytes | None, queue: str) -> QueueKey | None:
    """Return the queue of a call; None if the API refuses the call for its project."""
    project = namespace(version, project_id)
    return QueueKey(project, queue) if project is not None and names_queues(project) else None


class Call(CallAtOnce):
    """A call with a head that was read.

    ``method`` is text, ``target`` raw. ``key``: its queue, None if no queue decides the call. ``body`` is b"" until it
    was read. ``request``: the request as its partition gets it, set by ``address``. ``permit``: that of a call that
    writes, else None. ``asgi``: set once the call goes by ASGI. Of a call that the fast path has sent: ``placement``
    and ``segment``, by which it was sent, and ``on_end``, which takes the call and its ending.

    PERF: one object with slots is all that the fast path keeps of a call.
    """

    __slots__ = (
        *("asgi", "body", "client", "head", "key", "method", "on_end", "permit", "placement", "request", "request_id"),
        *("route", "segment", "target"),
    )

    recognise = ResponseRecogniser(*ANSWER_RULES)

    asgi: Asgi
    client: Client
    on_end: Callable[[Call, Ending], None]
    placement: Placement
    request: UpstreamCall
    segment: Segment

    def __init__(self, method: str, target: bytes, head: RequestHead, request_id: bytes) -> None:
        self.method = method
        self.target = target
        self.head = head
        self.request_id = head.request_id or request_id
        self.route = route = parse(method, target)
        self.key = _queue_key(route.version, head.project, route.queue) if route.named else None
        self.body = b""
        self.permit: WritePermit | None = None

    @property
    def may_tie(self) -> bool:
        """Return whether the call may give its queue a dead-letter queue."""
        return self.method == "PATCH" and self.route.rule.kind is RouteKind.QUEUE

    def go_by(self, asgi: Asgi) -> None:
        """Go on by ASGI."""
        self.asgi = asgi
        self.client = asgi.scope["extensions"][CALL]

    def client_waits(self) -> bool:
        """Return whether the client still waits, as far as the server knows. Only for a call by ASGI."""
        return client_waits(self.asgi.scope)

    def address(self, peer: tuple[str, int] | None, scheme: bytes, own: bytes, *, trust_forwarded_for: bool) -> None:
        """Make ``request``. ``peer``: the client's address, if it is known; ``own``: our pseudonym in Via."""
        head = self.head
        address = peer[0].encode() if peer else b""
        lines = head.lines + added_lines(
            head, address, scheme, self.request_id, own, trust_forwarded_for=trust_forwarded_for
        )
        # Partitions ignore chunked bodies, silently where a body is optional (API section 1.5).
        if head.chunked or head.length is not None:
            lines += b"content-length: %d\r\n" % len(self.body)
        repeatable, project = self.route.rule.repeatable, head.project or b""
        self.request = UpstreamCall(
            self.method.encode(), self.target, lines, self.body, repeatable, None, project, self.client
        )

    def ended(self, ending: Ending) -> None:
        self.on_end(self, ending)

    def respond(self, answer: UpstreamAnswer) -> None:
        """Send the client an answer that is complete."""
        headers: Headers | bytes
        if answer.lines is not None:
            headers = answer_lines(answer.lines, answer.request_id, self.request_id)
        else:
            headers = answer_headers(answer.headers, self.request_id)
        self.client.respond(answer.status, headers, answer.body)
