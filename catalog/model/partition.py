"""Partitions: backend deployments."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from catalog.model.field import PARTITION_NAME, check_text, is_int

API_VERSIONS = ("v1", "v1.1", "v2")
MAX_WEIGHT = 4294967295


# The reason why a URL in this field has no path.
_PATHS = {"hosts": "hrefs contain the path that the partition receives", "inventory": "the path is always the same"}


class PartitionState(StrEnum):
    """enabled: serves, and takes new queues. cordoned: serves, takes no new ones. drained: cordoned, and known to be
    empty. disabled: no call is forwarded to it."""

    ENABLED = "enabled"
    CORDONED = "cordoned"
    DRAINED = "drained"
    DISABLED = "disabled"


def check_host(url: str, field: str = "hosts") -> str:
    """Return a partition host's base URL without a trailing slash. Messages name ``field``.

    Raises ValueError unless it is ``http(s)://host[:port]``: no path (clients' hrefs would not fit, API section 8.5),
    no query, no fragment, no user.
    """
    what = f"{field}: {url!r}"
    if not isinstance(url, str) or not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError(f"{what} is not an http(s) URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{what} is not an http(s) URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{what} is not an http(s) URL such as http://10.0.0.1:8888")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{field}: a URL must not carry a user or password")
    if parts.path not in ("", "/") or "?" in url or "#" in url:
        raise ValueError(f"{what} must end after the port: {_PATHS[field]}")
    if port == 0:
        raise ValueError(f"{what} has port 0")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def address_of(url: str) -> str:
    """Return the normalised host and port of a base URL, equal for all its spellings and schemes."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    with suppress(ValueError):
        host = ip_address(host).compressed
    return f"[{host}]:{_port(parts)}" if ":" in host else f"{host}:{_port(parts)}"


def _port(parts: SplitResult) -> int:
    return parts.port or {"http": 80, "https": 443}[parts.scheme]


@dataclass(frozen=True, slots=True)
class Partition:
    """One backend deployment: equivalent ``hosts`` (base URLs) over one store.

    ``weight``: 0..4294967295, its share of new queues; 0 takes none. ``api_versions``: those of API_VERSIONS it speaks,
    empty while unknown; ``api_versions_set``: an operator fixed them, so that probes do not change them. ``inventory``
    is the base URL of a listener that lists all its projects and queues, if it has one (our own node). ``fences``: all
    its hosts refuse writes of earlier epochs to a queue that was closed to these. ``store`` is the identity of its
    store, None if its hosts do not report one. Probes set these two.
    ``version`` starts at 1; every change is a compare-and-set that adds one.
    """

    name: str
    hosts: tuple[str, ...]
    weight: int = 100
    region: str | None = None
    labels: tuple[str, ...] = ()
    state: PartitionState = PartitionState.ENABLED
    api_versions: tuple[str, ...] = ()
    api_versions_set: bool = False
    inventory: str | None = None
    fences: bool = False
    store: str | None = None
    version: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not PARTITION_NAME.fullmatch(self.name):
            raise ValueError(
                f"name: {self.name!r} is not a partition name (1 to 64 of A-Z a-z 0-9 _ . - and not - _ . first)"
            )
        if not self.hosts:
            raise ValueError("hosts: at least one base URL is needed")
        hosts = tuple(check_host(h) for h in self.hosts)
        if len(set(hosts)) != len(hosts):
            raise ValueError("hosts: a base URL is listed twice")
        object.__setattr__(self, "hosts", hosts)
        if not is_int(self.weight) or not 0 <= self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight: {self.weight!r} is not an integer from 0 to {MAX_WEIGHT}")
        if self.region is not None:
            check_text("region", self.region)
        for label in self.labels:
            check_text("labels", label)
        object.__setattr__(self, "labels", tuple(sorted(set(self.labels))))
        if self.inventory is not None:
            object.__setattr__(self, "inventory", check_host(self.inventory, "inventory"))
        if self.store is not None:
            check_text("store", self.store)
        unknown = [v for v in self.api_versions if v not in API_VERSIONS]
        if unknown:
            raise ValueError(f"api_versions: {unknown[0]!r} is none of {', '.join(API_VERSIONS)}")
        object.__setattr__(self, "api_versions", tuple(v for v in API_VERSIONS if v in self.api_versions))

    def same_version(self, other: Partition) -> bool:
        """Return whether the two are equal, their versions too: equality of partitions leaves the version out."""
        return self == other and self.version == other.version

    @property
    def addresses(self) -> dict[str, str]:
        """The hosts by their addresses (``address_of``)."""
        return {address_of(host): host for host in self.hosts}

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "hosts": list(self.hosts),
            "weight": self.weight,
            "region": self.region,
            "labels": list(self.labels),
            "state": self.state.value,
            "api_versions": list(self.api_versions),
            "api_versions_set": self.api_versions_set,
            "inventory": self.inventory,
            "fences": self.fences,
            "store": self.store,
            "version": self.version,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Partition:
        """Read a document, also of schema version 2, without ``inventory``, and of version 3, without ``fences`` and
        ``store``."""
        return Partition(
            name=doc["name"],
            hosts=tuple(doc["hosts"]),
            weight=doc["weight"],
            region=doc["region"],
            labels=tuple(doc["labels"]),
            state=PartitionState(doc["state"]),
            api_versions=tuple(doc["api_versions"]),
            api_versions_set=doc["api_versions_set"],
            inventory=doc.get("inventory"),
            fences=doc.get("fences", False),
            store=doc.get("store"),
            version=doc["version"],
        )
