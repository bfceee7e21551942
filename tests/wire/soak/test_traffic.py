"""Whatever ends the keeping of placements ends the traffic, so that no rule has nothing to look at unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from catalog.model import Change
from tests.wire.soak.clients import Journal
from tests.wire.soak.traffic import traffic


class Broken:
    """A catalog with a feed that ends with an unexpected error."""

    async def watch(self) -> AsyncIterator[Change]:
        raise TypeError("nobody has thought of this")
        yield


async def test_an_error_of_the_watcher_is_told() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with traffic(Broken(), ("127.0.0.1", 1), Journal({}), [], []):  # type: ignore[arg-type]
            await asyncio.Event().wait()
    assert raised.group_contains(TypeError, match="nobody has thought of this")
