"""Claims, and dead letters after too many of them (API sections 6.5, 6.9)."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from partition.errors import ClaimMissing, StorageError
from partition.model import attributes
from partition.model.clock import MILLISECONDS, age
from partition.model.identifier import Identifiers
from partition.model.message import Claim, Lease, Message
from partition.model.queue import QueueKey
from partition.storage.sqlite import messages, queues
from partition.storage.sqlite.schema import CLAIMED, take_numbers
from partition.storage.sqlite.tidying import free

# Messages that one claim may move to a dead letter queue at a time, so that other writers get their turn.
BURIED_AT_A_TIME = 200


class ClaimJob(NamedTuple):
    """The arguments of ``Storage.claim``."""

    key: QueueKey
    lease: Lease
    limit: int


# A claim, or None and whether dead letters were moved: there may be other messages behind them.
_Granted = tuple[Claim | None, bool]


def create(
    connection: sqlite3.Connection, jobs: list[ClaimJob], identifiers: Identifiers, now: int
) -> list[_Granted | StorageError]:
    """Make each claim on the oldest messages that those before it leave free.

    Writers take turns, so no two claims see one message free. PERF: claims on one queue share their statements.
    """
    granted: dict[int, _Granted] = {}
    by_queue: dict[QueueKey, list[int]] = {}
    for place, one in enumerate(jobs):
        by_queue.setdefault(one.key, []).append(place)
    for key, places in by_queue.items():
        found = queues.find(connection, key)
        if found is None or not found.declared:
            continue
        limit = sum([jobs[place].limit for place in places])
        rows, buried = _claimable(connection, key, found, limit, now)
        shares = []
        for place in places:
            share, rows = rows[: jobs[place].limit], rows[jobs[place].limit :]
            if share:
                shares.append((place, jobs[place].lease, share))
            else:
                granted[place] = None, buried
        claims = _grant(connection, found.queue, [(lease, share) for _, lease, share in shares], identifiers, now)
        granted |= {place: (claim, False) for (place, _, _), claim in zip(shares, claims, strict=True)}
    return [granted.get(place, (None, False)) for place in range(len(jobs))]


def _grant(
    connection: sqlite3.Connection,
    queue: int,
    shares: list[tuple[Lease, list[messages.MessageRow]]],
    identifiers: Identifiers,
    now: int,
) -> list[Claim]:
    if not shares:
        return []
    rows = [row for _, share in shares for row in share]
    messages.detach(connection, queue, [row.claim for row in rows if row.claim is not None])
    first = take_numbers(connection, len(shares))
    connection.executemany(
        "INSERT INTO claim (number, queue, created, ttl, expires, size) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (claim, queue, now, lease.ttl, now + lease.ttl * MILLISECONDS, len(share))
            for claim, (lease, share) in enumerate(shares, first)
        ],
    )
    connection.executemany(
        "UPDATE message SET state=?, due=NULL, claim=?, claims=claims+1 WHERE number=?",
        [(CLAIMED, claim, row.number) for claim, (_, share) in enumerate(shares, first) for row in share],
    )
    connection.execute("UPDATE tally SET claimed=claimed+? WHERE queue=?", (len(rows), queue))
    return [
        _claim_of(connection, claim, lease, held, identifiers, now) for claim, (lease, held) in enumerate(shares, first)
    ]


def _claim_of(
    connection: sqlite3.Connection,
    claim: int,
    lease: Lease,
    rows: list[messages.MessageRow],
    identifiers: Identifiers,
    now: int,
) -> Claim:
    """Extend messages of a new claim as ``_extend`` does, and return it with them."""
    expires = now + lease.ttl * MILLISECONDS
    if any(row.expires < expires for row in rows):
        _extend(connection, claim, lease, expires)
        rows = [row._replace(ttl=lease.ttl + lease.grace) if row.expires < expires else row for row in rows]
    held = [row._replace(claims=row.claims + 1, holder=claim).shown for row in rows]
    return Claim(identifiers.identifier(claim), lease.ttl, 0, tuple(messages.rendered(held, identifiers, now)))


def _extend(connection: sqlite3.Connection, claim: int, lease: Lease, expires: int) -> None:
    """Extend messages that would expire before their claim (API section 6.5); leave the others as they are."""
    connection.execute(
        "UPDATE message SET expires=?, ttl=? WHERE claim=? AND expires<?",
        (expires + lease.grace * MILLISECONDS, lease.ttl + lease.grace, claim, expires),
    )


def _claimable(
    connection: sqlite3.Connection, key: QueueKey, found: queues.Found, limit: int, now: int
) -> tuple[list[messages.MessageRow], bool]:
    rule = attributes.dead_letters(queues.parsed(found.metadata))
    if rule is None:
        return messages.available(connection, found.queue, limit, now), False
    name, allowed, ttl = rule
    good: list[messages.MessageRow] = []
    dead: list[messages.MessageRow] = []
    for row in messages.available(connection, found.queue, max(limit, BURIED_AT_A_TIME), now):
        (good if row.claims < allowed else dead).append(row)
        if len(good) == limit:
            break
    if dead:
        _bury(connection, found.queue, QueueKey(key.project, name, key.kind), dead, ttl, now)
    return good, bool(dead)


def _bury(
    connection: sqlite3.Connection,
    queue: int,
    key: QueueKey,
    rows: list[messages.MessageRow],
    ttl: int | None,
    now: int,
) -> None:
    """Move messages to the dead letter queue, created undeclared if missing. A new ttl starts a new life there."""
    target = queues.for_dead_letters(connection, key)
    first = take_numbers(connection, len(rows))
    moved = []
    for number, row in enumerate(rows, first):
        client, expires = connection.execute(
            "SELECT client, expires FROM message WHERE number=?", (row.number,)
        ).fetchone()
        created = row.created
        if ttl is not None:
            created, expires = now, now + ttl * MILLISECONDS
        moved.append((number, client, created, ttl or row.ttl, expires, 0, row.body))
    messages.remove(connection, queue, [(row.number, row.claim) for row in rows])
    messages.insert(connection, target, moved, now)


def get(connection: sqlite3.Connection, key: QueueKey, claim_id: str, identifiers: Identifiers, now: int) -> Claim:
    """Raises ClaimMissing."""
    _, claim = _live(connection, key, claim_id, identifiers, now)
    ttl, created = connection.execute("SELECT ttl, created FROM claim WHERE number=?", (claim,)).fetchone()
    return Claim(claim_id, ttl, age(created, now), _messages_of(connection, claim, identifiers, now))


def renew(
    connection: sqlite3.Connection, key: QueueKey, claim_id: str, lease: Lease, identifiers: Identifiers, now: int
) -> None:
    """Raises ClaimMissing."""
    _, claim = _live(connection, key, claim_id, identifiers, now)
    expires = now + lease.ttl * MILLISECONDS
    connection.execute("UPDATE claim SET created=?, ttl=?, expires=? WHERE number=?", (now, lease.ttl, expires, claim))
    # A renewal proves a live worker: only expired claims count (API section 6.9).
    connection.execute("UPDATE message SET claims=1 WHERE claim=? AND claims!=1", (claim,))
    _extend(connection, claim, lease, expires)


def release(connection: sqlite3.Connection, key: QueueKey, claim_id: str, identifiers: Identifiers, now: int) -> None:
    try:
        queue, claim = _live(connection, key, claim_id, identifiers, now)
    except ClaimMissing:
        return
    free(connection, queue, claim, forgive=True)


def _live(
    connection: sqlite3.Connection, key: QueueKey, claim_id: str, identifiers: Identifiers, now: int
) -> tuple[int, int]:
    """Return the numbers of queue and claim. Raises ClaimMissing."""
    number = identifiers.number(claim_id)
    row = (
        None
        if number is None
        else connection.execute(
            "SELECT claim.queue FROM claim JOIN queue USING (queue)"
            " WHERE number=? AND expires>? AND kind=? AND project=? AND name=?",
            (number, now, key.kind, key.project, key.name),
        ).fetchone()
    )
    if row is None or number is None:
        raise ClaimMissing(claim_id)
    return row[0], number


def _messages_of(connection: sqlite3.Connection, claim: int, identifiers: Identifiers, now: int) -> tuple[Message, ...]:
    rows = connection.execute(
        f"SELECT {messages.SHOWN} FROM message WHERE claim=? ORDER BY position",  # noqa: S608
        (now, claim),
    )
    return tuple(messages.rendered(rows, identifiers, now))
