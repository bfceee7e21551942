"""Judge a history of one queue by the promises that hold whether it is moved or not: ``judge(history)``. Pure.

*Delivered* is a message that an answered claim or pop shows to its consumer; a pop has deleted it, too. A rule
excuses only what a queue on one partition does as well:

A deletion or purge of the queue excuses what was posted before it ended from being there and from being seen; for
subscribers a deletion is also the end of their bookmarks, and a post that was in flight then counts as one without an
answer. So does one that came to where the queue was after its deletion (``History.strays``), and nothing is concluded
from its own deletion. A delay excuses from being delivered in order. With a dead-letter queue a message may be there
instead, and then not in the queue any more; how dead letters are ordered among each other is not promised. While no
worker's lease has ended, a post without an answer that was seen counts from then on as one that was acknowledged.

lost: every acknowledged message is still there at the end, unless a deletion of it was sent and not refused: delivered
    is not done with, for a claim lapses. As many may be missing as pops without an answer have asked for. A message of
    unknown outcome may be delivered or not; one that was refused, or was never posted, is not (*invented*).
duplicated: a message has one id for ever. It is delivered again only if each claim it was delivered under could have
    ended before the next one took it: lapsed, counted from when it was sent, or the last call that renewed it; or
    released. Once its deletion was acknowledged, no later request returns it. A deletion of unknown outcome
    decides nothing: the message may be gone, and may come back when its claim lapses.
order: of two acknowledged messages of one producer, the later one is not delivered before the earlier one was (the
    first time). Excused is what an unanswered claim may have held back: one that was sent before the later one was
    delivered, with a ttl that was over when the earlier one was.
repeated, skipped, disorder: a subscriber sees each acknowledged message once, and what was acknowledged before another
    post was sent comes before it. A subscriber may miss a message if its deletion, or a pop without an answer that may
    have taken it, began before the answer of the page that passed the message. That page has an acknowledged message
    posted after this one was acknowledged; or it is the last page of all, is empty and was requested later.
    (An earlier empty page moves no bookmark. It may come from a server that has not heard of the queue's newest
    segment: what it lacks comes later.)
renewal: a claim that lives, and still has a message, can be renewed; one that has ended can not be.
removed: what was acknowledged before a deletion of the queue was sent is gone once that was acknowledged, and before a
    purge likewise, unless a claim may have held it meanwhile.
metadata: what is set at the end is what was set last, or by a call without an answer.
chain: of every placement that was stored, all segments but the last are sealed, numbers grow and are not used again,
    and a segment never changes its place nor is opened again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from catalog.model import Placement, Segment
from tests.checker.record import Body, Claim, Deletion, History, Outcome, Page, Post, Removal, Renewal, Shown


class Violation(NamedTuple):
    """A promise that was broken. ``rule`` is one of the words above."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def judge(history: History) -> list[Violation]:
    """Return every broken promise, none if the history can be that of a correct queue."""
    facts = _Facts(history)
    rules = (_lost, _invented, _duplicated, _order, _removed, _renewals, _metadata)
    found = [violation for rule in rules for violation in rule(facts)]
    for name, pages in facts.pages.items():
        found += _subscriber(facts, name, pages)
    found += _chains(history.placements)
    if facts.dead is not None:
        found += [violation for rule in (_invented, _duplicated) for violation in rule(facts.dead)]
        for name, pages in facts.dead.pages.items():
            found += _repeated(name, pages)
        found += _chains(facts.dead.history.placements)
    return found


