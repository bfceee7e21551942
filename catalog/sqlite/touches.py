"""Touches of the catalog's file, by which a writer wakes the feeds of all processes (Linux, inotify(7)).

A touch changes the times of the file and nothing else, after a commit has become visible. A process that dies between
its commit and the touch, or a kernel that has no watch left, delays a feed and loses nothing: feeds poll besides.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress

# <sys/inotify.h>
_IN_ATTRIB = 0x4
_BUFFER = 4096


def touch(path: str) -> None:
    """Touch the file. Nothing happens if that is not possible."""
    with suppress(OSError):
        os.utime(path)


class Touches:
    """Calls ``heard`` in the running event loop after touches of ``path``, several of them perhaps by one call, until
    ``close``. Raises OSError if this system cannot watch the file."""

    def __init__(self, path: str, heard: Callable[[], object]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            raise OSError("this system has no inotify")
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._descriptor = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "no inotify instance is left")
        if libc.inotify_add_watch(self._descriptor, os.fsencode(path), _IN_ATTRIB) < 0:
            os.close(self._descriptor)
            raise OSError(ctypes.get_errno(), "the file cannot be watched")
        self._loop.add_reader(self._descriptor, self._readable)

    def close(self) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            while len(os.read(self._descriptor, _BUFFER)) == _BUFFER:
                pass
        self._heard()
