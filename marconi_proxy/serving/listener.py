"""Binding the listening socket before any process is made, so that a wrong address ends in one clear sentence."""

from __future__ import annotations

import socket

from marconi_proxy.option_types import Address
from marconi_proxy.serving.errors import StartError

BACKLOG = 2048


def bind(address: Address, option: str) -> socket.socket:
    """Return a socket that listens at ``address``; port 0 becomes a free port.

    Raises StartError, naming ``option``, if that is not possible.
    """
    try:
        family, kind, proto, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise StartError(f"{option}: {address.host!r} is no address of this machine ({error.strerror})") from error
    try:
        # Without it a restart fails while connections of the previous process are in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(f"{option}: cannot listen on {address}: {error.strerror}") from error
    return listener


def bound(listener: socket.socket) -> Address:
    """Return the actual address of ``listener``."""
    host, port = listener.getsockname()[:2]
    return Address(host, port)
