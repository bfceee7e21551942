"""``partition`` stands alone, so what it shares with the front door is there twice, and has to stay the same."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["serving/forking.py"])
def test_a_file_that_both_servers_need_is_the_same_in_both(name: str) -> None:
    ours, theirs = (ROOT / package / name for package in ("marconi_proxy", "partition"))
    assert ours.read_bytes() == theirs.read_bytes()
