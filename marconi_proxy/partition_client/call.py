"""One call of the proxy to a partition, with a project and a client id of this process, as clients send them."""

from __future__ import annotations

import json
import uuid
from typing import Any

from marconi_proxy.upstream.connection import MAX_READ
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall

_CLIENT_ID = uuid.uuid4().hex.encode()


def own_call(
    method: str,
    target: str,
    project: str,
    body: Any = None,
    *,
    kind: bytes = b"application/json",
    more: bytes = b"",
) -> UpstreamCall:
    """Return a call for ``project``. ``body``: sent as JSON with media type ``kind``, unless it is None. ``more``:
    further header lines, each with its CRLF."""
    lines = b"client-id: %b\r\naccept: application/json\r\nuser-agent: marconi-proxy\r\n%b" % (_CLIENT_ID, more)
    if project:
        lines += b"x-project-id: %b\r\n" % project.encode("latin-1")
    data = b"" if body is None else json.dumps(body).encode()
    if method in ("POST", "PUT", "PATCH"):
        lines += b"content-length: %d\r\n" % len(data)
    if data:
        lines += b"content-type: %b\r\n" % kind
    return UpstreamCall(method.encode(), target.encode("ascii"), lines, data, repeatable=True)


async def answer_to(
    upstream: Upstream, call: UpstreamCall, *, within: float | None = None, most: int = MAX_READ
) -> tuple[int, Any]:
    """Send a call; return the status and the parsed body, None if that is empty or not JSON. Raises UpstreamError.

    ``within``: timeout in seconds. ``most``: the largest body, in bytes.
    """
    answer = await upstream.send(call, within=within)
    body = await answer.read(most)
    try:
        return answer.status, json.loads(body)
    except (ValueError, RecursionError):
        return answer.status, None
