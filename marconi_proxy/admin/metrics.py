"""``/metrics``: what the catalog keeps of audit and statistics, for Prometheus. Read-only, made anew each time."""

from __future__ import annotations

import falcon.asgi

from catalog import Catalog
from marconi_proxy.admin.query import parameters
from marconi_proxy.admin.statistics import of_partitions
from marconi_proxy.metrics.exposition import CONTENT_TYPE, exposition
from marconi_proxy.metrics.samples import audit_samples, partition_samples


class MetricsResource:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        parameters(req, ())
        audit = await self._catalog.audit.get()
        partitions = await of_partitions(self._catalog)
        found = [sums for sums in partitions.values() if sums is not None]
        resp.content_type = CONTENT_TYPE
        resp.data = exposition([*audit_samples(audit), *partition_samples(found)])
