"""Producers and consumers of the tour, at a door that does as it should or does not: what they count is what was."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from marconi_proxy.quickstart.errors import TourError
from marconi_proxy.quickstart.live_move import ways
from marconi_proxy.quickstart.traffic import Traffic
from tests.servers.fake_partition import until

Meddler = Callable[[deque[Any]], None]


class Door:
    """A queue in memory behind the API. ``meddle`` is called once, with the messages, when ``at`` of them came."""

    def __init__(self, meddle: Meddler | None = None, *, at: int = 40) -> None:
        self.messages: deque[Any] = deque()
        self.refuse = 0
        self.statuses: dict[str, int] = {}
        self._meddle = meddle
        self._at = at
        self._came = 0
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            assert request.headers["X-Project-Id"] == "tenant"
            assert uuid.UUID(request.headers["Client-ID"])
            return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        kind = "DELETE" if request.method == "DELETE" else request.url.path.rpartition("/")[2]
        if self.refuse:
            self.refuse -= 1
            return httpx.Response(503)
        if kind in self.statuses:
            return httpx.Response(self.statuses[kind], text="as told")
        if kind == "DELETE":
            return httpx.Response(204)
        body = json.loads(request.content)
        if kind == "messages":
            self.messages.extend(message["body"] for message in body["messages"])
            self._came += 1
            if self._meddle is not None and self._came >= self._at and len(self.messages) >= 2:
                self._meddle(self.messages)
                self._meddle = None
            return httpx.Response(201, json={"resources": ["/v2/x"]})
        taken = [self.messages.popleft() for _ in range(min(5, len(self.messages)))]
        if not taken:
            return httpx.Response(204)
        claimed = [{"href": f"/v2/queues/q/messages/{uuid.uuid4()}?claim_id=1", "body": one} for one in taken]
        return httpx.Response(201, json={"messages": claimed})


def traffic(door: Door) -> Traffic:
    return Traffic(httpx.Client(base_url="http://door", transport=httpx.MockTransport(door)), "tenant", "q")


def test_at_a_sound_door_nothing_is_lost() -> None:
    with traffic(Door()) as running:
        until(lambda: running.delivered >= 60, "messages are delivered")
        figures = running.finish(30.0)
    assert figures.clean
    assert figures.posted == figures.delivered >= 60
    assert running.posted == figures.posted


def _drop(messages: deque[Any]) -> None:
    messages.pop()


def _repeat(messages: deque[Any]) -> None:
    messages.append(messages[0])


def _invent(messages: deque[Any]) -> None:
    messages.append({"producer": 99, "number": 0})


@pytest.mark.parametrize(
    ("meddle", "figure"),
    [(_drop, "lost"), (_repeat, "duplicated"), (_invent, "strange")],
    ids=["drop", "repeat", "invent"],
)
def test_a_door_that_meddles_is_found_out(meddle: Meddler, figure: str) -> None:
    with traffic(Door(meddle)) as running:
        until(lambda: running.posted >= 60, "messages are posted")
        # The consumers wait that long for dropped messages.
        figures = running.finish(3.0 if meddle is _drop else 30.0)
    assert not figures.clean
    assert getattr(figures, figure) == 1


def test_a_refusal_for_the_moment_is_no_failure() -> None:
    """503: it was not done, and is done again; the time counts as the write's."""
    door = Door()
    with traffic(door) as running:
        until(lambda: running.posted >= 10, "messages are posted")
        door.refuse = 12
        until(lambda: not door.refuse and running.posted >= 40, "it goes on")
        figures = running.finish(30.0)
    assert figures.clean


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("messages", "POST /v2/queues/q/messages as tenant answered 201"),
        ("claims", "POST /v2/queues/q/claims?limit=5 as tenant answered 201 or 204"),
        ("DELETE", "?claim_id=1 as tenant answered 204"),
    ],
)
def test_another_answer_than_expected_ends_it(kind: str, call: str) -> None:
    door = Door()
    door.statuses[kind] = 404
    with traffic(door) as running, pytest.raises(TourError) as caught:
        until(running.check, "a client stumbles")
    assert call in str(caught.value)
    assert str(caught.value).endswith("instead there was: 404 as told")


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ({"a": ["v2"]}, {}),
        ({"a": ["v2"], "b": ["v2"]}, {"a": "b", "b": "a"}),
        ({"a": ["v1", "v2"], "b": ["v2"]}, {"b": "a"}),
        ({"a": ["v1", "v2"], "b": ["v1.1", "v2"]}, {}),
        ({"a": [], "b": ["v2"]}, {}),
        ({"a": ["v2"], "b": ["v2"], "c": ["v2"]}, {"a": "b", "b": "a", "c": "a"}),
    ],
)
def test_where_a_queue_can_go(versions: dict[str, list[str]], found: dict[str, str]) -> None:
    assert ways(versions) == found
