"""Fixtures of all unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a directory in memory if the machine has one: SQLite syncs every commit, and disks are slow at that."""
    with TemporaryDirectory(prefix="marconi-test-", dir=_MEMORY if _MEMORY.is_dir() else None) as directory:
        yield Path(directory)
