"""A stage goes on until enough has happened, however long that takes, but not for ever."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.wire.soak import stage as stage_module
from tests.wire.soak.stage import Stage


class System:
    """Kills at once; each of its two victims is another one at once."""

    nodes = {"north": None, "south": None}  # noqa: RUF012
    zaqar = None
    admin = ("127.0.0.1", 1)
    victims = ("worker", "mover")

    def harm(self, victim: str, _: random.Random) -> str:
        return victim


class Traffic:
    """A thread that goes on, and in which no time passes."""

    def join(self, _: float) -> None:
        pass

    def is_alive(self) -> bool:
        return True


@pytest.fixture
def stage() -> Stage:
    stage = Stage(System(), 1)  # type: ignore[arg-type]
    stage._thread = Traffic()  # type: ignore[assignment]
    return stage


def test_kills_go_on_in_whole_rounds_while_something_is_missing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Iterator[str]:
        if len(stage.soak.kills) < 5:
            yield "switches"

    monkeypatch.setattr(stage.soak, "missing", missing)
    stage._kill_until(time.monotonic())
    assert [kill.victim for kill in stage.soak.kills].count("mover") == 3
    assert len(stage.soak.kills) == 6


def test_what_never_happens_is_not_waited_for_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "PATIENCE", 0.0)
    stage._kill_until(time.monotonic() - 1.0)
    stage._wait(0.0, lambda: False)
    assert list(stage.soak.missing()) != []


def test_quiet_lasts_until_it_is_enough(stage: Stage) -> None:
    looks = iter([False, False, True])
    stage._wait(0.0, lambda: next(looks))
    assert next(looks, None) is None
