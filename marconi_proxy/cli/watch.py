"""Following a move or a plan until it reaches a given state: the text to show, when to stop, and how fast it goes.

This module only reads: ending a watch stops neither the move nor the plan.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from catalog.model import FINISHED_STATES, MoveState
from marconi_proxy.admin_client.client import AdminClient, AdminNotFound, part
from marconi_proxy.exits import CommandError, Exit
from marconi_proxy.moving.protocol.machine import UNDER_WAY_AGAIN, before_switch

# Seconds between two polls. The first interval is short, because most moves switch within it.
FIRST_INTERVAL = 0.05
INTERVAL = 0.5
# After a slow answer the next poll waits for this multiple of the time that the answer took.
_SHARE = 3.0
# The number of consecutive failures of the admin API after which the watch gives up.
_PATIENCE = 20
# The number of polls over which a rate is measured.
_SAMPLES = 60


def nap(seconds: float) -> None:
    """Wait between two polls."""
    time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class View:
    """The content to show: ``done`` of ``total`` (of a move, its completed steps), ``words`` for text that is news when
    it changes, ``numbers`` for text that changes continually.

    ``left``: messages that consumers must still take from older segments, None if unknown. ``pause``: how long writes
    were held so far, in words.
    """

    title: str
    done: int
    total: int
    unit: str
    words: str
    left: int | None = None
    pause: str = ""
    numbers: str = ""


class WatchReporter(Protocol):
    """Shows views to people. Used as a context manager."""

    def __enter__(self) -> WatchReporter: ...

    def __exit__(self, *args: object) -> None: ...

    def show(self, view: View, rate: float, eta: float | None) -> None:
        """``rate``: messages a second; ``eta``: seconds until none is left, None if unknown."""
        ...


class DrainRate:
    """How fast a number of messages falls: ``seen`` adds a sample, and returns rate and remaining seconds."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def seen(self, now: float, left: int | None) -> tuple[float, float | None]:
        if left is None:
            return 0.0, None
        self._looks.append((now, left))
        then, before = self._looks[0]
        if now <= then or left >= before:
            return 0.0, 0.0 if left == 0 else None
        rate = (before - left) / (now - then)
        return rate, left / rate


class Lines:
    """Print a line when words have changed; for mere numbers, at most at every tenth poll."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last: View | None = None
        self._since = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *args: object) -> None:
        return None

    def show(self, view: View, rate: float, eta: float | None) -> None:
        self._since += 1
        before = self._last
        news = before is None or view.words != before.words or (view.done == view.total != before.done)
        if view == before or not (news or self._since >= 10):
            return
        self._last, self._since = view, 0
        self._say(line(view, rate, eta))


def line(view: View, rate: float, eta: float | None) -> str:
    """Return a view as one line."""
    parts = [f"{view.title}: {view.done}/{view.total} {view.unit}", text_of(view)]
    if view.left is not None:
        going = f" ({rate:.0f}/s, about {duration(eta)})" if rate and eta is not None else ""
        parts.append(f"{view.left} message{'s' if view.left != 1 else ''} left{going}")
    return "; ".join(part for part in (*parts, view.pause) if part)


def text_of(view: View) -> str:
    """Return the words and numbers of a view as text."""
    return ", ".join(part for part in (view.words, view.numbers) if part)


def duration(seconds: float) -> str:
    """Return seconds in a unit that suits people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


class Watch:
    """Poll one object repeatedly. ``deadline``: give up after so many seconds (CommandError TIMED_OUT)."""

    def __init__(
        self, admin: AdminClient, reporter: WatchReporter, deadline: float | None, clock: Callable[[], float]
    ) -> None:
        self._admin = admin
        self._reporter = reporter
        self._clock = clock
        self._ends = None if deadline is None else clock() + deadline

    def move(self, move_id: str, until: str, to: str | None = None) -> dict[str, Any]:
        """Return the move once it is switched (``until`` is ``switch``), ``to`` this partition if one is named, is done
        (``done``) or has ended (``end``). Raises CommandError REFUSED with the reason if that needs an action of the
        operator."""
        return self._follow(f"/v1/moves/{part(move_id)}", move_id, move_view, lambda move: _reached(move, until, to))

    def plan(self, plan_id: str) -> dict[str, Any]:
        """Return the progress of the plan once it is done or stopped. Raises CommandError REFUSED if that needs an
        action of the operator."""
        return self._follow(f"/v1/plans/{part(plan_id)}/progress", plan_id, plan_view, _over)

    def _follow(
        self,
        path: str,
        name: str,
        view: Callable[[Mapping[str, Any]], View],
        reached: Callable[[Mapping[str, Any]], bool],
    ) -> dict[str, Any]:
        pace = DrainRate()
        interval = FIRST_INTERVAL
        goes_on = f"it continues. Follow it with: marconi-proxy move watch {name}"
        try:
            with self._reporter as reporter:
                while True:
                    began = self._clock()
                    document = self._look(path)
                    seen = view(document)
                    reporter.show(seen, *pace.seen(self._clock(), seen.left))
                    if reached(document):
                        return document
                    if self._ends is not None and self._clock() >= self._ends:
                        raise CommandError(f"timed out waiting for {name}; {goes_on}", Exit.TIMED_OUT)
                    # The progress of a long plan is expensive for the catalog.
                    nap(max(interval, _SHARE * (self._clock() - began)))
                    interval = min(INTERVAL, interval * 1.5)
        except KeyboardInterrupt:
            raise CommandError(f"interrupted while following {name}; {goes_on}", Exit.TIMED_OUT) from None

    def _look(self, path: str) -> dict[str, Any]:
        failures = 0
        while True:
            try:
                _, document = self._admin.call("GET", path)
            except AdminNotFound:
                raise
            except CommandError as error:
                failures += 1
                if error.status in (Exit.USAGE, Exit.REFUSED) or failures > _PATIENCE:
                    raise
                nap(INTERVAL)
            else:
                found: dict[str, Any] = document
                return found


