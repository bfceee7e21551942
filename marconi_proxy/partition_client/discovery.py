"""Asking partition hosts which versions of the API they speak, and what our own node tells besides: ``GET /`` (API
section 1.10)."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import httpx

from catalog.model import API_VERSIONS, Partition

_log = logging.getLogger(__name__)

_MAX_DOCUMENT = 1048576
_STORE = re.compile("[0-9a-zA-Z_-]{1,64}")
_IDS = {version.removeprefix("v"): version for version in API_VERSIONS}


@dataclass(frozen=True, slots=True)
class HostReport:
    """What one host answered. ``versions`` is None unless it sent a version document; ``error`` is why not, in one
    line. A host is ``reachable`` if it answered anything but a server error: releases of 2013 have no such document.
    ``store`` and ``fences``: as in ``Partition``, of this host.
    ``is_ours``: it is a front door of this catalog, and no partition.
    """

    reachable: bool
    versions: frozenset[str] | None = None
    error: str | None = None
    store: str | None = None
    fences: bool = False
    is_ours: bool = False


class SeveralStores(Exception):
    """Hosts of one partition serve different stores. The message names the stores."""


def make_client(timeout: float, transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    """Return a client for asking: no redirects, no proxies of the environment."""
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False, transport=transport)


async def ask(client: httpx.AsyncClient, host: str, seconds: float, own: str) -> HostReport:
    """Ask one host, within ``seconds`` in all. Never raises but for cancellation.

    ``own``: what our front doors call themselves in ``Via``; one that is sent this takes it for a call of its own that
    came back, refuses it, and says who it is.
    """
    try:
        headers = {"Via": f"1.1 {own}"}
        async with asyncio.timeout(seconds), client.stream("GET", f"{host}/", headers=headers) as response:
            if response.status_code == 400 and own in response.headers.get("via", ""):
                return HostReport(False, error="is a front door over this catalog, not a partition", is_ours=True)
            if response.status_code >= 500:
                return HostReport(False, error=f"answered {response.status_code}")
            if response.status_code not in (200, 300):
                return HostReport(True, error=f"answered {response.status_code} without a version document")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_DOCUMENT:
                    return HostReport(True, error="sent a version document of more than 1 MiB")
    except TimeoutError:
        return HostReport(False, error=f"did not answer within {seconds:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return HostReport(False, error=str(error) or type(error).__name__)
    return _read(bytes(body), response.headers)


def _read(body: bytes, headers: httpx.Headers) -> HostReport:
    try:
        ids = {str(version["id"]).removeprefix("v") for version in json.loads(body)["versions"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        return HostReport(True, error="sent something that is not a version document")
    store = headers.get("x-marconi-store", "")
    return HostReport(
        True,
        versions=frozenset(_IDS[i] for i in ids & _IDS.keys()),
        store=store if _STORE.fullmatch(store) else None,
        fences=headers.get("x-marconi-fences") == "epoch",
    )


def discovered(partition: Partition, sightings: Sequence[HostReport]) -> Partition:
    """Return the partition with what its hosts tell, one sighting for each; what they do not tell is as it was.

    It ``fences`` once all hosts said so, and no more when one says otherwise. Raises SeveralStores.
    """
    told = [sighting for sighting in sightings if sighting.versions is not None]
    if not told:
        return partition
    stores = {sighting.store for sighting in told if sighting.store is not None}
    if len(stores) > 1:
        raise SeveralStores(f"hosts of partition {partition.name} serve different stores: {', '.join(sorted(stores))}")
    all_fence = all(sighting.fences for sighting in told)
    return replace(
        partition,
        api_versions=partition.api_versions
        if partition.api_versions_set
        else common_versions(partition.name, told) or partition.api_versions,
        fences=all_fence and (partition.fences or len(told) == len(sightings)),
        store=next(iter(stores), None),
    )


def common_versions(name: str, sightings: Iterable[HostReport]) -> tuple[str, ...]:
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
