"""Topics (late v2): a namespace beside queues. Their ``messages`` and ``subscriptions`` always fail upstream."""

from __future__ import annotations

import json

from tests.wire.script import Script, Step
from tests.wire.table.steps import (
    JSON_PATCH,
    MARKER,
    NO_CLIENT,
    NO_PROJECT,
    RELEASES,
    delete,
    get,
    head,
    options,
    patch,
    post,
    put,
)

_TOPICS = "/v2/topics"
_NEWS = "/v2/topics/news"


def _change(status: int, *operations: object) -> Step:
    return patch(_NEWS, status, json.dumps(operations), JSON_PATCH)


_LIFE = Script(
    "topic life",
    "v2",
    (
        get(_NEWS, 200),
        get(_NEWS + "/stats", 200),
        put(_NEWS, 400, "{"),
        put(_NEWS, 400, '{"_default_message_ttl": 59}'),
        put(_NEWS, 201, '{"colour": "red"}'),
        put(_NEWS, 204, '{"colour": "blue"}'),
        put(_TOPICS + "/%6Eews", 204),
        get(_NEWS, 200),
        get(_NEWS + "/stats", 200),
        _change(200, {"op": "replace", "path": "/metadata/colour", "value": "green"}),
        _change(409, {"op": "remove", "path": "/metadata/none"}),
        _change(400, {"op": "move", "path": "/metadata/colour"}),
        patch(_NEWS, 415, "[]"),
        patch(_TOPICS + "/none", 404, "[]", JSON_PATCH),
        post(_NEWS + "/purge", 204, '{"resource_types": ["messages"]}'),
        post(_NEWS + "/purge", 400, '{"resource_types": ["x"]}'),
        get("/v2/queues/news/stats", 200),
        get("/v2/queues", 200),
        head(_NEWS, 405),
        post(_NEWS, 405, "{}"),
        options(_NEWS, 200),
        get(_NEWS, 400, NO_CLIENT),
        get(_NEWS, 400, NO_PROJECT),
        get(_TOPICS + "/a%20b", 400),
        put(_TOPICS + "/" + "i" * 65, 400),
        get(_TOPICS + "/", 400),
        get(_NEWS + "/", 404),
        get(_NEWS + "/nope", 404),
        get(_NEWS + "/stats", 406, {"Accept": "text/plain"}),
        head(_NEWS + "/stats", 405),
        get(_NEWS + "/purge", 405),
        delete(_NEWS, 400, headers=NO_CLIENT),
        delete(_NEWS, 204),
        delete(_NEWS, 204),
        get(_NEWS, 200),
    ),
    RELEASES["v2"],
)

_LISTING = Script(
    "topic listing",
    "v2",
    (
        get(_TOPICS, 200),
        put("/v2/queues/queue-beside", 201),
        *(put(f"{_TOPICS}/{name}", 201, '{"k": "v"}') for name in ("beta", "alpha", "Gamma")),
        get(_TOPICS, 200),
        get("/v2/queues", 200),
        get(_TOPICS + "?limit=1", 200, capture=MARKER),
        get(_TOPICS + "?limit=1&marker=${marker}", 200, capture=MARKER),
        get(_TOPICS + "?marker=${marker}&detailed=true", 200, capture=MARKER),
        get(_TOPICS + "?marker=${marker}", 200),
        get(_TOPICS + "?name=lph", 200),
        get(_TOPICS + "?k=v&limit=2", 200),
        get(_TOPICS + "?k=w", 200),
        get(_TOPICS + "?with_count=true", 200),
        get(_TOPICS + "?limit=0", 400),
        get(_TOPICS + "?limit=21", 400),
        get(_TOPICS + "?limit=x", 400),
        get(_TOPICS + "?detailed=x", 400),
        get(_TOPICS, 400, NO_CLIENT),
        get(_TOPICS, 406, {"Accept": "text/plain"}),
        post(_TOPICS, 405, "{}"),
        options(_TOPICS, 200),
    ),
    RELEASES["v2"],
)

_BROKEN_UPSTREAM = Script(
    "topic messages and subscriptions",
    "v2",
    (
        put(_NEWS, 201),
        get(_NEWS + "/messages", 500),
        post(_NEWS + "/messages", 500, '{"messages": [{"body": 1}]}'),
        get(_NEWS + "/messages/x", 500),
        get(_NEWS + "/subscriptions", 500),
        post(_NEWS + "/subscriptions", 500, '{"subscriber": "http://127.0.0.1:9/"}'),
        get(_NEWS + "/messages", 400, NO_CLIENT),
    ),
    RELEASES["v2"],
)

SCRIPTS = (_LIFE, _LISTING, _BROKEN_UPSTREAM)
