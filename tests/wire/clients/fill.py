"""Fill two deployments with queues and messages, and know nothing of a proxy: PROJECT URL URL ALONE BOTH.

Each gets ALONE queues of its own, ``north-000`` and ``south-000`` onwards, and both get BOTH of them, ``both-000``
onwards.
Every queue has three messages; the last line on stdout is a JSON array of their bodies.
"""

import http.client
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

AT_ONCE = 4
CLIENT = "5c7e2f3a8c1f4b0f9d2f6a1b3c4d5e6f"


def fill(address, project, names, where):
    """Create the queues, post to each, and return the bodies."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    headers = {"Client-ID": CLIENT, "X-Project-Id": project, "Content-Type": "application/json"}
    posted = []
    for name in names:
        bodies = [f"{where} {name} {number}" for number in range(3)]
        document = json.dumps({"messages": [{"ttl": 3600, "body": body} for body in bodies]})
        for method, path, body, wanted in (
            ("PUT", f"/v2/queues/{name}", json.dumps({"made": where}), 201),
            ("POST", f"/v2/queues/{name}/messages", document, 201),
        ):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != wanted:
                raise SystemExit(f"{method} {path} at {where}: {answer.status}")
        posted += bodies
    connection.close()
    return posted


def main(project, north, south, alone, both):
    work = []
    for where, url in (("north", north), ("south", south)):
        names = [f"{where}-{number:03}" for number in range(int(alone))]
        names += [f"both-{number:03}" for number in range(int(both))]
        address = (urlsplit(url).hostname, urlsplit(url).port)
        work += [(address, project, names[first::AT_ONCE], where) for first in range(AT_ONCE)]
    with ThreadPoolExecutor(len(work)) as pool:
        posted = [body for bodies in pool.map(lambda given: fill(*given), work) for body in bodies]
    print(json.dumps(posted))


if __name__ == "__main__":
    main(*sys.argv[1:])
