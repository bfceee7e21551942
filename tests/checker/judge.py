"""What a queue promises, whether it is moved or not: ``judge(history)``. Pure.

*Delivered* is a message that an answered claim shows to its consumer. What is excused is only what a queue on one
partition does as well:

lost: every acknowledged message is still there at the end, unless a deletion of it was sent and not refused: delivered
    is not done with, for a claim lapses. One whose outcome is unknown may be delivered or not; one that was refused, or
    was never posted, is not (*invented*).
duplicated: a message has one id for ever. It is delivered again only if each claim it was delivered under could have
    ended before the next one took it: lapsed, counted from when the call was sent, or released. Once its deletion was
    acknowledged, nobody is shown it who asks later. A deletion of unknown outcome decides nothing: the message may be
    gone, and may come back when its claim lapses.
order: of two acknowledged messages of one producer, the later one is not delivered before the earlier one was (the
    first time). Excused is what an unanswered claim may have held back: one that was sent before the later one was
    delivered, and whose ttl was over when the earlier one was.
repeated, skipped, disorder: a subscriber sees each acknowledged message once, and what was acknowledged before another
    post was sent comes before it. Excused from being seen is what somebody had begun to delete before the subscriber
    was answered the page by which it passed it: one with an acknowledged message that was posted after it was
    acknowledged, or the last page of all if that is empty and was asked for later. (An earlier empty page moves no
    bookmark. It may come from a server that has not heard of the queue's newest segment: what it lacks comes later.)
chain: of every placement that was stored, all segments but the last are sealed, numbers grow and are not used again,
    and a segment never changes its place nor is opened again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from catalog.model import Placement, Segment
from tests.checker.record import Body, Claim, Deletion, History, Outcome, Page, Post, Shown


class Violation(NamedTuple):
    """A promise that was broken. ``rule`` is one of the words above."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def judge(history: History) -> list[Violation]:
    """Return every broken promise, none if the history can be that of a correct queue."""
    facts = _Facts(history)
    rules = (_lost, _invented, _duplicated, _order)
    found = [violation for rule in rules for violation in rule(facts)]
    for name, pages in facts.pages.items():
        found += _subscriber(facts, name, pages)
    return [*found, *_chains(history.placements)]


