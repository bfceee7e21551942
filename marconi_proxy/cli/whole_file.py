"""A file that appears whole, or not at all: written under a temporary name, synced, and renamed."""

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

    Raises CommandError if it cannot be written, or if the file exists and ``replace`` is False.
    """
    if path == "-":
        yield sys.stdout.buffer
        return
    if not replace and os.path.isfile(path):
        raise CommandError(
            f"{path} exists already. Nothing was changed. Next: the same command with --force, which replaces it.",
            Exit.REFUSED,
        )
    try:
        with whole_file(path) as stream:
            yield stream
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


@contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Give a stream; if the block succeeds, its content becomes the file ``path``, which only its owner can read.

    If the block fails, ``path`` stays unchanged. A device or a pipe is written to directly. Raises OSError.
    """
    # Checked before links are resolved: the link of a pipe (/dev/stdout, /dev/fd/63) has no target.
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
