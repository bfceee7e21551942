"""``/v1/audit``: what the audit in the background last found to be wrong, by kind. Read-only."""

from __future__ import annotations

from collections.abc import Callable

import falcon.asgi

from catalog import Catalog
from marconi_proxy.admin.query import parameters
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.clock import iso


class AuditResource:
    """``clock``: seconds since 1970."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._clock = clock

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        parameters(req, ())
        audit = await self._catalog.audit.get()
        never = audit.ended is None
        # Every kind, so that a figure that becomes 0 is seen to; and those of another release.
        findings = None if never else {**{str(kind): 0 for kind in FindingKind}, **audit.findings}
        resp.media = {
            "begun": _time(audit.begun),
            "ended": _time(audit.ended),
            # Not less than zero: it is another machine's clock.
            "age": None if audit.ended is None else round(max(0.0, self._clock() - audit.ended), 3),
            "queues": None if never else audit.queues,
            "changed": None if never else audit.changed,
            "untold": None if never else audit.skipped,
            "findings": findings,
            "unseen": [{"partition": name, "why": why} for name, why in audit.unreachable.items()],
            # One that has died leaves when it began: the next mover begins anew.
            "since": None if audit.holder is None else _time(audit.since),
            "holder": None if audit.holder is None else audit.holder.name,
        }


def _time(when: float | None) -> str | None:
    return None if when is None else iso(when)
