"""Subscriptions (v2). The subscriber's port is closed, so that notifications end at once."""

from __future__ import annotations

from tests.wire.script import Script
from tests.wire.table.steps import (
    MALFORMED_ID,
    MARKER,
    NO_CLIENT,
    RELEASES,
    SUBSCRIPTION,
    UNKNOWN_ID,
    delete,
    get,
    head,
    options,
    patch,
    post,
    put,
)

_QUEUE = "/v2/queues/orders"
_ALL = _QUEUE + "/subscriptions"
_ONE = _ALL + "/${subscription}"


def _to(path: str, more: str = "") -> str:
    return f'{{"subscriber": "http://127.0.0.1:9/{path}"{more}}}'


_LIFE = Script(
    "subscriptions",
    "v2",
    (
        get(_ALL, 200),
        post(
            _ALL, 201, _to("one", ', "ttl": 300, "options": {"post_headers": {"X-Team": "blue"}}'), capture=SUBSCRIPTION
        ),
        post(_ALL, 201, _to("one")),
        get(_ONE, 200),
        get(_ALL, 200),
        post(_ALL, 201, _to("two")),
        get(_ALL + "?limit=1", 200, capture=MARKER),
        get(_ALL + "?limit=1&marker=${marker}", 200),
        get(_ALL + f"?marker={UNKNOWN_ID}", 200),
        get(_ALL + "?limit=0", 400),
        get(_ALL + "?limit=21", 400),
        get(_ALL + "?limit=x", 400),
        patch(_ONE, 204, '{"ttl": 600}'),
        patch(_ONE, 204, _to("three", ', "options": {"a": 1}')),
        patch(_ONE, 409, _to("two")),
        patch(_ONE, 400, '{"ttl": 59}'),
        patch(_ONE, 400, '{"options": 1}'),
        patch(_ONE, 400, '{"subscriber": "gopher://127.0.0.1/"}'),
        patch(_ONE, 400, "{}"),
        patch(_ONE, 400),
        patch(_ALL + "/" + UNKNOWN_ID, 404, '{"ttl": 600}'),
        get(_ONE, 200),
        put(_ONE + "/confirm", 204, '{"confirmed": true}'),
        get(_ONE, 200),
        post(_ALL, 409, _to("three")),
        put(_ONE + "/confirm", 400, '{"confirmed": "yes"}'),
        put(_ONE + "/confirm", 400, "{}"),
        put(_ALL + f"/{UNKNOWN_ID}/confirm", 404, '{"confirmed": true}'),
        get(_ONE + "/confirm", 405),
        options(_ONE + "/confirm", 200),
        get(_ALL + "/" + UNKNOWN_ID, 404),
        get(_ALL + "/" + MALFORMED_ID, 404),
        get(_ONE, 404, {"X-Project-Id": "${project}-other"}),
        get(_ONE, 400, NO_CLIENT),
        head(_ONE, 405),
        put(_ONE, 405, "{}"),
        put(_ALL, 405, "{}"),
        options(_ALL, 200),
        options(_ONE, 200),
        delete(_ONE, 400, headers=NO_CLIENT),
        delete(_ONE, 204),
        delete(_ONE, 204),
        delete(_ALL + "/" + MALFORMED_ID, 204),
        get(_ONE, 404),
        delete(_QUEUE, 204),
        get(_ALL, 200),
    ),
    RELEASES["v2"],
)

_REFUSED = Script(
    "subscriptions refused",
    "v2",
    (
        post(_ALL, 400),
        post(_ALL, 400, "{}"),
        post(_ALL, 400, "{"),
        post(_ALL, 400, '{"subscriber": "gopher://127.0.0.1/"}'),
        post(_ALL, 400, _to("x", ', "ttl": 59')),
        post(_ALL, 400, _to("x", ', "ttl": "60"')),
        post(_ALL, 400, _to("x", ', "options": 1')),
        post(_ALL, 400, _to("x"), NO_CLIENT),
        post("/v2/queues/a%20b/subscriptions", 400, _to("x")),
        get("/v2/queues/a%20b/subscriptions", 400),
        get("/v2/queues/a%20b/subscriptions/x", 400),
        get(_ALL, 200),
        get("/v2/queues", 200),
        post("/v2/queues/lazy/subscriptions", 201, _to("x")),
        get("/v2/queues", 200),
    ),
    RELEASES["v2"],
)

SCRIPTS = (_LIFE, _REFUSED)
