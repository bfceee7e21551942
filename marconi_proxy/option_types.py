"""The option types that oslo.config does not have: a listening address and a catalog's URI."""

from __future__ import annotations

import ipaddress
from typing import Any, NamedTuple

from oslo_config import types

from catalog.errors import BadCatalogURI
from catalog.factory import catalog_scheme
from catalog.uri import split


class Address(NamedTuple):
    """Where a listener binds. Port 0 lets the kernel choose a free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class AddressType(types.ConfigType):
    """``HOST:PORT`` or ``[IPV6]:PORT``, as an Address."""

    def __init__(self) -> None:
        super().__init__(type_name="host:port value")

    def __call__(self, value: Any) -> Address:
        text = str(value)
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            colon = ""
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT or [IPV6]:PORT")
        return Address(host, int(port))

    def __repr__(self) -> str:
        return "Address"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AddressType)

    __hash__ = None  # type: ignore[assignment]

    def _formatter(self, value: Any) -> str:
        return str(value)


class CatalogURIType(types.ConfigType):
    """The URI of a catalog, checked for its form only. Its messages never quote the value: it may hold a password."""

    def __init__(self) -> None:
        super().__init__(type_name="catalog URI value")

    def __call__(self, value: Any) -> str:
        uri = str(value)
        try:
            catalog_scheme(uri)
        except BadCatalogURI as error:
            raise ValueError(str(error)) from None
        return uri

    def __repr__(self) -> str:
        return "CatalogURI"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CatalogURIType)

    __hash__ = None  # type: ignore[assignment]

    def _formatter(self, value: Any) -> str:
        return str(value)


def redacted(uri: str) -> str:
    """Return a catalog URI fit for logs and messages: without user and password, and of its options only replicaSet."""
    parts = split(uri)
    user, at, hosts = parts.authority.rpartition("@")
    whole = f"{parts.scheme}://{'***@' if user or at else ''}{hosts}{parts.path}"
    shown = "&".join(option for option in parts.query.split("&") if option.startswith("replicaSet="))
    return f"{whole}?{shown}" if shown else whole
