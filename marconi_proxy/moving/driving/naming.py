"""What a queue is called on the partition it goes to. Pure."""

from __future__ import annotations

from hashlib import sha256

from catalog.model import TOPIC_PREFIX

_LONGEST = 64


def hidden_name(project: str, queue: str, born: str, n: int) -> str:
    """Return the name for segment ``n`` of a queue where the queue's own name is taken, or may be deleted.

    It is legal everywhere (API section 1.4; without the dot that early releases refuse), and no client would come
    upon it: with its number it has a hash of all that makes the queue this one.
    """
    spelled = "\0".join((project, queue, born, str(n)))
    suffix = f"-{n}-{sha256(spelled.encode()).hexdigest()[:12]}"
    return queue.removeprefix(TOPIC_PREFIX)[: _LONGEST - len(suffix)] + suffix
