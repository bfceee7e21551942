"""The query of a listing of queues or topics (API sections 1.6, 2.1, 3.1, 4.2), read from the raw query string."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_plus

from marconi_proxy.routing.route import RouteKind

_TRUE = frozenset({"true", "True", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "False", "f", "no", "n", "0", "off"})
_SHOWN = ("limit", "detailed", "name", "with_count")
# Every parameter outside of these is a filter by metadata, in v2 (API section 4.2).
_KNOWN = {
    RouteKind.QUEUES: frozenset({"marker", "limit", "detailed", "name", "with_count"}),
    RouteKind.TOPICS: frozenset({"marker", "limit", "detailed", "name"}),
}

Filter = tuple[str, int | str]


class Unfit(Enum):
    """A query that is not served. INVALID: any server of the API refuses it."""

    INVALID = auto()


class RepeatedFilter(NamedTuple):
    """A query that is not served because it filters twice by the metadata key ``name``, on which the reference fails
    (API section 4.2)."""

    name: str


class ListingQuery(NamedTuple):
    """``after``: plain name, exclusive, "" from the start. ``detailed``: with the metadata of each queue. ``counted``:
    with the number of all. ``given``: parameters that the next link repeats, in its order, booleans normalised.

    ``name``: only queues with that in their name. ``filters``: only those with this stored metadata, see ``admits``.
    """

    after: str
    limit: int
    detailed: bool
    counted: bool
    given: tuple[tuple[str, str], ...]
    name: str = ""
    filters: tuple[Filter, ...] = ()

    def next_link(self, path: str, last: str) -> str:
        """Return the path and query of the page after the one that ends with ``last``. Without the filters by metadata:
        the reference forgets them, and clients that know it add them again (API section 4.2)."""
        pairs = dict(self.given) | {"marker": last}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items())
        return f"{path}?{query}"


def admits(filters: tuple[Filter, ...], metadata: Mapping[str, Any]) -> bool:
    """Return whether each filter's key has its value, of the same type: 1 is neither true nor 1.0 nor "1"."""
    return all(type(metadata.get(key)) is type(value) and metadata[key] == value for key, value in filters)


def parse_listing(
    kind: RouteKind, version: str, query: bytes, *, default_page: int, max_page: int
) -> ListingQuery | RepeatedFilter | Unfit:
    """Parse the query of a listing. ``default_page`` and ``max_page`` are numbers of queues."""
    values = _parameters(query)
    filters: list[Filter] = []
    if version == "v2":
        for name in [name for name in values if name not in _KNOWN[kind]]:
            if len(values[name]) > 1:
                return RepeatedFilter(name)
            filters.append((name, _filter_value(values.pop(name)[0])))
    # Of all others the last value wins, of a repeated parameter as of a list.
    given = {name: found[-1] for name, found in values.items()}
    limit = default_page
    if "limit" in given:
        try:
            limit = int(given["limit"])
        except ValueError:
            return Unfit.INVALID
        if not 1 <= limit <= max_page:
            return Unfit.INVALID
        given["limit"] = str(limit)
    counted = version == "v2" and kind is RouteKind.QUEUES
    for name in ("detailed", "with_count") if counted else ("detailed",):
        if name in given:
            if given[name] not in _TRUE | _FALSE:
                return Unfit.INVALID
            given[name] = "true" if given[name] in _TRUE else "false"
    after = given.get("marker", "")
    repeated = {"limit", "detailed"} | (_KNOWN[kind] if version == "v2" else set())
    shown = [(name, given[name]) for name in _SHOWN if name in given and name in repeated]
    if after:
        shown.insert(0, ("marker", after))
    return ListingQuery(
        after,
        limit,
        detailed=given.get("detailed") == "true",
        counted=counted and given.get("with_count") == "true",
        given=tuple(shown),
        name=given.get("name", "") if version == "v2" else "",
        filters=tuple(filters),
    )


def _filter_value(text: str) -> int | str:
    """Return the value to compare metadata with: a text that parses as an integer is one (API section 4.2)."""
    try:
        return int(text)
    except ValueError:
        return text


def _parameters(query: bytes) -> dict[str, list[str]]:
    """Return values by name, those of repeated parameters and of lists in a row; empty ones count as absent."""
    found: dict[str, list[str]] = {}
    for field in query.decode("latin-1").split("&"):
        name, _, value = field.partition("=")
        values = [unquote_plus(part) for part in value.split(",") if part]
        if values:
            found.setdefault(unquote_plus(name), []).extend(values)
    return found
