"""A host that gives every request the same answer, for machines without nginx and for judging a load generator."""

from __future__ import annotations

import argparse
import asyncio

import httptools
import uvloop


def answers(answer: bytes) -> dict[bytes, bytes]:
    """Return the bytes of the answers by method. Other methods get the answer to GET."""
    rest = b"\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer)
    return {
        b"GET": b"HTTP/1.1 200 OK" + rest,
        b"POST": b"HTTP/1.1 201 Created" + rest,
        b"DELETE": b"HTTP/1.1 204 No Content\r\n\r\n",
    }


class Stub(asyncio.Protocol):
    """One connection, which answers each request when it is complete."""

    def __init__(self, by_method: dict[bytes, bytes]) -> None:
        self._answers = by_method

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(self._answers.get(self._parser.get_method(), self._answers[b"GET"]))  # type: ignore[attr-defined]


async def serve(port: int, answer: bytes) -> None:
    """Serve until cancelled, with ``answer`` as the body of answers."""
    loop = asyncio.get_running_loop()
    by_method = answers(answer)
    server = await loop.create_server(lambda: Stub(by_method), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.answer.encode()))
