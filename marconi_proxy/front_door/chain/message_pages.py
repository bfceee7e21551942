"""List messages: from the marker's segment on, and from one segment to the next only over an empty page.

A short page is not the end of a segment (API section 6.3), so the segment is asked until a page is empty. Then no
visible message has been passed over, and, as the segment is sealed, none will be added.
"""

from __future__ import annotations

from catalog.model import Segment
from marconi_proxy.front_door.chain.segment_client import Reply, SegmentClient
from marconi_proxy.routing import answer_text
from marconi_proxy.routing import query as raw_query
from marconi_proxy.routing.translation import split
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import BadAnswer

# The size of a page without a limit, in every version and release (API section 1.7).
_DEFAULT = 10


class _PageBuilder:
    """The page that a client gets, while it is filled."""

    def __init__(self, client: SegmentClient) -> None:
        self.client = client
        self.query = split(client.call.target)[1]
        self.limit = raw_query.last(self.query, "limit")
        self.messages: list[bytes] = []
        self.end: Reply | None = None  # the source of the last message
        self.next = ""

    @property
    def room(self) -> int:
        """Return the number of messages that the page still takes."""
        try:
            limit = _DEFAULT if self.limit is None else int(self.limit)
        except ValueError:
            limit = 0  # refused by the partition, which is asked with the limit as it is
        return limit - len(self.messages)

    def target(self, segment: Segment, marker: str | None) -> bytes:
        """Return the request target for a segment, to fill the page."""
        path, query = split(self.client.target(segment, marker))
        if marker is not None:
            query = raw_query.replaced(query, "marker", marker)
        if self.messages:
            query = raw_query.replaced(query, "limit", str(self.room))
        return (f"{path}?{query}" if query else path).encode("latin-1")

    def add(self, reply: Reply, found: list[bytes]) -> str | None:
        """Add a segment's messages; return the marker of the rest, as the segment knows it. Raises BadAnswer."""
        link = self.client.translate(reply, lambda: answer_text.next_link(reply.body))
        if link is None:
            raise BadAnswer(f"partition {reply.segment.partition} answered with messages and no link")
        self.messages += found
        self.end = reply
        shown = self.client.names(reply.segment).outward(link)
        path, _, query = shown.partition("?")
        # The client's own limit, independent of the segment's.
        self.next = f"{path}?{raw_query.replaced(query, 'limit', self.limit)}"
        return raw_query.last(link.partition("?")[2], "marker")

    def answer(self, empty: Reply) -> UpstreamAnswer:
        """Return the page; ``empty`` is the last segment's answer, for a page without messages."""
        if self.end is None:
            return self.client.shown(empty)
        link = f'{{"rel": "next", "href": {answer_text.quoted(self.next)}}}'
        body = b'{"messages": [%b], "links": [%b]}' % (b", ".join(self.messages), link.encode())
        return self.client.made(self.end, body)


async def page(client: SegmentClient, segments: tuple[Segment, ...], marker: str | None) -> UpstreamAnswer:
    """Return the page that the client asked for. Raises as ``SegmentClient.send``."""
    filled = _PageBuilder(client)
    for segment in segments:
        is_last = segment is segments[-1]
        while True:
            reply = await client.ask(segment, filled.target(segment, marker))
            # A queue that was just retired may be missing: some stores answer 404 (API section 2.8).
            gone = reply.status == 404 and not is_last
            if reply.status not in (200, 204) and not gone:
                return client.shown(reply)
            found = client.messages(reply) if reply.status == 200 else []
            if not found:
                break
            marker = filled.add(reply, found)
            # A short page of the last segment is complete: the segment may get messages at any time.
            if is_last or filled.room <= 0:
                return filled.answer(reply)
        marker = None
    return filled.answer(reply)
