"""The form of queues and messages in MongoDB (``schema`` explains the fields). No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from partition.model.clock import age
from partition.model.identifier import Identifiers
from partition.model.message import Message
from partition.model.queue import Kind, Metadata, Queue, QueueKey

Document = Mapping[str, Any]


def prefix(project: str, kind: Kind) -> str:
    """The common prefix of the ``_id`` of all queues of this kind and project, and of no other."""
    return f"{int(kind)}\0{project}\0"


def queue_id(key: QueueKey) -> str:
    """The ``_id`` of a queue. No name has a NUL in it."""
    return prefix(key.project, key.kind) + key.name


def undeclared(key: QueueKey, number: int) -> dict[str, Any]:
    """The document of an undeclared queue: it takes dead letters, or keeps marks."""
    return {"_id": queue_id(key), "name": key.name, **emptied(number)}


def emptied(number: int) -> dict[str, Any]:
    """The fields of such a document, besides its name."""
    return {"queue": number, "declared": False, "revision": 0, "metadata": "{}", "last": 0, "pending": []}


def read_key(document: Document) -> QueueKey:
    """Read the key of a queue."""
    kind, _, rest = document["_id"].partition("\0")
    project, _, name = rest.rpartition("\0")
    return QueueKey(project, name, Kind(int(kind)))


def version(document: Document) -> str:
    """The version of a queue."""
    return f"{document['queue']}.{document['revision']}"


def at_version(wanted: str | None) -> dict[str, int]:
    """The condition that a queue is at this version; for an invalid version, a condition that never holds."""
    if wanted is None:
        return {}
    queue, _, revision = wanted.partition(".")
    if not (queue.isdecimal() and revision.isdecimal()):
        return {"queue": -1}
    return {"queue": int(queue), "revision": int(revision)}


@lru_cache(maxsize=1024)
def parsed(metadata: str) -> Metadata:
    """Return the stored metadata. The result is shared and must not be changed."""
    result: Metadata = json.loads(metadata)
    return result


def read_queue(document: Document) -> Queue:
    """Read a queue."""
    return Queue(document["name"], version(document), parsed(document["metadata"]))


def bound(document: Document) -> int:
    """The position up to which all messages of a queue are inserted (``posting``)."""
    pending = document["pending"]
    first: int = min(entry["first"] for entry in pending) - 1 if pending else document["last"]
    return first


def read_message(document: Document, identifiers: Identifiers, now: int) -> Message:
    """Read a message."""
    claim_id = identifiers.identifier(document["claim"]) if document["until"] > now else None
    return Message(
        identifiers.identifier(document["_id"]),
        str(document["position"]),
        document["ttl"],
        age(document["created"], now),
        document["body"],
        claim_id,
        document["claims"],
    )
