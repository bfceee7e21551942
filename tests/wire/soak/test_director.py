"""The director resumes what it has paused, and leaves alone what it has not."""

from __future__ import annotations

import random

import pytest

from tests.wire.keep_alive import KeepAlive, Reply
from tests.wire.soak.director import Director

PAUSED = {"id": "m", "queue": "q", "can": ["resume", "cancel"]}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of the admin API, all of which succeed."""
    asked: list[str] = []

    async def ask(_: KeepAlive, method: str, path: str, document: object = None) -> Reply:
        asked.append(path)
        return Reply(200, {}, b"{}")

    monkeypatch.setattr(KeepAlive, "ask", ask)
    return asked


@pytest.fixture
def director() -> Director:
    return Director(("127.0.0.1", 1), {}, 0, random.Random(1))


async def test_a_move_that_the_mover_has_given_up_is_left_alone(director: Director, asked: list[str]) -> None:
    await director.resume([PAUSED])
    assert asked == []


async def test_its_own_are_resumed_once(director: Director, asked: list[str]) -> None:
    await director.decide("m", "pause")
    await director.resume([PAUSED])
    await director.resume([PAUSED])
    assert asked == ["/v1/moves/m/pause", "/v1/moves/m/resume"]
