"""The estimate of the 95th percentile of latencies."""

from __future__ import annotations

import random

import pytest

from marconi_proxy.upstream.latency import UsualLatency


@pytest.mark.parametrize("start", [0.001, 0.1, 5.0])
@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0])
def test_one_in_twenty_answers_is_slower(start: float, scale: float) -> None:
    chance = random.Random(1)
    usual = UsualLatency(start)
    for _ in range(5000):
        usual.note(chance.expovariate(1 / scale))
    slower = 0
    for _ in range(5000):
        latency = chance.expovariate(1 / scale)
        slower += latency > usual.seconds
        usual.note(latency)
    assert 150 < slower < 350


def test_it_never_becomes_nothing() -> None:
    usual = UsualLatency(0.01)
    for _ in range(10_000):
        usual.note(0.0)
    assert usual.seconds == 0.001
