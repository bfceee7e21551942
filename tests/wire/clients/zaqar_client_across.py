"""Work with one queue through python-zaqarclient, and know nothing of moves: VERSION URL PROJECT QUEUE.

The script pauses twice: it prints a line on stdout, and goes on after a line from stdin. Ids and claims from before a
pause are used after it.
"""

import sys

from expectations import Steps, bodies
from zaqar_client import connect, create, post
from zaqarclient.transport import errors

POSTED = 12


def pause(what):
    print(what, flush=True)
    sys.stdin.readline()


def numbers(messages):
    return [message.body["n"] for message in messages]


def main(version, url, project, name):
    number = float(version)
    connection = connect(int(number) if number.is_integer() else number, url, project)
    steps = Steps()
    queue = create(connection, name)
    ids = post(queue, bodies(0, POSTED))
    page = queue.messages(echo=True, limit=3)
    steps.expect("a page", numbers(page), [0, 1, 2])
    bookmark = page._links[0]["href"]
    claim = queue.claim(ttl=300, grace=60, limit=3)
    claimed = list(claim)
    steps.expect("a claim", numbers(claimed), [0, 1, 2])
    single = queue.message(ids[5])

    pause("posted")

    ids += post(queue, bodies(POSTED, 3))
    steps.expect("an old and a new one by ids", sorted(numbers(queue.messages(ids[3], ids[13]))), [3, 13])
    steps.expect("an old one by its id", queue.message(ids[4]).body["n"], 4)
    claimed[0].delete()
    claim.update(ttl=600, grace=60)
    steps.expect("the claim is there", numbers(queue.claim(id=claim.id)), [1, 2])
    unclaimed = queue.message(ids[1])
    unclaimed.href = unclaimed.href.split("?")[0]
    steps.refused("a claimed one is not deleted without its claim", errors.ForbiddenError, unclaimed.delete)
    claimed[1].delete()
    claim.delete()
    steps.refused("a released claim is gone", errors.ResourceNotFound, lambda: list(queue.claim(id=claim.id)))
    single.delete()
    steps.refused("a deleted one is gone", errors.ResourceNotFound, lambda: queue.message(ids[5]))
    rest = [3, 4, *range(6, POSTED + 3)]
    steps.expect("the list goes on", numbers(page.stream()), rest)
    steps.expect("all in order", numbers(queue.messages(echo=True, limit=10).stream()), [2, *rest])
    oldest = queue.claim(ttl=300, grace=60, limit=4)
    steps.expect("the oldest are claimed first", numbers(oldest), [2, 3, 4, 6])
    for message in queue.claim(id=oldest.id):
        message.delete()
    queue.delete_messages(*ids[7:POSTED])

    pause("emptied")

    post(queue, bodies(POSTED + 3, 2))
    read = [message["body"]["n"] for message in connection.follow(bookmark)["messages"]]
    steps.expect("the old bookmark", read, [12, 13, 14])
    claim = queue.claim(ttl=300, grace=60, limit=10)
    steps.expect("a later claim", numbers(claim), [12, 13, 14, 15, 16])
    for message in queue.claim(id=claim.id):
        message.delete()
    steps.expect("nothing is left", numbers(queue.messages(echo=True)), [])
    queue.delete()
    steps.report()


if __name__ == "__main__":
    main(*sys.argv[1:])