# The states in which a move waits for a decision of the operator, with the possible verbs.
_RESTING = {MoveState.PAUSED: ("resume", "cancel"), MoveState.SUSPENDED: ("resume", "reverse")}
_FAILED = (MoveState.UNDOING, MoveState.CANCELLED, MoveState.VOID)


def _reached(move: Mapping[str, Any], until: str, to: str | None = None) -> bool:
    state = MoveState(move["state"])
    if until == "end" and state in FINISHED_STATES:
        return True
    if until == "switch" and state in UNDER_WAY_AGAIN:
        return False
    if to is not None and not before_switch(state) and state not in UNDER_WAY_AGAIN and move["toward"] != to:
        raise CommandError(f"move {move['id']} no longer goes to {to}: {_given_up(move)}", Exit.REFUSED)
    if until == "switch" and state is not MoveState.VOID and not before_switch(state):
        return True
    if state in _RESTING:
        following = " or ".join(f"marconi-proxy move {verb} {move['id']}" for verb in _RESTING[state])
        raise CommandError(f"move {move['id']} is {state}{_because(move)}. Next: {following}", Exit.REFUSED)
    if until != "end" and state in _FAILED:
        following = f"marconi-proxy move show {move['id']}"
        raise CommandError(f"move {move['id']} is {state}{_because(move)}. Next: {following}", Exit.REFUSED)
    return state is MoveState.DONE


def _given_up(move: Mapping[str, Any]) -> str:
    reasons = [entry["reason"] for entry in move.get("log", ()) if entry["state"] == MoveState.REROUTE_UNDOING]
    return reasons[-1] if reasons else f"writes go to {move['toward']}"


def _over(plan: Mapping[str, Any]) -> bool:
    if plan["state"] == "planned":
        raise CommandError(f"plan {plan['id']} was not applied", Exit.REFUSED)
    if plan["state"] == "paused" and not plan["begun"]:
        following = f"marconi-proxy plan resume {plan['id']} or marconi-proxy plan stop {plan['id']}"
        raise CommandError(f"plan {plan['id']} is paused. Next: {following}", Exit.REFUSED)
    return plan["state"] in ("done", "stopped")


def _because(move: Mapping[str, Any]) -> str:
    return f": {move['log'][-1]['reason']}" if move.get("log") else ""


# The number of completed steps in each state: prepared, switched, emptied, done.
_STEPS = {
    MoveState.ARMED: 1,
    MoveState.SEALING: 1,
    MoveState.LINGERING: 3,
    MoveState.RETIRED: 3,
    MoveState.DONE: 4,
}


def named(thing: Mapping[str, Any]) -> str:
    """Return the name of a queue in text: project/queue."""
    return f"{thing['project'] or '-'}/{thing['queue']}"


def move_view(move: Mapping[str, Any]) -> View:
    """Return the view of a move."""
    state = MoveState(move["state"])
    steps = _STEPS.get(state, 0 if before_switch(state) else 2)
    waits = f"waits: {move['waits']}" if move["waits"] else ""
    # After the switch it waits for consumers, and the text changes with each message that they take.
    words = f"{state}, {waits}" if waits and before_switch(state) else str(state)
    # Reversed, it goes from its target to its source.
    leaves = move["target"] if move["toward"] == move["source"] else move["source"]
    return View(
        f"{named(move)} {leaves} -> {move['toward']}, writes go to {move['writes_to']}",
        steps,
        4,
        "steps",
        words,
        move["left"] if steps >= 2 else None,
        "" if move["pause_ms"] is None else f"writes paused for {move['pause_ms']:.0f} ms",
        "" if before_switch(state) else waits,
    )


def plan_view(plan: Mapping[str, Any]) -> View:
    """Return the view of a plan's progress."""
    ended = plan["ended"]
    states = [f"{count} {state}" for state, count in plan["states"].items()]
    badly = [f"{count} {outcome}" for outcome, count in ended.items() if count and outcome != "done"]
    waiting = [f"{plan['waiting']} waiting"] if plan["waiting"] else []
    pause = plan["pause"]
    return View(
        plan["title"],
        plan["switched"],
        plan["moves"],
        "switched",
        ", ".join([plan["state"], *badly]),
        plan["left"] if plan["switched"] else None,
        f"pauses: median {pause['median_ms']:.0f} ms, longest {pause['longest_ms']:.0f} ms" if pause else "",
        ", ".join([f"{ended['done']} done", *states, *waiting]),
    )
