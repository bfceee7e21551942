"""The answer to a readiness probe, by which a load balancer decides whether to send requests to a worker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from serving.asgi import CALL
from serving.response_framing import Header

# Seconds after which a probe may find another state.
_RETRY_AFTER = 1


class Condition(NamedTuple):
    """One of the conditions under which a worker can serve.

    ``reason``: a short text for operators. ``counters``: (name, number since the start of the worker) of what concerns
    it.
    """

    name: str
    met: bool
    reason: str
    counters: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"met": self.met, "reason": self.reason, **dict(self.counters)}


def accepting(scope: dict[str, Any]) -> Condition:
    """Return whether the server of this request goes on accepting requests. ``scope`` is the request's."""
    call = scope.get("extensions", {}).get(CALL)
    if call is not None and call.draining:
        return Condition("accepting", False, "the worker is stopping")
    return Condition("accepting", True, "the worker is not stopping")


def readiness_answer(conditions: Iterable[Condition]) -> tuple[int, list[Header], bytes]:
    """Return (status, headers, body): 200 if every condition is met, else 503."""
    shown = list(conditions)
    ready = all(condition.met for condition in shown)
    document = {"ready": ready, "conditions": {one.name: one.to_json() for one in shown}}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if not ready:
        headers.append((b"retry-after", b"%d" % _RETRY_AFTER))
    return 200 if ready else 503, headers, json.dumps(document).encode()
