"""Names of queues, topics and projects (API section 1.4)."""

from __future__ import annotations

from partition.errors import BadInput
from partition.model.queue import Kind, well_named

MAX_PROJECT = 256


def check(kind: Kind, name: str, project: str) -> None:
    """Raise BadInput unless a queue or topic can be called so in such a project."""
    if len(project) > MAX_PROJECT or not well_named(name):
        what = kind.name.lower()
        raise BadInput(
            f"Invalid {what} identification", f"The format of the submitted {what} name or project id is not valid."
        )
