"""The end of the tour: a queue is moved while it is in use, by an operator's command."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from catalog.model import FINISHED_STATES, MoveState
from marconi_proxy.admin_client.client import AdminClient, part
from marconi_proxy.exits import CommandError, Exit
from marconi_proxy.moving.protocol.machine import before_switch
from marconi_proxy.quickstart.errors import TourError
from marconi_proxy.quickstart.traffic import CONSUMERS, PRODUCERS, Traffic

# Seconds between two polls, and until a step must be reached. The move waits for a killed worker of an earlier session
# until its lease has ended.
_INTERVAL = 0.05
_PATIENCE = 90.0
# Seconds without a delivery after which undelivered messages count as lost; and seconds for a move to be undone.
_LAST = 10.0
# Seconds after which the condition that a move waits for is shown.
_SILENCE = 3.0
# Messages delivered before the order, and posted after the switch.
_BEFORE = 60
_AFTER = 60

_EMPTY = frozenset({MoveState.LINGERING, MoveState.RETIRED, MoveState.DONE})
_STUCK = frozenset({MoveState.PAUSED, MoveState.UNDOING, MoveState.CANCELLED, MoveState.SUSPENDED, MoveState.VOID})


def ways(versions: Mapping[str, list[str]]) -> dict[str, str]:
    """Return for each partition a target for its queues, which must speak every API version of the source, because
    clients may use any. ``versions`` by partition; a partition without a target is left out."""
    found = {}
    for source, spoken in versions.items():
        targets = [name for name, theirs in versions.items() if name != source and set(spoken) <= set(theirs)]
        if spoken and targets:
            found[source] = targets[0]
    return found


class LiveMove:
    """``check`` raises if a required process has ended. ``say`` shows a line."""

    def __init__(
        self,
        public: httpx.Client,
        admin: AdminClient,
        say: Callable[[str], None],
        check: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._public = public
        self._admin = admin
        self._say = say
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._ordered: str | None = None

    def run(self, tenant: str, queue: str, source: str, target: str) -> None:
        """Move an empty queue from ``source`` to ``target``, and count. Raises TourError, CommandError."""
        with Traffic(self._public, tenant, queue) as traffic:
            self._say(
                f"{PRODUCERS} producers of {tenant} post to {queue} on {source}, {CONSUMERS} consumers claim from it, "
                f"all the time"
            )
            self._until(traffic, lambda: traffic.delivered >= _BEFORE, "messages are delivered")
            move = self._order(traffic, tenant, queue, target)
            self._say(f"An operator ordered: move start {tenant} {queue} --to {target}")
            seen = self._watch(traffic, move, lambda state: not before_switch(state), "writes go to the target")
            switched_at = traffic.posted
            self._say(f"Writes go to {target} now; what is left on {source} is read first")
            self._watch(traffic, move, _EMPTY.__contains__, "the old segment is empty")
            self._say(f"Nothing is left on {source}; after another look, later, the mover deletes the queue there")
            self._until(traffic, lambda: traffic.posted >= switched_at + _AFTER, "messages are posted")
            figures = traffic.finish(_LAST)
        felt, measured = figures.longest_write * 1000.0, seen["pause_ms"]
        held = "for an unknown time" if measured is None else f"for {measured:.0f} ms"
        self._say(f"{figures}, longest write pause {felt:.0f} ms as clients felt it; the move held writes {held}")
        if not figures.clean:
            raise TourError(
                f"this did not hold: every message is delivered once and in order while {tenant}/{queue} is moved; "
                f"instead there was: {figures}"
            )

    def _order(self, traffic: Traffic, tenant: str, queue: str, target: str) -> str:
        """Return the id of the move. A temporary refusal is possible: the move of an earlier tour may not have
        ended."""
        body = {"project": tenant, "queue": queue, "to": target}
        begun = self._clock()
        told = ""
        while True:
            try:
                _, ordered = self._admin.call("POST", "/v1/moves", body)
                self._ordered = str(ordered["moves"][0]["id"])
                return self._ordered
            except CommandError as refused:
                waited = self._clock() - begun
                if refused.status is not Exit.REFUSED or waited > _PATIENCE:
                    raise
                if str(refused) != told and waited > _SILENCE:
                    told = str(refused)
                    self._say(told)
            self._pause(traffic)

    def _watch(self, traffic: Traffic, move: str, there: Callable[[MoveState], bool], what: str) -> dict[str, Any]:
        """Return the move once its state is ``there``; show the reason if it waits for long. Raises TourError."""
        begun = self._clock()
        told = ""
        while True:
            _, seen = self._admin.call("GET", f"/v1/moves/{part(move)}")
            state = MoveState(seen["state"])
            if there(state):
                return dict(seen)
            waits = seen["waits"] or ""
            waited = self._clock() - begun
            if state in _STUCK or waited > _PATIENCE:
                raise TourError(f"this did not hold: {what}; instead move {move} is {state}: {waits}")
            if waits != told and waited > _SILENCE:
                told = waits
                self._say(f"The move is {state}: {waits}")
            self._pause(traffic)

    def _until(self, traffic: Traffic, there: Callable[[], bool], what: str) -> None:
        deadline = self._clock() + _PATIENCE
        while not there():
            if self._clock() > deadline:
                raise TourError(f"this did not hold: {what}; there were {traffic.posted} posted, none for too long")
            self._pause(traffic)

    def _pause(self, traffic: Traffic) -> None:
        traffic.check()
        self._check()
        self._sleep(_INTERVAL)

    def take_back(self) -> None:
        """Before the queue is deleted: cancel the move, if writes never went to the target, and wait until it is undone
        there."""
        self._until_finished("cancel", before_switch)

    def wind_up(self) -> None:
        """After the queue was deleted: make the mover notice it, and wait until it has cleaned up.

        Otherwise the mover would check at the next due time, after its own end; an operator's decision takes effect at
        once.
        """
        self._until_finished("pause", lambda state: True)

    def _until_finished(self, verb: str, wanted: Callable[[MoveState], bool]) -> None:
        """Apply a verb to the move while its state is in ``wanted``, and wait for its end."""
        if self._ordered is None:
            return
        path = f"/v1/moves/{part(self._ordered)}"
        deadline = self._clock() + _LAST
        # If the admin API is gone, so is the mover.
        with contextlib.suppress(CommandError):
            while self._clock() < deadline:
                _, seen = self._admin.call("GET", path)
                state = MoveState(seen["state"])
                if state in FINISHED_STATES or not wanted(state):
                    return
                # Refused during the switch, which takes only a moment.
                with contextlib.suppress(CommandError):
                    self._admin.call("POST", f"{path}/{verb}")
                self._sleep(_INTERVAL)
            self._say(f"Move {self._ordered} is not over yet; the next mover goes on with it")
