"""The time within which most answers of a partition come. Pure."""

from __future__ import annotations

# The share of answers that come within the estimate.
SHARE = 0.95
# The relative change of the estimate by one answer that is slower; a faster one changes it by a nineteenth of that.
_STEP = 0.1
_LEAST = 0.001


class UsualLatency:
    """An estimate of the 95th percentile of latencies, in ``seconds``, without memory of single ones.

    Slower answers raise it, faster ones lower it, and both balance where one in twenty is slower (Ma 2013).
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def note(self, latency: float) -> None:
        """Take in the latency of one answer, in seconds."""
        if latency > self.seconds:
            self.seconds *= 1.0 + _STEP * SHARE
        else:
            self.seconds = max(_LEAST, self.seconds * (1.0 - _STEP * (1.0 - SHARE)))
