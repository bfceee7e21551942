"""A Marconi partition in memory, which counts its calls and misbehaves by a script of the test.

``FakePartition`` is one host, over a ``Store`` that several hosts may share. By itself it answers as much of v1, v1.1
and v2 as the tests of the front door need, as Zaqar does (test_historical_defects compares the two). A test takes calls
out of that: ``hold`` keeps them waiting, ``script`` answers them with given bytes, ``refuse`` and ``listen`` are a host
that dies and comes back.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"
# How long, in seconds, to wait for what must come. Only failures wait so long.
PATIENCE = 90.0
TICK = 0.02

_VERSIONS = {"v1": "1", "v1.1": "1.1", "v2": "2"}
_DEFAULTS: dict[str, Any] = {
    "_default_message_ttl": 3600,
    "_max_messages_post_size": 262144,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}
_QUEUE_PATH = re.compile(r"/(?P<version>v1|v1\.1|v2)/queues/(?P<queue>[^/]+)(?P<rest>/.*)?\Z")


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll until ``condition()`` is true, and return it. Raises AssertionError, naming ``what``, after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(TICK)
    return found


@dataclass(frozen=True)
class Reply:
    """An answer of the partition; ``body`` is JSON unless it is None."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    def serialised(self, *, head_only: bool) -> bytes:
        body = b"" if self.body is None else json.dumps(self.body).encode()
        headers = [*self.headers]
        if self.body is not None:
            headers.append(("content-type", "application/json"))
        if self.status != 204:
            headers.append(("content-length", str(len(body))))
        return raw_answer(self.status, headers, b"" if head_only else body)


