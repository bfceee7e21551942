"""Messages: posting, listing, by ids, one by one, deleting, popping."""

from __future__ import annotations

import json

from tests.wire.script import OTHER_CLIENT, Script, Step
from tests.wire.table.steps import (
    FORM,
    MALFORMED_ID,
    MARKER,
    MESSAGE,
    NO_CLIENT,
    NO_PROJECT,
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

MAX_POST = 262144
MAX_IDS = 20
_OTHER = {"Client-ID": OTHER_CLIENT}


def messages(v: str, *bodies: object, ttl: object = 300) -> str:
    """The body of a post of messages with these bodies in version ``v``."""
    posted = [{"ttl": ttl, "body": body} for body in bodies]
    return json.dumps(posted if v == "v1" else {"messages": posted})


def _sized(v: str, size: int) -> str:
    empty = messages(v, "")
    return messages(v, "x" * (size - len(empty)))


def _post(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    path = queue + "/messages"
    first = v == "v1"

    def enveloped(*entries: str) -> str:
        array = "[" + ", ".join(entries) + "]"
        return array if first else f'{{"messages": {array}}}'

    other_envelope = messages("v2" if first else "v1", 1)
    return Script(
        "message post",
        v,
        (
            post(path, 404 if first else 201, messages(v, "lazy")),
            put(queue, 201 if first else 204),
            post(path, 201, messages(v, "a", 2, None, {"é": ["ü", 1.5]})),
            post(path, 201, messages(v, *range(50))),
            post(path, 201, enveloped('{"ttl": 300, "body": 1, "unknown": true}')),
            post(path, 201, messages(v, 1), {"Content-Type": "text/plain"}),
            post(path, 201, messages(v, "no delay here").replace('"ttl"', '"delay": 5000, "ttl"')),
            post(path, 400 if first else 201, enveloped('{"body": "no ttl"}')),
            post(path, 400, enveloped('{"ttl": 300}')),
            post(path, 400, messages(v, 1, ttl=59)),
            post(path, 400, messages(v, 1, ttl=1209601)),
            post(path, 400, messages(v, 1, ttl="300")),
            post(path, 400, messages(v, 1, ttl=60.0)),
            post(path, 400, messages(v, 1, ttl=10**19)),
            post(path, 400, enveloped()),
            post(path, 400, other_envelope),
            post(path, 400, "{}"),
            post(path, 400, messages(v, 1) + "x"),
            post(path, 400, b'[{"ttl": 300, "body": "\xff"}]'),
            post(path, 400, '{"messages": 1}'),
            post(path, 400, "null"),
            post(path, 400),
            post(path, 400, ""),
            post(path, 400, messages(v, 1), FORM),
            post(path, 400, messages(v, 1), NO_CLIENT),
            post(path, 201, _sized(v, MAX_POST)),
            post(path, 400, _sized(v, MAX_POST + 1)),
            put(path, 405, "{}"),
            patch(path, 405, "{}"),
            head(path, 405),
            options(path, 200),
            get(queue + "/stats", 200),
        ),
        RELEASES[v],
    )


def _list(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    path = queue + "/messages"
    empty = 204 if v == "v1" else 200
    return Script(
        "message listing",
        v,
        (
            put(queue, 201),
            get(path, empty),
            get(path + "?limit=5&echo=true", empty),
            post(path, 201, messages(v, *range(12))),
            post(path, 201, messages(v, "other"), _OTHER),
            get(path, 200),
            get(path, 200, _OTHER),
            get(path + "?echo=true", 200, capture=MARKER),
            get(path + "?marker=${marker}&echo=true", 200, capture=MARKER),
            get(path + "?echo=true&marker=${marker}", empty),
            get(path + "?limit=2&echo=True&include_claimed=true", 200, capture=MARKER),
            get(path + "?marker=${marker}&limit=20&echo=1", 200),
            get(path + "?limit=%32&echo=yes", 200),
            get(path + "?limit=1,2&echo=true", 200),
            get(path + "?limit=1&limit=2&echo=false&echo=true", 200),
            get(path + "?limit=&echo=&marker=&ids=", 200),
            get(path + "?echo=true&x=y&limit=1", 200),
            get(path + "?echo=true&marker=not-a-marker", empty),
            get(path + "?echo=true&marker=%C3%A9%26", empty),
            get(path + "?limit=0", 400),
            get(path + "?limit=21", 400),
            get(path + "?limit=-100", 400),
            get(path + "?limit=x", 400),
            get(path + "?limit=10000000000000000000", 400),
            get(path + "?echo=TRUE", 400),
            get(path + "?include_claimed=maybe", 400),
            get(path, 400, NO_CLIENT),
            get(path, empty, {"X-Project-Id": "${project}-other"}),
            *(() if v == "v1" else (get(path, 400, NO_PROJECT),)),
            get(path, 406, {"Accept": "application/xml"}),
            post(queue + "/claims?limit=3", 201, '{"ttl": 60, "grace": 60}'),
            get(path + "?echo=true&limit=1", 200),
            get(path + "?echo=true&include_claimed=true&limit=4", 200),
        ),
        RELEASES[v],
    )


def _single(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    path = queue + "/messages"
    return Script(
        "single message",
        v,
        (
            put(queue, 201),
            post(path, 201, messages(v, {"event": "lunch"}, "ü"), capture=TWO_MESSAGES),
            get(path + "/${message}", 200),
            get(path + "/${message}?claim_id=whatever", 200),
            get(path + "/${second}?x=%C3%A9", 200),
            get(path + "/${message}%20", 404),
            get(path + f"/{UNKNOWN_ID}", 404),
            get(path + f"/{MALFORMED_ID}", 404),
            get(path + "/", 404),
            get(path + "/${message}", 404, {"X-Project-Id": "${project}-other"}),
            get(f"/{v}/queues/other/messages/" + "${message}", 404),
            get(path + "/${message}", 400, {"Client-ID": "1234"}),
            head(path + "/${message}", 405),
            post(path + "/${message}", 405, "{}"),
            options(path + "/${message}", 200),
            delete(path + "/${message}?claim_id=", 204),
            delete(path + "/${message}", 204),
            get(path + "/${message}", 404),
            delete(path + f"/{UNKNOWN_ID}", 204),
            delete(path + f"/{MALFORMED_ID}", 204),
            delete(path + "/${second}?claim_id=" + MALFORMED_ID, 400),
            delete(path + "/${second}?claim_id=" + UNKNOWN_ID, 400),
            delete(path + "/${second}", 400, headers={"Client-ID": "1234"}),
            delete(path + "/${second}", 204),
        ),
        RELEASES[v],
    )


def _by_ids(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    path = queue + "/messages"
    none = 204 if v == "v1" else 404
    too_many = ",".join([UNKNOWN_ID] * (MAX_IDS + 1))
    as_many_as_allowed = ",".join([UNKNOWN_ID] * (MAX_IDS - 1))
    return Script(
        "messages by id",
        v,
        (
            put(queue, 201),
            post(path, 201, messages(v, 1, 2, 3), capture=TWO_MESSAGES),
            get(path + "?ids=${message},${second}", 200),
            get(path + "?ids=${message}&ids=${second}", 200),
            get(path + "?ids=${message}%2C${second}", none),
            get(path + "?ids=${message}," + as_many_as_allowed, 200),
            get(path + f"?ids={UNKNOWN_ID},{MALFORMED_ID}", none),
            get(path + "?ids=" + too_many, 400),
            get(path + "?ids=${message}", 200 if v == "v1" else 400, NO_CLIENT),
            get(path + "?ids=${message}", none, {"X-Project-Id": "${project}-other"}),
            delete(path, 400),
            delete(path + "?ids=", 400),
            delete(path + "?ids=" + too_many, 400),
            delete(path + "?ids=${message},${second}&pop=1", 204 if v == "v1" else 400),
            delete(path + f"?ids={UNKNOWN_ID},{MALFORMED_ID}", 204),
            delete(path + "?ids=${message}%2C${second}", 204),
            delete(path + "?ids=${message},${second}", 204),
            delete(path + "?ids=${message},${second}", 204),
            get(path + "?ids=${message},${second}", none),
            get(queue + "/stats", 200),
        ),
        RELEASES[v],
    )


def _pop(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    path = queue + "/messages"
    return Script(
        "pop",
        v,
        (
            put(queue, 201),
            delete(path + "?pop=1", 200),
            post(path, 201, messages(v, 1, {"é": 2}, 3, 4, 5), capture=MESSAGE),
            delete(path + "?pop=1", 200),
            delete(path + "?pop=20", 200),
            delete(path + "?pop=2", 200),
            get(path + "?echo=true", 200),
            delete(path + "?pop=0", 400),
            delete(path + "?pop=-1", 400),
            delete(path + "?pop=21", 400),
            delete(path + "?pop=10000000", 400),
            delete(path + "?pop=x", 400),
            delete(path + "?pop=", 400),
            delete(path + "?pop=1&ids=${message}", 400),
            delete(path + "?pop=1", 400, headers=NO_CLIENT),
            delete(path + "?pop=1", 400, headers=NO_PROJECT),
        ),
        RELEASES[v],
    )


def _attributes_v2() -> Script:
    """Queue attributes that change what a post may be and what a list shows."""
    queue = "/v2/queues/orders"
    path = queue + "/messages"

    def later(delay: object) -> Step:
        return post(
            path,
            201 if isinstance(delay, int) and 0 <= delay <= 900 else 400,
            json.dumps({"messages": [{"ttl": 300, "delay": delay, "body": "later"}]}),
        )

    return Script(
        "queue attributes",
        "v2",
        (
            put(
                queue,
                201,
                '{"_default_message_ttl": 120, "_max_messages_post_size": 200, "_default_message_delay": 900}',
            ),
            post(path, 201, '{"messages": [{"body": "default ttl and delay"}]}', capture=MESSAGE),
            get(path + "/${message}", 200),
            post(path, 400, messages("v2", "x" * 200)),
            later(0),
            later(900),
            later(901),
            later(-1),
            later("1"),
            get(path + "?echo=true", 200),
            get(path + "?echo=true&include_delayed=true", 200),
            get(path + "?include_delayed=x", 400),
            post(queue + "/claims", 201, '{"ttl": 60}'),
            get(queue + "/stats", 200),
            put("/v2/queues/refused", 201),
            post("/v2/queues/left-behind/messages", 400, '{"messages": []}'),
            get("/v2/queues", 200),
        ),
        RELEASES["v2"],
    )


def _other_version_v2() -> Script:
    """The same messages seen through every version that Zaqar 16 speaks: hrefs are those of the request."""
    return Script(
        "one queue through three versions",
        "v2",
        (
            put("/v2/queues/orders", 201, '{"colour": "red"}'),
            get("/v1/queues/orders/metadata", 200),
            get("/v1.1/queues/orders", 200),
            post("/v1/queues/orders/messages", 201, messages("v1", 1)),
            post("/v1.1/queues/orders/messages", 201, messages("v1.1", 2)),
            post("/v2/queues/orders/messages", 201, messages("v2", 3), capture=MESSAGE),
            get("/v1/queues/orders/messages?echo=true", 200),
            get("/v1.1/queues/orders/messages?echo=true", 200),
            get("/v2/queues/orders/messages?echo=true", 200),
            get("/v1/queues/orders/messages/${message}", 200),
            get("/v1/queues?detailed=true", 200),
            get("/v1.1/queues?detailed=true", 200),
            get("/v2/queues?detailed=true", 200),
            delete("/v1.1/queues/orders", 204),
            get("/v1/queues/orders", 404),
        ),
        ("16",),
    )


SCRIPTS = (
    *(script(v) for script in (_post, _list, _single, _by_ids) for v in VERSIONS),
    *(_pop(v) for v in ("v1.1", "v2")),
    _attributes_v2(),
    _other_version_v2(),
)
