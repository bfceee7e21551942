"""What a queue is called on the partition it goes to. Pure."""

from __future__ import annotations

from hashlib import sha256

from catalog.model import TOPIC_PREFIX

_LONGEST = 64


def hidden_name(project: str, queue: str, incarnation: str, n: int, attempt: str = "") -> str:
    """Return the name for segment ``n`` of a queue, of which every one but the first has a name of its own.

    ``attempt`` tells tries to open that segment apart: what was created for one that was given up may still be deleted
    late. So no name is ever used again on a partition, and neither a stale reader nor a late deletion can meet a newer
    segment under the name that it knows.

    It is legal everywhere (API section 1.4; without the dot that early releases refuse), and no client would come
    upon it: with its number it has a hash of all that makes the queue this one.
    """
    spelled = "\0".join((project, queue, incarnation, str(n), attempt))
    suffix = f"-{n}-{sha256(spelled.encode()).hexdigest()[:12]}"
    return queue.removeprefix(TOPIC_PREFIX)[: _LONGEST - len(suffix)] + suffix
