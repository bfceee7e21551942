"""A client with a project of its own, that speaks one version of the API to one target."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from tests.wire.contract.quirks import Quirk
from tests.wire.contract.targets import Target
from tests.wire.raw_http import Answer, exchange
from tests.wire.script import CLIENT

T = TypeVar("T")

# A well-formed id that no store has drawn.
UNKNOWN = "f" * 24
MALFORMED = "no-such-id"
JSON_PATCH = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}
MESSAGE_TTL = 300


@dataclass(frozen=True)
class Reply:
    """An answer, with its body parsed if it is JSON (None if it is empty)."""

    answer: Answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def body(self) -> bytes:
        return self.answer.body

    @property
    def document(self) -> Any:
        return json.loads(self.answer.body) if self.answer.body else None

    @property
    def title(self) -> str | None:
        """The title of a refusal, None if it has no body."""
        return self.document["title"] if self.answer.body else None

    def header(self, name: str) -> str | None:
        return self.answer.header(name)


class Claim(NamedTuple):
    """The answer to a claim. ``href``: that of the claim."""

    href: str
    messages: list[dict[str, Any]]

    @property
    def id(self) -> str:
        return self.href.rpartition("/")[2]


class Tenant:
    """Asks in a fresh project. Paths are below the version's prefix; hrefs, as they were received, are not."""

    def __init__(self, target: Target, version: str, project: str | None = None) -> None:
        self.target = target
        self.version = version
        self.project = project or f"project-{uuid.uuid4().hex[:12]}"
        self.late = version != "v1"

    def speaking(self, version: str) -> Tenant:
        """The same project in another version."""
        return Tenant(self.target, version, self.project)

    def expected(self, ordinary: T, otherwise: Mapping[Quirk, T]) -> T:
        """Return the value of the API, or the other one if this target has one of the quirks."""
        for quirk, value in otherwise.items():
            if quirk.of(self.target.name.make):
                return value
        return ordinary

    def href(self, path: str) -> str:
        return f"/{self.version}{path}"

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str | None] | None = None) -> Reply:
        """``follow`` for a path below the version."""
        return self.follow(method, self.href(path), body, headers)

    def follow(
        self, method: str, href: str, body: Any = None, headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """Send a request. Text and bytes are bodies as they are, other values become JSON, None is no body at all.

        ``headers`` come beside Client-ID and X-Project-Id; None as a value leaves one out.
        """
        usual: dict[str, str | None] = {"Client-ID": CLIENT, "X-Project-Id": self.project}
        sent = [(name, value) for name, value in (usual | dict(headers or {})).items() if value is not None]
        return Reply(exchange(self.target.address, method, href, sent, _bytes(body)))

    # -- what most tests begin with ----------------------------------------------------------------------------------

    def create(self, queue: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Create a queue, or topic, that is not there; ``metadata`` not in v1."""
        created = self.ask("PUT", _path(queue), None if metadata is None else dict(metadata))
        assert created.status == 201, created

    def envelope(self, *messages: Mapping[str, Any]) -> Any:
        """The body of a post of these messages."""
        return {"messages": list(messages)} if self.late else list(messages)

    def post(self, queue: str, *bodies: Any, ttl: int = MESSAGE_TTL, client: str = CLIENT, **members: Any) -> list[str]:
        """Post messages with these bodies; return their ids."""
        messages = [{"ttl": ttl, "body": body, **members} for body in bodies]
        posted = self.ask("POST", _path(queue) + "/messages", self.envelope(*messages), {"Client-ID": client})
        assert posted.status == 201, posted
        return [href.rpartition("/")[2] for href in posted.document["resources"]]

    def page(self, queue: str, query: str = "", client: str = CLIENT) -> tuple[list[dict[str, Any]], str | None]:
        """List messages: those of one page, and the href of the next one if it has a link."""
        href = self.href(_path(queue) + "/messages" + (f"?{query}" if query else ""))
        return self.page_at(href, client)

    def page_at(self, href: str, client: str = CLIENT) -> tuple[list[dict[str, Any]], str | None]:
        """``page`` for a link."""
        listed = self.follow("GET", href, headers={"Client-ID": client})
        if not self.late and listed.status == 204:
            assert listed.body == b""
            return [], None
        assert listed.status == 200, listed
        links = listed.document["links"]
        assert [link["rel"] for link in links] == ["next"] * bool(listed.document["messages"])
        return listed.document["messages"], links[0]["href"] if links else None

    def bodies(self, queue: str, query: str = "echo=true&limit=20", client: str = CLIENT) -> list[Any]:
        """The bodies on one page of a list of messages."""
        return [message["body"] for message in self.page(queue, query, client)[0]]

    def claim(self, queue: str, limit: int | None = None, ttl: int = 300, grace: int = 60) -> Claim | None:
        """Claim messages; None if there was nothing to be had."""
        query = "" if limit is None else f"?limit={limit}"
        made = self.ask("POST", f"{_path(queue)}/claims{query}", {"ttl": ttl, "grace": grace})
        if made.status == 204:
            assert (made.body, made.header("Location")) == (b"", None)
            return None
        assert made.status == 201, made
        location = made.header("Location")
        assert location is not None
        assert re.fullmatch(re.escape(self.href(_path(queue))) + "/claims/[A-Za-z0-9_-]+", location)
        return Claim(location, made.document["messages"] if self.late else made.document)

    def counts(self, queue: str) -> tuple[int, int, int]:
        """(free, claimed, total)"""
        stats = self.ask("GET", _path(queue) + "/stats")
        assert stats.status == 200, stats
        found = stats.document["messages"]
        return found["free"], found["claimed"], found["total"]

    def message(self, queue: str, identifier: str) -> str:
        """The path of a message."""
        return f"{_path(queue)}/messages/{identifier}"


def _path(queue: str) -> str:
    """A queue by its name, or something that has its path already, such as ``/topics/news``."""
    return queue if queue.startswith("/") else f"/queues/{queue}"


def _bytes(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()
