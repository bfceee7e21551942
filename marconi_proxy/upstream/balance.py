"""The choice of a partition's host for a call, and the ejection of failing hosts. Pure: the clock is an argument.

Picks the less loaded of two random hosts (Mitzenmacher 2001). Recent failures count as load, so a host that fails fast
does not attract calls. A host is ejected by ``eject_after`` failures in a row, by a share ``eject_errors`` of failed
calls, or by two failed probes in a row.

=============  ========================================  =============================================================
state          recognised by                             leaves it
=============  ========================================  =============================================================
in             ``ejected_until`` is 0                    a reason to eject it
out            ``ejected_until``                         its time has passed: the next call is its trial. The time
                                                         doubles with each ejection that follows a short return. A
                                                         failed probe postpones the trial, the first that succeeds
                                                         after failed ones makes it due
half-open      ``trying``: one call tries it             that call: a success makes it warm, a failure ejects it again
warm           ``warm_at`` is in the future              slow start: its share of calls grows to that of others
=============  ========================================  =============================================================

If more than ``eject_share`` of the hosts are out, ejection has no effect and all get calls by their load: a fault of
the network or of the store does not take away a partition that still answers.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Origin

# The weight of one failure in a row, in calls in flight.
_PENALTY = 10
# The fewest calls of which a share of failures is evidence, and the seconds in which they are counted.
LEAST_CALLS = 20
WINDOW = 10.0
# Failed probes in a row that eject a host.
PROBES = 2
# The share of calls with which slow start begins.
_COLD = 0.1


class Host:
    """One host of a partition as this worker sees it. Times are loop times, 0 for never.

    ``failures``: in a row. ``answers`` and ``errors``: of calls, since the window of ``WINDOW`` seconds began.
    ``ejections``: in a row, without a longer return in between. ``proven``: a probe succeeded since it was ejected.
    """

    __slots__ = (
        *("answers", "ejected_until", "ejections", "errors", "failed_at", "failed_probes", "failures", "in_flight"),
        *("origin", "out_for", "proven", "returned_at", "trying", "url", "warm_at", "window_end"),
    )

    def __init__(self, url: str) -> None:
        self.url = url
        self.origin = Origin.of(url)
        self.in_flight = 0
        self.failures = 0
        self.failed_at = 0.0
        self.failed_probes = 0
        self.answers = 0
        self.errors = 0
        self.window_end = 0.0
        self.ejected_until = 0.0
        self.ejections = 0
        self.out_for = 0.0
        self.proven = False
        self.trying = False
        self.returned_at = 0.0
        self.warm_at = 0.0

    def __repr__(self) -> str:
        out = " out" if self.ejected_until else ""
        return f"<Host {self.url} in_flight={self.in_flight} failures={self.failures}{out}>"


class Balancer:
    """The hosts of one partition."""

    def __init__(self, hosts: Sequence[Host], limits: UpstreamLimits, chance: random.Random) -> None:
        self.hosts = tuple(hosts)
        self._limits = limits
        self._chance = chance
        # PERF: no host has failed lately, so a pick is a comparison of two numbers.
        self._calm = False

    @property
    def panics(self) -> bool:
        """Return whether so many hosts are out that all get calls."""
        out = sum(1 for host in self.hosts if host.ejected_until)
        return out > self._limits.eject_share * len(self.hosts)

    def pick(self, now: float, tried: Collection[Host] = (), *, safe: bool = True) -> Host:
        """Return a host, outside of ``tried`` while there are others.

        ``safe``: the call has no effect, so it may be the trial of a host without a successful probe.
        """
        if not self._calm or tried:
            return self._pick_among_failing(now, tried, safe)
        hosts = self.hosts
        count = len(hosts)
        if count == 1:
            return hosts[0]
        random_below_one = self._chance.random
        first = int(random_below_one() * count)
        second = int(random_below_one() * (count - 1))
        one, other = hosts[first], hosts[second + 1 if second >= first else second]
        return one if one.in_flight <= other.in_flight else other

    def _pick_among_failing(self, now: float, tried: Collection[Host], safe: bool) -> Host:
        hosts = [host for host in self.hosts if host not in tried] or list(self.hosts)
        self._calm = not any(host.failures or host.ejected_until or host.warm_at > now for host in self.hosts)
        self._chance.shuffle(hosts)
        if self.panics:
            return min(hosts, key=lambda host: self._load(host, now))
        for host in hosts:
            if self._is_due(host, now, safe):
                host.trying = True
                # Others pass it by until its trial has ended, or has got lost.
                host.ejected_until = now + host.out_for
                return host
        candidates = [host for host in hosts if not host.ejected_until] or hosts
        return min(candidates[:2], key=lambda host: self._load(host, now) / self._warmth(host, now))

    def _is_due(self, host: Host, now: float, safe: bool) -> bool:
        """Return whether the next call is the host's trial. A call with effects waits for a probe, or for a safe call
        to come first."""
        if not host.ejected_until:
            return False
        return now >= host.ejected_until + (0.0 if safe or host.proven else self._limits.eject_for)

    def usable(self, now: float) -> bool:
        """Return whether a host is in, or due for its trial, and has not just failed as often as ejects one."""
        limits = self._limits
        return any(
            host.ejected_until <= now
            and (host.failures < limits.eject_after or now - host.failed_at >= limits.eject_for)
            for host in self.hosts
        )

    def _load(self, host: Host, now: float) -> int:
        # Old failures weigh nothing; otherwise a recovered host would never get the call that shows it.
        recent = now - host.failed_at < self._limits.eject_for
        return 1 + host.in_flight + (_PENALTY * host.failures if recent else 0)

    def _warmth(self, host: Host, now: float) -> float:
        if host.warm_at <= now:
            return 1.0
        return max(_COLD, 1.0 - (host.warm_at - now) / self._limits.slow_start)

    def another(self, host: Host, tried: Collection[Host] = ()) -> bool:
        """Return whether a host that is in remains, besides ``host`` and those tried."""
        hosts = self.hosts
        if len(hosts) == 1:
            return False
        if self._calm and not tried:
            return True
        return any(h is not host and not h.ejected_until and h not in tried for h in hosts)

    def succeeded(self, host: Host, now: float) -> bool:
        """Note a success; return whether it ends an ejection (a crossing, worth a log line).

        The success of a call that was sent before the ejection does not end it.
        """
        host.failures = 0
        if not host.ejected_until or not (host.trying or self.panics):
            return False
        host.ejected_until = 0.0
        host.trying = False
        host.answers = host.errors = 0
        host.returned_at = now
        host.warm_at = now + self._limits.slow_start
        return True

    def failed(self, host: Host, now: float) -> bool:
        """Note a failure; return whether it ejects the host (a crossing, worth a log line)."""
        self._calm = False
        host.failures += 1
        host.failed_at = now
        if now >= host.window_end:
            host.window_end = now + WINDOW
            host.answers = host.errors = 0
        host.errors += 1
        if host.ejected_until:
            if host.trying:
                self._eject(host, now)
            return False
        return (host.failures >= self._limits.eject_after or self._fails_often(host)) and self._eject(host, now)

    def _fails_often(self, host: Host) -> bool:
        calls = host.answers + host.errors
        return calls >= LEAST_CALLS and host.errors >= self._limits.eject_errors * calls

    def probe_succeeded(self, host: Host, now: float) -> None:
        """Note that a probe was answered. It makes a trial possible, and due if probes have failed before."""
        if host.ejected_until and not host.trying:
            host.proven = True
            if host.failed_probes:
                host.ejected_until = min(host.ejected_until, now)
        host.failed_probes = 0

    def probe_failed(self, host: Host, now: float) -> bool:
        """Note that a probe failed; return whether that ejects the host."""
        host.failed_probes += 1
        if host.ejected_until:
            host.proven = False
            host.ejected_until = max(host.ejected_until, now + self._limits.eject_for)
            return False
        return host.failed_probes >= PROBES and self._eject(host, now)

    def _eject(self, host: Host, now: float) -> bool:
        """Eject the host, or extend its ejection; return whether it was in. A partition's only host stays in."""
        if len(self.hosts) == 1:
            return False
        limits = self._limits
        self._calm = False
        was_in = not host.ejected_until
        if was_in and now - host.returned_at > host.out_for:
            host.ejections = 0
        host.out_for = min(limits.eject_for * 2.0**host.ejections, max(limits.eject_for, limits.eject_for_max))
        host.ejections = min(host.ejections + 1, 30)
        host.ejected_until = now + host.out_for
        host.trying = host.proven = False
        return was_in
