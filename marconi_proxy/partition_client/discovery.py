"""Discovery: the API versions of partition hosts, and the capabilities of our own node, by ``GET /`` (API section
1.10)."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import httpx

from catalog.model import API_VERSIONS, Partition

LOG = logging.getLogger(__name__)

_MAX_DOCUMENT = 1048576
_STORE = re.compile("[0-9a-zA-Z_-]{1,64}")
_IDS = {version.removeprefix("v"): version for version in API_VERSIONS}


@dataclass(frozen=True, slots=True)
class HostReport:
    """The answer of one host.

    ``reachable``: it answered, and not with a server error; releases of 2013 have no version document. ``versions``:
    None without a version document, and then ``error`` is the cause in one line. ``store``, ``fences``: as in
    ``Partition``, of this host. ``is_ours``: it is a front door over this catalog, not a partition.
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
    """Return an HTTP client that ignores redirects and the environment's proxies. ``timeout``: seconds."""
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False, transport=transport)


async def ask(client: httpx.AsyncClient, host: str, seconds: float, own: str) -> HostReport:
    """Poll one host, within ``seconds`` in total. Never raises, except for cancellation.

    ``own``: the name of our front doors in ``Via``. A front door that receives its own name refuses the call as a loop,
    and answers with that name.
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


def discovered(partition: Partition, reports: Sequence[HostReport]) -> Partition:
    """Return the partition updated from the reports of all its hosts. Members without a report keep their values.

    ``fences`` becomes true once all hosts report it, and false when one reports otherwise. Raises SeveralStores.
    """
    answered = [report for report in reports if report.versions is not None]
    if not answered:
        return partition
    stores = {report.store for report in answered if report.store is not None}
    if len(stores) > 1:
        raise SeveralStores(f"hosts of partition {partition.name} serve different stores: {', '.join(sorted(stores))}")
    all_fence = all(report.fences for report in answered)
    return replace(
        partition,
        api_versions=partition.api_versions
        if partition.api_versions_set
        else common_versions(partition.name, answered) or partition.api_versions,
        fences=all_fence and (partition.fences or len(answered) == len(reports)),
        store=next(iter(stores), None),
    )


def common_versions(name: str, reports: Iterable[HostReport]) -> tuple[str, ...]:
    """Return the versions common to all reporting hosts of partition ``name``; () without a report.

    Hosts of a partition are equivalent. A difference means a mistake or an upgrade in progress, and is logged.
    """
    answered = [s.versions for s in reports if s.versions is not None]
    if not answered:
        return ()
    common = frozenset.intersection(*answered)
    if any(versions != common for versions in answered):
        LOG.warning("hosts of partition %s speak different API versions; used: %s", name, sorted(common) or "none")
    return tuple(v for v in API_VERSIONS if v in common)
