"""Posting, reading and deleting messages. Every function runs inside a transaction of a connection thread."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from partition.errors import StorageError
from partition.model import attributes
from partition.model.clock import MILLISECONDS, age
from partition.model.identifier import Identifiers, well_formed
from partition.model.message import Deletion, Message, MessageQuery, NewMessage, marked_position
from partition.model.queue import Epoch, Queue, QueueKey
from partition.storage.sqlite import marks, queues, tidying
from partition.storage.sqlite.schema import CLAIMED, DELAYED, FREE, STORED, take_numbers

# The first parameter of such a query is the time: an ended claim counts as none, even before it is swept.
SHOWN = (
    "number, position, ttl, created, body, claims,"
    " (SELECT claim.number FROM claim WHERE claim.number=message.claim AND claim.expires>?)"
)
_TAKEN = f"{SHOWN}, claim, expires"

# A message as SHOWN selects it. PERF: a column of ten rows costs as much as a statement.
ShownRow = tuple[int, int, int, int, str, int, int | None]


class MessageRow(NamedTuple):
    """A message to be taken or deleted. ``holder`` is its live claim; ``claim`` may have ended."""

    number: int
    position: int
    ttl: int
    created: int
    body: str
    claims: int
    holder: int | None
    claim: int | None
    expires: int

    @property
    def shown(self) -> ShownRow:
        return self[:7]


# Messages deleted by one job of a purge.
PURGED_AT_A_TIME = 500


class PostJob(NamedTuple):
    """The arguments of ``Storage.post``."""

    key: QueueKey
    messages: Sequence[NewMessage]
    client: bytes
    version: str | None
    epoch: Epoch | None


def post(connection: sqlite3.Connection, posts: list[PostJob], now: int) -> list[range | StorageError]:
    """Insert the messages of each post; return their numbers, or QueueClosed, QueueMissing or QueueChanged.

    PERF: what posts have in common is done once, so that one more message costs one insert.
    """
    admitted: dict[tuple[QueueKey, str | None, Epoch | None], int | StorageError] = {}
    for key, _, _, version, epoch in posts:
        if (key, version, epoch) not in admitted:
            admitted[key, version, epoch] = _admit(connection, key, version, epoch)
    count = sum(
        len(messages)
        for key, messages, _, version, epoch in posts
        if not isinstance(admitted[key, version, epoch], StorageError)
    )
    first = take_numbers(connection, count) if count else 0
    results: list[range | StorageError] = []
    rows: dict[int, list[tuple[int, bytes, int, int, int, int, str]]] = {}
    for key, messages, client, version, epoch in posts:
        queue = admitted[key, version, epoch]
        if isinstance(queue, StorageError):
            results.append(queue)
            continue
        rows.setdefault(queue, []).extend(
            [
                (number, client, now, ttl, now + ttl * MILLISECONDS, delay, body)
                for number, (ttl, body, delay) in enumerate(messages, first)
            ]
        )
        results.append(range(first, first + len(messages)))
        first += len(messages)
    for queue, own in rows.items():
        insert(connection, queue, own, now)
    return results


def _admit(
    connection: sqlite3.Connection, key: QueueKey, version: str | None, epoch: Epoch | None
) -> int | StorageError:
    try:
        marks.admit(connection, key, epoch)
        return queues.declared(connection, key, version).queue
    except StorageError as refusal:
        return refusal


def insert(
    connection: sqlite3.Connection, queue: int, rows: list[tuple[int, bytes, int, int, int, int, str]], now: int
) -> None:
    """Append (number, client, created, ttl, expires, delay, body) to the queue, at positions never used before."""
    count = len(rows)
    # Writers hold a lock, so positions become visible in their order: none appears behind a marker (API section 6.2).
    (last,) = connection.execute(
        "UPDATE tally SET last=last+?, total=total+? WHERE queue=? RETURNING last", (count, count, queue)
    ).fetchone()
    connection.executemany(
        "INSERT INTO message (number, queue, position, state, expires, client, created, ttl, due, claim, claims, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, ?)",
        [
            (
                number,
                queue,
                last - count + n,
                DELAYED if delay else FREE,
                expires,
                client,
                created,
                ttl,
                now + delay * MILLISECONDS if delay else None,
                body,
            )
            for n, (number, client, created, ttl, expires, delay, body) in enumerate(rows, 1)
        ],
    )


def rendered(rows: Iterable[ShownRow], identifiers: Identifiers, now: int) -> list[Message]:
    """Rows as an answer shows them."""
    identifier = identifiers.identifier
    return [
        Message(
            identifier(number),
            str(position),
            ttl,
            age(created, now),
            body,
            None if holder is None else identifier(holder),
            claims,
        )
        for number, position, ttl, created, body, claims, holder in rows
    ]


def list_page(
    connection: sqlite3.Connection, key: QueueKey, query: MessageQuery, identifiers: Identifiers, now: int
) -> tuple[list[Message], Queue | None]:
    found = connection.execute(_LISTED, (key.kind, key.project, key.name)).fetchone()
    if found is None:
        return [], None
    number, revision, metadata, first_end, first_due = found
    queue = Queue(key.name, f"{number}.{revision}", queues.parsed(metadata))
    after = marked_position(query.marker)
    if after is None:
        return [], queue
    ranges = [(FREE, "")]
    # PERF: a queue without claims, or without delayed messages, has nothing in their ranges.
    if first_end is not None:
        if query.include_claimed:
            ranges.append((CLAIMED, ""))
        elif first_end <= now:
            ranges.append((CLAIMED, _ENDED))
    if first_due is not None:
        if query.include_delayed or not attributes.delay(queue.metadata):
            ranges.append((DELAYED, ""))
        elif first_due <= now:
            ranges.append((DELAYED, _DUE))
    rows = _oldest(connection, SHOWN, number, ranges, query.limit, now, after=after, not_of=query.hidden_from)
    return rendered(rows, identifiers, now), queue


# A queue by its key, with the first end of a claim and the first time at which a delayed message is due.
_LISTED = (
    "SELECT queue, revision, metadata,"
    " (SELECT expires FROM claim WHERE claim.queue=queue.queue ORDER BY expires LIMIT 1),"
    " (SELECT due FROM message WHERE message.queue=queue.queue AND due IS NOT NULL ORDER BY due LIMIT 1)"
    " FROM queue WHERE kind=? AND project=? AND name=? AND created!=0"
)


# Claimed messages with an ended claim, and delayed messages that are due. One parameter: the time.
_ENDED = " AND EXISTS (SELECT 1 FROM claim WHERE claim.number=message.claim AND claim.expires<=?)"
_DUE = " AND due<=?"


def _oldest(
    connection: sqlite3.Connection,
    columns: str,
    queue: int,
    ranges: Iterable[tuple[int, str]],
    limit: int,
    now: int,
    *,
    after: int = 0,
    not_of: bytes | None = None,
) -> list[Any]:
    """The first living messages, by position, of ranges of the index: each a state, and a further condition or "".

    ``columns`` are SHOWN or _TAKEN.
    """
    theirs, client = ("", ()) if not_of is None else (" AND client!=?", (not_of,))
    rows: list[Any] = []
    for state, condition in ranges:
        rows += connection.execute(
            f"SELECT {columns} FROM {STORED} WHERE queue=? AND state=? AND position>? AND expires>?{theirs}{condition}"  # noqa: S608
            " ORDER BY position LIMIT ?",
            (now, queue, state, after, now, *client, *((now,) if condition else ()), limit),
        )
    rows.sort(key=itemgetter(1))
    return rows[:limit]


def available(
    connection: sqlite3.Connection, queue: int, limit: int, now: int, *, delayed: bool = False
) -> list[MessageRow]:
    """The first messages, by position, that may be taken; ``delayed`` ones too, whether or not they are due.

    Tidies a bounded part first. Only if some remain, and they are needed, the claimed ones are searched.
    """
    more = tidying.tidy(connection, queue, now, tidying.ON_THE_WAY)
    late = (DELAYED, "") if delayed else (DELAYED, _DUE)
    rows = _oldest(connection, _TAKEN, queue, ((FREE, ""), late) if delayed else ((FREE, ""),), limit, now)
    if more and len(rows) < limit:
        rows = _oldest(connection, _TAKEN, queue, ((FREE, ""), (CLAIMED, _ENDED), late), limit, now)
    return [MessageRow._make(row) for row in rows]


def by_ids(
    connection: sqlite3.Connection, key: QueueKey, ids: Sequence[str], identifiers: Identifiers, now: int
) -> list[Message]:
    found = queues.find(connection, key)
    if found is None or not found.declared:
        return []
    rows = _rows(connection, found.queue, ids, identifiers, now)
    return rendered([row.shown for row in rows], identifiers, now)


def _rows(
    connection: sqlite3.Connection, queue: int, ids: Iterable[str], identifiers: Identifiers, now: int
) -> list[MessageRow]:
    rows: list[MessageRow] = []
    for identifier in dict.fromkeys(ids):
        number = identifiers.number(identifier)
        if number is not None:
            found = connection.execute(
                f"SELECT {_TAKEN} FROM message WHERE number=? AND queue=? AND expires>?",  # noqa: S608
                (now, number, queue, now),
            )
            rows += map(MessageRow._make, found)
    return rows


def remove(connection: sqlite3.Connection, queue: int, rows: Iterable[tuple[int, int | None]]) -> None:
    """Delete the messages given as (number, claim), and settle every count that included them."""
    gone = list(rows)
    if not gone:
        return
    connection.executemany("DELETE FROM message WHERE number=?", [(number,) for number, _ in gone])
    connection.execute("UPDATE tally SET total=total-? WHERE queue=?", (len(gone), queue))
    detach(connection, queue, [claim for _, claim in gone if claim is not None])


def detach(connection: sqlite3.Connection, queue: int, claims: list[int]) -> None:
    """Count one message less under each of the claims; an empty claim is deleted."""
    if not claims:
        return
    for claim, count in Counter(claims).items():
        connection.execute("UPDATE claim SET size=size-? WHERE number=?", (count, claim))
        connection.execute("DELETE FROM claim WHERE number=? AND size<=0", (claim,))
    connection.execute("UPDATE tally SET claimed=claimed-? WHERE queue=?", (len(claims), queue))


def delete_many(
    connection: sqlite3.Connection,
    key: QueueKey,
    ids: Sequence[str],
    claim_ids: Sequence[str] | None,
    identifiers: Identifiers,
    now: int,
) -> bool:
    found = queues.find(connection, key)
    if found is None:
        return True
    rows = _rows(connection, found.queue, ids, identifiers, now)
    if claim_ids is not None:
        named = {identifiers.number(claim) for claim in claim_ids} - {None}
        if any(row.holder not in named for row in rows):
            return False
    remove(connection, found.queue, [(row.number, row.claim) for row in rows])
    return True


class DeletionJob(NamedTuple):
    """The arguments of ``Storage.delete_message``."""

    key: QueueKey
    message_id: str
    claim_id: str | None


def delete_each(
    connection: sqlite3.Connection, jobs: list[DeletionJob], identifiers: Identifiers, now: int
) -> list[Deletion | StorageError]:
    """Delete single messages by API section 2.12. PERF: those of one queue share their statements."""
    found = {key: queues.find(connection, key) for key in {one.key for one in jobs}}
    gone: dict[int, dict[int, int | None]] = {one.queue: {} for one in found.values() if one is not None}
    results: list[Deletion | StorageError] = []
    for key, message_id, claim_id in jobs:
        queue = found[key]
        rows = [] if queue is None else _rows(connection, queue.queue, (message_id,), identifiers, now)
        outcome = _deletion(rows[0], claim_id, identifiers) if rows else Deletion.DONE
        if rows and queue is not None and outcome is Deletion.DONE:
            gone[queue.queue][rows[0].number] = rows[0].claim
        results.append(outcome)
    for number, claims in gone.items():
        remove(connection, number, claims.items())
    return results


def _deletion(row: MessageRow, claim_id: str | None, identifiers: Identifiers) -> Deletion:
    """API section 2.12, row by row."""
    if claim_id is None:
        return Deletion.DONE if row.holder is None else Deletion.CLAIMED
    if not well_formed(claim_id):
        return Deletion.BAD_CLAIM
    if row.holder is None:
        return Deletion.NOT_CLAIMED
    return Deletion.DONE if row.holder == identifiers.number(claim_id) else Deletion.CLAIMED


def pop(connection: sqlite3.Connection, key: QueueKey, limit: int, identifiers: Identifiers, now: int) -> list[Message]:
    found = queues.find(connection, key)
    if found is None or not found.declared:
        return []
    rows = available(connection, found.queue, limit, now, delayed=True)
    remove(connection, found.queue, [(row.number, row.claim) for row in rows])
    return rendered([row.shown for row in rows], identifiers, now)


def purge_some(connection: sqlite3.Connection, key: QueueKey, up_to: int | None, now: int) -> int | None:
    """Delete some unclaimed messages up to the position ``up_to`` (None: up to the newest); None when all are gone."""
    found = queues.find(connection, key)
    if found is None:
        return None
    if up_to is None:
        # Otherwise a purge beside a busy producer would never end.
        (up_to,) = connection.execute("SELECT last FROM tally WHERE queue=?", (found.queue,)).fetchone()
    more = tidying.tidy(connection, found.queue, now, tidying.ON_THE_WAY)
    rows = connection.execute(
        f"SELECT number FROM {STORED} WHERE queue=? AND state IN (?, ?) AND position<=? LIMIT ?",  # noqa: S608
        (found.queue, FREE, DELAYED, up_to, PURGED_AT_A_TIME),
    ).fetchall()
    remove(connection, found.queue, [(number, None) for (number,) in rows])
    return up_to if more or len(rows) == PURGED_AT_A_TIME else None
