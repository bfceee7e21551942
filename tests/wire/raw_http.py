"""One HTTP/1.1 exchange over a plain socket, with nothing normalised on the way: what is given is what is sent.

HTTP libraries rewrite paths, add headers and hide framing, which is exactly what these tests look at.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

TIMEOUT_SECONDS = 60


class BadAnswer(Exception):
    """The server's answer is not well-formed HTTP; the message has its first bytes."""


@dataclass(frozen=True)
class Answer:
    """A complete answer: headers as (name, value) in the order and spelling received, the body without its framing."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the first header of this name, in any case."""
        return next((value for given, value in self.headers if given.lower() == name.lower()), None)


def exchange(
    address: tuple[str, int], method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None = None
) -> Answer:
    """Send one request on a connection of its own and return the answer.

    ``target`` is the raw path and query. A ``body`` is sent with its Content-Length; None sends neither. Raises OSError
    or BadAnswer.
    """
    # Not ``Connection: close``: a server that refuses a body without reading it would then reset the connection, and
    # the answer might be lost.
    lines = [f"{method} {target} HTTP/1.1", f"Host: {address[0]}:{address[1]}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(head + (body or b""))
        return _receive(connection, method)


class _Received:
    """The bytes that a connection has delivered so far, taken off in pieces."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bytes = bytearray()

    def until(self, end: bytes) -> bytes:
        """Take everything before ``end``, and throw ``end`` away."""
        while end not in self._bytes:
            self._more()
        taken, _, rest = self._bytes.partition(end)
        self._bytes = bytearray(rest)
        return bytes(taken)

    def exactly(self, count: int) -> bytes:
        while len(self._bytes) < count:
            self._more()
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken

    def rest(self) -> bytes:
        """Take everything up to the end of the connection."""
        while chunk := self._connection.recv(1 << 16):
            self._bytes += chunk
        return self.exactly(len(self._bytes))

    def must_be_empty(self) -> None:
        """Bytes beyond the end of an answer would be taken for the next one."""
        if self._bytes:
            raise BadAnswer(f"bytes beyond the end of the answer: {bytes(self._bytes[:100])!r}")

    def _more(self) -> None:
        chunk = self._connection.recv(1 << 16)
        if not chunk:
            raise BadAnswer(f"the connection ended too early, after {bytes(self._bytes[-100:])!r}")
        self._bytes += chunk


def _receive(connection: socket.socket, method: str) -> Answer:
    received = _Received(connection)
    status_line, *lines = received.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    version, _, status = status_line.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or not status[:3].isdigit() or not all(":" in line for line in lines):
        raise BadAnswer(repr([status_line, *lines]))
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    answer = Answer(int(status[:3]), headers, b"")
    body = b"" if method == "HEAD" or answer.status in (204, 304) else _body(received, answer)
    received.must_be_empty()
    return Answer(answer.status, headers, body)


def _body(received: _Received, answer: Answer) -> bytes:
    if (answer.header("Transfer-Encoding") or "").lower() == "chunked":
        return _chunks(received)
    length = answer.header("Content-Length")
    return received.rest() if length is None else received.exactly(int(length))


def _chunks(received: _Received) -> bytes:
    body = b""
    while size := int(received.until(b"\r\n").split(b";")[0], 16):
        body += received.exactly(size)
        received.until(b"\r\n")
    received.until(b"\r\n")
    return body
