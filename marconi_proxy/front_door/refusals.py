"""Our own errors, as exceptions and as answers. The only place where faults become status codes.

503 with Retry-After for every fault, 400 for every bad request: stock clients take other codes for success (API section
8.5). Descriptions never name partitions or hosts.
"""

from __future__ import annotations

import json

from catalog.errors import CatalogError
from marconi_proxy.upstream.errors import Closed, NotSent, PartitionBusy, UpstreamError
from serving.retry_after import retry_after

Headers = list[tuple[bytes, bytes]]

# The two ends of a description, after the event: whether the request was processed, and the action to take.
NOT_PROCESSED = "The request was not processed; retry after Retry-After seconds."
MAYBE_PROCESSED = "The request may have been processed; check before you repeat it."


class RequestRefused(Exception):
    """The call is answered with this. ``retry_after`` (seconds at least; the answer adds jitter) only with 503."""

    def __init__(self, status: int, title: str, description: str = "", retry_after: int | None = None) -> None:
        super().__init__(f"{status} {title}: {description}")
        self.status = status
        self.title = title
        self.description = description
        self.retry_after = retry_after

    def answer(self) -> tuple[int, Headers, bytes]:
        """Return (status, headers, body)."""
        document = {"title": self.title}
        if self.description:
            document["description"] = self.description
        body = json.dumps(document).encode() if self.title else b""
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"vary", b"Accept"),
            (b"content-length", b"%d" % len(body)),
        ]
        if self.retry_after is not None:
            headers.append((b"retry-after", b"%d" % retry_after(self.retry_after)))
        return self.status, headers, body


class ClientGone(Exception):
    """The client left before its turn came or its request was complete: no answer is needed."""


def bad_request(description: str) -> RequestRefused:
    """Return a 400 for the client's fault."""
    return RequestRefused(400, "Invalid API request", description)


def not_found(*, show: bool = True) -> RequestRefused:
    """Return a 404. ``show`` False: the client admits no JSON, so there is no body."""
    return RequestRefused(404, "404 Not Found" if show else "")


def unavailable(description: str, retry_after: int = 1) -> RequestRefused:
    """Return a 503. ``retry_after``: seconds."""
    return RequestRefused(503, "Service temporarily unavailable", description, retry_after)


def from_fault(error: Exception) -> RequestRefused:
    """Return the refusal for a fault behind the front door."""
    if isinstance(error, PartitionBusy):
        return unavailable(f"Too many calls to this queue's partition are in flight. {NOT_PROCESSED}")
    if isinstance(error, Closed):
        return unavailable(f"The location of this queue is not known at the moment. {NOT_PROCESSED}", 5)
    if isinstance(error, NotSent):
        return unavailable(f"The queue's partition cannot be reached. {NOT_PROCESSED}", 5)
    if isinstance(error, UpstreamError):
        return unavailable(f"The queue's partition did not answer properly. {MAYBE_PROCESSED}", 5)
    if isinstance(error, CatalogError):
        return unavailable(f"The catalog cannot be reached. {NOT_PROCESSED}", 5)
    raise error
