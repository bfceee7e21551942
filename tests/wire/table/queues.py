"""Queues, their metadata and stats, listings, purge and share; and every route of a queue that was never created."""

from __future__ import annotations

import json

from tests.wire.script import OTHER_CLIENT, Script, Step
from tests.wire.table.steps import (
    JSON_PATCH,
    MALFORMED_ID,
    MARKER,
    MESSAGE,
    NO_CLIENT,
    NO_PROJECT,
    NOTHING,
    RELEASES,
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

MAX_METADATA = 65536


def one_message(v: str) -> str:
    """The smallest body of a post in version ``v``."""
    return '[{"ttl": 300, "body": 1}]' if v == "v1" else '{"messages": [{"ttl": 300, "body": 1}]}'


def _padded(document: str, size: int) -> str:
    return document + " " * (size - len(document))


def _life(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    item: tuple[Step, ...]
    if v == "v1":
        item = (get(queue, 404), head(queue, 404), put(queue, 201), get(queue, 204), head(queue, 204))
    else:
        item = (get(queue, 200), head(queue, 405), put(queue, 201, "{}"), get(queue, 200))
    return Script(
        "queue life",
        v,
        (
            *item,
            put(queue, 204),
            put(queue, 204, ""),
            get(queue + "?x=1", 204 if v == "v1" else 200),
            post(queue, 405, "{}"),
            options(queue, 200),
            patch(queue, 415 if v == "v2" else 405, "[]"),
            delete(queue, 204),
            delete(queue, 204),
            get(queue, 404 if v == "v1" else 200),
            put(queue, 201),
            delete(queue + "?x=1", 204),
        ),
        RELEASES[v],
    )


def _metadata_v1() -> Script:
    queue = "/v1/queues/orders"
    path = queue + "/metadata"
    return Script(
        "metadata",
        "v1",
        (
            get(path, 404),
            put(path, 404, '{"a": 1}'),
            put(queue, 201, '{"ignored": true}'),
            get(path, 200),
            put(path, 204, '{"colour": "red", "ключ": "значение", "nested": {"a": [1, 2.5, null]}}'),
            get(path, 200),
            get(path + "?x=1", 200),
            put(path, 204, ' {"a": 1, "a": 2}\n'),
            get(path, 200),
            put(path, 400),
            put(path, 400, ""),
            put(path, 400, "{"),
            put(path, 400, "[]"),
            put(path, 400, "null"),
            put(path, 400, "123"),
            put(path, 400, "{} x"),
            put(path, 400, b'{"a": "\xff\xfe"}'),
            put(path, 400, b"\xef\xbb\xbf{}"),
            put(path, 400, '{"a": 9223372036854775808}'),
            put(path, 204, '{"a": 9223372036854775807}'),
            put(path, 400, '{"_default_message_ttl": 300}'),
            put(path, 204, _padded('{"size": "limit"}', MAX_METADATA)),
            put(path, 400, _padded('{"size": "beyond"}', MAX_METADATA + 1)),
            get(path, 200),
            post(path, 405, "{}"),
            head(path, 405),
            options(path, 200),
            delete(path, 405),
        ),
        RELEASES["v1"],
    )


def _creation(v: str) -> Script:
    """v1.1 and v2: metadata is given at creation, and only then."""
    queue = f"/{v}/queues/orders"
    return Script(
        "metadata at creation",
        v,
        (
            put(queue, 400, "{"),
            put(queue, 400, "[]"),
            put(queue, 400, '"text"'),
            put(queue, 400, b"\xff"),
            put(queue, 400, _padded("{}", MAX_METADATA + 1)),
            put(queue, 400, '{"_default_message_ttl": 59}'),
            put(queue, 400, '{"_default_message_ttl": "60"}'),
            put(queue, 400, '{"_max_messages_post_size": 0}'),
            put(queue, 400, '{"_max_messages_post_size": 262145}'),
            put(queue, 201, '{"colour": "red", "é": "ü", "_default_message_ttl": 300, "_own": [1]}'),
            get(queue, 200),
            put(queue, 204, '{"colour": "blue"}'),
            put(queue, 400, '{"_default_message_ttl": 59}'),
            get(queue, 200),
            get(queue + "/metadata", 404),
            put(queue + "/metadata", 404, "{}"),
            put(f"/{v}/queues/full", 201, _padded('{"size": "limit"}', MAX_METADATA)),
            put(f"/{v}/queues/unset", 201, '{"_default_message_ttl": null, "_flavor": "unused"}'),
            get(f"/{v}/queues/unset", 200),
        ),
        RELEASES[v],
    )


def _patch_v2() -> Script:
    queue = "/v2/queues/orders"

    def change(status: int, *operations: object) -> Step:
        return patch(queue, status, json.dumps(operations), JSON_PATCH)

    return Script(
        "metadata patch",
        "v2",
        (
            change(404, {"op": "add", "path": "/metadata/a", "value": 1}),
            put(queue, 201, '{"colour": "red"}'),
            change(200, {"op": "add", "path": "/metadata/shape", "value": {"round": True}}),
            change(200, {"op": "replace", "path": "/metadata/colour", "value": "blue"}),
            change(200, {"op": "replace", "path": "/metadata/_default_message_ttl", "value": 300}),
            change(200, {"op": "remove", "path": "/metadata/shape"}),
            change(200, {"op": "remove", "path": "/metadata/_max_claim_count"}),
            change(200, {"op": "add", "path": "/metadata/a~1b~0c", "value": None}),
            change(200),
            change(409, {"op": "replace", "path": "/metadata/none", "value": 1}),
            change(409, {"op": "remove", "path": "/metadata/none"}),
            change(400, {"op": "move", "path": "/metadata/a", "value": 1}),
            change(400, {"op": "add", "path": "/metadata/a"}),
            change(400, {"op": "add", "value": 1}),
            change(400, {"op": "add", "path": "metadata/a", "value": 1}),
            change(400, {"op": "add", "path": "/metadata/a/b", "value": 1}),
            change(400, {"op": "add", "path": "/metadata/a/", "value": 1}),
            change(400, {"op": "add", "path": "/metadata/a~2", "value": 1}),
            change(400, {"op": "add", "path": "/other/a", "value": 1}),
            change(400, {"op": "add", "path": "/metadata/_default_message_ttl", "value": 59}),
            patch(queue, 400, "{", JSON_PATCH),
            patch(queue, 400, None, JSON_PATCH),
            patch(queue, 400, "", JSON_PATCH),
            patch(queue, 415, "[]", {"Content-Type": "application/json"}),
            patch(queue, 415, "[]", {"Content-Type": JSON_PATCH["Content-Type"] + "; charset=utf-8"}),
            patch(queue, 415, "[]"),
            patch(queue, 400, _padded("[]", MAX_METADATA + 1), JSON_PATCH),
            patch(queue, 200, _padded("[]", MAX_METADATA), JSON_PATCH),
            get(queue, 200),
            patch("/v2/queues/a%20b", 400, "[]", JSON_PATCH),
        ),
        RELEASES["v2"],
    )


def _stats(v: str) -> Script:
    queue = f"/{v}/queues/orders"
    return Script(
        "stats",
        v,
        (
            get(queue + "/stats", 404 if v == "v1" else 200),
            put(queue, 201),
            get(queue + "/stats", 200),
            post(queue + "/messages", 201, one_message(v), capture=MESSAGE),
            get(queue + "/stats", 200),
            post(queue + "/messages", 201, one_message(v)),
            post(queue + "/claims?limit=1", 201, '{"ttl": 60, "grace": 60}'),
            get(queue + "/stats?x=1", 200),
            get(queue + "/stats", 400, {"Client-ID": "1234"}),
            head(queue + "/stats", 405),
            post(queue + "/stats", 405, "{}"),
            options(queue + "/stats", 200),
            delete(queue, 204),
        ),
        RELEASES[v],
    )


def _listing(v: str) -> Script:
    queues = f"/{v}/queues"
    empty = 204 if v == "v1" else 200
    with_metadata = (
        (put(queues + "/beta", 201), put(queues + "/beta/metadata", 204, '{"colour": "red", "n": 3}'))
        if v == "v1"
        else (put(queues + "/beta", 201, '{"colour": "red", "n": 3}'),)
    )
    return Script(
        "queue listing",
        v,
        (
            get(queues, empty),
            get(queues + "?limit=20&detailed=true", empty),
            *(put(f"{queues}/{name}", 201) for name in ("gamma", "alpha", "Zed", "_under", "a.dot", "a-dash")),
            *with_metadata,
            get(queues, 200),
            get(queues + "?limit=2", 200, capture=MARKER),
            get(queues + "?limit=2&marker=${marker}", 200, capture=MARKER),
            get(queues + "?marker=${marker}&limit=20&detailed=true", 200, capture=MARKER),
            get(queues + "?marker=${marker}", empty),
            get(queues + "?detailed=True", 200),
            get(queues + "?limit=1&detailed=yes", 200),
            get(queues + "?detailed=1&limit=1", 200),
            get(queues + "?detailed=false&limit=1", 200),
            get(queues + "?detailed=&limit=&marker=", 200),
            get(queues + "?detailed=TRUE", 400),
            get(queues + "?detailed=x", 400),
            get(queues + "?limit=0", 400),
            get(queues + "?limit=21", 400),
            get(queues + "?limit=-1", 400),
            get(queues + "?limit=1001", 400),
            get(queues + "?limit=99999999999999999999", 400),
            get(queues + "?limit=x", 400),
            get(queues + "?limit=1.5", 400),
            get(queues + "?limit=%31", 200),
            get(queues + "?limit=+3", 200),
            get(queues + "?limit=1&limit=2", 200),
            get(queues + "?limit=1,2", 200),
            get(queues + "?limit", 200),
            get(queues + "?&&limit=1&", 200),
            get(queues + "?marker=no-such&limit=1", empty),
            get(queues + "?marker=b", 200),
            get(queues + "?marker=a%26b&limit=1", 200),
            get(queues + "?marker=%C3%A9", empty),
            get(queues + "?marker=~", empty),
            get(queues + "?name=a&limit=2", 200),
            get(queues + "?with_count=true&limit=1", 200),
            get(queues + "?colour=red&limit=1", 200),
            get(queues + "?limit=1", 200, {"Client-ID": OTHER_CLIENT}),
            get(queues, empty, {"X-Project-Id": "p" * 257}),
            get(queues, 200 if v == "v1" else 400, NO_CLIENT),
            get(queues, 400, {"Client-ID": "1234"}),
            get(queues, 400, {"X-Project-Id": ""}),
            get(queues, 406, {"Accept": "text/plain"}),
            get(queues + "?limit=0", 406, {"Accept": "text/plain"}),
            *(() if v == "v1" else (get(queues, 400, NO_PROJECT), get(queues + "?limit=0", 400, NOTHING))),
            post(queues, 405, "{}"),
            options(queues, 200),
            options(queues, 200, NOTHING),
            delete(queues + "/Zed", 204),
            get(queues + "?limit=1", 200),
        ),
        RELEASES[v],
    )


def _filters_v2() -> Script:
    queues = "/v2/queues"
    return Script(
        "listing filters",
        "v2",
        (
            get(queues + "?with_count=true", 200),
            put(queues + "/alpha", 201, '{"colour": "red", "n": 3}'),
            put(queues + "/alphabet", 201, '{"colour": "blue", "n": 3, "text": "3"}'),
            put(queues + "/beta", 201, '{"colour": "red", "_default_message_ttl": 300}'),
            get(queues + "?with_count=true&limit=1", 200),
            get(queues + "?with_count=false&limit=1", 200),
            get(queues + "?with_count=1&marker=zzz", 200),
            get(queues + "?with_count=x", 400),
            get(queues + "?name=alpha", 200),
            get(queues + "?name=lph&limit=1&detailed=true&with_count=true", 200),
            get(queues + "?name=al%70ha&name=bet&limit=1", 200),
            get(queues + "?name=nothing&with_count=true", 200),
            get(queues + "?name=", 200),
            get(queues + "?colour=red", 200),
            get(queues + "?colour=red&limit=1&detailed=true", 200),
            get(queues + "?colour=green", 200),
            get(queues + "?colour=red&n=3", 200),
            get(queues + "?n=3", 200),
            get(queues + "?n=%33&colour=bl%75e", 200),
            get(queues + "?text=3", 200),
            get(queues + "?n=3.0", 200),
            get(queues + "?colour=", 200),
            get(queues + "?_default_message_ttl=300", 200),
            get(queues + "?_default_message_ttl=3600", 200),
            get(queues + "?LIMIT=1", 200),
            get(queues + "?marker=alpha&colour=red&name=a", 200),
        ),
        RELEASES["v2"],
    )


def _unplaced(v: str) -> Script:
    """API section 8.4: every route of a queue that does not exist, good and bad input, and nothing is created by it."""
    queue = f"/{v}/queues/ghost"
    first = v == "v1"
    return Script(
        "queue that does not exist",
        v,
        (
            get(queue, 404 if first else 200),
            head(queue, 404 if first else 405),
            get(queue + "/stats", 404 if first else 200),
            get(queue + "/messages", 204 if first else 200),
            get(queue + "/messages?limit=0", 400),
            get(queue + "/messages?echo=x", 400),
            get(queue + f"/messages?ids={UNKNOWN_ID}", 204 if first else 404),
            get(queue + f"/messages/{UNKNOWN_ID}", 404),
            get(queue + f"/messages/{MALFORMED_ID}", 404),
            delete(queue + f"/messages/{UNKNOWN_ID}", 204),
            delete(queue + f"/messages/{MALFORMED_ID}?claim_id={UNKNOWN_ID}", 204),
            delete(queue + f"/messages?ids={UNKNOWN_ID}", 204),
            delete(queue + "/messages", 400),
            delete(queue + "/messages?pop=1", 400 if first else 200),
            post(queue + "/claims", 204, '{"ttl": 60, "grace": 60}'),
            post(queue + "/claims", 400, '{"ttl": 1, "grace": 60}'),
            post(queue + "/claims?limit=21", 400, '{"ttl": 60, "grace": 60}'),
            get(queue + f"/claims/{UNKNOWN_ID}", 404),
            patch(queue + f"/claims/{UNKNOWN_ID}", 404, '{"ttl": 60}'),
            patch(queue + f"/claims/{UNKNOWN_ID}", 400, '{"ttl": 59}'),
            delete(queue + f"/claims/{UNKNOWN_ID}", 204),
            *(
                (
                    get(queue + "/metadata", 404),
                    put(queue + "/metadata", 404, "{}"),
                    post(queue + "/messages", 404, one_message(v)),
                    post(queue + "/messages", 400, "[]"),
                )
                if first
                else ()
            ),
            *(
                (
                    patch(queue, 404, "[]", JSON_PATCH),
                    post(queue + "/purge", 204),
                    post(queue + "/share", 400),
                    get(queue + "/subscriptions", 200),
                    get(queue + f"/subscriptions/{UNKNOWN_ID}", 404),
                    patch(queue + f"/subscriptions/{UNKNOWN_ID}", 404, '{"ttl": 60}'),
                    put(queue + f"/subscriptions/{UNKNOWN_ID}/confirm", 404, '{"confirmed": true}'),
                    delete(queue + f"/subscriptions/{UNKNOWN_ID}", 204),
                )
                if v == "v2"
                else ()
            ),
            delete(queue, 204),
            get(f"/{v}/queues", 204 if first else 200),
        ),
        RELEASES[v],
    )


def _no_project() -> Script:
    """v1 without X-Project-Id is a namespace of its own; its queues are named for the run, for all runs share it."""
    queue = "/v1/queues/${queue}"
    return Script(
        "no project",
        "v1",
        (
            get(queue, 404, NOTHING),
            put(queue, 201, headers=NOTHING),
            put(queue, 204, headers=NO_PROJECT),
            get(queue, 204, NOTHING),
            get(queue, 404),
            put(queue + "/metadata", 204, '{"a": 1}', NOTHING),
            get(queue + "/metadata", 200, NOTHING),
            post(queue + "/messages", 400, one_message("v1"), NOTHING),
            post(queue + "/messages", 201, one_message("v1"), NO_PROJECT, MESSAGE),
            get(queue + "/messages/${message}", 200, NOTHING),
            get(queue + "/messages/${message}", 404),
            get(queue + "/messages?ids=${message}", 200, NOTHING),
            get(queue + "/messages?echo=true", 200, NO_PROJECT),
            post(queue + "/claims", 201, '{"ttl": 60, "grace": 60}', NOTHING),
            get(queue + "/stats", 200, NOTHING),
            get("/v1/queues?limit=0", 400, NOTHING),
            delete(queue, 204, headers=NOTHING),
            get(queue, 404, NOTHING),
        ),
        RELEASES["v1"],
    )


def _purge() -> Script:
    queue = "/v2/queues/orders"
    subscription = '{"subscriber": "http://127.0.0.1:9/", "ttl": 300, "options": {}}'
    return Script(
        "purge",
        "v2",
        (
            put(queue, 201),
            post(queue + "/subscriptions", 201, subscription),
            post(queue + "/purge", 204, '{"resource_types": []}'),
            get(queue + "/subscriptions?limit=1", 200),
            post(queue + "/purge", 204, '{"resource_types": ["subscriptions"]}'),
            get(queue + "/subscriptions", 200),
            post(queue + "/messages", 201, one_message("v2")),
            post(queue + "/messages", 201, one_message("v2")),
            post(queue + "/claims?limit=1", 201, '{"ttl": 60, "grace": 60}'),
            post(queue + "/purge", 204, '{"resource_types": ["messages"]}'),
            get(queue + "/messages?echo=true&include_claimed=true", 200),
            post(queue + "/purge", 204),
            post(queue + "/purge", 400, "{}"),
            post(queue + "/purge", 400, '{"resource_types": ["claims"]}'),
            post(queue + "/purge", 400, "{"),
            post(queue + "/purge", 400, None, {"Client-ID": "1234"}),
            get(queue + "/purge", 405),
            options(queue + "/purge", 200),
        ),
        RELEASES["v2"],
    )


def _share() -> Script:
    share = "/v2/queues/orders/share"
    signed = {
        "URL-Signature": "${signature}",
        "URL-Expires": "2099-01-01T00:00:00",
        "URL-Methods": "GET,POST",
        "URL-Paths": "/v2/queues/orders/messages",
    }
    return Script(
        "share",
        "v2",
        (
            post(
                share,
                200,
                '{"paths": ["messages"], "methods": ["POST", "GET"], "expires": "2099-01-01T00:00:00"}',
                capture={"signature": r'"signature": "([0-9a-f]{64})"'},
            ),
            get("/v2/queues/orders/messages", 200, signed),
            post("/v2/queues/orders/messages", 201, one_message("v2"), signed),
            get("/v2/queues/orders/messages?echo=true&limit=1", 200, signed),
            delete("/v2/queues/orders/messages?pop=1", 404, headers=signed),
            get("/v2/queues/orders/claims/x", 404, signed),
            get("/v2/queues/orders/messages", 404, {**signed, "URL-Signature": "0" * 64}),
            get("/v2/queues/orders/messages", 404, {**signed, "URL-Expires": "2098-01-01T00:00:00"}),
            get("/v2/queues/orders/messages", 404, {**signed, "URL-Methods": "GET"}),
            get("/v2/queues/orders/messages", 404, {**signed, "X-Project-Id": "another"}),
            get("/v2/queues/orders/messages", 404, {"URL-Signature": "${signature}"}),
            get("/v2/queues", 404, signed),
            get("/v2/ping", 404, signed),
            post(share, 400),
            post(share, 400, "{"),
            post(share, 400, '{"paths": ["stats"]}'),
            post(share, 400, '{"methods": "GET"}'),
            post(share, 400, '{"unknown": 1}'),
            post(share, 400, '{"expires": "yesterday"}'),
            post(share, 400, '{"expires": "2001-01-01T00:00:00"}'),
            get(share, 405),
            options(share, 200),
        ),
        RELEASES["v2"],
    )


SCRIPTS = (
    *(script(v) for script in (_life, _stats, _listing, _unplaced) for v in VERSIONS),
    *(_creation(v) for v in ("v1.1", "v2")),
    _metadata_v1(),
    _patch_v2(),
    _filters_v2(),
    _no_project(),
    _purge(),
    _share(),
)
