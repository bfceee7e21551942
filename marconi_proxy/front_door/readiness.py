"""Whether this worker can serve, as conditions with reasons, from what it knows anyway: a probe costs no call."""

from __future__ import annotations

from catalog.model import PartitionState
from marconi_proxy.front_door.catalog_guard import CatalogGuard
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.write_gate import WriteGate
from serving.readiness import Condition


class WorkerReadiness:
    """Belongs to one worker."""

    def __init__(self, directory: Directory, gate: WriteGate, guard: CatalogGuard) -> None:
        self._directory = directory
        self._gate = gate
        self._guard = guard

    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions as of now."""
        return self._lease(), self._catalog(), self._partitions()

    def _lease(self) -> Condition:
        left = self._gate.lease.left(self._gate.clock())
        if left > 0:
            return Condition("lease", True, f"held for {left:.1f} s more")
        return Condition("lease", False, "not renewed in time: writes are refused until the catalog answers")

    def _catalog(self) -> Condition:
        reason = "" if self._directory.synced else "the change feed is cut"
        counters: list[tuple[str, int]] = []
        for verbs in (self._guard.reads, self._guard.writes):
            breaker = verbs.breaker
            if breaker.opened_at is not None:
                reason = reason or f"{verbs.kind} are not answered, for {breaker.open_for():.1f} s"
            counters += [(f"{verbs.kind}_outages", breaker.openings), (f"{verbs.kind}_refused", breaker.refused)]
        return Condition("catalog", not reason, reason or "it answers", tuple(counters))

    def _partitions(self) -> Condition:
        serving = [one for one in self._directory.upstreams if one.partition.state is not PartitionState.DISABLED]
        usable = sum(one.usable for one in serving)
        if usable:
            return Condition("partitions", True, f"{usable} of {len(serving)} usable")
        if serving:
            return Condition("partitions", False, f"all hosts of all {len(serving)} fail")
        return Condition("partitions", False, "none is registered and enabled")
