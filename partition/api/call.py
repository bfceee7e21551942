"""A request on its way to its handler, after the checks that every route has (API section 1.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from partition import signing
from partition.api.dialects import Dialect
from partition.api.node import Node
from partition.errors import BadInput, PartitionError, bad_body
from partition.model.clock import MILLISECONDS
from partition.model.queue import NO_PROJECT, Epoch, Kind, QueueKey
from partition.validation import headers, json_document
from partition.validation.query import Query
from partition.validation.queue import check_name

_PROJECT = b"x-project-id"
_CLIENT = b"client-id"
_MAX_LENGTH_DIGITS = 18


class NotAcceptable(PartitionError):
    """The client takes no JSON."""


class NotFound(PartitionError):
    """There is no such route, or no signature that grants it."""


class Disconnected(PartitionError):
    """The client disconnected before its request was complete. No answer is possible."""


class Call:
    """One request.

    ``path`` is decoded, ``query`` parsed on demand. ``key`` names the queue or topic in the path; ``item`` is the
    message, claim or subscription in it. ``client`` identifies the client, None without a Client-ID. ``read`` returns
    the whole body, and raises Disconnected.
    """

    __slots__ = ("_query", "_read", "client", "dialect", "headers", "item", "key", "method", "path", "raw_query")

    def __init__(
        self,
        method: str,
        path: str,
        raw_query: bytes,
        headers: Mapping[bytes, bytes],
        read: Callable[[], Awaitable[bytes]],
    ) -> None:
        self.method = method
        self.path = path
        self.raw_query = raw_query
        self.headers = headers
        self.dialect: Dialect | None = None
        self.key = QueueKey(NO_PROJECT, "")
        self.item = ""
        self.client: bytes | None = None
        self._read = read
        self._query: Query | None = None

    @property
    def query(self) -> Query:
        if self._query is None:
            self._query = Query(self.raw_query)
        return self._query

    @property
    def epoch(self) -> Epoch | None:
        """The epoch that the write carries, None if none. Raises BadInput."""
        return headers.epoch(self.headers.get(b"x-marconi-epoch"))

    @property
    def project(self) -> str:
        return self.key.project

    @property
    def collection(self) -> str:
        """The path of the queue or topic."""
        assert self.dialect is not None
        return f"/{self.dialect.prefix}/{'queues' if self.key.kind is Kind.QUEUE else 'topics'}/{self.key.name}"

    @property
    def location(self) -> tuple[tuple[bytes, bytes], ...]:
        """Content-Location with path and query as they were sent, in the dialect that has it."""
        if self.dialect is None or not self.dialect.located:
            return ()
        query = b"?" + self.raw_query if self.raw_query else b""
        return ((b"content-location", self.path.encode() + query),)

    @property
    def path_location(self) -> tuple[tuple[bytes, bytes], ...]:
        """Content-Location with the path alone."""
        if self.dialect is None or not self.dialect.located:
            return ()
        return ((b"content-location", self.path.encode()),)

    @property
    def length(self) -> int | None:
        """Content-Length. Raises BadInput."""
        value = self.headers.get(b"content-length")
        if value is None:
            return None
        if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
            raise bad_body("The Content-Length header is not a number.")
        return int(value)

    def check(self, node: Node, dialect: Dialect | None, kind: Kind, queue: str | None, item: str) -> None:
        """Run the checks of API section 1.2, in their order, and keep their results. ``dialect`` is None for /.

        Raises NotFound, NotAcceptable, BadInput.
        """
        given = self.headers
        if b"url-signature" in given:
            self._check_signature(node)
        headers.check_content_type(given.get(b"content-type"), given.get(b"content-length"))
        if not headers.admits_json(given.get(b"accept")):
            raise NotAcceptable
        client = given.get(_CLIENT)
        if client is not None:
            self.client = headers.client(client, node.limits)
        elif dialect is not None and dialect.strict:
            raise headers.missing_client()
        project = given.get(_PROJECT)
        if dialect is not None:
            headers.check_project(project, required=dialect.strict)
        text = NO_PROJECT if project is None else project.decode("latin-1")
        self.dialect = dialect
        self.item = item
        self.key = QueueKey(text, queue or "", kind)
        if queue is not None:
            check_name(kind, queue, text)

    def _check_signature(self, node: Node) -> None:
        given = {header: value.decode("latin-1") for header, value in self.headers.items()}
        grant = signing.Grant(
            tuple(given.get(b"url-paths", "").split(",")),
            tuple(given.get(b"url-methods", "").split(",")),
            given.get(_PROJECT, ""),
            given.get(b"url-expires", ""),
        )
        signed, now = given[b"url-signature"], node.clock() // MILLISECONDS
        if not signed:
            return
        if node.secret is None or not signing.allows(node.secret, grant, signed, self.method, self.path, now):
            raise NotFound

    def required_client(self) -> bytes:
        """Return the client where v1 needs one too. Raises BadInput."""
        if self.client is None:
            raise headers.missing_client()
        return self.client

    async def body(self, most: int) -> bytes | None:
        """Return the body, None without a Content-Length. Raises BadInput for one longer than ``most``, unread."""
        length = self.length
        if length is None:
            if b"transfer-encoding" in self.headers:
                # The reference ignores such a body, silently where one is optional (API section 1.5).
                raise bad_body("A body needs a Content-Length header.")
            return None
        if length > most:
            raise too_large(most)
        return await self._read()

    async def optional_document(self, most: int) -> dict[str, Any] | None:
        """Return the object in the body, None if there is none or an empty one. Raises BadInput."""
        body = await self.body(most)
        return json_document.parse_object(body) if body else None

    async def document(self, most: int) -> dict[str, Any]:
        """Return the object in the body. Raises BadInput."""
        return json_document.parse_object(await self.body(most))


def too_large(most: int) -> BadInput:
    """A body beyond what any such route takes: 400, never 413 (API section 1.7)."""
    return bad_body(f"Request body is too large. Max size {most}")
