"""Histories of a simple queue that keeps its promises, and mutations that break exactly one.

The queue is a list. Each call takes effect at one moment, between its request and its answer. Calls without an answer
take effect or not, claims lapse, deletions come too late, and the queue is moved now and then, unseen by its clients.
Each mutation takes a history and returns one that no correct queue can have, or None if it finds no place for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from catalog.model import Placement, PlacementState, Segment
from tests.checker.record import Body, Claim, Deletion, History, Outcome, Page, Post, Release, Renewal, Shown

_TTL = 40.0
_DONE, _UNKNOWN, _REFUSED = Outcome.ACKNOWLEDGED, Outcome.UNKNOWN, Outcome.REFUSED


@dataclass
class _Stored:
    shown: Shown
    claim: int | None = None
    until: float = 0.0
    deleted: bool = False


@dataclass
class _Model:
    chance: random.Random
    now: float = 0.0
    queue: list[_Stored] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)
    history: History = field(default_factory=History)
    numbers: dict[str, int] = field(default_factory=dict)
    bookmarks: dict[str, int] = field(default_factory=dict)
    held: dict[str, list[int]] = field(default_factory=dict)
    # Whether pops may be done and not answered: then what is lost is excused.
    unanswered_pops: bool = False

    def spell(self, client: str) -> tuple[float, float] | None:
        """When a call that is done now was sent and answered; None while the client still waits for another one."""
        free = self.busy.get(client, 0.0)
        if free >= self.now:
            return None
        sent = self.chance.uniform(max(free, self.now - 9.0), self.now)
        answered = self.now + self.chance.uniform(0.0, 9.0)
        self.busy[client] = answered
        return sent, answered

    def outcome(self) -> Outcome:
        return self.chance.choices((_DONE, _UNKNOWN, _REFUSED), (8, 1, 1))[0]

    def done(self, outcome: Outcome) -> bool:
        return outcome is _DONE or (outcome is _UNKNOWN and self.chance.random() < 0.5)

    def post(self, producer: str) -> None:
        spell = self.spell(producer)
        if spell is None:
            return
        count = self.chance.choice((1, 1, 2, 3))
        first = self.numbers.get(producer, 0)
        self.numbers[producer] = first + count
        bodies = tuple(Body(producer, first + n) for n in range(count))
        outcome = self.outcome()
        self.history.posts.append(Post(bodies, *spell, outcome))
        if self.done(outcome):
            self.queue += [_Stored(Shown(body, f"{len(self.queue) + n:x}")) for n, body in enumerate(bodies)]

    def claim(self, consumer: str) -> None:
        spell = self.spell(consumer)
        if spell is None:
            return
        number, outcome = len(self.history.claims), self.outcome()
        taken = []
        if self.done(outcome):
            taken = [m for m in self.queue if not m.deleted and m.until <= self.now][: self.chance.randint(1, 4)]
        for message in taken:
            message.claim, message.until = number, self.now + _TTL
        told = tuple(m.shown for m in taken) if outcome is _DONE else ()
        self.history.claims.append(Claim(consumer, *spell, outcome, _TTL, told))
        if told:
            self.held.setdefault(consumer, []).append(number)

    def pop(self, consumer: str) -> None:
        spell = self.spell(consumer)
        if spell is None:
            return
        outcome, limit = self.outcome(), self.chance.randint(1, 3)
        if outcome is _UNKNOWN and not self.unanswered_pops:
            outcome = _REFUSED
        taken = []
        if self.done(outcome):
            taken = [m for m in self.queue if not m.deleted and m.until <= self.now][:limit]
        for message in taken:
            message.deleted = True
        told = tuple(m.shown for m in taken) if outcome is _DONE else ()
        self.history.claims.append(Claim(consumer, *spell, outcome, float("inf"), told, pops=limit))

    def renew(self, consumer: str) -> None:
        held = self.held.get(consumer)
        spell = self.spell(consumer) if held else None
        if not held or spell is None:
            return
        number, outcome = self.chance.choice(held), self.outcome()
        under = [m for m in self.queue if m.claim == number and not m.deleted and m.until > self.now]
        if self.done(outcome) and under:
            for message in under:
                message.until = self.now + _TTL
        missing = not under and outcome is _DONE
        self.history.renewals.append(Renewal(number, *spell, _REFUSED if missing else outcome, _TTL, missing))

    def delete(self, consumer: str) -> None:
        held = self.held.get(consumer)
        spell = self.spell(consumer) if held else None
        if not held or spell is None:
            return
        number = self.chance.choice(held)
        body = self.chance.choice(self.history.claims[number].taken).body
        message = next(m for m in self.queue if m.shown.body == body)
        outcome = self.outcome()
        if not message.deleted and (message.claim != number or message.until <= self.now):
            outcome = _REFUSED
        if self.done(outcome):
            message.deleted = True
        self.history.deletions.append(Deletion(number, body, *spell, outcome))

    def release(self, consumer: str) -> None:
        held = self.held.get(consumer)
        spell = self.spell(consumer) if held else None
        if not held or spell is None:
            return
        number, outcome = held.pop(), self.outcome()
        if self.done(outcome):
            for message in self.queue:
                if message.claim == number:
                    message.until = 0.0
        self.history.releases.append(Release(number, *spell, outcome))

    def page(self, subscriber: str) -> None:
        spell = self.spell(subscriber)
        if spell is None:
            return
        place = self.bookmarks.get(subscriber, 0)
        seen = []
        while place < len(self.queue) and len(seen) < 3:
            if not self.queue[place].deleted:
                seen.append(self.queue[place].shown)
            place += 1
        self.bookmarks[subscriber] = place
        self.history.pages.append(Page(subscriber, *spell, tuple(seen)))

    def finish(self) -> None:
        self.now += 100.0
        for subscriber in list(self.bookmarks):
            while True:
                self.page(subscriber)
                self.now += 20.0
                if not self.history.pages[-1].seen:
                    break
        self.history.left = [m.shown for m in self.queue if not m.deleted]
        self.history.placements = _moved(self.chance)


def _moved(chance: random.Random) -> list[Placement]:
    """Return the placements that the catalog stores of a queue that is moved a few times."""
    placement = Placement("p", "q", 1, PlacementState.OPEN, (Segment(0, "p0", "q"),), incarnation="born")
    stored = [placement]
    for _ in range(chance.randint(0, 4)):
        sealing = replace(placement, epoch=placement.epoch + 1, state=PlacementState.SEALING)
        *sealed, last = placement.segments
        if sealed and chance.random() < 0.6:
            sealed.pop(0)
        segments = (*sealed, replace(last, sealed=True), Segment(last.n + 1, f"p{last.n + 1}", "q"))
        placement = replace(sealing, epoch=sealing.epoch + 1, state=PlacementState.OPEN, segments=segments)
        stored += [sealing, placement]
    return stored


def correct(chance: random.Random, calls: int = 60, *, unanswered_pops: bool = False) -> History:
    """Return the history of ``calls`` calls of two producers, two consumers and two subscribers."""
    model = _Model(chance, unanswered_pops=unanswered_pops)
    for _ in range(calls):
        model.now += chance.uniform(0.1, 6.0)
        kinds = {"post": 5, "claim": 4, "delete": 6, "release": 1, "page": 4, "pop": 1, "renew": 2}
        what = chance.choices(list(kinds), list(kinds.values()))[0]
        who = {"post": "producer", "page": "subscriber"}.get(what, "consumer")
        getattr(model, what)(f"{who}-{chance.randint(1, 2)}")
    model.finish()
    return model.history


# -- mutations: each by the rule that it breaks ------------------------------------------------------------------------

Mutation = Callable[[History, random.Random], History | None]


def _acknowledged(history: History) -> dict[Body, Post]:
    return {body: post for post in history.posts if post.outcome is _DONE for body in post.bodies}


def _popped(history: History) -> set[Body]:
    return {shown.body for claim in history.claims if claim.pops for shown in claim.taken}


def _without(shown: tuple[Shown, ...] | list[Shown], body: Body) -> tuple[Shown, ...]:
    return tuple(one for one in shown if one.body != body)


def lose(history: History, chance: random.Random) -> History | None:
    """An acknowledged message is nowhere."""
    candidates = sorted(_acknowledged(history))
    if not candidates:
        return None
    body = chance.choice(candidates)
    claims = [replace(claim, taken=_without(claim.taken, body)) for claim in history.claims]
    pages = [replace(page, seen=_without(page.seen, body)) for page in history.pages]
    deletions = [d for d in history.deletions if d.body != body]
    left = list(_without(history.left, body))
    return replace(history, claims=claims, pages=pages, deletions=deletions, left=left)


def lose_what_was_delivered(history: History, chance: random.Random) -> History | None:
    """An acknowledged message is gone after it was delivered, without a deletion, or only with refused ones."""
    delivered = {shown.body for claim in history.claims for shown in claim.taken}
    deleted = {deletion.body for deletion in history.deletions if deletion.outcome is not _REFUSED} | _popped(history)
    found = sorted((delivered & _acknowledged(history).keys()) - deleted)
    return replace(history, left=list(_without(history.left, chance.choice(found)))) if found else None


def deliver_what_was_refused(history: History, chance: random.Random) -> History | None:
    refused = [body for post in history.posts if post.outcome is _REFUSED for body in post.bodies]
    return _added(history, chance, Shown(chance.choice(refused), "new")) if refused else None


def deliver_what_nobody_posted(history: History, chance: random.Random) -> History | None:
    return _added(history, chance, Shown(Body("nobody", 0), "new"))


def _added(history: History, chance: random.Random, shown: Shown) -> History | None:
    answered = [n for n, claim in enumerate(history.claims) if claim.outcome is _DONE]
    return _give(history, chance.choice(answered), shown) if answered else None


def _give(history: History, number: int, shown: Shown) -> History:
    claims = list(history.claims)
    claims[number] = replace(claims[number], taken=(*claims[number].taken, shown))
    return replace(history, claims=claims)


def copy(history: History, chance: random.Random) -> History | None:
    """A message is in the queue a second time."""
    there = [shown for claim in history.claims for shown in claim.taken] + history.left
    return _added(history, chance, chance.choice(there)._replace(id="copy")) if there else None


def deliver_under_a_live_claim(history: History, chance: random.Random) -> History | None:
    released = {release.claim for release in history.releases}
    found = [
        (n, shown)
        for m, one in enumerate(history.claims)
        if m not in released
        for n, other in enumerate(history.claims)
        if n not in released
        if other.outcome is _DONE
        if other.sent >= one.sent
        if other.answered < one.sent + _TTL
        for shown in one.taken
        if m == n or shown not in other.taken
    ]
    return _give(history, *chance.choice(found)) if found else None


def deliver_under_a_renewed_claim(history: History, chance: random.Random) -> History | None:
    released = {release.claim for release in history.releases}
    found = [
        (n, shown)
        for renewal in history.renewals
        if renewal.outcome is _DONE and renewal.claim not in released
        for n, other in enumerate(history.claims)
        if other.outcome is _DONE
        if other.sent > renewal.sent
        if other.answered < renewal.sent + _TTL
        for shown in history.claims[renewal.claim].taken
        if shown not in other.taken
    ]
    return _give(history, *chance.choice(found)) if found else None


def deliver_what_was_popped(history: History, chance: random.Random) -> History | None:
    found = [
        (n, shown)
        for pop in history.claims
        if pop.pops
        for n, claim in enumerate(history.claims)
        if claim.outcome is _DONE and claim.sent > pop.answered
        for shown in pop.taken
    ]
    return _give(history, *chance.choice(found)) if found else None


def leave_what_was_popped(history: History, chance: random.Random) -> History | None:
    found = [shown for claim in history.claims if claim.pops for shown in claim.taken]
    return replace(history, left=[*history.left, chance.choice(found)]) if found else None


def _with_renewal(history: History, chance: random.Random, found: list[Renewal]) -> History | None:
    if not found:
        return None
    return replace(history, renewals=[*history.renewals, chance.choice(found)])


def miss_a_claim_that_lives(history: History, chance: random.Random) -> History | None:
    ended = {release.claim for release in history.releases}
    deleted = {deletion.body for deletion in history.deletions}
    found = [
        Renewal(n, claim.answered, claim.answered, _REFUSED, _TTL, missing=True)
        for n, claim in enumerate(history.claims)
        if n not in ended and claim.answered < claim.sent + _TTL
        if not claim.pops and any(shown.body not in deleted for shown in claim.taken)
    ]
    return _with_renewal(history, chance, found)


def renew_a_claim_that_has_ended(history: History, chance: random.Random) -> History | None:
    late = max(claim.answered for claim in history.claims) + 3 * _TTL if history.claims else 0.0
    claims = [n for n, claim in enumerate(history.claims) if claim.taken and not claim.pops]
    return _with_renewal(history, chance, [Renewal(n, late, late + 1.0, _DONE, _TTL) for n in claims])


def deliver_after_its_deletion(history: History, chance: random.Random) -> History | None:
    shown = {one.body: one for claim in history.claims for one in claim.taken}
    found = [
        (n, shown[deletion.body])
        for deletion in history.deletions
        if deletion.outcome is _DONE
        for n, claim in enumerate(history.claims)
        if claim.outcome is _DONE
        if claim.sent > deletion.answered
    ]
    return _give(history, *chance.choice(found)) if found else None


def leave_what_was_deleted(history: History, chance: random.Random) -> History | None:
    shown = {one.body: one for claim in history.claims for one in claim.taken}
    found = [d.body for d in history.deletions if d.outcome is _DONE]
    return replace(history, left=[*history.left, shown[chance.choice(found)]]) if found else None


def deliver_out_of_order(history: History, chance: random.Random) -> History | None:
    """Two acknowledged messages of one producer change places, both of which were delivered once; no call that might
    have held one of them was unanswered."""
    if any(claim.outcome is _UNKNOWN for claim in history.claims):
        return None
    deliveries: dict[Body, list[int]] = {}
    for n, claim in enumerate(history.claims):
        for body, _ in claim.taken:
            deliveries.setdefault(body, []).append(n)
    posts = _acknowledged(history)
    once = [body for body, numbers in deliveries.items() if len(numbers) == 1 and body in posts]
    found = [
        (one, other)
        for one in once
        for other in once
        if one.producer == other.producer and one.number < other.number
        if deliveries[one] == deliveries[other] or _after(history, deliveries[other][0], deliveries[one][0])
    ]
    if not found:
        return None
    one, other = chance.choice(found)
    names = {one: other, other: one}
    ids = {shown.body: shown.id for claim in history.claims for shown in claim.taken}
    claims = [
        replace(
            claim,
            taken=tuple(Shown(names[s.body], ids[names[s.body]]) if s.body in names else s for s in claim.taken),
        )
        for claim in history.claims
    ]
    return replace(history, claims=claims, deletions=[d for d in history.deletions if d.body not in names])


def _after(history: History, one: int, other: int) -> bool:
    return history.claims[one].sent > history.claims[other].answered


def skip(history: History, chance: random.Random) -> History | None:
    """A subscriber is not shown a message that no client tried to delete."""
    tried = {deletion.body for deletion in history.deletions} | _popped(history)
    posts = _acknowledged(history)
    found = [
        (n, shown.body)
        for n, page in enumerate(history.pages)
        for shown in page.seen
        if shown.body in posts and shown.body not in tried
    ]
    if not found:
        return None
    n, body = chance.choice(found)
    pages = list(history.pages)
    pages[n] = replace(pages[n], seen=_without(pages[n].seen, body))
    return replace(history, pages=pages)


def repeat(history: History, chance: random.Random) -> History | None:
    """A subscriber is shown a message again, on the same page or a later one."""
    found = [
        (n, shown)
        for m, page in enumerate(history.pages)
        for shown in page.seen
        for n, later in enumerate(history.pages[m:], m)
        if later.subscriber == page.subscriber
    ]
    if not found:
        return None
    n, shown = chance.choice(found)
    pages = list(history.pages)
    pages[n] = replace(pages[n], seen=(*pages[n].seen, shown))
    return replace(history, pages=pages)


def disorder(history: History, chance: random.Random) -> History | None:
    """Two messages on a page change places, the one of which was acknowledged before the other was posted."""
    posts = _acknowledged(history)
    found = [
        (n, i, j)
        for n, page in enumerate(history.pages)
        for j, later in enumerate(page.seen)
        for i, earlier in enumerate(page.seen[:j])
        if later.body in posts and earlier.body in posts
        if posts[earlier.body].answered < posts[later.body].sent or posts[earlier.body] is posts[later.body]
    ]
    if not found:
        return None
    n, i, j = chance.choice(found)
    seen = list(history.pages[n].seen)
    seen[i], seen[j] = seen[j], seen[i]
    pages = list(history.pages)
    pages[n] = replace(pages[n], seen=tuple(seen))
    return replace(history, pages=pages)


def _with_segments(
    history: History, chance: random.Random, change: Callable[[tuple[Segment, ...]], tuple[Segment, ...]]
) -> History | None:
    """Change the segments of a placement of several."""
    found = [n for n, placement in enumerate(history.placements) if len(placement.segments) > 1]
    if not found:
        return None
    n = chance.choice(found)
    placements = list(history.placements)
    placements[n] = replace(placements[n], segments=change(placements[n].segments))
    return replace(history, placements=placements)


def open_two(history: History, chance: random.Random) -> History | None:
    """A segment before the last is not sealed."""
    return _with_segments(history, chance, lambda s: (*s[:-2], replace(s[-2], sealed=False), s[-1]))


def open_none(history: History, chance: random.Random) -> History | None:
    return _with_segments(history, chance, lambda s: (*s[:-1], replace(s[-1], sealed=True)))


def put_elsewhere(history: History, chance: random.Random) -> History | None:
    """A segment that was there before is on another partition."""
    return _with_segments(history, chance, lambda s: (replace(s[0], partition="elsewhere"), *s[1:]))


def reopen(history: History, chance: random.Random) -> History | None:
    """After a switch the old segment takes writes again, and the new one is gone."""
    last = history.placements[-1]
    if len(last.segments) < 2:
        return None
    *older, old, _ = last.segments
    back = replace(last, epoch=last.epoch + 1, segments=(*older, replace(old, sealed=False)))
    return replace(history, placements=[*history.placements, back])


def number_again(history: History, chance: random.Random) -> History | None:
    """A number that was retired is used again."""
    last = history.placements[-1]
    if last.segments[0].n == 0:
        return None
    again = (Segment(0, "p0", "q", sealed=True), *last.segments)
    return replace(history, placements=[*history.placements, replace(last, epoch=last.epoch + 1, segments=again)])


MUTATIONS: tuple[tuple[str, Mutation], ...] = (
    ("lost", lose),
    ("lost", lose_what_was_delivered),
    ("invented", deliver_what_was_refused),
    ("invented", deliver_what_nobody_posted),
    ("duplicated", copy),
    ("duplicated", deliver_under_a_live_claim),
    ("duplicated", deliver_under_a_renewed_claim),
    ("duplicated", deliver_what_was_popped),
    ("duplicated", leave_what_was_popped),
    ("renewal", miss_a_claim_that_lives),
    ("renewal", renew_a_claim_that_has_ended),
    ("duplicated", deliver_after_its_deletion),
    ("duplicated", leave_what_was_deleted),
    ("order", deliver_out_of_order),
    ("skipped", skip),
    ("repeated", repeat),
    ("disorder", disorder),
    ("chain", open_two),
    ("chain", open_none),
    ("chain", put_elsewhere),
    ("chain", reopen),
    ("chain", number_again),
)
