"""A host that gives every request the same answer, for machines without nginx."""

from __future__ import annotations

import argparse
import asyncio

import httptools
import uvloop


class Stub(asyncio.Protocol):
    """One connection. Answers when a request is complete."""

    def __init__(self, answer: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._answer = head % len(answer) + answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(self._answer)  # type: ignore[attr-defined]


async def serve(port: int, answer: bytes) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stub(answer), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.answer.encode()))
