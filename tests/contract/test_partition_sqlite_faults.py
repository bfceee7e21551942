"""Disks that are full or do not sync, and files that are moved away, below the SQLite driver.

The kernel itself refuses the calls, on the one thread that writes. So SQLite meets what it would meet, and "the disk
is mended" is another thread: the store opened again.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import platform
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from partition.errors import StorageUnavailable, WrongStore
from partition.model.message import MessageQuery
from partition.storage.interface import Storage
from partition.storage.sqlite.driver import SQLiteStorage
from tests.contract.partition_stores import CLIENT, KEY, FakeClock, opened, some

_CALLS = {
    "x86_64": {"pwrite64": 18, "fsync": 74, "fdatasync": 75},
    "aarch64": {"pwrite64": 68, "fsync": 82, "fdatasync": 83},
}[platform.machine()]
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


def refuse(calls: Sequence[str], error: int) -> None:
    """Make these system calls fail with ``error`` on the calling thread, for ever. Needs no privilege (seccomp(2))."""
    program = [struct.pack("HBBI", _LOAD, 0, 0, 0)]
    for n, call in enumerate(calls):
        program.append(struct.pack("HBBI", _JUMP_IF_EQUAL, len(calls) - n, 0, _CALLS[call]))
    program += [struct.pack("HBBI", _RETURN, 0, 0, _ALLOW), struct.pack("HBBI", _RETURN, 0, 0, _FAIL | error)]
    code = ctypes.create_string_buffer(b"".join(program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _MODE_FILTER, filters, 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


async def fails_from_now_on(storage: Storage, error: int, *calls: str) -> None:
    assert isinstance(storage, SQLiteStorage)
    await storage._writing.run(lambda connection: refuse(calls, error))


async def bodies(storage: Storage) -> list[str]:
    page, _ = await storage.list_messages(KEY, MessageQuery(limit=100))
    return [message.body for message in page]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.mark.parametrize(
    ("error", "calls", "reason", "maybe_done"),
    [
        (errno.ENOSPC, ["pwrite64"], "the disk is full", False),
        (errno.EIO, ["pwrite64"], "reading or writing it failed", True),
        (errno.EIO, ["fsync", "fdatasync"], "reading or writing it failed", True),
    ],
)
async def test_a_disk_that_fails_takes_nothing_that_was_acknowledged(tmp_path, path, error, calls, reason, maybe_done):
    """All posts that wait for one commit are refused together; what came before stays, and reading goes on.

    A transaction that was written and not synced may yet be found: then as a whole, and after a refusal that allows it.
    """
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
        await storage.post(KEY, some("before"), CLIENT)
        await fails_from_now_on(storage, error, *calls)
        posts = [storage.post(KEY, some(n), CLIENT) for n in range(20)]
        refused = await asyncio.gather(*posts, return_exceptions=True)
        assert {type(one) for one in refused} == {StorageUnavailable}
        assert all(f"{path}: {reason}" in str(one) for one in refused)
        assert {one.maybe_done for one in refused} == {maybe_done}
        found = await bodies(storage)
        assert found == ["before"] or (maybe_done and found == ["before", *map(str, range(20))])
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.post(KEY, some("after"), CLIENT)
        assert await bodies(storage) == [*found, "after"]
        assert await storage.check() == []


async def test_two_processes_one_of_which_cannot_sync(tmp_path):
    """A transaction that one could not make durable is there for both or for neither, and never in part."""
    async with opened("sqlite", tmp_path, FakeClock()) as sick, opened("sqlite", tmp_path, FakeClock()) as sound:
        await sick.create_queue(KEY, {})
        assert await bodies(sound) == []
        await fails_from_now_on(sick, errno.EIO, "fsync", "fdatasync")
        for n in range(5):
            with pytest.raises(StorageUnavailable):
                await sick.post(KEY, some(*["sick"] * 20), CLIENT)
            await sound.post(KEY, some(n), CLIENT)
        found = await bodies(sound)
        assert await bodies(sick) == found
        assert [body for body in found if body != "sick"] == ["0", "1", "2", "3", "4"]
        assert found.count("sick") % 20 == 0
        assert await sound.check() == []


async def test_a_file_that_is_moved_away_and_back(tmp_path, path):
    """Else what is acknowledged meanwhile would be gone with the file."""
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
        await storage.post(KEY, some("before"), CLIENT)
        away = path.rename(path.with_name("away.db"))
        for call in (lambda: storage.post(KEY, some("lost"), CLIENT), lambda: bodies(storage)):
            with pytest.raises(StorageUnavailable, match=f"{path}: it is not there any more"):
                await call()
        assert not path.exists()
        away.rename(path)
        await storage.post(KEY, some("after"), CLIENT)
        assert await bodies(storage) == ["before", "after"]


async def test_a_directory_that_is_moved_away_and_back(tmp_path):
    directory = tmp_path / "store"
    directory.mkdir()
    async with opened("sqlite", directory, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
        away = directory.rename(tmp_path / "away")
        with pytest.raises(StorageUnavailable, match=f"there is no directory {directory}"):
            await storage.post(KEY, some("lost"), CLIENT)
        away.rename(directory)
        await storage.post(KEY, some("after"), CLIENT)
        assert await bodies(storage) == ["after"]


async def test_another_store_in_its_place(tmp_path, path):
    """Its numbers stand behind other identifiers: nothing of it is shown under the wrong ones."""
    other = tmp_path / "other"
    other.mkdir()
    async with opened("sqlite", other, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
        await storage.post(KEY, some("other"), CLIENT)
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
        (kept,) = await storage.post(KEY, some("kept"), CLIENT)
        files = sorted(tmp_path.glob("store.db*"))
        away = [file.rename(tmp_path / f"away-{file.name}") for file in files]
        shutil.copy(other / path.name, path)
        for call in (storage.post(KEY, some(1), CLIENT), storage.get_messages(KEY, [kept])):
            with pytest.raises(WrongStore, match=f"{path}: another store"):
                await call
        for moved, file in zip(away, files, strict=True):
            moved.replace(file)
        assert await bodies(storage) == ["kept"]
