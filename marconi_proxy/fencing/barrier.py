"""Whether every worker has stopped writing to a queue that was sealed. Pure.

The members that count are those that were registered *after* the seal was stored: a worker that registers later reads
what the seal says. Each counts until it acknowledged the seal, signed off, or has expired: then it has stopped by
itself (``fence.Lease``), and begins a new term if it comes back. Each queue has a barrier of its own, so that a write
which hangs holds up its own queue and no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from catalog.model import Member, Seal

# The capability of every worker that can serve a queue with history, keeps a lease and a fence, and acknowledges seals
# one by one. (Those of the release before, ``chains-1``, acknowledged a position of the feed.)
CHAINS = "chains-2"


class MemberSighting(NamedTuple):
    """A member, as an observer knows it. ``silence``: for how many seconds it is known not to have renewed. ``proven``:
    it renewed or registered while the observer watched. ``expired``: the observer has watched it in silence for its
    whole lease, and has removed it from the catalog by a compare-and-set."""

    member: Member
    silence: float = 0.0
    proven: bool = True
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """No worker writes to the sealed segment any more. Names of members, by what let them pass.

    ``signed_off``: not registered any more, most often by its own word; else another process has watched its whole
    lease, and has removed it. ``expired``: this process has.
    """

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


def incapable(members: Iterable[Member], needed: str) -> tuple[str, ...]:
    """Return the names of members that lack the capability ``needed``: with any of them no move is armed."""
    return tuple(member.id for member in members if needed not in member.capabilities)


@dataclass(frozen=True, slots=True)
class Barrier:
    """Made by ``Barrier.after_seal``, told more by ``seen``, asked by ``verdict``.

    ``seal``: the one to be acknowledged. ``needed``: the capability. The other fields are names of members, sorted;
    each that counts is in one of the first four, for good once it is not in ``waiting``.
    """

    seal: Seal
    needed: str
    waiting: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    signed_off: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    incapable: tuple[str, ...] = ()

    @staticmethod
    def after_seal(seal: Seal, sightings: Iterable[MemberSighting], needed: str) -> Barrier:
        """Begin with the members as they were read after the seal was stored."""
        members = list(sightings)
        names = tuple(sorted(s.member.id for s in members))
        return Barrier(seal, needed, waiting=names).seen(members)

    def seen(self, sightings: Iterable[MemberSighting]) -> Barrier:
        """Take in a later reading of the members. A member that was not there after the seal does not count."""
        by_name = {s.member.id: s for s in sightings}
        waiting, acknowledged, signed_off, expired, incapable = [], [], [], [], []
        for name in self.waiting:
            sighting = by_name.get(name)
            if sighting is None:
                signed_off.append(name)
            elif sighting.expired:
                expired.append(name)
            elif self.seal in sighting.member.acks:
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
