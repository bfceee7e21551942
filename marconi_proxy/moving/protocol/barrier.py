"""Whether every worker has stopped writing to a queue that was sealed. Pure; ages are by the store's clock.

The members that count are those that were registered *after* the seal was stored: whoever registers later reads what
the seal says. Each counts until it acknowledged the seal, signed off, or has not renewed for longer than its own lease:
then it has stopped by itself (``fence.Lease``), and begins a new term if it comes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from catalog.model import MemberSighting

# The capability of every worker that can serve a queue with history, and keeps a lease and a fence.
CHAINS = "chains-1"


@dataclass(frozen=True, slots=True)
class Passed:
    """No worker writes to the sealed segment any more. Names of members, by what let them pass."""

    acknowledged: tuple[str, ...]
    signed_off: tuple[str, ...]
    expired: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """These members may still be writing."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incapable:
    """These members are alive and of a release that cannot read what a move makes: no queue may be moved."""

    names: tuple[str, ...]


Verdict = Passed | Waiting | Incapable


def is_live(sighting: MemberSighting) -> bool:
    """Tell whether the member may be writing: it has renewed within its lease, or never promised to stop.

    The latter is of a release without leases. It counts for as long as it is registered.
    """
    lease = sighting.member.lease
    return lease <= 0 or sighting.age <= lease


def incapable(sightings: Iterable[MemberSighting], needed: str) -> tuple[str, ...]:
    """Return the names of live members that lack the capability ``needed``: with any of them no move is armed."""
    return tuple(s.member.id for s in sightings if is_live(s) and needed not in s.member.capabilities)


@dataclass(frozen=True, slots=True)
class Barrier:
    """Made by ``Barrier.after_seal``, told more by ``seen``, asked by ``verdict``.

    ``position``: that of the seal in the change feed, or any later one. ``needed``: the capability. The other fields
    are names of members, sorted; each that counts is in one of the first four, for good once it is not in ``waiting``.
    """

    position: int
    needed: str
    waiting: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    signed_off: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    incapable: tuple[str, ...] = ()

    @staticmethod
    def after_seal(position: int, sightings: Iterable[MemberSighting], needed: str) -> Barrier:
        """Begin with the members as they were read after the seal was stored."""
        members = list(sightings)
        names = tuple(sorted(s.member.id for s in members))
        return Barrier(position, needed, waiting=names).seen(members)

    def seen(self, sightings: Iterable[MemberSighting]) -> Barrier:
        """Take in a later reading of the members. Who was not there after the seal does not count."""
        by_name = {s.member.id: s for s in sightings}
        waiting, acknowledged, signed_off, expired, incapable = [], [], [], [], []
        for name in self.waiting:
            sighting = by_name.get(name)
            if sighting is None:
                signed_off.append(name)
            elif not is_live(sighting):
                expired.append(name)
            elif sighting.member.acked >= self.position:
                acknowledged.append(name)
            else:
                waiting.append(name)
                if self.needed not in sighting.member.capabilities:
                    incapable.append(name)
        return replace(
            self,
            waiting=tuple(waiting),
            acknowledged=tuple(sorted({*self.acknowledged, *acknowledged})),
            signed_off=tuple(sorted({*self.signed_off, *signed_off})),
            expired=tuple(sorted({*self.expired, *expired})),
            incapable=tuple(incapable),
        )

    @property
    def verdict(self) -> Verdict:
        if self.incapable:
            return Incapable(self.incapable)
        if self.waiting:
            return Waiting(self.waiting)
        return Passed(self.acknowledged, self.signed_off, self.expired)