class _Facts:
    """The history by message. ``posts``: those of the queue that the dead letters are from."""

    def __init__(self, history: History, posts: Sequence[Post] | None = None) -> None:
        self.history = history
        posts = history.posts if posts is None else posts
        self.posts: dict[Body, Post] = {body: post for post in posts for body in post.bodies}
        self.dead = None if history.dead_letters is None else _Facts(history.dead_letters, posts)
        self.place = {body: n for post in posts for n, body in enumerate(post.bodies)}
        self.deliveries: dict[Body, list[int]] = defaultdict(list)
        for n, claim in enumerate(history.claims):
            for body, _ in claim.taken:
                self.deliveries[body].append(n)
        self.deletions: dict[Body, list[Deletion]] = defaultdict(list)
        for deletion in history.deletions:
            self.deletions[deletion.body].append(deletion)
        for n, claim in enumerate(history.claims):
            if claim.pops:
                for body, _ in claim.taken:
                    self.deletions[body].append(Deletion(n, body, claim.sent, claim.answered, claim.outcome))
        # The messages that these have taken are unknown.
        self.pops = [claim for claim in history.claims if claim.pops and claim.outcome is Outcome.UNKNOWN]
        self.pages: dict[str, list[Page]] = defaultdict(list)
        for page in history.pages:
            self.pages[page.subscriber].append(page)
        # By when each message that is vouched for was in the queue.
        self.since = {
            body: post.answered
            for body, post in self.posts.items()
            if post.outcome is Outcome.ACKNOWLEDGED
            and body not in history.strays
            and not _raced(post, history.removals)
        }
        if history.leases_kept:
            for when, body in self._seen():
                post = self.posts.get(body)
                if body in history.strays:
                    continue
                if post is not None and post.outcome is Outcome.UNKNOWN and not _raced(post, history.removals):
                    self.since[body] = min(when, self.since.get(body, when))
        self._released = {r.claim: r.sent for r in reversed(history.releases) if r.outcome is not Outcome.REFUSED}
        self._renewals: dict[int, list[Renewal]] = defaultdict(list)
        for renewal in history.renewals:
            if renewal.outcome is not Outcome.REFUSED:
                self._renewals[renewal.claim].append(renewal)

    @property
    def acknowledged(self) -> Iterator[Body]:
        return (body for body in self.posts if body in self.since)

    def is_acknowledged(self, body: Body) -> bool:
        return body in self.since

    def _seen(self) -> Iterator[tuple[float, Body]]:
        for answered in (*self.history.claims, *self.history.pages):
            for body, _ in answered.taken if isinstance(answered, Claim) else answered.seen:
                yield answered.answered, body

    def buried(self, body: Body) -> bool:
        """Return whether a message is, or was, in the dead-letter queue."""
        return self.dead is not None and any(shown.body == body for shown in self.dead.shown())

    def may_be_removed(self, body: Body, when: float = float("inf")) -> bool:
        """Return whether a deletion or purge, sent at ``when`` at the latest, may have removed a message."""
        sent = self.posts[body].sent
        return any(r.outcome is not Outcome.REFUSED and r.sent <= when and sent < r.end for r in self.history.removals)

    def may_be_popped(self, body: Body, when: float) -> bool:
        """Return whether a pop without an answer, sent at ``when`` at the latest, may have taken a message: no later
        request returned it."""
        return any(pop.sent <= when for pop in self.pops) and not any(
            sent > when and any(one.body == body for one in shown) for sent, _, shown in _asked(self.history)
        )

    def ends(self, number: int, besides: Renewal | None = None) -> float:
        """Return the earliest time at which a claim can have ended without the renewal ``besides``: infinity for a pop,
        since its messages are never free again."""
        claim = self.history.claims[number]
        if claim.pops:
            return float("inf")
        renewals = [renewal for renewal in self.renewals(number) if renewal is not besides]
        last: Claim | Renewal = claim
        for renewal in renewals:
            if renewal.outcome is Outcome.ACKNOWLEDGED:
                last = renewal
        grants = [last, *(renewal for renewal in renewals if renewal.outcome is Outcome.UNKNOWN)]
        lapses = min(max(last.sent, grant.sent) + grant.ttl for grant in grants)
        return min(lapses, self._released.get(number, float("inf")))

    def latest_end(self, number: int) -> float:
        """The latest time at which a claim can have ended by itself. A call without an answer was done by the time when
        it was given up."""
        grants: list[Claim | Renewal] = [self.history.claims[number], *self.renewals(number)]
        return max(grant.answered + grant.ttl for grant in grants)

    def renewals(self, number: int) -> Sequence[Renewal]:
        """Those of a claim that were not refused."""
        return self._renewals.get(number, ())

    def shown(self) -> Iterator[Shown]:
        for claim in self.history.claims:
            yield from claim.taken
        for page in self.history.pages:
            yield from page.seen
        yield from self.history.left

    def precedes(self, one: Body, other: Body) -> bool:
        """Return whether ``one`` must stand before ``other`` in the queue: both are acknowledged, in this order."""
        first, second = self.posts[one], self.posts[other]
        return self.place[one] < self.place[other] if first is second else self.since[one] < second.sent


