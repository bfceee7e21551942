"""A worker's heartbeat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalog.model import Member, MemberSighting
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.membership import FORGOTTEN_AFTER, Membership
from tests.faults.evil_host import settled
from tests.unit.catalog_stage import Staged


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Staged]:
    real = await SQLiteCatalog.open(str(tmp_path / "catalog.db"))
    yield Staged(real)
    await real.close()


@pytest.fixture
async def beating(catalog: Staged) -> AsyncIterator[Membership]:
    """The heart of a worker whose directory has come to change 7."""
    directory = Directory(catalog, lambda partition: None, cache_size=1)  # type: ignore[arg-type, return-value]
    directory.applied, directory.synced = 7, True
    beating = Membership(catalog, directory, 3600.0, 12.0)  # type: ignore[arg-type]
    beating.start()
    yield beating
    await beating.stop()


async def members(catalog: Staged) -> list[Member]:
    return [sighting.member for sighting in await catalog.real.list_members()]


async def test_a_worker_says_what_it_has_taken_in_and_what_it_promises(catalog: Staged, beating: Membership) -> None:
    await settled(lambda: catalog.calls["renew_member"] == 1 and catalog.calls["list_members"] == 1)
    assert await members(catalog) == [Member(beating.id, 7, True, acked=7, capabilities=(), lease=12.0)]


async def test_a_worker_that_stops_signs_off(catalog: Staged, beating: Membership) -> None:
    await settled(lambda: catalog.calls["list_members"] == 1)
    await beating.stop()
    assert await members(catalog) == []


async def test_those_that_have_long_been_silent_are_forgotten(catalog: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("young", "old", "renewed just now"):
        await catalog.real.renew_member(Member(name, lease=0.0005))
    seen = await catalog.real.list_members()
    ages = {"old": FORGOTTEN_AFTER + 1, "renewed just now": FORGOTTEN_AFTER + 1, "young": FORGOTTEN_AFTER - 1}

    async def older(self: SQLiteCatalog) -> list[MemberSighting]:
        return [MemberSighting(s.member, ages[s.member.id]) for s in seen]

    asked: list[tuple[str, float]] = []

    async def evict(self: SQLiteCatalog, member_id: str, *, idle: float) -> None:
        asked.append((member_id, idle))

    monkeypatch.setattr(SQLiteCatalog, "list_members", older)
    monkeypatch.setattr(SQLiteCatalog, "evict_member", evict)
    directory = Directory(catalog, lambda partition: None, cache_size=1)  # type: ignore[arg-type, return-value]
    beating = Membership(catalog, directory, 3600.0, 12.0)  # type: ignore[arg-type]
    beating.start()
    await settled(lambda: len(asked) == 2)
    await beating.stop()
    # Only the store can tell whether one has renewed since.
    assert asked == [("old", FORGOTTEN_AFTER), ("renewed just now", FORGOTTEN_AFTER)]
