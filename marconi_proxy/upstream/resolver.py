"""The addresses of partition hosts: a cache of names, each resolved in a thread of its own.

A name server that does not answer blocks a look-up for many seconds, and the threads of an event loop are few: one dead
name would hold up the calls to all others. So a name has at most one look-up at a time, in a thread that no other name
uses; calls wait for it together, and only for a name without any known address. Known addresses are used while they
are resolved again, and for as long as that fails.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

Addresses = tuple[str, ...]

# Seconds until a look-up that failed is repeated.
REPEAT = 1.0


def look_up(name: str) -> Addresses:
    """Return the addresses of a name, in the order of preference of this machine. Blocks. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class _Resolution:
    """``stale_at``: loop time from which the name is resolved again. ``error``: of the last look-up."""

    __slots__ = ("addresses", "error", "pending", "stale_at")

    def __init__(self) -> None:
        self.addresses: Addresses = ()
        self.stale_at = 0.0
        self.error: OSError | None = None
        self.pending: asyncio.Future[None] | None = None


class Resolver:
    """Belongs to one event loop. ``seconds``: after which a name is resolved again; ``changed`` is called with a name
    and its addresses when these are no longer the same."""

    def __init__(
        self,
        seconds: float,
        changed: Callable[[str, Addresses], None],
        look_up: Callable[[str], Addresses] = look_up,
    ) -> None:
        self._seconds = seconds
        self._changed = changed
        self._look_up = look_up
        self._loop = asyncio.get_running_loop()
        self._entries: dict[str, _Resolution] = {}

    async def addresses(self, host: str) -> Addresses:
        """Return the addresses of a name, the preferred one first; of an address itself. Raises OSError."""
        if _is_address(host):
            return (host,)
        entry = self._entries.get(host)
        if entry is None:
            entry = self._entries[host] = _Resolution()
        self._refresh(host, entry)
        if not entry.addresses:
            if entry.pending is not None:
                await asyncio.shield(entry.pending)
            if not entry.addresses:
                raise OSError(f"{host} cannot be resolved: {entry.error}")
        return entry.addresses

    def refresh(self, host: str) -> None:
        """Begin to resolve a known name again if it is due."""
        entry = self._entries.get(host)
        if entry is not None:
            self._refresh(host, entry)

    def doubt(self, host: str) -> None:
        """Have a name resolved again with the next call: none of its addresses could be connected to."""
        entry = self._entries.get(host)
        if entry is not None:
            entry.stale_at = min(entry.stale_at, self._loop.time() + REPEAT)

    def prefer(self, host: str, address: str) -> None:
        """Put the address that could be connected to first."""
        entry = self._entries.get(host)
        if entry is not None and address in entry.addresses:
            entry.addresses = (address, *(other for other in entry.addresses if other != address))

    def _refresh(self, host: str, entry: _Resolution) -> None:
        if entry.pending is None and self._loop.time() >= entry.stale_at:
            entry.pending = self._loop.create_future()
            # A daemon, so that a look-up that is stuck does not hold up the end of the process.
            threading.Thread(target=self._run, args=(host, entry), name=f"resolve {host}", daemon=True).start()

    def _run(self, host: str, entry: _Resolution) -> None:
        found: Addresses = ()
        error: OSError | None = None
        try:
            found = self._look_up(host)
        except OSError as failure:
            error = failure
        except UnicodeError as failure:
            error = OSError(str(failure))
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._resolved, host, entry, found, error)

    def _resolved(self, host: str, entry: _Resolution, found: Addresses, error: OSError | None) -> None:
        pending, entry.pending = entry.pending, None
        entry.error = error
        entry.stale_at = self._loop.time() + (self._seconds if found else REPEAT)
        if found and set(found) != set(entry.addresses):
            known, entry.addresses = entry.addresses, found
            if known:
                self._changed(host, found)
        if pending is not None and not pending.done():
            pending.set_result(None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