def _raced(post: Post, removals: Sequence[Removal]) -> bool:
    """Return whether a post was in flight at a deletion of its queue: it may have reached the deleted queue."""
    return any(
        not r.purge and r.outcome is not Outcome.REFUSED and post.sent < r.end and r.sent < post.answered
        for r in removals
    )


def _lost(facts: _Facts) -> Iterator[Violation]:
    places = [facts] if facts.dead is None else [facts, facts.dead]
    left = {body for place in places for body, _ in place.history.left}
    gone = []
    for body in facts.acknowledged:
        deletions = [deletion for place in places for deletion in place.deletions.get(body, ())]
        if body not in left and all(d.outcome is Outcome.REFUSED for d in deletions) and not facts.may_be_removed(body):
            gone.append(body)
    if len(gone) <= sum(pop.pops for place in places for pop in place.pops):
        return
    for body in gone:
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
    if facts.dead is not None:
        yield from _buried(facts, facts.dead)


def _asked(history: History) -> Iterator[tuple[float, str, Sequence[Shown]]]:
    """Yield the time of the request, its client and the messages shown, for each claim, page and list at the end."""
    for claim in history.claims:
        yield claim.sent, f"to {_told(claim)}", claim.taken
    for page in history.pages:
        yield page.sent, f"to {page.subscriber}", page.seen
    yield float("inf"), "at the end", history.left


def _buried(facts: _Facts, dead: _Facts) -> Iterator[Violation]:
    seen: dict[Body, float] = {body: float("inf") for body, _ in dead.history.left}
    for when, body in dead._seen():
        seen[body] = min(when, seen.get(body, when))
    for sent, whom, shown in _asked(facts.history):
        for body, _ in shown:
            if body in seen and (seen[body] < sent or sent == float("inf")):
                yield Violation("duplicated", f"{body} is a dead letter, and is shown {whom} in its queue")


def _undead(facts: _Facts) -> Iterator[Violation]:
    gone = {
        body: min(d.answered for d in deletions if d.outcome is Outcome.ACKNOWLEDGED)
        for body, deletions in facts.deletions.items()
        if body not in facts.history.strays and any(d.outcome is Outcome.ACKNOWLEDGED for d in deletions)
    }
    for sent, whom, shown in _asked(facts.history):
        for body, _ in shown:
            if gone.get(body, sent) < sent:
                yield Violation("duplicated", f"{body} was deleted by {gone[body]:.3f}, and is shown {whom}")


def _removed(facts: _Facts) -> Iterator[Violation]:
    for removal in facts.history.removals:
        if removal.outcome is not Outcome.ACKNOWLEDGED:
            continue
        what = "purge" if removal.purge else "deletion of the queue"
        for sent, whom, shown in _asked(facts.history):
            if sent <= removal.answered:
                continue
            for body, _ in shown:
                if facts.since.get(body, removal.sent) < removal.sent and not (
                    removal.purge and _may_be_held(facts, body, removal)
                ):
                    yield Violation("removed", f"{body} is shown {whom} after a {what} from {removal.sent:.3f}")


def _may_be_held(facts: _Facts, body: Body, removal: Removal) -> bool:
    """Return whether a claim may have held a message during a purge."""
    return any(
        claim.sent < removal.answered
        and not claim.pops
        and facts.latest_end(n) > removal.sent
        and (claim.outcome is Outcome.UNKNOWN or any(shown.body == body for shown in claim.taken))
        for n, claim in enumerate(facts.history.claims)
    )


def _renewals(facts: _Facts) -> Iterator[Violation]:
    released = {r.claim: r.answered for r in facts.history.releases if r.outcome is Outcome.ACKNOWLEDGED}
    for renewal in facts.history.renewals:
        number, claim = renewal.claim, facts.history.claims[renewal.claim]
        when = f"of {claim.consumer} from {renewal.sent:.3f} to {renewal.answered:.3f}"
        if renewal.missing and renewal.answered < facts.ends(number, renewal):
            kept = [body for body, _ in claim.taken if not _may_be_deleted(facts, body, renewal.answered)]
            if kept:
                yield Violation("renewal", f"a claim that has {kept[0]} could not be renewed: {when}")
        elif renewal.outcome is Outcome.ACKNOWLEDGED:
            before = [claim, *(r for r in facts.renewals(number) if r.sent < renewal.sent)]
            lapsed = max(grant.answered + grant.ttl for grant in before)
            if min(lapsed, released.get(number, lapsed)) < renewal.sent:
                yield Violation("renewal", f"a claim that had ended was renewed: {when}")


