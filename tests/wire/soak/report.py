"""The verdict on a soak. Pure.

The checker judges the histories of clients. An error that clients met must have a kill near it. A soak in which too
little happened fails, because its other verdicts would mean nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from catalog.model import Move, MoveState
from marconi_proxy.moving.orders.order import OPERATOR
from tests.checker.judge import judge
from tests.checker.record import History, Outcome
from tests.wire.soak.clients import PATIENCE, Journal, Trouble

# The most seconds of a producer's turn, which repeats refused posts through a series of kills. After more, it is stuck.
LONGEST_WAIT = 600.0
# The least messages of each producer on average during the kills; as many must be read.
ENOUGH = 20


class Kill(NamedTuple):
    """A kill, or another harm. ``victim``: one of ``System.victims``. ``what``: the action. ``at``, ``replaced``: its
    beginning and end, by the clock of the histories."""

    victim: str
    what: str
    at: float
    replaced: float

    def __str__(self) -> str:
        return f"{self.what} at {self.at:.3f}, over after {self.replaced - self.at:.1f} s"


class Hours(NamedTuple):
    """The times when clients began, kills began, kills ended, and all had ended."""

    began: float
    first_kill: float
    calm: float
    ended: float


_NOT_YET = Hours(0.0, 0.0, 0.0, 0.0)


@dataclass
class Soak:
    """The records to judge. ``aftermath``: the seconds after a replacement for which a kill explains errors.

    ``stuck`` and ``undrained``: the moves and queues that had not ended when all should have.
    """

    journal: Journal
    homes: Mapping[str, Sequence[str]]
    victims: Sequence[str]
    producers: int
    kills: list[Kill] = field(default_factory=list)
    hours: Hours = _NOT_YET
    aftermath: float = 0.0
    moves: Sequence[Move] = ()
    stuck: Sequence[str] = ()
    undrained: Sequence[str] = ()
    # The number of switches before the first kill.
    quiet_switches: int = 0
    # The number of the director's calls by (verb, status of the answer).
    answers: Mapping[tuple[str, int], int] = field(default_factory=dict)

    # -- the errors that clients met ---------------------------------------------------------------------------------

    def explained(self, trouble: Trouble) -> bool:
        """Return whether a kill explains it: 503 near any kill, no answer near one of a worker. A change of a clock
        explains nothing."""
        return trouble.status in (0, 503) and any(
            kill.at <= trouble.when and trouble.asked <= kill.replaced + self.aftermath
            for kill in self.kills
            if kill.victim == "worker" or (trouble.status and kill.victim != "clock")
        )

    def excused(self) -> Counter[str]:
        """Count the errors that kills explain, by method and description."""
        troubles = filter(self.explained, self.journal.troubles)
        return Counter(f"{trouble.what.partition(' ')[0]}: {trouble.words or 'no answer'}" for trouble in troubles)

    def unknown(self) -> int:
        """Count the posts of unknown fate."""
        return sum(post.outcome is Outcome.UNKNOWN for history in self._histories for post in history.posts)

    @property
    def _histories(self) -> list[History]:
        return list(self.journal.histories.values())

    def _acknowledged(self, since: float, until: float) -> int:
        return sum(
            len(post.bodies)
            for history in self._histories
            for post in history.posts
            if post.outcome is Outcome.ACKNOWLEDGED and since <= post.sent and post.answered <= until
        )

    # -- the verdict -------------------------------------------------------------------------------------------------

    def faults(self) -> dict[str, object]:
        """Return all faults, none if all is well."""
        violations = {queue: judge(history) for queue, history in self.journal.histories.items()}
        bad = [trouble for trouble in self.journal.troubles if not self.explained(trouble)]
        gave_up = [
            f"{move.id} of {move.queue}: {entry.reason}"
            for move in self.moves
            for entry in move.log
            if entry.state is MoveState.PAUSED and not entry.reason.startswith(OPERATOR)
        ]
        found: dict[str, object] = {
            "violations": {queue: [str(one) for one in some][:5] for queue, some in violations.items() if some},
            "errors that no kill explains": [str(trouble) for trouble in bad][:10],
            "moves that were given up": gave_up,
            "stuck moves": self.stuck,
            "queues that do not drain": self.undrained,
            "what kills do not explain": list(self._unexplained()),
            "what has to happen": list(self.missing()),
        }
        return {what: some for what, some in found.items() if some}

    def _unexplained(self) -> Iterator[str]:
        unanswered = sum(took.seconds >= PATIENCE for took in self.journal.posts)
        if unanswered:
            yield f"{unanswered} posts were not answered within {PATIENCE:g} s"
        waited = max((wait.seconds for wait in self.journal.waits), default=0.0)
        if waited > LONGEST_WAIT:
            yield f"a producer tried for {waited:.1f} s"
        most = self._unknown_at_most()
        if self.unknown() > most:
            yield f"of {self.unknown()} posts the fate is unknown, more than {most}"

    def _unknown_at_most(self) -> int:
        """Return the most posts of unknown fate: of each producer, a kill leaves at most the one in flight."""
        return self.producers * sum(kill.victim not in ("mover", "clock") for kill in self.kills)

    def switches(self) -> list[tuple[str, str]]:
        """Return (from, to) of each switch of any queue until now."""
        return [way for history in self._histories for way in switches_of(history)]

    def missing(self) -> Iterator[str]:
        """Yield the events that a meaningful soak needs and that have not happened yet. The stage waits for them."""
        killed = {kill.victim for kill in self.kills}
        yield from (f"no {victim} came to harm" for victim in self.victims if victim not in killed)
        ways = self.switches()
        if len(ways) < len(self.homes):
            yield f"there were {len(ways)} switches of {len(self.homes)} queues"
        for partition in {partition for homes in self.homes.values() for partition in homes}:
            if not any(source != partition == target for source, target in ways):
                yield f"nothing was switched to {partition}"
            if not any(source == partition != target for source, target in ways):
                yield f"nothing was switched away from {partition}"
        _, first_kill, calm, _ = self.hours
        if len(ways) - self.quiet_switches < len(self.homes) / 2:
            yield f"of {len(ways)} switches {self.quiet_switches} were before the first kill"
        for verb in ("pause", "resume"):
            if not self.answers.get((verb, 200)):
                yield f"no {verb} of a move was accepted"
        enough = ENOUGH * self.producers
        if self._acknowledged(first_kill, calm) < enough:
            yield f"while some were killed, {self._acknowledged(first_kill, calm)} messages were acknowledged"
        for what, count in self._read().items():
            if count < enough:
                yield f"{count} {what}"

    def _read(self) -> dict[str, int]:
        histories = self._histories
        return {
            "messages delivered": len({s.body for h in histories for c in h.claims for s in c.taken}),
            "messages seen by subscribers": sum(len(page.seen) for h in histories for page in h.pages),
        }

    # -- for people --------------------------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        began, first_kill, calm, ended = self.hours
        posts, histories = self.journal.posts, self._histories
        switches = self.switches()
        figures = {
            "seconds without kills, with kills, to drain": (
                f"{first_kill - began:.0f}, {calm - first_kill:.0f}, {ended - calm:.0f}"
            ),
            "messages acknowledged": self._acknowledged(began, ended),
            "messages acknowledged while some were killed": self._acknowledged(first_kill, calm),
            **self._read(),
            "calls": dict(self.journal.calls),
            "posts whose fate is unknown": f"{self.unknown()} of at most {self._unknown_at_most()}",
            "longest post (s)": round(max((took.seconds for took in posts), default=0.0), 3),
            "longest post without kills (s)": round(
                max((took.seconds for took in posts if took.sent + took.seconds < first_kill), default=0.0), 3
            ),
            "longest time until acknowledged or unknown (s)": round(
                max((wait.seconds for wait in self.journal.waits), default=0.0), 3
            ),
            "switches": f"{len(switches)}, {self.quiet_switches} of them without kills",
            "switches by partitions": dict(Counter(f"{source} to {target}" for source, target in switches)),
            "director": {f"{what} {status}": n for (what, status), n in sorted(self.answers.items())},
            "moves by state": dict(Counter(move.state.value for move in self.moves)),
            "longest chain": max((len(p.segments) for h in histories for p in h.placements), default=1),
        }
        told = [f"{name}: {figure}" for name, figure in figures.items()]
        return [*told, *(f"{n} x {what}" for what, n in self.excused().most_common()), *map(str, self.kills)]


def switches_of(history: History) -> list[tuple[str, str]]:
    """Return (from, to) of each switch of a queue, "?" for a partition that no placement of the history names."""
    known = {segment.n: segment.partition for placement in history.placements for segment in placement.segments}
    return [(known.get(n - 1, "?"), known.get(n, "?")) for n in range(1, max(known, default=0) + 1)]