class _Facts:
    """The history by message."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.posts: dict[Body, Post] = {body: post for post in history.posts for body in post.bodies}
        self.place = {body: n for post in history.posts for n, body in enumerate(post.bodies)}
        self.deliveries: dict[Body, list[int]] = defaultdict(list)
        for n, claim in enumerate(history.claims):
            for body, _ in claim.taken:
                self.deliveries[body].append(n)
        self.deletions: dict[Body, list[Deletion]] = defaultdict(list)
        for deletion in history.deletions:
            self.deletions[deletion.body].append(deletion)
        self.pages: dict[str, list[Page]] = defaultdict(list)
        for page in history.pages:
            self.pages[page.subscriber].append(page)
        self._released = {r.claim: r.sent for r in reversed(history.releases) if r.outcome is not Outcome.REFUSED}

    @property
    def acknowledged(self) -> Iterator[Body]:
        return (body for body, post in self.posts.items() if post.outcome is Outcome.ACKNOWLEDGED)

    def is_acknowledged(self, body: Body) -> bool:
        post = self.posts.get(body)
        return post is not None and post.outcome is Outcome.ACKNOWLEDGED

    def ends(self, number: int) -> float:
        """The earliest time at which a claim can have ended."""
        claim = self.history.claims[number]
        return min(claim.sent + claim.ttl, self._released.get(number, float("inf")))

    def shown(self) -> Iterator[Shown]:
        for claim in self.history.claims:
            yield from claim.taken
        for page in self.history.pages:
            yield from page.seen
        yield from self.history.left

    def precedes(self, one: Body, other: Body) -> bool:
        """Tell whether ``one`` must stand before ``other`` in the queue: both acknowledged, and one after the other."""
        first, second = self.posts[one], self.posts[other]
        return self.place[one] < self.place[other] if first is second else first.answered < second.sent


def _lost(facts: _Facts) -> Iterator[Violation]:
    left = {body for body, _ in facts.history.left}
    for body in facts.acknowledged:
        if body not in left and all(d.outcome is Outcome.REFUSED for d in facts.deletions[body]):
            post, times = facts.posts[body], len(facts.deliveries.get(body, ()))
            when = f"posted from {post.sent:.3f} to {post.answered:.3f}"
            yield Violation("lost", f"{body}, {when}" + (f", delivered {times} times" if times else ""))


def _invented(facts: _Facts) -> Iterator[Violation]:
    for body in dict.fromkeys(shown.body for shown in facts.shown()):
        post = facts.posts.get(body)
        if post is None or post.outcome is Outcome.REFUSED:
            yield Violation("invented", f"{body} was {'refused' if post else 'never posted'}, and is there")


def _duplicated(facts: _Facts) -> Iterator[Violation]:
    ids: dict[Body, dict[str, None]] = defaultdict(dict)
    for body, identifier in facts.shown():
        ids[body][identifier] = None
    for body, names in ids.items():
        if len(names) > 1:
            yield Violation("duplicated", f"{body} is there as {' and '.join(names)}")
    claims = facts.history.claims
    for body, numbers in facts.deliveries.items():
        for n, one in enumerate(numbers):
            for other in numbers[n + 1 :]:
                if one == other:
                    yield Violation("duplicated", f"{body} is twice in one claim of {claims[one].consumer}")
                elif claims[other].answered < facts.ends(one) and claims[one].answered < facts.ends(other):
                    yield Violation(
                        "duplicated", f"{body} was delivered to {_told(claims[one])} and to {_told(claims[other])}"
                    )
    yield from _undead(facts)


def _undead(facts: _Facts) -> Iterator[Violation]:
    gone = {
        body: min(d.answered for d in deletions if d.outcome is Outcome.ACKNOWLEDGED)
        for body, deletions in facts.deletions.items()
        if any(d.outcome is Outcome.ACKNOWLEDGED for d in deletions)
    }
    history = facts.history
    asked = [(claim.sent, f"to {_told(claim)}", claim.taken) for claim in history.claims]
    asked += [(page.sent, f"to {page.subscriber}", page.seen) for page in history.pages]
    for sent, whom, shown in [*asked, (float("inf"), "at the end", tuple(history.left))]:
        for body, _ in shown:
            if gone.get(body, sent) < sent:
                yield Violation("duplicated", f"{body} was deleted by {gone[body]:.3f}, and is shown {whom}")


def _told(claim: Claim) -> str:
    return f"{claim.consumer} ({claim.sent:.3f} to {claim.answered:.3f}, ttl {claim.ttl:g})"


def _order(facts: _Facts) -> Iterator[Violation]:
    claims = facts.history.claims
    producers: dict[str, list[Body]] = defaultdict(list)
    for body in facts.acknowledged:
        if body in facts.deliveries:
            producers[body.producer].append(body)
    for bodies in producers.values():
        # The one that was delivered earliest of all that come later: if that is no inversion, no other one is.
        soonest: Body | None = None
        for body in reversed(bodies):
            if soonest is not None and _inverted(facts, body, soonest):
                yield Violation("order", f"{soonest} was delivered before {body}")
            if soonest is None or _first(facts, body) < _first(facts, soonest):
                soonest = body
    for claim in claims:
        latest: dict[str, Body] = {}
        for body in (shown.body for shown in claim.taken if facts.is_acknowledged(shown.body)):
            later = latest.get(body.producer)
            if later is None or facts.precedes(later, body):
                latest[body.producer] = body
            elif facts.precedes(body, later) and not _before(facts, body, claim):
                yield Violation("order", f"{later} is before {body} in a claim of {claim.consumer}")


def _first(facts: _Facts, body: Body) -> float:
    """When a message was delivered for the first time: not later than that."""
    return min(facts.history.claims[n].answered for n in facts.deliveries[body])


def _before(facts: _Facts, body: Body, claim: Claim) -> bool:
    """Tell whether a message that a claim took may have been delivered by another one before."""
    others = [other for other in map(facts.history.claims.__getitem__, facts.deliveries[body]) if other is not claim]
    return any(other.sent <= claim.answered for other in others)


def _inverted(facts: _Facts, earlier: Body, later: Body) -> bool:
    """Tell whether ``later`` was certainly delivered before ``earlier`` was, and nobody else may have held that."""
    claims = facts.history.claims
    when = _first(facts, later)
    if not facts.precedes(earlier, later) or not all(when < claims[n].sent for n in facts.deliveries[earlier]):
        return False
    until = _first(facts, earlier)
    return not any(
        held.outcome is Outcome.UNKNOWN and held.sent <= when and held.sent + held.ttl <= until for held in claims
    )


def _subscriber(facts: _Facts, name: str, pages: Sequence[Page]) -> Iterator[Violation]:
    seen: dict[Body, int] = {}
    for page in pages:
        for body, _ in page.seen:
            if body in seen:
                yield Violation("repeated", f"{name} saw {body} again from {page.sent:.3f} to {page.answered:.3f}")
            seen.setdefault(body, len(seen))
    acknowledged = [body for body in seen if facts.is_acknowledged(body)]
    # From the end on: the one that was answered earliest of all that were seen later, and the first of each post.
    least: Body | None = None
    places: dict[int, int] = {}
    for body in reversed(acknowledged):
        if least is not None and facts.precedes(least, body):
            yield Violation("disorder", f"{name} saw {body} before {least}")
        post, place = id(facts.posts[body]), facts.place[body]
        if places.get(post, place) < place:
            yield Violation("disorder", f"{name} saw {body} before one that was posted with it")
        places[post] = min(place, places.get(post, place))
        if least is None or facts.posts[body].answered < facts.posts[least].answered:
            least = body
    for body in facts.acknowledged:
        if body not in seen:
            passed = _passed(facts, body, pages)
            if passed is not None and not _may_be_deleted(facts, body, passed.answered):
                yield Violation("skipped", f"{name} passed {body} from {passed.sent:.3f} to {passed.answered:.3f}")


def _passed(facts: _Facts, body: Body, pages: Sequence[Page]) -> Page | None:
    """Return the page that shows that the subscriber is beyond where the message is."""
    for page in pages:
        if any(facts.is_acknowledged(other) and facts.precedes(body, other) for other, _ in page.seen):
            return page
    last = pages[-1]
    return last if not last.seen and last.sent > facts.posts[body].answered else None


def _may_be_deleted(facts: _Facts, body: Body, when: float) -> bool:
    return any(d.outcome is not Outcome.REFUSED and d.sent <= when for d in facts.deletions[body])


def _chains(placements: Sequence[Placement]) -> Iterator[Violation]:
    known: dict[tuple[str, str, str], dict[int, Segment]] = defaultdict(dict)
    for placement in placements:
        life = known[placement.project, placement.queue, placement.born]
        where = f"{placement.queue} at epoch {placement.epoch}"
        numbers = [segment.n for segment in placement.segments]
        unsealed = [segment.n for segment in placement.segments if not segment.sealed]
        if unsealed != numbers[-1:]:
            yield Violation("chain", f"{where} has open segments {unsealed} of {numbers}")
        if numbers != sorted(set(numbers)):
            yield Violation("chain", f"{where} has segments {numbers}")
        for segment in placement.segments:
            before = life.get(segment.n)
            if before is None:
                if life and segment.n < max(life):
                    yield Violation("chain", f"{where} has segment {segment.n} behind {max(life)}")
            elif (before.partition, before.physical) != (segment.partition, segment.physical):
                yield Violation("chain", f"{where} has another segment {segment.n}: {segment}")
            elif before.sealed and not segment.sealed:
                yield Violation("chain", f"{where} has segment {segment.n} open again")
            life[segment.n] = segment
        for gone in life.keys() - set(numbers):
            # What was retired stays away: a number that comes back is seen as that of another segment.
            life[gone] = Segment(gone, "-", "-", sealed=True)
