"""Whether every worker has stopped writing to a sealed queue. Pure.

The barrier counts the members that were registered *after* the seal was stored: a worker that registers later reads the
seal itself. A member counts until it has acknowledged the seal or its preparation, signed off, or expired. An expired
member has stopped by its own lease (``fence.WriteLease``), and begins a new term if it returns. Each queue has a
barrier of its own, so a write that hangs delays only its own queue.

A seal is prepared if the change of the placement right before it is its preparation. A member that acknowledges that
one had no write to the queue in flight, and withdraws the preparation before it begins one. Withdrawal and seal are
compare-and-set on the same epoch, so one of them fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from catalog.model import Member, Seal

# The capability of a worker that serves queues with history, keeps a lease and a fence, and acknowledges seals one by
# one. (The release before had ``chains-1``: it acknowledged a position of the feed.)
CHAINS = "chains-2"


class MemberSighting(NamedTuple):
    """A member as an observer knows it. ``silence``: seconds for which it has certainly not renewed. ``proven``: it
    renewed or registered while the observer watched. ``expired``: the observer has watched it in silence for its whole
    lease, and has removed it from the catalog by a compare-and-set."""

    member: Member
    silence: float = 0.0
    proven: bool = True
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """No worker writes to the sealed segment any more. The fields have the names of members, by the reason that they
    passed.

    ``signed_off``: no longer registered. Most have removed themselves; others were removed by another process that had
    watched their whole lease. ``expired``: removed so by this process.
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
    """These members are alive and of a release that cannot read the placements of a move: no queue may be moved."""

    names: tuple[str, ...]


Verdict = Passed | Waiting | Incapable


def incapable(members: Iterable[Member], needed: str) -> tuple[str, ...]:
    """Return the names of members without the capability ``needed``. While there are any, no move is armed."""
    return tuple(member.id for member in members if needed not in member.capabilities)


@dataclass(frozen=True, slots=True)
class Barrier:
    """The members that a seal waits for. Make it by ``after_seal``, feed it readings by ``seen``, read ``verdict``.

    ``seal``: the seal to be acknowledged. ``needed``: the capability. The other fields are sorted names of members.
    Each counted member is in one of the first four, and stays there once it has left ``waiting``.
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
        """Return the barrier after a later reading of the members. A member that was absent after the seal does not
        count."""
        by_name = {s.member.id: s for s in sightings}
        waiting, acknowledged, signed_off, expired, incapable = [], [], [], [], []
        for name in self.waiting:
            sighting = by_name.get(name)
            if sighting is None:
                signed_off.append(name)
            elif sighting.expired:
                expired.append(name)
            elif not sighting.member.acks.isdisjoint((self.seal, self.seal.preparation)):
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
