"""One keep-alive connection of asyncio: a cheap client for load, and for servers that die."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """An answer that arrived whole. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON in the body."""
        return json.loads(self.body)


class KeepAlive:
    """A client of the server at ``address``; ``headers`` go with every request. For one task."""

    def __init__(self, address: tuple[str, int], headers: dict[str, str]) -> None:
        self._address = address
        self._head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "x", **headers}.items())
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, document: object = None) -> Reply | None:
        """Send a request; return None without a whole answer, so that its outcome is unknown."""
        body = b"" if document is None else json.dumps(document).encode()
        length = f"Content-Length: {len(body)}\r\n" if document is not None else ""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._address)
            reader, writer = self._streams
            writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{length}\r\n".encode() + body)
            return await self._reply(reader)
        except (OSError, EOFError, ValueError):
            self.close()
            return None

    async def _reply(self, reader: asyncio.StreamReader) -> Reply:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Reply(int(lines[0].split(" ")[1]), headers, body)

    def close(self) -> None:
        """Let go of the connection; the next request makes another one. Idempotent."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
