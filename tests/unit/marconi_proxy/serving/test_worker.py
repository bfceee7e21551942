"""The heartbeat of a worker to gunicorn's master, which kills one that it has not heard for a while."""

from __future__ import annotations

import time

import pytest
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker

from marconi_proxy.serving.worker import FrontDoorWorker
from partition.serving.worker import PartitionWorker


@pytest.mark.parametrize("worker", [FrontDoorWorker, PartitionWorker])
async def test_it_goes_on_when_the_clock_is_set_back(
    worker: type[UvicornWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[float] = []
    now = 1_800_000_000.0

    async def beat() -> None:
        beats.append(now)

    monkeypatch.setattr(time, "time", lambda: now)
    longest = worker.CONFIG_KWARGS["timeout_notify"]
    config = Config("app", callback_notify=beat, timeout_notify=longest, log_config=None)
    config.encoded_headers = []
    server = Server(config)
    await server.on_tick(0)
    now -= 3600.0
    for second in range(1, 4):
        await server.on_tick(10 * second)
    assert len(beats) == 4
