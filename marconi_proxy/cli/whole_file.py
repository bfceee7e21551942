"""A file that is there whole, or not at all: written beside, synced, and renamed."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from marconi_proxy.exits import CommandError, Exit


@contextmanager
def destination(path: str, *, replace: bool = True) -> Iterator[BinaryIO]:
    """Give a stream to the file ``path``, as ``whole_file``, or to standard output if it is ``-``.

    Raises CommandError if it cannot be written, or if it is a file that is there already and ``replace`` is False.
    """
    if path == "-":
        yield sys.stdout.buffer
        return
    if not replace and os.path.isfile(path):
        raise CommandError(f"{path} is there already. Nothing was changed; --force replaces it.", Exit.REFUSED)
    try:
        with whole_file(path) as stream:
            yield stream
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


@contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Give a stream; when the block ends well, what was written to it is the file ``path``, which only its owner reads.

    If it does not, ``path`` is what it was before. What is no file (a device, a pipe) is simply written to. Raises
    OSError.
    """
    # Before links are followed: that of a pipe (/dev/stdout, /dev/fd/63) leads nowhere.
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as stream:
            yield stream
        return
    path = os.path.realpath(path)
    beside = f"{path}.{secrets.token_hex(4)}.part"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    _sync_directory(os.path.dirname(path))


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
