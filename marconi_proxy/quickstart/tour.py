"""The tour: a short demonstration with real calls through the front door, each of them checked.

Everything is done as two tenants would do it, over the public API v2; only "where is it" asks the admin API, and the
move at its end is ordered there.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Collection
from typing import Any

import httpx

from marconi_proxy.admin_client.client import AdminClient, part
from marconi_proxy.quickstart.errors import TourError
from marconi_proxy.quickstart.live_move import LiveMove, ways

# The queue that is moved is this one's, and its name begins with this.
_MOVED = ("tour-blue", "parcels")
TENANTS = {"tour-blue": ("orders", "payments", "invoices"), "tour-green": ("orders", "letters")}
# Seconds for which a repeatable call is retried.
_PATIENCE = 10.0
_MESSAGES = 5
# More queues than this on one of two partitions cannot be a coincidence.
_MOST_QUEUES = 40
_CLAIMED = 2


class Tour:
    """``say`` is called with each line to show. ``public`` has a base URL. ``partitions``: those that take queues.
    ``check`` raises if a required process has ended."""

    def __init__(
        self,
        public: httpx.Client,
        admin: AdminClient,
        partitions: Collection[str],
        say: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._public = public
        self._partitions = partitions
        self._admin = admin
        self._say = say
        self._check = check
        self._live_move: LiveMove | None = None
        self._client_id = str(uuid.uuid4())
        self._queues = {tenant: list(queues) for tenant, queues in TENANTS.items()}

    def run(self) -> None:
        """Take the tour. Raises TourError at the first step that does not hold, CommandError."""
        self.tidy_up()
        self._create()
        for tenant, queues in TENANTS.items():
            self._use(tenant, queues[0])
        self._list()
        self._show_places()
        self._move()

    def tidy_up(self) -> None:
        """Delete the tour's queues, also those of an earlier tour, and end its move."""
        if self._live_move is not None:
            self._live_move.take_back()
        for tenant, queues in TENANTS.items():
            for queue in {*queues, *self._listed(tenant, 20)}:
                self._call(tenant, "DELETE", f"/v2/queues/{queue}", expect=204)
        if self._live_move is not None:
            self._live_move.wind_up()
        self._queues = {tenant: list(queues) for tenant, queues in TENANTS.items()}

    def _create(self) -> None:
        for tenant, queues in self._queues.items():
            for queue in queues:
                self._put(tenant, queue)
        # The name of a queue determines its partition, and a few names may all have the same one.
        tenant, queues = next(iter(self._queues.items()))
        for number in range(2, _MOST_QUEUES):
            if len({self._place(tenant, queue) for queue in queues}) >= min(2, len(self._partitions)):
                return
            queues.append(f"{queues[0]}-{number}")
            self._put(tenant, queues[-1])
        self._hold(False, f"the queues of {tenant} spread over the partitions", queues)

    def _put(self, tenant: str, queue: str) -> None:
        self._call(tenant, "PUT", f"/v2/queues/{queue}", expect=201)
        self._say(f"{tenant} created queue {queue}")

    def _use(self, tenant: str, queue: str) -> None:
        path = f"/v2/queues/{queue}"
        messages = [{"ttl": 300, "body": {"number": n, "for": tenant}} for n in range(_MESSAGES)]
        posted = self._call(tenant, "POST", f"{path}/messages", {"messages": messages}, expect=201)
        self._hold(len(posted["resources"]) == _MESSAGES, f"{_MESSAGES} messages posted to {queue}", posted)
        self._say(f"{tenant} posted {_MESSAGES} messages to {queue}")
        claim = self._call(tenant, "POST", f"{path}/claims?limit={_CLAIMED}", {"ttl": 60, "grace": 60}, expect=201)
        numbers = [message["body"]["number"] for message in claim["messages"]]
        self._hold(numbers == list(range(_CLAIMED)), "the oldest messages claimed first", claim)
        owners = {message["body"]["for"] for message in claim["messages"]}
        self._hold(owners == {tenant}, "only messages of its own claimed", claim)
        self._say(f"{tenant} claimed the first {_CLAIMED} of {queue}")
        for message in claim["messages"]:
            self._call(tenant, "DELETE", message["href"], expect=204)
        stats = self._call(tenant, "GET", f"{path}/stats", expect=200)["messages"]
        left = _MESSAGES - _CLAIMED
        self._hold(stats["total"] == left and stats["claimed"] == 0, f"{left} messages left in {queue}", stats)
        self._say(f"{tenant} deleted them with its claim; {left} messages are left")

    def _list(self) -> None:
        for tenant, queues in self._queues.items():
            names = self._listed(tenant, 2)
            self._hold(names == sorted(queues), f"exactly the queues of {tenant} listed, by name", names)
            places = sorted({self._place(tenant, queue) for queue in queues})
            across = f" across partitions {', '.join(places[:-1])} and {places[-1]}" if len(places) > 1 else ""
            self._say(f"{tenant} listed its queues{across}, page by page: {', '.join(names)}")

    def _listed(self, tenant: str, limit: int) -> list[str]:
        """The names of all queues of a tenant, in pages of ``limit``."""
        names: list[str] = []
        page = f"/v2/queues?limit={limit}"
        while True:
            listed = self._call(tenant, "GET", page, expect=200)
            if not listed["queues"]:
                return names
            names += [entry["name"] for entry in listed["queues"]]
            page = listed["links"][0]["href"]

    def _show_places(self) -> None:
        for tenant, queues in self._queues.items():
            for queue in queues:
                self._say(f"{tenant}/{queue} is on partition {self._place(tenant, queue)}")

    def _move(self) -> None:
        versions = {}
        for name in self._partitions:
            _, partition = self._admin.call("GET", f"/v1/partitions/{part(name)}")
            versions[name] = partition["api_versions"]
        targets = ways(versions)
        if not targets:
            reason = (
                "there is one partition only"
                if len(versions) == 1
                else "no partition speaks all versions of the API that another one speaks"
            )
            self._say(f"No queue is moved: {reason}")
            return
        tenant, name = _MOVED
        # The name of a queue determines its partition, and some partitions may have no target. The name is new each
        # time, because a killed tour may have left a move between partitions that no longer exist.
        for _ in range(_MOST_QUEUES):
            queue = f"{name}-{secrets.token_hex(2)}"
            self._queues[tenant].append(queue)
            self._call(tenant, "PUT", f"/v2/queues/{queue}", expect=201)
            source = self._place(tenant, queue)
            if source in targets:
                self._live_move = LiveMove(self._public, self._admin, self._say, self._check)
                self._live_move.run(tenant, queue, source, targets[source])
                return
        self._hold(False, f"a queue of {tenant} on one of {', '.join(targets)}", self._queues[tenant])

    def _place(self, tenant: str, queue: str) -> str:
        _, placement = self._admin.call("GET", f"/v1/placements/{tenant}/{queue}")
        self._hold(placement["state"] == "open", f"an open placement of {queue}", placement)
        return str(placement["segments"][-1]["partition"])

    def _call(self, tenant: str, method: str, path: str, body: Any = None, *, expect: int) -> Any:
        headers = {"Client-ID": self._client_id, "X-Project-Id": tenant}
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                response = self._public.request(method, path, json=body, headers=headers)
            except httpx.HTTPError as error:
                raise TourError(f"{method} {path} as {tenant}: {error or type(error).__name__}") from error
            # The partitions were registered a moment ago: workers without that change answer 503 with Retry-After.
            if response.status_code != 503 or method == "POST" or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self._hold(response.status_code == expect, f"{method} {path} as {tenant} answered {expect}", response.text)
        return response.json() if response.content else None

    def _hold(self, condition: bool, expectation: str, instead: object) -> None:
        if not condition:
            raise TourError(f"this did not hold: {expectation}; instead there was: {instead}")
