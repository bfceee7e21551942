"""What a listing of queues or topics asks for (API sections 1.6, 2.1, 3.1, 4.2), read from the raw query string."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple
from urllib.parse import quote, unquote_plus

from marconi_proxy.routing.route import Kind

_TRUE = frozenset({"true", "True", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "False", "f", "no", "n", "0", "off"})
_SHOWN = ("limit", "detailed", "with_count")


class Unfit(Enum):
    """A query that is not served. INVALID: any server of the API refuses it. UNSUPPORTED: a server would answer it, and
    an answer from the catalog alone would be wrong."""

    INVALID = auto()
    UNSUPPORTED = auto()


class ListingQuery(NamedTuple):
    """``after``: plain name, exclusive, "" from the start. ``detailed``: with the metadata of each queue. ``counted``:
    with the number of all. ``given``: parameters that the next link repeats, in its order, booleans normalised."""

    after: str
    limit: int
    detailed: bool
    counted: bool
    given: tuple[tuple[str, str], ...]

    def next_link(self, path: str, last: str) -> str:
        """Return the path and query of the page after the one that ends with ``last``."""
        pairs = dict(self.given) | {"marker": last}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items())
        return f"{path}?{query}"


def parse_listing(kind: Kind, version: str, query: bytes, *, default_page: int, max_page: int) -> ListingQuery | Unfit:
    """Parse the query of a listing. ``default_page`` and ``max_page`` are numbers of queues."""
    given = _parameters(query)
    limit = default_page
    if "limit" in given:
        try:
            limit = int(given["limit"])
        except ValueError:
            return Unfit.INVALID
        if not 1 <= limit <= max_page:
            return Unfit.INVALID
        given["limit"] = str(limit)
    counted = version == "v2" and kind is Kind.QUEUES
    for name in ("detailed", "with_count") if counted else ("detailed",):
        if name in given:
            if given[name] not in _TRUE | _FALSE:
                return Unfit.INVALID
            given[name] = "true" if given[name] in _TRUE else "false"
    if version == "v2":
        known = {"marker", "limit", "detailed"} | ({"with_count"} if counted else set())
        # Anything else filters by name or by metadata (API section 4.2).
        if given.keys() - known:
            return Unfit.UNSUPPORTED
    after = given.get("marker", "")
    shown = [(name, given[name]) for name in _SHOWN if name in given and (name != "with_count" or counted)]
    if after:
        shown.insert(0, ("marker", after))
    return ListingQuery(
        after,
        limit,
        detailed=given.get("detailed") == "true",
        counted=counted and given.get("with_count") == "true",
        given=tuple(shown),
    )


def _parameters(query: bytes) -> dict[str, str]:
    """Parameters by name. The last value wins, of a repeated parameter as of a list; empty ones count as absent."""
    found: dict[str, str] = {}
    for field in query.decode("latin-1").split("&"):
        name, _, value = field.partition("=")
        values = [part for part in value.split(",") if part]
        if values:
            found[unquote_plus(name)] = unquote_plus(values[-1])
    return found
