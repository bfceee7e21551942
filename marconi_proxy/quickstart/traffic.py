"""Producers and claiming consumers of one queue, each a thread that acts as a client, and their observations."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx

from marconi_proxy.quickstart.errors import TourError
from marconi_proxy.quickstart.figures import ClaimRecord, Figures, Name, judge

PRODUCERS = 3
CONSUMERS = 3
# Seconds between two posts of a producer, two empty claims of a consumer, and two tries after a 503.
_BETWEEN_POSTS = 0.02
_BETWEEN_CLAIMS = 0.02
_AGAIN = 0.1
# Seconds for one call, and for the retries of a call refused with 503.
_CALL = 15.0
_PATIENCE = 30.0
_TTL = 600
_AT_A_TIME = 5


class Traffic:
    """Runs within a ``with`` statement. ``public`` has a base URL; threads share it. ``sleep`` gets seconds, and
    ``clock`` returns them."""

    def __init__(
        self,
        public: httpx.Client,
        tenant: str,
        queue: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._public = public
        self._tenant = tenant
        self._path = f"/v2/queues/{queue}"
        self._clock = clock
        self._sleep = sleep
        self._posting = threading.Event()
        self._claiming = threading.Event()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._posted: dict[Name, float] = {}
        self._claims: list[ClaimRecord] = []
        self._delivered: set[Name] = set()
        self._failure: Exception | None = None
        self._producers = [threading.Thread(target=self._run, args=(self._produce, n)) for n in range(PRODUCERS)]
        self._consumers = [threading.Thread(target=self._run, args=(self._consume, n)) for n in range(CONSUMERS)]

    def __enter__(self) -> Self:
        self._posting.set()
        self._claiming.set()
        for thread in (*self._producers, *self._consumers):
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._posting.clear()
        self._claiming.clear()
        for thread in (*self._producers, *self._consumers):
            thread.join()

    @property
    def posted(self) -> int:
        """How many messages were acknowledged so far."""
        with self._lock:
            return len(self._posted)

    @property
    def delivered(self) -> int:
        """How many different messages were claimed so far."""
        with self._lock:
            return len(self._delivered)

    def check(self) -> None:
        """Raise TourError if a client got a wrong answer."""
        with self._lock:
            if self._failure is not None:
                raise TourError(str(self._failure)) from self._failure

    def finish(self, patience: float) -> Figures:
        """Stop posting, and let consumers take the remaining messages until none has come for ``patience`` seconds;
        return the figures. Raises TourError."""
        self._posting.clear()
        for thread in self._producers:
            thread.join()
        delivered, since = self.delivered, self._clock()
        while not self._all_delivered() and self._clock() - since < patience:
            self.check()
            self._sleep(_BETWEEN_CLAIMS)
            if self.delivered != delivered:
                delivered, since = self.delivered, self._clock()
        # A duplicate may come last.
        self._ending.set()
        for thread in self._consumers:
            thread.join()
        self.check()
        return judge(self._posted, self._claims)

    def _all_delivered(self) -> bool:
        with self._lock:
            return self._posted.keys() <= self._delivered

    # -- threads -----------------------------------------------------------------------------------------------------

    def _run(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except Exception as error:
            with self._lock:
                self._failure = self._failure or error

    def _produce(self, producer: int) -> None:
        client_id = str(uuid.uuid4())
        number = 0
        while self._posting.is_set():
            name = Name(producer, number)
            body = {"messages": [{"ttl": _TTL, "body": name._asdict()}]}
            begun = self._clock()
            self._call(client_id, "POST", f"{self._path}/messages", body, expect=(201,))
            with self._lock:
                self._posted[name] = self._clock() - begun
            number += 1
            self._sleep(_BETWEEN_POSTS)

    def _consume(self, _: int) -> None:
        client_id = str(uuid.uuid4())
        terms = {"ttl": _TTL, "grace": _TTL}
        while self._claiming.is_set():
            sent = self._clock()
            claimed = self._call(client_id, "POST", f"{self._path}/claims?limit={_AT_A_TIME}", terms, expect=(201, 204))
            answered = self._clock()
            if claimed is None and self._ending.is_set():
                return
            if claimed is None:
                self._sleep(_BETWEEN_CLAIMS)
                continue
            names = tuple(Name(**message["body"]) for message in claimed["messages"])
            with self._lock:
                self._claims.append(ClaimRecord(sent, answered, names))
                self._delivered.update(names)
            for message in claimed["messages"]:
                self._call(client_id, "DELETE", message["href"], None, expect=(204,))

    def _call(self, client_id: str, method: str, path: str, body: Any, *, expect: tuple[int, ...]) -> Any:
        """Make a call, and retry it while it is refused with 503, which means that it was not processed. Raises
        TourError."""
        headers = {"Client-ID": client_id, "X-Project-Id": self._tenant}
        deadline = self._clock() + _PATIENCE
        while True:
            try:
                response = self._public.request(method, path, json=body, headers=headers, timeout=_CALL)
            except httpx.HTTPError as error:
                raise TourError(f"{method} {path} as {self._tenant}: {error or type(error).__name__}") from error
            if response.status_code != 503 or self._clock() > deadline:
                break
            self._sleep(_AGAIN)
        if response.status_code not in expect:
            expected = " or ".join(map(str, expect))
            raise TourError(
                f"this did not hold: {method} {path} as {self._tenant} answered {expected}; instead there was: "
                f"{response.status_code} {response.text}"
            )
        return response.json() if response.content else None
