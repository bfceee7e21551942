"""Whether the disk has room for posts.

A write of SQLite shows that only if its log has to grow: within the log, small writes succeed on a full disk.
"""

from __future__ import annotations

import os
import tempfile

from partition.storage.sqlite.translation import unavailable

# Bytes: more than a post has, with the pages that change along with it.
ROOM = 1 << 20


def check_room(path: str) -> None:
    """Write ``ROOM`` bytes beside the file, and remove them. Raises StorageUnavailable."""
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(path)) as file:
            file.write(bytes(ROOM))
            file.flush()
    except OSError as error:
        raise unavailable(path, f"its disk has no room for {ROOM} bytes ({error.strerror})") from error