def _metadata(facts: _Facts) -> Iterator[Violation]:
    history = facts.history
    last = max((n for n, s in enumerate(history.settings) if s.outcome is Outcome.ACKNOWLEDGED), default=None)
    if last is None:
        return
    allowed = {s.value for s in history.settings if s.outcome is Outcome.UNKNOWN} | {history.settings[last].value}
    if history.setting not in allowed:
        yield Violation("metadata", f"{history.settings[last].value} was set last, and it is {history.setting}")


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
    """Return whether another claim may have delivered a message before this one took it."""
    others = [other for other in map(facts.history.claims.__getitem__, facts.deliveries[body]) if other is not claim]
    return any(other.sent <= claim.answered for other in others)


def _inverted(facts: _Facts, earlier: Body, later: Body) -> bool:
    """Return whether ``later`` was certainly delivered before ``earlier``, while no other claim may have held that."""
    claims = facts.history.claims
    when = _first(facts, later)
    due = facts.posts[earlier].answered + facts.posts[earlier].delay
    if facts.posts[earlier].delay and min(claims[n].sent for n in facts.deliveries[later]) <= due:
        return False
    if not facts.precedes(earlier, later) or not all(when < claims[n].sent for n in facts.deliveries[earlier]):
        return False
    until = _first(facts, earlier)
    return not any(
        held.outcome is Outcome.UNKNOWN and held.sent <= when and held.sent + held.ttl <= until for held in claims
    )


def _repeated(name: str, pages: Sequence[Page]) -> Iterator[Violation]:
    seen: set[Body] = set()
    for page in pages:
        for body, _ in page.seen:
            if body in seen:
                yield Violation("repeated", f"{name} saw {body} again from {page.sent:.3f} to {page.answered:.3f}")
            seen.add(body)


def _subscriber(facts: _Facts, name: str, pages: Sequence[Page]) -> Iterator[Violation]:
    # A deletion of the queue is the end of all bookmarks.
    deletions = [r for r in facts.history.removals if not r.purge and r.outcome is not Outcome.REFUSED]
    over = min((r.sent for r in deletions if pages[0].sent < r.end), default=float("inf"))
    pages = [page for page in pages if page.answered <= over]
    if not pages:
        return
    yield from _repeated(name, pages)
    seen = dict.fromkeys(body for page in pages for body, _ in page.seen)
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
        if least is None or facts.since[body] < facts.since[least]:
            least = body
    for body in facts.acknowledged:
        if body not in seen and not facts.buried(body):
            passed = _passed(facts, body, pages, to_the_end=over == float("inf"))
            if (
                passed is not None
                and not _may_be_deleted(facts, body, passed.answered)
                and not facts.may_be_popped(body, passed.answered)
            ):
                yield Violation("skipped", f"{name} passed {body} from {passed.sent:.3f} to {passed.answered:.3f}")


def _passed(facts: _Facts, body: Body, pages: Sequence[Page], *, to_the_end: bool) -> Page | None:
    """Return the page that shows that the subscriber is beyond where the message is. ``to_the_end``: it stopped by
    itself, and not because the queue was deleted."""
    for page in pages:
        if any(facts.is_acknowledged(other) and facts.precedes(body, other) for other, _ in page.seen):
            return page
    last = pages[-1]
    return last if to_the_end and not last.seen and last.sent > facts.since[body] else None


def _may_be_deleted(facts: _Facts, body: Body, when: float) -> bool:
    deletions = facts.deletions.get(body, ())
    return any(d.outcome is not Outcome.REFUSED and d.sent <= when for d in deletions) or facts.may_be_removed(
        body, when
    )


def _chains(placements: Sequence[Placement]) -> Iterator[Violation]:
    known: dict[tuple[str, str, str], dict[int, Segment]] = defaultdict(dict)
    for placement in placements:
        life = known[placement.project, placement.queue, placement.incarnation]
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
            elif (before.partition, before.backend_name) != (segment.partition, segment.backend_name):
                yield Violation("chain", f"{where} has another segment {segment.n}: {segment}")
            elif before.sealed and not segment.sealed:
                yield Violation("chain", f"{where} has segment {segment.n} open again")
            life[segment.n] = segment
        for gone in life.keys() - set(numbers):
            # A retired segment stays away: a number that comes back counts as that of another segment.
            life[gone] = Segment(gone, "-", "-", sealed=True)
