"""One client's call to a queue with history: sent to its segments, their answers translated for the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from catalog.model import Placement, Segment
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.refusals import MAYBE_PROCESSED, unavailable
from marconi_proxy.front_door.write_gate import stamped
from marconi_proxy.routing import answer_text
from marconi_proxy.routing.route import ParsedRoute
from marconi_proxy.routing.translation import Translation
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import BadAnswer, NotSent
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall

# The largest answer (bytes) that is read to be translated: a page of 20 messages of 256 KiB, six times over.
MAX_ANSWER = 33554432

T = TypeVar("T")


class Reply(NamedTuple):
    """A segment's answer, read to its end, not translated."""

    segment: Segment
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def without_line(lines: bytes, name: bytes) -> bytes:
    """Return serialised header lines without those of header ``name``, which is in lower case."""
    if name not in lines:
        return lines
    return b"".join(line for line in lines.splitlines(keepends=True) if not line.startswith(name + b":"))


def with_body(call: UpstreamCall, body: bytes) -> UpstreamCall:
    """Return the call with another body."""
    lines = without_line(call.lines, b"content-length") + b"content-length: %d\r\n" % len(body)
    return call._replace(body=body, lines=lines)


class SegmentClient:
    """The segments for one call. ``until``: loop time by which all of it is done."""

    def __init__(
        self, directory: Directory, placement: Placement, route: ParsedRoute, call: UpstreamCall, until: float
    ) -> None:
        self.placement = placement
        self.route = route
        # A compressed body cannot be translated.
        self.call = call._replace(lines=without_line(call.lines, b"accept-encoding"))
        self._directory = directory
        self._until = until
        self._clock = asyncio.get_running_loop().time

    @property
    def left(self) -> float:
        """Return the seconds left. Raises NotSent if there are none."""
        left = self._until - self._clock()
        if left <= 0:
            raise NotSent("the call's time was used up before it was its turn")
        return left

    def names(self, segment: Segment) -> Translation:
        return Translation(self.placement, segment)

    def target(self, segment: Segment, marker: str | None = None) -> bytes:
        """Return the client's request target, translated for the segment. ``marker`` as for ``Translation.inward``."""
        return self.names(segment).inward(self.call.target, marker=marker)

    async def upstream(self, segment: Segment) -> Upstream:
        """Return the way to the segment. Raises RequestRefused, CatalogUnavailable."""
        found = self._directory.known_upstream(segment.partition) or await self._directory.upstream(segment.partition)
        if found is None:
            raise unavailable(f"A partition of this queue is not registered. {MAYBE_PROCESSED}", 30)
        return found

    async def send(self, segment: Segment, call: UpstreamCall) -> UpstreamAnswer:
        """Send a call that is translated for the segment. Raises RequestRefused, CatalogUnavailable, UpstreamError."""
        upstream = await self.upstream(segment)
        return await upstream.send(stamped(call, self.route, self.placement, upstream), within=self.left)

    async def ask(self, segment: Segment, target: bytes | None = None) -> Reply:
        """Send the client's call, to ``target`` if that is given; return the answer, read to its end. Raises as
        ``send``."""
        call = self.call._replace(target=self.target(segment) if target is None else target)
        return await self._read(segment, await self.send(segment, call))

    async def _read(self, segment: Segment, answer: UpstreamAnswer) -> Reply:
        body = await answer.read(MAX_ANSWER)
        return Reply(segment, answer.status, answer.headers, body)

    async def ask_all(self, segments: Sequence[Segment]) -> list[Reply]:
        """Run ``ask`` on all segments in parallel. Raises the first failure."""
        return await together([self.ask(segment) for segment in segments])

    async def one(self, segment: Segment) -> UpstreamAnswer:
        """Return one segment's answer, translated for the client. Raises as ``send``."""
        answer = await self.send(segment, self.call._replace(target=self.target(segment)))
        if answer.status < 400 and self.route.rule.kind not in answer_text.SHAPES:
            # No part of the body is translated: stream it.
            answer.headers = self._headers(segment, answer.headers, None)
            return answer
        return self.shown(await self._read(segment, answer))

    def shown(self, reply: Reply) -> UpstreamAnswer:
        """Return a reply, translated for the client. Raises BadAnswer if it is not as the API requires."""
        if reply.status < 400:
            body = self.translate(reply, lambda: self._translated(reply))
        else:
            body = answer_text.failure(reply.body, self.names(reply.segment))
        changed = len(body) if body is not reply.body else None
        return UpstreamAnswer(reply.status, self._headers(reply.segment, reply.headers, changed), body, None)

    def _translated(self, reply: Reply) -> bytes:
        return answer_text.translated(self.route.rule.kind, reply.body, self.names(reply.segment))

    def _headers(
        self, segment: Segment, received: list[tuple[bytes, bytes]], length: int | None
    ) -> list[tuple[bytes, bytes]]:
        return answer_text.headers(self.route.rule.kind, received, self.names(segment), self.call.target, length)

    def made(self, reply: Reply, body: bytes) -> UpstreamAnswer:
        """Return an answer with the status and headers of ``reply`` and another body."""
        return UpstreamAnswer(reply.status, self._headers(reply.segment, reply.headers, len(body)), body, None)

    def messages(self, reply: Reply) -> list[bytes]:
        """Return the messages in a reply, translated for the client. Raises BadAnswer."""
        return self.translate(reply, lambda: answer_text.messages(reply.body, self.names(reply.segment)))

    def translate(self, reply: Reply, how: Callable[[], T]) -> T:
        """Run ``how`` on a segment's reply. Raises BadAnswer in place of its ValueError."""
        try:
            return how()
        except ValueError as error:
            name = reply.segment.partition
            raise BadAnswer(f"partition {name} answered {reply.status} with something else: {error}") from None


async def together(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all in parallel; return the results once all have ended. Raises the first failure."""
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    results = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
