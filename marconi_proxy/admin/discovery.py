"""Asking partition hosts which versions of the API they speak: ``GET /`` (API section 1.10)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from catalog.model import API_VERSIONS

_log = logging.getLogger(__name__)

_MAX_DOCUMENT = 1048576
_IDS = {version.removeprefix("v"): version for version in API_VERSIONS}


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one host answered. ``versions`` is None unless it sent a version document; ``error`` is why not, in one
    line. A host is ``reachable`` if it answered anything but a server error: releases of 2013 have no such document.
    ``is_ours``: it is a front door of this catalog, and no partition.
    """

    reachable: bool
    versions: frozenset[str] | None = None
    error: str | None = None
    is_ours: bool = False


def make_client(timeout: float, transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    """Return a client for asking: no redirects, no proxies of the environment."""
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False, transport=transport)


async def ask(client: httpx.AsyncClient, host: str, seconds: float, own: str) -> Sighting:
    """Ask one host, within ``seconds`` in all. Never raises but for cancellation.

    ``own``: what our front doors call themselves in ``Via``; one that is sent this takes it for a call of its own that
    came back, refuses it, and says who it is.
    """
    try:
        headers = {"Via": f"1.1 {own}"}
        async with asyncio.timeout(seconds), client.stream("GET", f"{host}/", headers=headers) as response:
            if response.status_code == 400 and own in response.headers.get("via", ""):
                return Sighting(False, error="is a front door over this catalog, not a partition", is_ours=True)
            if response.status_code >= 500:
                return Sighting(False, error=f"answered {response.status_code}")
            if response.status_code not in (200, 300):
                return Sighting(True, error=f"answered {response.status_code} without a version document")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_DOCUMENT:
                    return Sighting(True, error="sent a version document of more than 1 MiB")
    except TimeoutError:
        return Sighting(False, error=f"did not answer within {seconds:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Sighting(False, error=str(error) or type(error).__name__)
    return _read(bytes(body))


def _read(body: bytes) -> Sighting:
    try:
        ids = {str(version["id"]).removeprefix("v") for version in json.loads(body)["versions"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        return Sighting(True, error="sent something that is not a version document")
    return Sighting(True, versions=frozenset(_IDS[i] for i in ids & _IDS.keys()))


def common_versions(name: str, sightings: Iterable[Sighting]) -> tuple[str, ...]:
    """Return the versions that every host of partition ``name`` speaks, of those that told; () if nothing is known.

    Hosts of a partition are equivalent, so a difference is a mistake or an upgrade under way: it is logged.
    """
    told = [s.versions for s in sightings if s.versions is not None]
    if not told:
        return ()
    common = frozenset.intersection(*told)
    if any(versions != common for versions in told):
        _log.warning("hosts of partition %s speak different API versions; used: %s", name, sorted(common) or "none")
    return tuple(v for v in API_VERSIONS if v in common)
