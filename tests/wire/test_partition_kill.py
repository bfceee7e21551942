"""What was acknowledged survives kill -9, and what was deleted does not come back."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.servers.partition import PartitionNode, start_partition
from tests.wire.script import CLIENT

KILLS = 3
PRODUCERS = 4
CONSUMERS = 3
POSTED_BETWEEN_KILLS = 150
HEADERS = {"Client-ID": CLIENT, "X-Project-Id": "p"}
MESSAGES = "/v2/queues/orders/messages"
CLAIMS = "/v2/queues/orders/claims?limit=5"


class Traffic:
    """Producers and consumers that go on through every failure, and remember what they were promised."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._stop = threading.Event()
        self.posted: set[str] = set()
        self.delivered: list[str] = []
        self.deleted: set[str] = set()
        self.enough = threading.Semaphore(0)
        self.failures: list[BaseException] = []

    def produce(self, producer: int) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            name = f"{producer}-{number}"
            answer = self._call("POST", MESSAGES, {"messages": [{"ttl": 300, "body": name}]})
            if answer is not None and answer.status_code == 201:
                self.posted.add(name)
                self.enough.release()

    def consume(self) -> None:
        while not self._stop.is_set():
            answer = self._call("POST", CLAIMS, {"ttl": 60, "grace": 60})
            if answer is None or answer.status_code != 201:
                continue
            for message in answer.json()["messages"]:
                self.delivered.append(message["body"])
                deletion = self._call("DELETE", message["href"], None)
                if deletion is not None and deletion.status_code == 204:
                    self.deleted.add(message["body"])

    def _call(self, method: str, path: str, body: object) -> httpx.Response | None:
        """None if nobody can know what became of it."""
        try:
            return httpx.request(method, self._url() + path, headers=HEADERS, json=body, timeout=10)
        except (httpx.TransportError, http.client.HTTPException):
            return None

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            self.failures.append(failure)

    def start(self) -> list[threading.Thread]:
        work = [lambda n=n: self.produce(n) for n in range(PRODUCERS)] + [self.consume] * CONSUMERS
        threads = [threading.Thread(target=self._guard, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        return threads

    def stop(self, threads: list[threading.Thread]) -> None:
        self._stop.set()
        for thread in threads:
            thread.join(30)


def test_acknowledged_posts_survive_and_deleted_ones_stay_away(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'messages.db'}"
    node = start_partition(storage, tmp_path, workers=2)
    traffic = Traffic(lambda: node.url)
    threads = traffic.start()
    try:
        for _ in range(KILLS):
            for _ in range(POSTED_BETWEEN_KILLS):
                assert traffic.enough.acquire(timeout=60)
            node.kill()
            node = start_partition(storage, tmp_path, workers=2, port=node.port)
    finally:
        traffic.stop(threads)
    try:
        assert traffic.failures == []
        left = remaining(node)
    finally:
        node.process.stop()
    assert traffic.posted - set(traffic.delivered) - left == set(), "acknowledged and lost"
    assert traffic.deleted & left == set(), "deleted and back"
    assert len(traffic.delivered) == len(set(traffic.delivered)), "delivered twice"
    assert len(traffic.posted) >= KILLS * POSTED_BETWEEN_KILLS
    assert len(traffic.deleted) > 0


def remaining(node: PartitionNode) -> set[str]:
    """The bodies of all messages, claimed or not."""
    left: set[str] = set()
    path = MESSAGES + "?limit=20&echo=true&include_claimed=true"
    while True:
        page = json.loads(httpx.get(node.url + path, headers=HEADERS).content)
        left |= {message["body"] for message in page["messages"]}
        if not page["links"]:
            return left
        path = page["links"][0]["href"]
