"""Binding the listening socket before any process is made, so that a wrong address ends in one clear sentence."""

from __future__ import annotations

import socket

from partition.serving.errors import StartError

BACKLOG = 2048


def bind(host: str, port: int, option: str = "bind") -> socket.socket:
    """Return a socket that listens; port 0 becomes a free port. ``option`` names the source of the address. Raises
    StartError."""
    try:
        family, kind, proto, _, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise StartError(f"[server] {option}: {host!r} is no address of this machine ({error.strerror})") from error
    try:
        # Without it a restart fails while connections of the previous process are in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(f"[server] {option}: cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def url(listener: socket.socket) -> str:
    """The actual address of ``listener``."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
