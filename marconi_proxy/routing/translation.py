"""Translate between a client's view of a queue's messages and claims, and that of one segment.

Two things differ: the queue's name in paths, where the segment's ``backend_name`` has a hidden suffix, and the tags of
ids, claim ids and markers (``tags``). The tables are API section 8.1: the path and query of a request, and the paths in
an answer (``answer_text``).

NOTE: a signature (API section 9.2) covers the path. So ``share`` is asked for the queue's own path. A signed call to a
segment with a hidden suffix is refused by its partition, which sees another path than the signed one.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from catalog.model import TOPIC_PREFIX, Placement, Segment
from marconi_proxy.routing import query as raw_query
from marconi_proxy.routing.tags import explicit, known, tagged

# The resources with tagged ids below them; subscriptions belong to the last segment alone, and keep theirs.
_TAGGED = ("messages", "claims")


def split(target: bytes) -> tuple[str, str]:
    """Return (path, query) of a raw request target, both undecoded."""
    path, _, query = target.decode("latin-1").partition("?")
    return path, query


def parts(path: str) -> list[str]:
    """Return the decoded segments of an undecoded path; the first is empty. Bytes are decoded as latin-1."""
    if "%" in path:
        path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
    return path.split("/")


def _joined(segments: list[str], query: str) -> str:
    path = "/".join(quote(segment, safe="-._~!$&'()*+,;=:@", encoding="latin-1") for segment in segments)
    return f"{path}?{query}" if query else path


class Translation(NamedTuple):
    """One segment of a placement. ``inward`` is from the client to the segment, ``outward`` the way back."""

    placement: Placement
    segment: Segment

    @property
    def name(self) -> str:
        """Return the queue's name in paths."""
        return self.placement.queue.removeprefix(TOPIC_PREFIX)

    def inward_id(self, text: str) -> str:
        """Return the segment's form of a client's id; an unknown one if the id is from another segment, so that a list
        of ids keeps its length."""
        n, plain = known(self.placement, text)
        return plain if n == self.segment.n else explicit(plain, n)

    def _is_ours(self, text: str) -> bool:
        return known(self.placement, text)[0] == self.segment.n

    def outward_id(self, text: str) -> str:
        """Return the client's form of the segment's id ``text``."""
        return tagged(text, self.segment.n, self.placement.base)

    def inward(self, target: bytes, *, marker: str | None = None) -> bytes:
        """Return a client's request target as the segment's partition takes it.

        ``marker`` replaces the target's marker, if it has one; None removes it.
        """
        path, query = split(target)
        segments = parts(path)
        if len(segments) > 4 and segments[4] == "share":
            return target
        segments[3] = self.segment.backend_name
        if len(segments) > 4 and segments[4] in _TAGGED:
            if len(segments) > 5 and segments[5]:
                # A message of a retired segment is gone, whatever its claim was (API section 2.12, first row); only an
                # impossible claim would change that answer.
                if not self._is_ours(segments[5]):
                    query = raw_query.replaced(query, "claim_id", None)
                segments[5] = self.inward_id(segments[5])
            for name in ("ids", "claim_id", "claim_ids"):
                query = raw_query.changed(query, name, self.inward_id)
            if raw_query.values(query, "marker"):
                query = raw_query.replaced(query, "marker", marker)
        return _joined(segments, query).encode("latin-1")

    def outward(self, href: str) -> str:
        """Return a path of the segment's partition as clients may use it; anything else as it is."""
        path, _, query = href.partition("?")
        segments = path.split("/")
        if len(segments) < 4 or segments[0] or segments[2] not in ("queues", "topics"):
            return href
        if segments[3] != self.segment.backend_name:
            return href
        segments[3] = self.name
        if len(segments) > 4 and segments[4] in _TAGGED:
            if len(segments) > 5 and segments[5]:
                segments[5] = self.outward_id(segments[5])
            for name in ("ids", "claim_id", "marker"):
                query = raw_query.changed(query, name, self.outward_id)
        path = "/".join(segments)
        return f"{path}?{query}" if query else path

    def outward_name(self, text: str) -> str:
        """Return the queue's name for the segment's ``backend_name``."""
        return self.name if text == self.segment.backend_name else text