def raw_answer(status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """Serialise an answer, with nothing added to what is given."""
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Call:
    """A request as it came in. ``headers`` by lower-case name; ``connection`` is the caller's port."""

    def __init__(self, method: str, target: str, headers: Mapping[str, str], body: bytes, connection: int) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.connection = connection
        self.path = urlsplit(target).path
        self.query = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
        self.project = headers.get("x-project-id")

    def __repr__(self) -> str:
        return f"<{self.method} {self.target} project={self.project!r} from port {self.connection}>"

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Queue:
    """The content of a queue: (number, message) in the order posted."""

    metadata: dict[str, Any] = field(default_factory=dict)
    messages: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


QueueName = tuple[str | None, str]


class Store:
    """Queues by (project, name), None being no project. ``created`` counts how often each came to be. ``closed``: with
    which epoch each was closed last; nothing is refused for it."""

    def __init__(self) -> None:
        self.queues: dict[QueueName, Queue] = {}
        self.created: Counter[QueueName] = Counter()
        self.closed: dict[QueueName, str | None] = {}
        self._numbers = 0
        self._lock = threading.Lock()

    def has(self, project: str | None, queue: str) -> bool:
        return (project, queue) in self.queues

    def bodies(self, project: str | None, queue: str) -> list[Any]:
        """The bodies of a queue's messages, in order."""
        with self._lock:
            return [message["body"] for _, message in self.queues[project, queue].messages]

    def answer(self, call: Call) -> Reply:
        """Do what ``call`` asks for."""
        with self._lock:
            if call.path == "/":
                versions = [{"id": number} for number in _VERSIONS.values()]
                return Reply(300, {"versions": versions})
            version, _, rest = call.path.removeprefix("/").partition("/")
            if version in _VERSIONS and rest in ("ping", "health"):
                return Reply(204)
            if version in _VERSIONS and rest == "queues" and call.method == "GET":
                return self._list(call, version)
            found = _QUEUE_PATH.match(call.path)
            if found is None:
                return Reply(404, {"title": "404 Not Found"})
            return self._answer(call, found["version"], found["queue"], found["rest"] or "")

    def _list(self, call: Call, version: str) -> Reply:
        after, limit = call.query.get("marker", ""), int(call.query.get("limit", 10))
        names = sorted(name for project, name in self.queues if project == call.project and name > after)[:limit]
        if not names and version == "v1":
            return Reply(204)
        entries: list[dict[str, Any]] = [{"name": name, "href": f"/{version}/queues/{name}"} for name in names]
        if call.query.get("detailed") == "true":
            filled_in = _DEFAULTS if version == "v2" else {}
            for entry in entries:
                entry["metadata"] = filled_in | self.queues[call.project, entry["name"]].metadata
        links = [{"rel": "next", "href": f"/{version}/queues?marker={names[-1]}&limit={limit}"}] if names else []
        return Reply(200, {"queues": entries, "links": links})

    def _answer(self, call: Call, version: str, name: str, rest: str) -> Reply:
        queue = self.queues.get((call.project, name))
        path = f"/{version}/queues/{name}"
        match call.method, rest:
            case "PUT", "":
                made = self._ensure(call.project, name, call.json() if call.body and version != "v1" else {})
                return Reply(201 if made else 204, headers=(("location", path),))
            case "DELETE", "":
                self.queues.pop((call.project, name), None)
                return Reply(204)
            case "GET" | "HEAD", "" if version == "v1":
                return Reply(204 if queue is not None else 404)
            case "GET", "":
                stored = queue.metadata if queue is not None else {}
                return Reply(200, (_DEFAULTS | stored) if version == "v2" else stored)
            case "PATCH", "" if version == "v2":
                return self._patch(queue, call)
            case "GET" | "PUT", "/metadata" if version == "v1":
                return self._metadata(queue, call)
            case "PUT", "/fence":
                self.closed[call.project, name] = call.headers.get("x-marconi-epoch")
                return Reply(204)
            case "GET", "/stats":
                return self._stats(queue, version)
            case "POST", "/messages":
                return self._post(call, version, name, path)
            case "GET", "/messages":
                return self._messages(queue, call, version, path)
            case "DELETE", "/messages":
                return self._pop(queue, call)
        return Reply(404 if rest else 405, {"title": "no such route"})

    def _ensure(self, project: str | None, name: str, metadata: dict[str, Any]) -> bool:
        """Create the queue unless it exists; return whether that was needed."""
        if (project, name) in self.queues:
            return False
        self.queues[project, name] = Queue(metadata)
        self.created[project, name] += 1
        return True

    @staticmethod
    def _patch(queue: Queue | None, call: Call) -> Reply:
        if queue is None:
            return Reply(404, {"title": "404 Not Found"})
        for operation in call.json():
            queue.metadata[operation["path"].removeprefix("/metadata/")] = operation["value"]
        return Reply(200, _DEFAULTS | queue.metadata)

    @staticmethod
    def _metadata(queue: Queue | None, call: Call) -> Reply:
        if queue is None:
            return Reply(404, {"title": "404 Not Found"})
        if call.method == "GET":
            return Reply(200, queue.metadata, (("content-location", call.path),))
        queue.metadata = call.json()
        return Reply(204, headers=(("location", call.path),))

    @staticmethod
    def _stats(queue: Queue | None, version: str) -> Reply:
        if queue is None and version == "v1":
            return Reply(404)
        total = len(queue.messages) if queue is not None else 0
        return Reply(200, {"messages": {"free": total, "claimed": 0, "total": total}})

    def _post(self, call: Call, version: str, name: str, path: str) -> Reply:
        if version == "v1" and (call.project, name) not in self.queues:
            return Reply(404, {"title": "404 Not Found"})
        self._ensure(call.project, name, {})
        messages = call.json() if version == "v1" else call.json()["messages"]
        ids = []
        for message in messages:
            self._numbers += 1
            self.queues[call.project, name].messages.append((self._numbers, message))
            ids.append(f"{self._numbers:024x}")
        document: dict[str, Any] = {"resources": [f"{path}/messages/{i}" for i in ids]}
        if version == "v1":
            document["partial"] = False
        return Reply(201, document, (("location", f"{path}/messages?ids={','.join(ids)}"),))

    @staticmethod
    def _messages(queue: Queue | None, call: Call, version: str, path: str) -> Reply:
        after, limit = int(call.query.get("marker", 0)), int(call.query.get("limit", 10))
        page = [entry for entry in (queue.messages if queue is not None else []) if entry[0] > after][:limit]
        if not page and version == "v1":
            return Reply(204)
        shown = []
        for number, message in page:
            one = {"href": f"{path}/messages/{number:024x}", "ttl": message.get("ttl", 3600), "age": 0}
            shown.append(one | {"body": message["body"]} | ({} if version == "v1" else {"id": f"{number:024x}"}))
        href = f"{path}/messages?echo=true&limit={limit}&marker={page[-1][0] if page else after}"
        return Reply(200, {"messages": shown, "links": [{"rel": "next", "href": href}] if page else []})

    @staticmethod
    def _pop(queue: Queue | None, call: Call) -> Reply:
        if "pop" not in call.query:
            return Reply(204)
        taken = queue.messages[: int(call.query["pop"])] if queue is not None else []
        if queue is not None:
            del queue.messages[: len(taken)]
        popped = [{"id": f"{number:024x}", "ttl": 300, "age": 0, "body": message["body"]} for number, message in taken]
        return Reply(200, {"messages": popped})


class Held:
    """Calls that are kept waiting, in the order they came. Made by ``FakePartition.hold``."""

    def __init__(self, matches: Callable[[Call], bool], *, done: bool) -> None:
        self.matches = matches
        self.done = done
        self.calls: list[Call] = []
        self._free: set[Call] = set()
        self._lost: set[Call] = set()
        self._over = False
        self._changed = threading.Condition()

    def wait(self, count: int = 1) -> list[Call]:
        """Return the calls, once there are ``count`` of them."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.calls) >= count, PATIENCE)
            assert came, f"held only {self.calls} instead of {count} calls"
            return list(self.calls)

    def release(self, call: Call | None = None) -> None:
        """Let one call go on; without an argument all there are and all that come."""
        with self._changed:
            if call is None:
                self._over = True
            else:
                self._free.add(call)
            self._changed.notify_all()

    def lose(self) -> None:
        """Close the connections of the calls held, and let later calls go on."""
        with self._changed:
            self._lost.update(self.calls)
            self._over = True
            self._changed.notify_all()

    def keep(self, call: Call) -> bool:
        """Keep ``call`` waiting; return whether it is to go on. For the partition."""
        with self._changed:
            if self._over:
                return True
            self.calls.append(call)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or call in self._free)
            return call not in self._lost


Script = Callable[[Call], bytes | Iterable[bytes]]


class FakePartition:
    """One host of a partition, serving while the context is open.

    ``calls`` are those read whole, in order; they are kept whatever is then done with them.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store()
        self.calls: list[Call] = []
        self.failures: list[BaseException] = []
        self._rules: list[tuple[Callable[[Call], bool], Held | Script]] = []
        self._threads: list[threading.Thread] = []
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self.port = 0

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, rule in self._rules:
            if isinstance(rule, Held):
                rule.lose()
        self.refuse()
        for thread in self._threads:
            thread.join(PATIENCE)
        if error is None and self.failures:
            raise self.failures[0]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    def of(self, project: str | None) -> list[Call]:
        """The calls of a project: without probes, and what other tests do."""
        return [call for call in list(self.calls) if call.project == project]

    def count(self, method: str, path: str, project: str | None) -> int:
        """How many calls ``method path`` of a project came in."""
        return sum(1 for call in self.of(project) if (call.method, call.path) == (method, path))

    # -- misbehaving -------------------------------------------------------------------------------------------------

    @contextmanager
    def hold(self, method: str, path: str, *, done: bool = False) -> Iterator[Held]:
        """Keep matching calls waiting, before they are done or (``done``) before they are answered.

        ``method`` may be several, as ``PUT|POST``; ``path`` is a regular expression for the whole path. Calls that
        are held at the end go on.
        """
        held = Held(_matching(method, path), done=done)
        with self._rule(held.matches, held):
            try:
                yield held
            finally:
                held.release()

    @contextmanager
    def script(self, method: str, path: str, answer: bytes | Script) -> Iterator[None]:
        """Answer matching calls with these bytes, piece by piece if ``answer`` returns several."""
        with self._rule(_matching(method, path), answer if callable(answer) else lambda _: answer):
            yield

    @contextmanager
    def _rule(self, matches: Callable[[Call], bool], rule: Held | Script) -> Iterator[None]:
        entry = (matches, rule)
        with self._lock:
            self._rules.insert(0, entry)
        try:
            yield
        finally:
            with self._lock:
                self._rules.remove(entry)

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        listener = socket.create_server((HOST, self.port), backlog=1024)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._start(self._accept, listener)

    def refuse(self) -> None:
        """Die: close the listener and all connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    # -- serving -----------------------------------------------------------------------------------------------------

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, (_, port) = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            self._start(self._serve, connection, port)

    def _serve(self, connection: socket.socket, port: int) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while (call := _read_call(stream, port)) is not None:
                    self.calls.append(call)
                    if not self._answer(call, connection):
                        return
        except (OSError, EOFError):
            pass  # the caller is gone
        except Exception as failure:
            self.failures.append(failure)
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _answer(self, call: Call, connection: socket.socket) -> bool:
        """Return whether the connection goes on."""
        with self._lock:
            rule = next((rule for matches, rule in self._rules if matches(call)), None)
        if rule is not None and not isinstance(rule, Held):
            answer = rule(call)
            for piece in [answer] if isinstance(answer, bytes) else answer:
                connection.sendall(piece)
            return True
        if rule is not None and not rule.done and not rule.keep(call):
            return False
        reply = self.store.answer(call)
        if rule is not None and rule.done and not rule.keep(call):
            return False
        connection.sendall(reply.serialised(head_only=call.method == "HEAD"))
        return True


def _matching(method: str, path: str) -> Callable[[Call], bool]:
    pattern = re.compile(path)
    methods = method.split("|")
    return lambda call: call.method in methods and pattern.fullmatch(call.path) is not None


def _read_call(stream: Any, port: int) -> Call | None:
    """Read a request that frames its body by Content-Length; None at the end. Raises EOFError if it breaks off."""
    first = stream.readline()
    if not first:
        return None
    method, target, _ = first.decode("latin-1").split(" ")
    headers = {}
    while (line := stream.readline()) != b"\r\n":
        if not line:
            raise EOFError
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    assert "transfer-encoding" not in headers, "partitions ignore chunked bodies"
    length = int(headers.get("content-length", 0))
    body = stream.read(length)
    if len(body) < length:
        raise EOFError
    return Call(method, target, headers, body, port)
