"""Kept connections, by origin. Newest first, so that surplus connections fall idle and are closed.

A name may have several addresses: they are tried in turn, within the time to connect. Connections to an address that a
name no longer has are not kept.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from marconi_proxy.upstream.connection import Connection
from marconi_proxy.upstream.errors import ConnectFailed, ConnectTimedOut
from marconi_proxy.upstream.resolver import Addresses, Resolver

LOG = logging.getLogger(__name__)

_SWEEP_INTERVAL = 5.0


class Origin(NamedTuple):
    """The address of a host. ``authority`` is the value of its Host header."""

    scheme: str
    host: str
    port: int
    authority: bytes

    @staticmethod
    def of(url: str) -> Origin:
        """Return the origin of a checked ``http(s)://host[:port]``."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return Origin(parts.scheme, host, port, parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii"))


class Pool:
    """All connections of one worker. Belongs to one event loop.

    ``connect_timeout``: seconds to connect, TLS included. ``idle_timeout``: seconds after which an idle connection is
    closed. ``max_head``: bytes of an answer's head. ``resolve_for``: seconds that the addresses of a name are used.
    """

    def __init__(
        self, *, connect_timeout: float, idle_timeout: float, max_head: int, resolve_for: float = 30.0
    ) -> None:
        self.connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._max_head = max_head
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Origin, deque[Connection]] = {}
        self._all: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self.resolver = Resolver(resolve_for, self._moved)
        self._sweeper = self._loop.call_later(_SWEEP_INTERVAL, self._sweep)

    def __repr__(self) -> str:
        idle = sum(connection.usable for kept in self._idle.values() for connection in kept)
        return f"<Pool {len(self._all) - idle} busy, {idle} idle, {len(self._idle)} origins>"

    def take(self, origin: Origin, max_idle: float) -> Connection | None:
        """Return a kept connection that was idle for less than ``max_idle`` seconds, None if there is none."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.usable:
                continue
            if self._loop.time() - connection.idle_since < max_idle:
                return connection
            # The newest is too old for this call; it stays for others.
            idle.append(connection)
            return None
        return None

    async def connect(self, origin: Origin, deadline: float) -> Connection:
        """Open a connection, by loop time ``deadline`` at the latest. Raises ConnectFailed."""
        name = f"{origin.scheme}://{origin.host}:{origin.port}"
        if self._sweeper.cancelled():
            raise ConnectFailed(f"{name} is not connected to any more: the pool is closed")
        until = min(deadline, self._loop.time() + self.connect_timeout)
        try:
            async with asyncio.timeout_at(until):
                addresses = await self.resolver.addresses(origin.host)
                connection = await self._connect_to_any(origin, name, addresses, until)
        except TimeoutError:
            raise ConnectTimedOut(f"{name} did not accept a connection in time") from None
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"{name} cannot be reached: {error}") from error
        if connection.usable:  # otherwise it was lost already, and would stay in the list
            self._all.add(connection)
        return connection

    async def _connect_to_any(self, origin: Origin, name: str, addresses: Addresses, until: float) -> Connection:
        """Connect to the first address that accepts. Raises OSError of the last one, and TimeoutError."""
        tls = self._tls_for(origin)
        for left in range(len(addresses), 0, -1):
            address = addresses[-left]
            connection = Connection(
                name, self._loop, self._max_head, self._idle.setdefault(origin, deque()).append, self._all.discard
            )
            connection.peer = (origin.host, address)
            now = self._loop.time()
            try:
                # An address that does not answer leaves the others their part of the time.
                async with asyncio.timeout_at(now + (until - now) / left):
                    await self._loop.create_connection(
                        partial(_the, connection),
                        address,
                        origin.port,
                        ssl=tls,
                        server_hostname=origin.host if tls else None,
                    )
            except OSError:
                if left == 1:
                    self.resolver.doubt(origin.host)
                    raise
                continue
            if left < len(addresses):
                self.resolver.prefer(origin.host, address)
            return connection
        raise OSError(f"{name} has no address")

    def _moved(self, host: str, addresses: Addresses) -> None:
        """Keep no connection to an address that a name does not have any more."""
        LOG.info("%s has the addresses %s now", host, ", ".join(addresses))
        for connection in list(self._all):
            if connection.peer[0] == host and connection.peer[1] not in addresses:
                connection.retire()

    def _tls_for(self, origin: Origin) -> ssl.SSLContext | None:
        if origin.scheme != "https":
            return None
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _sweep(self) -> None:
        """Close what has been idle for too long, the oldest of which are leftmost; resolve names in use again."""
        horizon = self._loop.time() - self._idle_timeout
        for idle in self._idle.values():
            while idle and (not idle[0].usable or idle[0].idle_since < horizon):
                idle.popleft().close()
        for host in {connection.peer[0] for connection in self._all}:
            self.resolver.refresh(host)
        self._sweeper = self._loop.call_later(_SWEEP_INTERVAL, self._sweep)

    def close(self) -> None:
        """Close every connection, also those in use."""
        self._sweeper.cancel()
        for connection in list(self._all):
            connection.close()
        self._idle.clear()


def _the(connection: Connection) -> Connection:
    return connection
