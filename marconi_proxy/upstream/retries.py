"""The rule of safe retries, and the budget of those that add load. Pure."""

from __future__ import annotations

from marconi_proxy.upstream.connection import HostUnavailable
from marconi_proxy.upstream.errors import ConnectFailed, DeadlineExceeded, Unanswered, UpstreamError

SHARE = 0.2
# So many tries that add load are in flight at a time without any budget.
FLOOR = 3


def may_retry(error: UpstreamError, *, repeatable: bool, safe: bool) -> bool:
    """Return whether a call that ended so may be retried on another host or a new connection, if it has time left.

    ``repeatable``: as in ``exchange.UpstreamCall``; ``safe``: it changes nothing.

    ============================================  ====  ==========  =====
    how it ended                                  safe  repeatable  other
    ============================================  ====  ==========  =====
    ConnectFailed                                 yes   yes         yes
    Unanswered (dropped without a byte)           yes   yes         no
    DeadlineExceeded (of one try)                 yes   no          no
    HostUnavailable (answered 503)                yes   no          no
    BadAnswer (began to answer)                   no    no          no
    PartitionBusy, PartitionDisabled, Abandoned   no    no          no
    ============================================  ====  ==========  =====
    """
    if isinstance(error, ConnectFailed):
        return True
    if isinstance(error, DeadlineExceeded | HostUnavailable):
        return safe
    return repeatable and isinstance(error, Unanswered)


class RetryBudget:
    """How many further tries of calls may add load to a partition: a fifth of its calls, saved up to ``most``.

    ``calls`` counts the calls; the sender increments it. The budget is full at first, so that all calls in flight at a
    host that dies find another one.
    """

    __slots__ = ("_most", "_seen", "_tokens", "calls")

    def __init__(self, most: int) -> None:
        self.calls = 0
        self._most = most
        self._seen = 0
        self._tokens = float(most)

    def spend(self) -> bool:
        """Take one try from the budget; return whether it had one."""
        self._tokens = min(self._most, self._tokens + SHARE * (self.calls - self._seen))
        self._seen = self.calls
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
