"""Names of queues, topics and projects (API section 1.4)."""

from __future__ import annotations

import re

from partition.errors import BadInput
from partition.model.queue import Kind

MAX_PROJECT = 256
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# No client can address them: paths with such a segment are normalised on the way.
_UNREACHABLE = frozenset({".", ".."})


def check(kind: Kind, name: str, project: str) -> None:
    """Raise BadInput unless a queue or topic can be called so in such a project."""
    if len(project) > MAX_PROJECT or not _NAME.fullmatch(name) or name in _UNREACHABLE:
        what = kind.name.lower()
        raise BadInput(
            f"Invalid {what} identification", f"The format of the submitted {what} name or project id is not valid."
        )
