"""A pool for talking to evil hosts, on either event loop: workers run on uvloop, everything else on asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from marconi_proxy.upstream.pool import Pool
from tests.faults.evil_host import settled

MAX_HEAD = 1048576


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(connect_timeout=30.0, idle_timeout=60.0, max_head=MAX_HEAD)
    yield pool
    pool.close()
    await settled(lambda: not pool._all)
