"""What came of a soak, judged: what clients saw, by the checker; what they were told, by who was killed when; and
whether so much happened that all of this means something. Pure."""

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

# Seconds of a producer's turn, which repeats what was refused while one is killed after the other: any longer, and it
# is stuck.
LONGEST_WAIT = 600.0
# Messages of each producer on average while some are killed, and as many read.
ENOUGH = 20


class Kill(NamedTuple):
    """Or another harm. ``victim``: one of those of ``System.victims``; ``what`` was done. ``at``, ``replaced``: when it
    began and was over, by the clock of the histories."""

    victim: str
    what: str
    at: float
    replaced: float

    def __str__(self) -> str:
        return f"{self.what} at {self.at:.3f}, over after {self.replaced - self.at:.1f} s"


class Hours(NamedTuple):
    """When clients began, kills began, kills ended and all had ended."""

    began: float
    first_kill: float
    calm: float
    ended: float


_NOT_YET = Hours(0.0, 0.0, 0.0, 0.0)


@dataclass
class Soak:
    """What there is to judge. ``aftermath``: seconds after a replacement for which a kill explains what goes wrong.

    ``stuck`` and ``undrained`` tell what was not over when everything should have been.
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
    # How often queues had been switched when the first one was killed.
    quiet_switches: int = 0
    # How often the director was answered what, when it asked for what.
    answers: Mapping[tuple[str, int], int] = field(default_factory=dict)

    # -- what clients were told --------------------------------------------------------------------------------------

    def explained(self, trouble: Trouble) -> bool:
        """Tell whether some kill excuses it: 503 near any of them, no answer near one of a worker. That a clock is set
        excuses nothing."""
        return trouble.status in (0, 503) and any(
            kill.at <= trouble.when and trouble.asked <= kill.replaced + self.aftermath
            for kill in self.kills
            if kill.victim == "worker" or (trouble.status and kill.victim != "clock")
        )

    def excused(self) -> Counter[str]:
        """Count what clients were told that kills explain."""
        troubles = filter(self.explained, self.journal.troubles)
        return Counter(f"{trouble.what.partition(' ')[0]}: {trouble.words or 'no answer'}" for trouble in troubles)

    def unknown(self) -> int:
        """Count the posts whose fate nobody was told."""
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
        """Return everything that is wrong, nothing if all is well."""
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
        """Each producer has one post under way at a time, which one kill leaves unknown at most once."""
        return self.producers * sum(kill.victim not in ("mover", "clock") for kill in self.kills)

    def switches(self) -> list[tuple[str, str]]:
        """Return (from, to) of each switch of any queue until now."""
        return [way for history in self._histories for way in switches_of(history)]

    def missing(self) -> Iterator[str]:
        """Yield what has not happened, without which this says little. The stage asks while it goes on, and waits."""
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
    """Return (from, to) of each switch of a queue, "?" for a partition that no placement of the history tells."""
    known = {segment.n: segment.partition for placement in history.placements for segment in placement.segments}
    return [(known.get(n - 1, "?"), known.get(n, "?")) for n in range(1, max(known, default=0) + 1)]
