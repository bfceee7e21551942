"""The choice of a partition's host for a call, and the ejection of failing hosts. Pure: the clock is an argument.

Picks the less loaded of two random hosts (Mitzenmacher 2001). Recent failures count as load, so a host that fails fast
does not attract calls. A host is ejected for ``eject_for`` seconds after ``eject_after`` failures in a row, then gets
one call to prove itself. At most half of the hosts, rounded down, are ejected, so a network fault does not take away a
partition that still answers.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from marconi_proxy.upstream.pool import Origin

# The weight of one failure in a row, in calls in flight.
_PENALTY = 10


class Host:
    """One host of a partition as this worker sees it."""

    __slots__ = ("ejected_until", "failed_at", "failures", "in_flight", "origin", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.origin = Origin.of(url)
        self.in_flight = 0
        self.failures = 0
        self.failed_at = 0.0
        self.ejected_until = 0.0

    def __repr__(self) -> str:
        return f"<Host {self.url} in_flight={self.in_flight} failures={self.failures}>"


class Balancer:
    """The hosts of one partition. ``eject_after``: failures in a row; ``eject_for``: seconds."""

    def __init__(self, hosts: Sequence[Host], eject_after: int, eject_for: float, chance: random.Random) -> None:
        self.hosts = tuple(hosts)
        self._eject_after = eject_after
        self._eject_for = eject_for
        self._chance = chance

    def pick(self, now: float, tried: Collection[Host] = ()) -> Host:
        """Return a host, outside of ``tried`` while there are others."""
        hosts = self.hosts
        if len(hosts) == 1:
            return hosts[0]
        candidates = [h for h in hosts if h.ejected_until <= now and h not in tried]
        if not candidates:
            candidates = [h for h in hosts if h not in tried] or list(hosts)
        if len(candidates) == 1:
            return candidates[0]
        one, other = self._chance.sample(candidates, 2)
        return one if self._load(one, now) <= self._load(other, now) else other

    def usable(self, now: float) -> bool:
        """Return whether a host has not just failed so often that it would be ejected."""
        return any(host.failures < self._eject_after or now - host.failed_at >= self._eject_for for host in self.hosts)

    def _load(self, host: Host, now: float) -> int:
        # Old failures weigh nothing; otherwise a recovered host would never get the call that shows it.
        recent = now - host.failed_at < self._eject_for
        return host.in_flight + (_PENALTY * host.failures if recent else 0)

    def succeeded(self, host: Host) -> bool:
        """Note a success; return whether the host had been ejected (a crossing, worth a log line)."""
        was_out = host.ejected_until > 0.0
        host.failures = 0
        host.ejected_until = 0.0
        return was_out

    def failed(self, host: Host, now: float) -> bool:
        """Note a failure; return whether it ejects the host (a crossing, worth a log line)."""
        host.failures += 1
        host.failed_at = now
        if host.failures < self._eject_after:
            return False
        was_out = host.ejected_until > 0.0
        out = sum(1 for h in self.hosts if h.ejected_until > now and h is not host)
        if out + 1 > len(self.hosts) // 2:
            return False
        host.ejected_until = now + self._eject_for
        return not was_out
