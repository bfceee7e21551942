"""Queues and topics: their names (API section 1.4), and the body of a purge (API section 4.9)."""

from __future__ import annotations

from typing import Any

from partition.errors import BadInput, bad_request
from partition.model.queue import Kind, well_named

MAX_PROJECT = 256
RESOURCES = frozenset({"messages", "subscriptions"})


def check_name(kind: Kind, name: str, project: str) -> None:
    """Raise BadInput unless a queue or topic can be called so in such a project."""
    if len(project) > MAX_PROJECT or not well_named(name):
        what = kind.name.lower()
        raise BadInput(
            f"Invalid {what} identification", f"The format of the submitted {what} name or project id is not valid."
        )


def purged_resources(document: dict[str, Any]) -> frozenset[str]:
    """Return the resource types in a body, a subset of RESOURCES. Raises BadInput."""
    if "resource_types" not in document:
        raise bad_request('Post body must contain key "resource_types".')
    named = document["resource_types"]
    if not isinstance(named, list) or not all(isinstance(one, str) and one in RESOURCES for one in named):
        raise bad_request("Resource types must be a sub set of ('messages', 'subscriptions').")
    return frozenset(named)
