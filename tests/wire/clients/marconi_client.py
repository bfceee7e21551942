"""The life of queues through python-marconiclient (v1), run in its environment: URL life|post|drop QUEUE...

The actions are those of ``zaqar_client.py``. This client of 2014 has no bulk deletion, no pop, and no way to name a
project: its queues are in the namespace of "no project", which others may be using too.
"""

import sys

from expectations import Steps, bodies
from marconiclient.queues import client
from marconiclient.transport import errors

POSTED = 25


def connect(url):
    return client.Client(url, version=1, conf={"auth_opts": {"backend": "noauth"}})


def names(connection, wanted, **params):
    """The names of all queues that are listed, without those of others."""
    return [queue._name for queue in connection.queues(**params).stream() if queue._name in wanted]


def post(queue, posted):
    answer = queue.post([{"ttl": 300, "body": body} for body in posted])
    return [href.split("/")[-1] for href in answer["resources"]]


def life(steps, connection, wanted):
    steps.expect("no queues at first", names(connection, wanted), [])
    queues = [connection.queue(name) for name in wanted]
    steps.expect("queues listed over pages", names(connection, wanted, limit=2), sorted(wanted))
    steps.expect("queues listed with metadata", names(connection, wanted, limit=3, detailed=True), sorted(wanted))
    for queue in queues:
        queue.ensure_exists()
        steps.expect("exists", queue.exists(), True)
        steps.expect("another does not", connection.queue("none-of-this-name", auto_create=False).exists(), False)
        queue.metadata({"colour": "red", "é": [1, None]})
        steps.expect("metadata kept", queue.metadata(force_reload=True), {"colour": "red", "é": [1, None]})
        messages(steps, queue, post(queue, bodies(0, POSTED)))
        claims(steps, queue)
    drop(steps, connection, wanted)
    for queue in queues:
        steps.expect("nothing left in a deleted queue", list(queue.messages(echo=True)), [])


def messages(steps, queue, ids):
    posted = bodies(0, POSTED)
    read = [message.body for message in queue.messages(echo=True, limit=10).stream()]
    steps.expect("all read over pages in order", read, posted)
    steps.expect("own messages hidden", list(queue.messages(limit=10)), [])
    steps.expect("read by ids", sorted(message.body["n"] for message in queue.messages(ids[3], ids[7])), [3, 7])
    steps.expect("read one", queue.message(ids[4]).body, posted[4])
    queue.message(ids[0]).delete()
    steps.refused("deleted one is gone", errors.ResourceNotFound, lambda: queue.message(ids[0]))
    steps.refused("ttl too short", errors.MalformedRequest, lambda: queue.post([{"ttl": 1, "body": 1}]))
    steps.refused("limit too large", errors.MalformedRequest, lambda: queue.messages(limit=21))
    steps.expect("counted", counts(queue), {"free": POSTED - 1, "claimed": 0, "total": POSTED - 1})


def claims(steps, queue):
    # This client sends the limit in the body, where the API does not look for it: ten are claimed.
    claim = queue.claim(ttl=120, grace=60, limit=5)
    claimed = list(claim)
    steps.expect("claimed the oldest in order", [message.body["n"] for message in claimed], list(range(1, 11)))
    steps.expect("counted as claimed", counts(queue), {"free": 14, "claimed": 10, "total": 24})
    claim.update(ttl=300, grace=60)
    again = queue.claim(id=claim.id)
    steps.expect("claim read with its messages", [message.body["n"] for message in again], list(range(1, 11)))
    steps.expect("claim renewed", queue.claim(id=claim.id).ttl, 300)
    for message in claimed[:3]:
        message.delete()
    claim.delete()
    steps.expect("worked off and released", counts(queue), {"free": 21, "claimed": 0, "total": 21})
    steps.refused("released claim is gone", errors.ResourceNotFound, lambda: list(queue.claim(id=claim.id)))


def counts(queue):
    return {key: queue.stats["messages"][key] for key in ("free", "claimed", "total")}


def drop(steps, connection, wanted):
    for name in wanted:
        connection.queue(name, auto_create=False).delete()
    steps.expect("no queues in the end", names(connection, wanted), [])


def main(url, action, *wanted):
    connection = connect(url)
    steps = Steps()
    if action == "life":
        life(steps, connection, wanted)
    elif action == "drop":
        drop(steps, connection, wanted)
    else:
        for name in wanted:
            steps.expect("posted", len(post(connection.queue(name), bodies(0, 10))), 10)
    steps.report(queues=wanted)


if __name__ == "__main__":
    main(*sys.argv[1:])
