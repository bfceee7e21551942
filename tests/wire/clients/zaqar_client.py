"""The life of queues through python-zaqarclient, run in its environment: VERSION URL PROJECT ACTION QUEUE...

``life`` creates the queues, does everything the client can do with them, and deletes them. ``post`` creates them and
leaves ten messages in each. ``drop`` deletes them. ``walk`` lists them, and there are no others.
"""

import sys

from expectations import Steps, bodies
from zaqarclient.queues import client
from zaqarclient.transport import errors

POSTED = 25


def connect(version, url, project):
    options = {"backend": "noauth", "options": {"os_project_id": project}}
    return client.Client(url, version=version, conf={"auth_opts": options})


def names(connection, **params):
    listed = connection.queues(**params)
    iterator = listed[0] if isinstance(listed, tuple) else listed
    return [queue.name for queue in iterator.stream()]


def create(connection, name):
    return connection.queue(name, force_create=True)


def post(queue, posted):
    answer = queue.post([{"ttl": 300, "body": body} for body in posted])
    return [href.split("/")[-1] for href in answer["resources"]]


def life(steps, connection, wanted):
    steps.expect("no queues at first", names(connection), [])
    queues = [create(connection, name) for name in wanted]
    steps.expect("queues listed over pages", names(connection, limit=2), sorted(wanted))
    steps.expect("queues listed with metadata", names(connection, limit=3, detailed=True), sorted(wanted))
    for queue in queues:
        create(connection, queue.name)
        existence_and_metadata(steps, connection, queue)
        ids = post(queue, bodies(0, POSTED))
        messages(steps, queue, ids)
        left = POSTED - 3
        if connection.api_version >= 1.1:
            left = pops(steps, queue)
        claims(steps, queue, left)
        if connection.api_version >= 2:
            purge(steps, queue)
            subscriptions(steps, connection, queue)
    if connection.api_version >= 2:
        counted, count = connection.queues(with_count=True, limit=1)
        steps.expect("queues counted", (count, next(counted).name), (len(wanted), min(wanted)))
    drop(steps, connection, wanted)
    for queue in queues:
        steps.expect("nothing left in a deleted queue", list(queue.messages(echo=True)), [])


def existence_and_metadata(steps, connection, queue):
    if connection.api_version == 1:
        steps.expect("exists", queue.exists(), True)
        steps.expect("another does not", connection.queue("another", auto_create=False).exists(), False)
        queue.metadata({"colour": "red", "é": [1, None]})
        steps.expect("metadata kept", queue.metadata(force_reload=True), {"colour": "red", "é": [1, None]})
    elif connection.api_version == 1.1:
        steps.expect("metadata empty", queue.metadata(force_reload=True), {})
    else:
        queue.metadata({"colour": "red", "_default_message_ttl": 600})
        queue.metadata({"colour": "blue", "é": [1, None]})
        found = queue.metadata(force_reload=True)
        kept = {key: found.get(key) for key in ("colour", "é", "_default_message_ttl")}
        steps.expect("metadata kept", kept, {"colour": "blue", "é": [1, None], "_default_message_ttl": 3600})


def messages(steps, queue, ids):
    posted = bodies(0, POSTED)
    steps.expect("as many ids as messages", len(set(ids)), POSTED)
    read = [message.body for message in queue.messages(echo=True, limit=10).stream()]
    steps.expect("all read over pages in order", read, posted)
    steps.expect("own messages hidden", list(queue.messages(limit=10)), [])
    some = queue.messages(ids[3], ids[7])
    steps.expect("read by ids", sorted(message.body["n"] for message in some), [3, 7])
    steps.expect("read one", queue.message(ids[4]).body, posted[4])
    steps.expect("all free", free_and_claimed(queue), (POSTED, 0))
    queue.message(ids[0]).delete()
    steps.refused("deleted one is gone", errors.ResourceNotFound, lambda: queue.message(ids[0]))
    queue.delete_messages(ids[1], ids[2])
    steps.expect("three fewer", queue.stats["messages"]["total"], POSTED - 3)
    refuse_bad_ones(steps, queue)


def refuse_bad_ones(steps, queue):
    steps.refused("ttl too short", errors.MalformedRequest, lambda: queue.post([{"ttl": 1, "body": 1}]))
    steps.refused("limit too large", errors.MalformedRequest, lambda: queue.messages(limit=21))
    steps.expect("nothing was posted by that", queue.stats["messages"]["total"], POSTED - 3)


