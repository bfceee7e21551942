"""Samples of the background audit's findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.model import AuditState
from marconi_proxy.audit.kinds import Kind
from marconi_proxy.metrics import names
from marconi_proxy.metrics.names import Sample


def audit_samples(audit: AuditState) -> Iterator[Sample]:
    """Yield nothing before the first audit round; zeros would read as "healthy"."""
    # A mover that died during the round has left its start time behind.
    if audit.since is not None and audit.holder is not None:
        yield Sample(names.AUDIT_UNDER_WAY, (), audit.since)
    if audit.begun is None or audit.ended is None:
        return
    # Every kind, so that a figure that falls to 0 is exported; and kinds of another release.
    for kind, count in {**{str(kind): 0 for kind in Kind}, **audit.findings}.items():
        yield Sample(names.AUDIT_FINDINGS, (kind,), count)
    yield Sample(names.AUDIT_QUEUES, (), audit.queues)
    yield Sample(names.AUDIT_CHANGED, (), audit.changed)
    yield Sample(names.AUDIT_UNTOLD, (), audit.untold)
    yield Sample(names.AUDIT_UNSEEN, (), len(audit.unseen))
    yield Sample(names.AUDIT_STARTED, (), audit.begun)
    yield Sample(names.AUDIT_FINISHED, (), audit.ended)
