"""Listing page by page, as the admin API pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from marconi_proxy.admin_client.client import AdminClient, part
from marconi_proxy.exits import CommandError


def query(parameters: Mapping[str, str | None]) -> str:
    """Return the parameters as the query of a URL, without empty ones."""
    return "&".join(f"{name}={part(value)}" for name, value in parameters.items() if value)


def page(
    admin: AdminClient, noun: str, filters: Mapping[str, str | None], marker: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of ``/v1/<noun>`` and the marker of its end. The list has the last word of ``noun`` as name."""
    name = noun.rpartition("/")[2]
    _, document = admin.call("GET", f"/v1/{noun}?{query({**filters, 'marker': marker, 'limit': str(limit)})}")
    following = [link["href"] for link in document["links"] if link["rel"] == "next"]
    if not following:
        return document[name], None
    found = parse_qs(urlsplit(following[0]).query, errors="surrogateescape")
    try:
        return document[name], found["marker"][0]
    except KeyError as error:
        raise CommandError(f"the admin API's next link has no marker: {following[0]}") from error


def listed(
    admin: AdminClient, noun: str, filters: Mapping[str, str | None], marker: str | None, limit: int, size: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return at most ``limit`` objects from pages of ``size``; and the marker to continue with if there are more."""
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        more, marker = page(admin, noun, filters, marker, min(size, limit - len(found)))
        if not more:
            return found, None
        found += more
    return found, marker if page(admin, noun, filters, marker, 1)[0] else None
