"""Claims: making, reading, renewing and releasing them, and deleting what they hold."""

from __future__ import annotations

from tests.wire.script import OTHER_CLIENT, Script
from tests.wire.table.messages import messages
from tests.wire.table.steps import (
    CLAIM,
    FORM,
    MALFORMED_ID,
    NO_CLIENT,
    RELEASES,
    TWO_MESSAGES,
    UNKNOWN_ID,
    VERSIONS,
    delete,
    get,
    head,
    options,
    patch,
    post,
    put,
)

_FIVE_MINUTES = '{"ttl": 300, "grace": 60}'


def _make(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    path = queue + "/claims"
    first = v == "v1"
    optional = 400 if first else 201
    return Script(
        "claim",
        v,
        (
            put(queue, 201),
            post(path, 204, _FIVE_MINUTES),
            post(queue + "/messages", 201, messages(v, *range(12), ttl=120)),
            post(path + "?limit=1", 201, '{"ttl": 777, "grace": 60}'),
            post(path + "?limit=2", 201, '{"ttl": 60, "grace": 60, "unknown": 1}'),
            post(path + "?limit=1", 201, _FIVE_MINUTES, {"Client-ID": OTHER_CLIENT}),
            post(path + "?limit=%31", optional),
            post(path + "?limit=1", optional, ""),
            post(path + "?limit=1", optional, "{}"),
            post(path + "?limit=1", optional, '{"ttl": 60}'),
            post(path + "?limit=1", 201 if first else 400, _FIVE_MINUTES, NO_CLIENT),
            post(path + "?limit=0", 400, _FIVE_MINUTES),
            post(path + "?limit=21", 400, _FIVE_MINUTES),
            post(path + "?limit=x", 400, _FIVE_MINUTES),
            post(path, 400, '{"ttl": 59, "grace": 60}'),
            post(path, 400, '{"ttl": 43201, "grace": 60}'),
            post(path, 400, '{"ttl": 60, "grace": 59}'),
            post(path, 400, '{"ttl": 60, "grace": 43201}'),
            post(path, 400, '{"ttl": -100, "grace": -100}'),
            post(path, 400, '{"ttl": 10000000000000000000, "grace": 60}'),
            post(path, 400, '{"ttl": "60", "grace": 60}'),
            post(path, 400, '{"ttl": 60.0, "grace": 60}'),
            post(path, 400, "[]"),
            post(path, 400, "{"),
            post(path, 400, b"\xff"),
            post(path, 400, _FIVE_MINUTES, FORM),
            post(path, 406, _FIVE_MINUTES, {"Accept": "text/plain"}),
            post(path, 201, _FIVE_MINUTES),
            post(path, 204, _FIVE_MINUTES),
            get(path, 405),
            options(path, 200),
            get(queue + "/stats", 200),
        ),
        RELEASES[v],
    )


def _life(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    path = queue + "/claims"
    claim = path + "/${claim}"
    no_members = 400 if v == "v1" else 204
    return Script(
        "claim life",
        v,
        (
            put(queue, 201),
            post(queue + "/messages", 201, messages(v, 1, {"é": 2}, 3, ttl=120), capture=TWO_MESSAGES),
            post(path + "?limit=2", 201, _FIVE_MINUTES, capture=CLAIM),
            get(claim, 200),
            get(claim + "?x=1", 200),
            get(queue + "/messages/${message}", 200),
            get(queue + "/messages?echo=true&include_claimed=true", 200),
            get(queue + "/messages?ids=${message},${second}", 200),
            get(path + "/" + UNKNOWN_ID, 404),
            get(path + "/" + MALFORMED_ID, 404),
            get(claim, 404, {"X-Project-Id": "${project}-other"}),
            get(f"/{v}/queues/other/claims/" + "${claim}", 404),
            patch(claim, 204, '{"ttl": 600, "grace": 60}'),
            patch(claim, 204, '{"ttl": 600}'),
            patch(claim, no_members, "{}"),
            get(claim, 200),
            patch(claim, 400),
            patch(claim, 400, "[]"),
            patch(claim, 400, "{"),
            patch(claim, 400, '{"ttl": 59}'),
            patch(claim, 400, '{"ttl": 43201}'),
            patch(claim, 400, '{"ttl": "60"}'),
            patch(path + "/" + UNKNOWN_ID, 404, '{"ttl": 60}'),
            patch(path + "/" + MALFORMED_ID, 404, '{"ttl": 60}'),
            delete(queue + "/messages/${message}", 403),
            delete(queue + "/messages/${message}?claim_id=" + UNKNOWN_ID, 403),
            delete(queue + "/messages/${message}?claim_id=" + MALFORMED_ID, 400),
            delete(queue + "/messages/${message}?claim_id=${claim}", 204),
            delete(queue + "/messages/${message}?claim_id=${claim}", 204),
            get(claim, 200),
            head(claim, 405),
            post(claim, 405, "{}"),
            options(claim, 200),
            delete(claim, 400, headers={"Client-ID": "1234"}),
            delete(claim, 204),
            delete(claim, 204),
            delete(path + "/" + MALFORMED_ID, 204),
            get(claim, 404),
            patch(claim, 404, '{"ttl": 60}'),
            delete(queue + "/messages/${second}?claim_id=${claim}", 400),
            post(path, 201, _FIVE_MINUTES, capture=CLAIM),
            delete(queue + "/messages?ids=${second}", 204),
            get(claim, 200),
            delete(queue, 204),
            get(claim, 404),
        ),
        RELEASES[v],
    )


SCRIPTS = tuple(script(v) for script in (_make, _life) for v in VERSIONS)
