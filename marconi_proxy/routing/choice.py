"""The partition of a queue: weighted rendezvous hashing (Thaler & Ravishankar 1998; weights after Schindelhauer &
Schomaker 2005).

Every (owner, partition) pair gets a draw from an exponential distribution with rate ``weight``, fixed by a hash of the
two names; the smallest draws win. So all workers choose alike without communication, and a partition wins in proportion
to its weight. Adding, removing or reweighting a partition moves only the queues that it wins or loses.

The guarantee is weaker for a project that is spread over several of the partitions but not all (``bench.placement`` has
figures). Its home set has a fixed size: when a partition enters, another leaves, its share goes to the whole set, and
about twice as many queues change as must. No existing queue moves, because its partition is stored. A heavy partition
is in most home sets already; if its weight counted in full within the set, it would get far more than its share. So it
counts for less there, the likelier it is to be in the set (``shares``; Horvitz & Thompson 1952), and all get their
share within a few per cent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from enum import Enum, auto
from hashlib import blake2b

from catalog.model import Partition, PartitionState, QueueKey, Tenant

# The tolerance, and the number of steps that reaches it with any weights.
_NEAR = 1e-12
_MOST_STEPS = 100


class Refusal(Enum):
    """The reasons for finding no partition for a queue."""

    NO_PARTITION = auto()
    VERSION_UNKNOWN = auto()
    VERSION_NOT_SPOKEN = auto()
    PINNED_UNAVAILABLE = auto()


def draw(owner: str, partition: str, weight: float) -> float:
    """Return the draw of ``partition`` for ``owner``: the smaller, the better. ``weight`` is positive."""
    digest = blake2b(f"{owner}\0{partition}".encode(), digest_size=8).digest()
    # In (0, 1), never its ends: the logarithm is finite and the draw positive.
    uniform = (int.from_bytes(digest, "big") + 0.5) / 2.0**64
    return -math.log(uniform) / weight


def rank(owner: str, partitions: Iterable[Partition]) -> list[Partition]:
    """Return partitions of positive weight in the order in which they are ``owner``'s."""
    return sorted((p for p in partitions if p.weight > 0), key=lambda p: (draw(owner, p.name, p.weight), p.name))


def home_set(project: str, taking: Iterable[Partition], spread: int) -> list[Partition]:
    """Return the home set of a project: the partitions, of those that take new queues, over which its own spread."""
    return rank(f"project\0{project}", taking)[:spread]


def shares(home: Sequence[Partition], partitions: Collection[Partition]) -> dict[str, float]:
    """Return the weight of each partition of a home set for the queues of its project, by name.

    ``home`` are the first of ``partitions``, which have positive weights, in some owner's order.
    """
    weights = [p.weight for p in partitions]
    if len(home) == len(weights):
        return {p.name: float(p.weight) for p in home}
    until = _horizon(weights, len(home))
    return {p.name: p.weight / -math.expm1(-p.weight * until) for p in home}


def _horizon(weights: Collection[int], size: int) -> float:
    """Return the draw below which ``size`` of the draws of these weights are expected: fewer than there are weights.

    Newton's method from the left never overshoots: the expected number grows, ever more slowly.
    """
    until = size / sum(weights)
    for _ in range(_MOST_STEPS):
        missing = size + sum(math.expm1(-weight * until) for weight in weights)
        if missing <= size * _NEAR:
            break
        until += missing / sum(weight * math.exp(-weight * until) for weight in weights)
    return until


def choose(
    key: QueueKey, tenant: Tenant | None, version: str, partitions: Collection[Partition], *, new: bool
) -> Partition | Refusal:
    """Return the partition of a new queue (``new``), or the one to ask about a queue without a placement.

    Only partitions that speak ``version`` count, and for a new queue only those that take new ones. An unplaced queue
    is sought where it would be placed; if no partition takes new queues, on any that serves.
    """
    serving = [p for p in partitions if p.state is not PartitionState.DISABLED]
    if not serving:
        return Refusal.NO_PARTITION
    speaking = [p for p in serving if version in p.api_versions]
    if not speaking:
        unknown = any(not p.api_versions for p in serving)
        return Refusal.VERSION_UNKNOWN if unknown else Refusal.VERSION_NOT_SPOKEN
    taking = [p for p in speaking if p.state is PartitionState.ENABLED and p.weight > 0]
    if tenant is not None and tenant.pinned is not None:
        candidates = [p for p in (taking if new else speaking) if p.name == tenant.pinned]
        if candidates:
            return candidates[0]
        if new:
            return Refusal.PINNED_UNAVAILABLE
    if not taking:
        if new:
            return Refusal.NO_PARTITION
        return min(speaking, key=lambda p: p.name)
    spread = 1 if tenant is None else tenant.spread
    homes = home_set(key.project, taking, spread)
    if len(homes) == 1:
        return homes[0]
    weights = shares(homes, taking)
    owner = f"queue\0{key.project}\0{key.queue}"
    return min(homes, key=lambda p: (draw(owner, p.name, weights[p.name]), p.name))
