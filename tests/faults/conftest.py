"""A pool for talking to evil hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from marconi_proxy.upstream.pool import Pool
from tests.faults.evil_host import settled

MAX_HEAD = 1048576


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(connect_timeout=30.0, idle_timeout=60.0, max_head=MAX_HEAD)
    yield pool
    pool.close()
    await settled(lambda: not pool._all)
