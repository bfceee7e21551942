"""Home documents (API section 1.11): a partition's own, without what the front door does not serve."""

from __future__ import annotations

import json
from typing import Any

# Relations that a partition in admin mode advertises (API section 1.11, last row).
_OPERATORS = frozenset({"rel/pools", "rel/pool", "rel/flavors", "rel/flavor", "rel/health"})


def without_operator_routes(document: bytes) -> bytes:
    """Return a home document without pools, flavors and health report; byte for byte the same if it has none of them.

    Raises ValueError if it is not a home document.
    """
    home: Any = json.loads(document)
    if not isinstance(home, dict) or not isinstance(home.get("resources"), dict):
        raise ValueError("not a home document")
    if not _OPERATORS & home["resources"].keys():
        return document
    home["resources"] = {rel: entry for rel, entry in home["resources"].items() if rel not in _OPERATORS}
    return json.dumps(home, indent=4).encode()
