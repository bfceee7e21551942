"""The name of a segment's queue on its partition. Pure."""

from __future__ import annotations

from hashlib import sha256

from catalog.model import TOPIC_PREFIX

_LONGEST = 64


def hidden_name(project: str, queue: str, incarnation: str, n: int, attempt: str = "") -> str:
    """Return the name of segment ``n``; every segment but the first has a name of its own.

    ``attempt`` distinguishes attempts to open that segment: a queue of an abandoned attempt may still be deleted late.
    So no name is ever reused on a partition, and neither a stale reader nor a late deletion meets a newer segment under
    its name.

    The name is legal everywhere (API section 1.4; without the dot that early releases refuse). Clients do not hit it by
    accident: it has the number and a hash of everything that identifies the queue.
    """
    spelled = "\0".join((project, queue, incarnation, str(n), attempt))
    suffix = f"-{n}-{sha256(spelled.encode()).hexdigest()[:12]}"
    return queue.removeprefix(TOPIC_PREFIX)[: _LONGEST - len(suffix)] + suffix
