"""An environment is built once, for concurrent callers too, and the error of a failed build has the reason."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.interpreters import CACHE_VARIABLE, BuildFailed, interpreter


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_two_builders_at_once_get_one_working_environment(cache: Path, tmp_path: Path) -> None:
    pins = tmp_path / "nothing.txt"
    pins.write_text("# no package at all\n")
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(interpreter, (pins, pins))
    assert first == second
    assert [path for path in cache.iterdir() if path.is_dir()] == [first.parents[1]]
    built = first.stat().st_ctime_ns
    assert interpreter(pins) == first
    assert first.stat().st_ctime_ns == built
    prefix = subprocess.run(
        (str(first), "-c", "import sys; print(sys.prefix)"), capture_output=True, check=True, text=True
    )
    assert prefix.stdout.strip() == str(first.parents[1])


def test_failed_build_says_why_and_is_tried_again(cache: Path, tmp_path: Path) -> None:
    pins = tmp_path / "broken.txt"
    pins.write_text("this is no requirement\n")
    for _ in range(2):
        with pytest.raises(BuildFailed, match=r"(?s)broken\.txt could not be built.*this is no requirement"):
            interpreter(pins)


def test_other_pins_are_another_environment(cache: Path, tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("# one\n")
    one = interpreter(pins)
    pins.write_text("# two\n")
    assert interpreter(pins) != one
