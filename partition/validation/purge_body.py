"""The body of a purge (API section 4.9)."""

from __future__ import annotations

from typing import Any

from partition.errors import bad_request

RESOURCES = frozenset({"messages", "subscriptions"})


def resources(document: dict[str, Any]) -> frozenset[str]:
    """Return the resource types in a body, a subset of RESOURCES. Raises BadInput."""
    if "resource_types" not in document:
        raise bad_request('Post body must contain key "resource_types".')
    named = document["resource_types"]
    if not isinstance(named, list) or not all(isinstance(one, str) and one in RESOURCES for one in named):
        raise bad_request("Resource types must be a sub set of ('messages', 'subscriptions').")
    return frozenset(named)
