"""The epoch of its placement by which a write is sent, for partitions that refuse epochs of before a switch."""

from __future__ import annotations

from catalog.model import Placement
from marconi_proxy.routing.decision import is_held
from marconi_proxy.routing.headers import epoch_line
from marconi_proxy.routing.route import ParsedRoute
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall


def stamp(route: ParsedRoute, placement: Placement, upstream: Upstream) -> bytes:
    """Return the header line that a call gets, b"" if none."""
    if upstream.fences and is_held(route.rule):
        return epoch_line(placement.incarnation, placement.epoch)
    return b""


def stamped(call: UpstreamCall, route: ParsedRoute, placement: Placement, upstream: Upstream) -> UpstreamCall:
    """Return the call as it is sent."""
    line = stamp(route, placement, upstream)
    return call._replace(lines=call.lines + line) if line else call