def pops(steps, queue):
    """Pop four, and return how many are left. Before any is claimed: Zaqar may take a released message last."""
    popped = [message.body["n"] for message in queue.pop(count=4)]
    steps.expect("popped the oldest", popped, [3, 4, 5, 6])
    left = POSTED - 3 - 4
    steps.expect("popped ones are gone", queue.stats["messages"]["total"], left)
    steps.refused("pop of too many", errors.MalformedRequest, lambda: queue.pop(count=21))
    return left


def claims(steps, queue, left):
    oldest = list(range(POSTED - left, POSTED))[:5]
    claim = queue.claim(ttl=120, grace=60, limit=5)
    claimed = list(claim)
    steps.expect("claimed the oldest in order", [message.body["n"] for message in claimed], oldest)
    steps.expect("counted as claimed", free_and_claimed(queue), (left - 5, 5))
    claim.update(ttl=300, grace=60)
    again = queue.claim(id=claim.id)
    steps.expect("claim read with its messages", [message.body["n"] for message in again], oldest)
    steps.expect("claim renewed", queue.claim(id=claim.id).ttl, 300)
    unclaimed = queue.message(claimed[0].href.split("/")[-1].split("?")[0])
    unclaimed.href = unclaimed.href.split("?")[0]
    steps.refused("claimed one not deleted without its claim", errors.ForbiddenError, unclaimed.delete)
    for message in claimed[:3]:
        message.delete()
    steps.expect("worked off", queue.stats["messages"]["total"], left - 3)
    claim.delete()
    steps.expect("released", free_and_claimed(queue), (left - 3, 0))
    steps.refused("released claim is gone", errors.ResourceNotFound, lambda: list(queue.claim(id=claim.id)))
    steps.refused("renewal of it refused", errors.ResourceNotFound, lambda: claim.update(ttl=120))


def purge(steps, queue):
    queue.purge(resource_types=["messages"])
    steps.expect("purged", queue.stats["messages"]["total"], 0)
    claim = queue.claim(ttl=120, grace=60)
    steps.expect("nothing to claim", (claim.id, list(claim)), (None, []))
    post(queue, bodies(0, 3))


def subscriptions(steps, connection, queue):
    made = [
        connection.subscription(queue.name, subscriber=f"http://127.0.0.1:9/{n}", ttl=600, options={"n": n})
        for n in range(3)
    ]
    listed = connection.subscriptions(queue.name, limit=2).stream()
    steps.expect("subscriptions listed", sorted(one.id for one in listed), sorted(one.id for one in made))
    made[0].update({"ttl": 900})
    found = connection.subscription(queue.name, id=made[0].id)
    steps.expect("subscription changed", (found.ttl, found.subscriber), (900, "http://127.0.0.1:9/0"))
    made[0].delete()
    listed = connection.subscriptions(queue.name).stream()
    steps.expect("subscription deleted", sorted(one.id for one in listed), sorted(one.id for one in made[1:]))
    queue.purge(resource_types=["subscriptions"])
    steps.expect("subscriptions purged", list(connection.subscriptions(queue.name)), [])
    signed = queue.signed_url(paths=["messages"], methods=["GET", "POST"])
    steps.expect("signed", signed["paths"], [f"/v2/queues/{queue.name}/messages"])


def drop(steps, connection, wanted):
    for name in wanted:
        connection.queue(name, auto_create=False).delete()
    steps.expect("no queues in the end", names(connection), [])


def walk(steps, connection, wanted):
    steps.expect("all queues in order", names(connection), sorted(wanted))
    steps.expect("all with metadata", names(connection, limit=20, detailed=True), sorted(wanted))
    if connection.api_version >= 2:
        rare = [name for name in sorted(wanted) if "99" in name]
        steps.expect("a rare name over empty pages", names(connection, name="99"), rare)
        steps.expect("a name that is none", names(connection, name="nothing"), [])


def free_and_claimed(queue):
    counts = queue.stats["messages"]
    return counts["free"], counts["claimed"]


def main(version, url, project, action, *wanted):
    number = float(version)
    connection = connect(int(number) if number.is_integer() else number, url, project)
    steps = Steps()
    if action == "life":
        life(steps, connection, wanted)
    elif action == "drop":
        drop(steps, connection, wanted)
    elif action == "walk":
        walk(steps, connection, wanted)
    else:
        for name in wanted:
            steps.expect("posted", len(post(create(connection, name), bodies(0, 10))), 10)
    steps.report(queues=wanted)


if __name__ == "__main__":
    main(*sys.argv[1:])
