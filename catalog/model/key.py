"""Who a placement is about: projects, queues and topics."""

from __future__ import annotations

from typing import NamedTuple

NO_PROJECT = ""
TOPIC_PREFIX = "~"


class QueueKey(NamedTuple):
    """Who a placement is about: (project, queue). Sorts as the catalog sorts."""

    project: str
    queue: str
