"""A client that sends any bytes, and reads strictly what comes back."""

from __future__ import annotations

import select
import socket

from tests.wire.raw_http import Answer, BadAnswer

PATIENCE = 20.0


def connect(address: tuple[str, int], receive_buffer: int | None = None) -> socket.socket:
    """Return a connection that gives up after PATIENCE; with a buffer of so many bytes for what comes."""
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def talk(address: tuple[str, int], sent: bytes, *, piece: int = 1 << 20) -> bytes:
    """Send bytes, ``piece`` by piece, and the end of the input; return what comes until the server ends the connection.

    Reads while it sends. Raises ConnectionResetError if the server aborts the connection, TimeoutError if it keeps it.
    """
    received = bytearray()
    left = memoryview(sent)
    with connect(address) as connection:
        connection.setblocking(False)
        sending = True
        while True:
            readable, writable, _ = select.select([connection], [connection] if sending else [], [], PATIENCE)
            if not readable and not writable:
                raise TimeoutError(f"the connection is still open, after {bytes(received[-200:])!r}")
            if readable:
                got = connection.recv(1 << 16)
                if not got:
                    return bytes(received)
                received += got
            if writable and left:
                left = left[connection.send(left[:piece]) :]
            elif writable:
                connection.shutdown(socket.SHUT_WR)
                sending = False


def answers(received: bytes, *, bodiless: bool = False) -> tuple[Answer, ...]:
    """Parse answers, each with a Content-Length, chunks or, as the last one, until the end. Raises BadAnswer."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        version, _, status = line.partition(" ")
        if not end or version != "HTTP/1.1" or not status[:3].isdigit() or not all(": " in field for field in fields):
            raise BadAnswer(repr(head))
        answer = Answer(int(status[:3]), tuple(field.split(": ", 1) for field in fields), b"")  # type: ignore[misc]
        body = b""
        if not bodiless and answer.status >= 200 and answer.status != 204:
            body, received = _body(answer, received)
        found.append(Answer(answer.status, answer.headers, body))
    return tuple(found)


def _body(answer: Answer, received: bytes) -> tuple[bytes, bytes]:
    """Return the body at the beginning of ``received``, and the rest."""
    if answer.header("transfer-encoding") is not None:
        body = b""
        while True:
            size, _, received = received.partition(b"\r\n")
            length = int(size, 16)
            body += received[:length]
            if received[length : length + 2] != b"\r\n":
                raise BadAnswer(f"a chunk of {length} bytes in {received[:100]!r}")
            received = received[length + 2 :]
            if not length:
                return body, received
    length = int(answer.header("content-length") or len(received))
    if len(received) < length:
        raise BadAnswer(f"{len(received)} of {length} bytes")
    return received[:length], received[length:]
