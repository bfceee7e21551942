"""The front door without the parts that moves need: every call goes to the last segment, and no write is counted.

    python -m bench.plain ...        as marconi-proxy

``bench.chains`` compares it with the real one, to show the cost of those parts. It has no other use: a queue that is
moved meanwhile loses messages.
"""

from __future__ import annotations

from collections.abc import Hashable

from catalog.model import Placement, QueueKey
from marconi_proxy.cli.main import main
from marconi_proxy.fencing.fence import Fence, Ticket
from marconi_proxy.front_door import application
from marconi_proxy.front_door.write_gate import Late, WriteGate
from marconi_proxy.routing.decision import Decision, Forward, decide
from marconi_proxy.routing.route import ParsedRoute
from marconi_proxy.upstream.connection import UpstreamAnswer

_TICKET = Ticket(QueueKey("", ""))


class NoFence(Fence):
    """A fence that counts no write."""

    def begin(self, key: Hashable) -> Ticket:
        return _TICKET

    def end(self, ticket: Ticket, now: float, ambiguous: bool = False) -> None:
        pass


class Unfenced(WriteGate):
    """A gate that admits every write: its clock stands still, so that its lease never ends."""

    def __init__(self, lease: float, ambiguity: float) -> None:
        super().__init__(lease, ambiguity, lambda: 0.0)
        self.fence = NoFence(ambiguity)

    def ended(self, ticket: Ticket, term: int, answer: UpstreamAnswer, ambiguous: bool) -> Late | None:
        return None


def forward(placement: Placement | None, route: ParsedRoute, target: bytes, *, latest: bool = False) -> Decision:
    """Return the decision as if no queue had a history."""
    if placement is None:
        return decide(placement, route, target, latest=latest)
    return Forward(placement.segments[-1])


if __name__ == "__main__":
    application.WriteGate = Unfenced  # type: ignore[misc]
    application.decide = forward
    raise SystemExit(main())
