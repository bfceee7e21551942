"""The rules of the API by which a request is refused, a row each with the section that has it.

``test_every_route`` has the refusals that all routes share. The neighbour of a range that is still good is a row of
``ACCEPTED``, so that a server that refuses everything fails too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.wire.contract import quirks
from tests.wire.contract.quirks import Quirk
from tests.wire.contract.routes import ALL, LATE, V1, V1_1, V2
from tests.wire.contract.tenant import JSON_PATCH, MALFORMED, UNKNOWN, Tenant

REQUEST, BODY, PARAMETER = "Invalid API request", "Invalid request body", "Invalid parameter"
NOT_FOUND, CONFLICT, UNDELETABLE = "Not found", "Resource conflict", "Unable to delete"
HUGE = 10**19

Names = dict[str, str]


# -- what is there before the request ----------------------------------------------------------------------------------


def nothing(tenant: Tenant) -> Names:
    return {}


def queue(tenant: Tenant) -> Names:
    tenant.create("orders")
    return {}


def topic(tenant: Tenant) -> Names:
    tenant.create("/topics/news")
    return {}


def message(tenant: Tenant) -> Names:
    tenant.create("orders")
    return {"message": tenant.post("orders", 1)[0]}


def claim(tenant: Tenant) -> Names:
    """Two claimed messages, each with a claim of its own."""
    tenant.create("orders")
    first, _ = tenant.post("orders", 1, 2)
    one, other = tenant.claim("orders", limit=1), tenant.claim("orders", limit=1)
    assert one is not None
    assert other is not None
    return {"message": first, "claim": one.id, "other": other.id}


def subscription(tenant: Tenant) -> Names:
    """Two subscriptions, the second one confirmed."""
    ids = []
    for name in ("one", "two"):
        made = tenant.ask("POST", "/queues/orders/subscriptions", {"subscriber": f"http://127.0.0.1:9/{name}"})
        assert made.status == 201, made
        ids.append(made.document["subscription_id"])
    confirmed = tenant.ask("PUT", f"/queues/orders/subscriptions/{ids[1]}/confirm", {"confirmed": True})
    assert confirmed.status == 204, confirmed
    return {"subscription": ids[0], "second": ids[1]}


# -- the rows ----------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A request and its status. ``path`` may name what ``given`` made, as ``{message}``; ``title`` None is any."""

    section: str
    rule: str
    versions: tuple[str, ...]
    status: int
    title: str | None
    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = {}
    given: Callable[[Tenant], Names] = queue
    instead: Mapping[Quirk, int] = {}


MESSAGES, CLAIMS, CLAIM = "/queues/orders/messages", "/queues/orders/claims", "/queues/orders/claims/{claim}"
SUBSCRIPTIONS = "/queues/orders/subscriptions"
SUBSCRIPTION = SUBSCRIPTIONS + "/{subscription}"


def post(version: str, *messages: Any) -> str:
    """The text of a post in the envelope of a version."""
    return json.dumps(list(messages) if version == "v1" else {"messages": list(messages)})


GOOD = {"ttl": 60, "body": 1}


def _messages() -> list[Row]:
    rows = []
    wrong: list[tuple[str, str | None, Any]] = [
        ("empty array", REQUEST, []),
        ("ttl too short", REQUEST, [GOOD, GOOD | {"ttl": 59}]),
        ("ttl too long", REQUEST, [GOOD | {"ttl": 1209601}]),
        ("ttl zero", REQUEST, [GOOD | {"ttl": 0}]),
        ("ttl negative", REQUEST, [GOOD | {"ttl": -100}]),
        ("ttl beyond 64 bits", BODY, [GOOD | {"ttl": HUGE}]),
        ("ttl a text", BODY, [GOOD | {"ttl": "60"}]),
        ("ttl a float", BODY, [GOOD | {"ttl": 60.0}]),
        ("ttl a boolean", None, [GOOD | {"ttl": True}]),  # 1 to some, and too short then
        ("ttl null", BODY, [GOOD | {"ttl": None}]),
        ("no body", BODY, [GOOD, {"ttl": 60}]),
        ("too large an integer anywhere", BODY, [GOOD | {"body": {"a": [2**63]}}]),
    ]
    for version in ALL:
        section = {"v1": "2.7", "v1.1": "3.2", "v2": "4.6"}[version]
        for rule, title, messages in wrong:
            rows.append(Row(section, rule, (version,), 400, title, "POST", MESSAGES, post(version, *messages)))
        for value in (1, "x", None, [], True):
            rows.append(
                Row(
                    "1.8",
                    f"an entry that is {value!r}",
                    (version,),
                    400,
                    None,
                    "POST",
                    MESSAGES,
                    post(version, value),
                    instead={quirks.ENTRIES_MUST_BE_OBJECTS: 500},
                )
            )
        other = "v2" if version == "v1" else "v1"
        rows.append(
            Row(section, "envelope of another version", (version,), 400, None, "POST", MESSAGES, post(other, GOOD))
        )
    rows += [
        Row("2.7", "no ttl", V1, 400, BODY, "POST", MESSAGES, '[{"body": 1}]'),
        Row("2.7", "queue missing", V1, 404, NOT_FOUND, "POST", MESSAGES, post("v1", GOOD), given=nothing),
        Row("3.2", "no messages member", LATE, 400, REQUEST, "POST", MESSAGES, "{}"),
        Row("3.2", "messages no array", LATE, 400, BODY, "POST", MESSAGES, '{"messages": {}}'),
        Row("3.2", "messages null", LATE, 400, BODY, "POST", MESSAGES, '{"messages": null}'),
    ]
    return rows


def _reading() -> list[Row]:
    too_many = ",".join([UNKNOWN] * 21)
    rows = []
    for path, section in (("/queues", "2.1"), (MESSAGES, "2.8")):
        rows += [
            *(
                Row(section, f"limit {limit}", ALL, 400, REQUEST, "GET", f"{path}?limit={limit}")
                for limit in (0, 21, 1001, -1, -100, HUGE, -HUGE)
            ),
            *(
                Row("1.6", f"limit {limit}", ALL, 400, PARAMETER, "GET", f"{path}?limit={limit}")
                for limit in ("x", "1.5", "1e1", "0x1", "%C3%A9", "1%2C2")
            ),
        ]
    for name, versions, path in (
        ("detailed", ALL, "/queues"),
        ("echo", ALL, MESSAGES),
        ("include_claimed", ALL, MESSAGES),
        ("include_delayed", V2, MESSAGES),
        ("with_count", V2, "/queues"),
        ("detailed", V2, "/topics"),
    ):
        for value in ("TRUE", "maybe", "2", "%20true"):
            rows.append(Row("1.6", f"{name}={value}", versions, 400, PARAMETER, "GET", f"{path}?{name}={value}"))
    rows += [
        Row("2.9", "21 ids", ALL, 400, REQUEST, "GET", f"{MESSAGES}?ids={too_many}"),
        Row("2.10", "21 ids", ALL, 400, REQUEST, "DELETE", f"{MESSAGES}?ids={too_many}"),
        Row("2.10", "no ids", V1, 400, "Missing parameter", "DELETE", MESSAGES),
        Row("1.6", "empty ids are no ids", V1, 400, "Missing parameter", "DELETE", f"{MESSAGES}?ids="),
        Row("3.5", "neither ids nor pop", LATE, 400, REQUEST, "DELETE", MESSAGES),
        Row("1.6", "empty ids and pop are neither", LATE, 400, REQUEST, "DELETE", f"{MESSAGES}?ids=&pop="),
        Row("3.5", "ids and pop", LATE, 400, REQUEST, "DELETE", f"{MESSAGES}?ids={UNKNOWN}&pop=1"),
        *(
            Row("3.5", f"pop {pop}", LATE, 400, REQUEST, "DELETE", f"{MESSAGES}?pop={pop}")
            for pop in (0, -1, 21, 10000000, HUGE)
        ),
        Row("3.5", "pop no number", LATE, 400, PARAMETER, "DELETE", f"{MESSAGES}?pop=x"),
        *(Row("4.12", f"limit {limit}", V2, 400, None, "GET", f"/topics?limit={limit}") for limit in (0, 21, "x")),
        *(
            Row("2.11", f"message {known}", ALL, 404, NOT_FOUND, "GET", f"{MESSAGES}/{known}")
            for known in (UNKNOWN, MALFORMED)
        ),
        Row("2.11", "message of a missing queue", ALL, 404, NOT_FOUND, "GET", f"{MESSAGES}/{UNKNOWN}", given=nothing),
        Row("3.4", "no message of the ids", LATE, 404, NOT_FOUND, "GET", f"{MESSAGES}?ids={UNKNOWN}"),
        Row("2.6", "stats of a missing queue", V1, 404, NOT_FOUND, "GET", "/queues/orders/stats", given=nothing),
        Row("2.5", "metadata of a missing queue", V1, 404, NOT_FOUND, "GET", "/queues/orders/metadata", given=nothing),
        Row(
            *("2.5", "metadata for a missing queue", V1, 404, NOT_FOUND, "PUT", "/queues/orders/metadata", "{}"),
            given=nothing,
        ),
    ]
    return rows


def _claims() -> list[Row]:
    good = {"ttl": 60, "grace": 60}
    ranges = [
        *({"ttl": ttl, "grace": 60} for ttl in (59, 43201, 1, 0, -100)),
        *({"ttl": 60, "grace": grace} for grace in (59, 43201, 1, 0, -100)),
    ]
    kinds = [
        *(good | {"ttl": wrong} for wrong in ("60", 60.0, None, [])),
        *(good | {"grace": wrong} for wrong in ("60", 60.0, None, {})),
        good | {"ttl": HUGE},
        good | {"grace": -HUGE},
    ]
    rows = [
        *(Row("2.13", f"claim {body}", ALL, 400, REQUEST, "POST", CLAIMS, body) for body in ranges),
        *(Row("2.13", f"claim {body}", ALL, 400, BODY, "POST", CLAIMS, body) for body in kinds),
        # 1 to some, and too short then.
        *(Row("2.13", f"{name} true", ALL, 400, None, "POST", CLAIMS, good | {name: True}) for name in good),
        *(
            Row("2.13", f"limit {limit}", ALL, 400, None, "POST", f"{CLAIMS}?limit={limit}", good)
            for limit in (0, 21, -1, HUGE, "x")
        ),
        *(
            Row("2.13", f"claim {body}", V1, 400, BODY, "POST", CLAIMS, body)
            for body in ({}, {"ttl": 60}, {"grace": 60})
        ),
        *(
            Row("2.15", f"renewal {body}", ALL, 400, REQUEST, "PATCH", CLAIM, body, given=claim)
            for body in ({"ttl": 59}, {"ttl": 43201}, {"ttl": -100, "grace": 60})
        ),
        *(
            Row("2.15", f"renewal {body}", ALL, 400, BODY, "PATCH", CLAIM, body, given=claim)
            for body in ({"ttl": "60"}, {"ttl": HUGE}, {"ttl": 60, "grace": "60"}, {"ttl": None})
        ),
        Row("2.15", "renewal without ttl", V1, 400, BODY, "PATCH", CLAIM, {"grace": 60}, given=claim),
        Row("2.15", "the body comes before the claim", ALL, 400, REQUEST, "PATCH", f"{CLAIMS}/{UNKNOWN}", {"ttl": 59}),
    ]
    for known in (UNKNOWN, MALFORMED):
        rows += [
            Row("2.14", f"claim {known}", ALL, 404, NOT_FOUND, "GET", f"{CLAIMS}/{known}"),
            Row("2.15", f"claim {known}", ALL, 404, NOT_FOUND, "PATCH", f"{CLAIMS}/{known}", {"ttl": 60}),
            Row(
                *("2.12", f"deletion with claim {known}, unclaimed", ALL, 400, UNDELETABLE, "DELETE"),
                MESSAGES + "/{message}?claim_id=" + known,
                given=message,
            ),
        ]
    claimed = MESSAGES + "/{message}"
    rows += [
        Row("2.12", "claimed, no claim", ALL, 403, UNDELETABLE, "DELETE", claimed, given=claim),
        Row("2.12", "claimed, empty claim", ALL, 403, UNDELETABLE, "DELETE", claimed + "?claim_id=", given=claim),
        Row("2.12", "claimed by another", ALL, 403, UNDELETABLE, "DELETE", claimed + "?claim_id={other}", given=claim),
        Row(
            *("2.12", "claimed, malformed claim", ALL, 400, UNDELETABLE, "DELETE"),
            claimed + "?claim_id=" + MALFORMED,
            given=claim,
        ),
    ]
    return rows


# Values that an attribute cannot have: API section 4.1.
ATTRIBUTES: dict[str, tuple[Any, ...]] = {
    "_default_message_ttl": (59, 0, 1209601, -1, "60", 60.0, [], True),
    "_max_messages_post_size": (0, -1, 262145, "1", 1.0, {}),
    "_default_message_delay": (-1, 901, "1", 1.5),
    "_dead_letter_queue_messages_ttl": (59, 0, 1209601, "60"),
    "_max_claim_count": ("1", 1.0, []),
    "_enable_encrypt_messages": ("true", 1, []),
    "_retry_policy": (
        1,
        "x",
        {"retries_with_no_delay": "3"},
        {"minimum_delay": 5, "maximum_delay": 14},
        {"retry_backoff_function": "sometimes"},
        {"ignore_subscription_override": 1},
    ),
}
# The answers of some targets to these, at creation and to a patch.
_FAIL = ({quirks.ATTRIBUTES_OF_ANY_TYPE: 500}, {quirks.ATTRIBUTES_OF_ANY_TYPE: 503})
_PASS = ({quirks.ATTRIBUTES_OF_ANY_TYPE: 201}, {quirks.ATTRIBUTES_OF_ANY_TYPE: 200})
OTHERWISE: dict[tuple[str, str], tuple[Mapping[Quirk, int], Mapping[Quirk, int]]] = {
    ("_default_message_ttl", "[]"): _FAIL,
    ("_max_messages_post_size", "{}"): _FAIL,
    ("_max_claim_count", "[]"): _PASS,
    ("_enable_encrypt_messages", "[]"): _PASS,
}


def _metadata() -> list[Row]:
    rows = [
        Row("2.5", "a reserved key", V1, 400, REQUEST, "PUT", "/queues/orders/metadata", {"_default_message_ttl": 300}),
        Row("2.5", "a reserved key of one's own", V1, 400, REQUEST, "PUT", "/queues/orders/metadata", {"_x": 1}),
    ]
    for key, values in ATTRIBUTES.items():
        for value in values:
            put, patch = OTHERWISE.get((key, repr(value)), ({}, {}))
            created, changed = ("PUT", "/queues/orders", {key: value}), ("PATCH", "/queues/orders", _add(key, value))
            rows += [
                Row("4.1", f"{key} {value!r}", LATE, 400, REQUEST, *created, given=nothing, instead=put),
                Row("4.5", f"{key} {value!r}", V2, 400, BODY, *changed, JSON_PATCH, instead=patch),
            ]
    rows += [
        Row("3.1", "judged though ignored", LATE, 400, REQUEST, "PUT", "/queues/orders", {"_default_message_ttl": 59}),
        Row("4.12", "attribute", V2, 400, REQUEST, "PUT", "/topics/news", {"_default_message_ttl": 59}, given=nothing),
    ]
    return rows


def _add(key: str, value: Any) -> list[Any]:
    return [{"op": "add", "path": f"/metadata/{key}", "value": value}]


def _patches() -> list[Row]:
    wrong: dict[str, Any] = {
        "no op": {"path": "/metadata/a", "value": 1},
        "unknown op": {"op": "move", "path": "/metadata/a", "value": 1},
        "op of another case": {"op": "Add", "path": "/metadata/a", "value": 1},
        "no path": {"op": "add", "value": 1},
        "no leading slash": {"op": "add", "path": "metadata/a", "value": 1},
        "one token": {"op": "add", "path": "/metadata", "value": 1},
        "three tokens": {"op": "add", "path": "/metadata/a/b", "value": 1},
        "trailing slash": {"op": "add", "path": "/metadata/a/", "value": 1},
        "empty token": {"op": "add", "path": "//a", "value": 1},
        "bad escape": {"op": "add", "path": "/metadata/a~2", "value": 1},
        "bare tilde": {"op": "add", "path": "/metadata/a~", "value": 1},
        "another root": {"op": "add", "path": "/other/a", "value": 1},
        "add without value": {"op": "add", "path": "/metadata/a"},
        "replace without value": {"op": "replace", "path": "/metadata/a"},
    }
    rows = []
    for given, path in ((queue, "/queues/orders"), (topic, "/topics/news")):
        rows += [
            *(
                Row("4.5", rule, V2, 400, BODY, "PATCH", path, [operation], JSON_PATCH, given)
                for rule, operation in wrong.items()
            ),
            *(
                Row(
                    "4.5",
                    f"{op} of what is not there",
                    V2,
                    409,
                    CONFLICT,
                    "PATCH",
                    path,
                    [operation],
                    JSON_PATCH,
                    given,
                )
                for op, operation in (
                    ("replace", {"op": "replace", "path": "/metadata/none", "value": 1}),
                    ("remove", {"op": "remove", "path": "/metadata/none"}),
                )
            ),
            Row("4.5", "no such queue", V2, 404, NOT_FOUND, "PATCH", path, _add("a", 1), JSON_PATCH, nothing),
            Row("4.5", "structure comes before existence", V2, 400, BODY, "PATCH", path, [{}], JSON_PATCH, nothing),
            *(
                Row("4.5", f"type {kind}", V2, 415, None, "PATCH", path, "[]", {"Content-Type": kind}, given)
                for kind in ("application/json", JSON_PATCH["Content-Type"] + "; charset=utf-8", "text/plain")
            ),
            Row("4.5", "no type", V2, 415, None, "PATCH", path, "[]", given=given),
            Row("4.5", "type comes before JSON", V2, 415, None, "PATCH", path, "{", given=given),
            Row(
                *("4.5", "size comes before type", V2, 400, BODY, "PATCH", path, "[]" + " " * 65536),
                given=given,
            ),
        ]
    return rows


def _v2_only() -> list[Row]:
    purge, share = "/queues/orders/purge", "/queues/orders/share"
    confirm = SUBSCRIPTION + "/confirm"
    to = {"subscriber": "http://127.0.0.1:9/x"}
    unknown = f"{SUBSCRIPTIONS}/{UNKNOWN}"
    return [
        *(
            Row("4.9", f"purge {body}", V2, 400, REQUEST, "POST", path, body, given=given)
            for path, given in ((purge, queue), ("/topics/news/purge", topic))
            for body in ({}, {"resource_types": ["claims"]}, {"resource_types": ["messages", "x"]})
        ),
        Row("4.10", "no body", V2, 400, None, "POST", share),
        *(
            Row("4.10", f"share {body}", V2, 400, REQUEST, "POST", share, body)
            for body in (
                {"unknown": 1},
                {"paths": ["stats"]},
                {"paths": ["messages", "x"]},
                {"methods": "GET"},
                {"expires": "yesterday"},
                {"expires": "2001-01-01T00:00:00"},
                {"expires": 2099},
            )
        ),
        *(
            Row("4.11", f"subscription {body}", V2, 400, None, "POST", SUBSCRIPTIONS, body)
            for body in (
                None,
                "",
                {},
                {"ttl": 60},
                {"subscriber": "gopher://127.0.0.1/"},
                {"subscriber": "nothing"},
                to | {"ttl": 59},
                to | {"ttl": -1},
                to | {"ttl": "60"},
                to | {"ttl": 60.0},
                to | {"ttl": 10**15},
                to | {"options": 1},
                to | {"options": {"_retry_policy": {"minimum_delay": 5, "maximum_delay": 14}}},
            )
        ),
        Row(
            *("4.11", "empty subscriber", V2, 400, REQUEST, "POST", SUBSCRIPTIONS, {"subscriber": ""}),
            instead={quirks.FALSY_IN_SUBSCRIPTIONS: 503},
        ),
        Row(
            *("4.11", "options an array", V2, 400, REQUEST, "POST", SUBSCRIPTIONS, to | {"options": []}),
            instead={quirks.FALSY_IN_SUBSCRIPTIONS: 201},
        ),
        Row(
            *("4.11", "confirmed already", V2, 409, CONFLICT, "POST", SUBSCRIPTIONS),
            {"subscriber": "http://127.0.0.1:9/two"},
            given=subscription,
        ),
        Row(
            *("4.11", "subscriber taken", V2, 409, CONFLICT, "PATCH", SUBSCRIPTION),
            {"subscriber": "http://127.0.0.1:9/two"},
            given=subscription,
        ),
        *(
            Row("4.11", f"change {body}", V2, 400, None, "PATCH", SUBSCRIPTION, body, given=subscription)
            for body in (
                *(None, "", {}, {"x": 1}, {"ttl": 59}, {"ttl": "60"}, {"options": 1}),
                {"subscriber": "gopher://127.0.0.1/"},
            )
        ),
        *(
            Row("4.11", f"confirmation {body}", V2, 400, None, "PUT", confirm, body, given=subscription)
            for body in ({}, {"confirmed": "yes"}, {"confirmed": 1}, {"confirmed": None})
        ),
        Row("4.11", "no such subscription", V2, 404, NOT_FOUND, "GET", unknown),
        Row("4.11", "no such subscription", V2, 404, NOT_FOUND, "PATCH", unknown, {"ttl": 60}),
        Row("4.11", "no such subscription", V2, 404, NOT_FOUND, "PUT", unknown + "/confirm", {"confirmed": True}),
        *(
            Row("4.11", f"limit {limit}", V2, 400, None, "GET", f"{SUBSCRIPTIONS}?limit={limit}")
            for limit in (0, 21, -1, HUGE, "x")
        ),
    ]


# -- bodies that are no JSON of the right kind: API section 1.5 --------------------------------------------------------


class Taking(NamedTuple):
    """A route that takes a body: an object or an array, which it may need or not.

    ``otherwise``: what a body of the wrong kind is answered with by some.
    """

    versions: tuple[str, ...]
    method: str
    path: str
    array: bool = False
    needed: bool = False
    headers: Mapping[str, str] = {}
    given: Callable[[Tenant], Names] = queue
    otherwise: Mapping[Quirk, int] = {}


TAKING_BODIES = (
    Taking(V1, "POST", MESSAGES, array=True, needed=True),
    Taking(LATE, "POST", MESSAGES, needed=True),
    Taking(V1, "PUT", "/queues/orders/metadata", needed=True),
    Taking(LATE, "PUT", "/queues/orders"),
    Taking(V1, "POST", CLAIMS, needed=True),
    Taking(LATE, "POST", CLAIMS),
    Taking(ALL, "PATCH", CLAIM, needed=True, given=claim),
    Taking(
        V2,
        "PATCH",
        "/queues/orders",
        array=True,
        needed=True,
        headers=JSON_PATCH,
        otherwise={quirks.WRONG_KINDS_FAIL: 503},
    ),
    Taking(V2, "POST", "/queues/orders/purge"),
    Taking(V2, "POST", "/queues/orders/share", needed=True, otherwise={quirks.WRONG_KINDS_FAIL: 500}),
    Taking(V2, "POST", SUBSCRIPTIONS, otherwise={quirks.WRONG_KINDS_FAIL: 503}),
    Taking(V2, "PATCH", SUBSCRIPTION, given=subscription),
    Taking(V2, "PUT", SUBSCRIPTION + "/confirm", given=subscription),
    Taking(V2, "PUT", "/topics/news", given=topic),
    Taking(*(V2, "PATCH", "/topics/news", True, True, JSON_PATCH, topic), otherwise={quirks.WRONG_KINDS_FAIL: 503}),
    Taking(V2, "POST", "/topics/news/purge", given=topic),
)

# In an array or object, so that nothing but the integer is wrong.
MALFORMED_BODIES: dict[str, bytes] = {
    "not parseable": b"{",
    "garbage after it": b"{} x",
    "two documents": b"{}{}",
    "a number": b"123",
    "a text": b'"x"',
    "null": b"null",
    "true": b"true",
    "byte-order mark": b"\xef\xbb\xbf{}",
    "no UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": "{}".encode("utf-16"),
    "white space": b" \n",
    "a NUL": b"\x00",
    "single quotes": b"{'a': 1}",
    "trailing comma": b'{"a": 1,}',
    "comment": b"{} // x",
    "control character": b'{"a": "\n"}',
}
TOO_LARGE = [2**63, -(2**63) - 1, 10**19, 10**400]


def _constants() -> list[Row]:
    """Where they would be kept and shown again."""
    rows = []
    for constant in ("NaN", "Infinity", "-Infinity", "1e999"):
        inside = f'{{"a": [{constant}]}}'
        passes = quirks.CONSTANTS_PASS
        rows += [
            Row(
                *("1.5", constant, V1, 400, BODY, "PUT", "/queues/orders/metadata", inside),
                instead={passes: 204},
            ),
            Row(
                *("1.5", constant, LATE, 400, BODY, "PUT", "/queues/orders", inside),
                given=nothing,
                instead={passes: 201},
            ),
            *(
                Row(
                    *("1.5", constant, (version,), 400, BODY, "POST", MESSAGES),
                    post(version, GOOD | {"body": "X"}).replace('"X"', constant),
                    instead={passes: 201},
                )
                for version in ALL
            ),
        ]
    return rows


ROWS: tuple[Row, ...] = (
    *(*_messages(), *_reading(), *_claims(), *_metadata(), *_patches(), *_v2_only(), *_constants()),
)


# -- what is just good -------------------------------------------------------------------------------------------------

_LIMITS = (1, 20, "%31", "+3", "", "1&limit=2", "0&limit=2")
ACCEPTED: tuple[Row, ...] = (
    *(
        Row("1.7", f"message ttl {ttl}", (version,), 201, None, "POST", MESSAGES, post(version, GOOD | {"ttl": ttl}))
        for version in ALL
        for ttl in (60, 1209600)
    ),
    *(
        Row("1.7", f"claim {ttl} {grace}", ALL, 201, None, "POST", CLAIMS, {"ttl": ttl, "grace": grace}, given=message)
        for ttl, grace in ((60, 43200), (43200, 60))
    ),
    *(Row("1.7", f"renewal {ttl}", ALL, 204, None, "PATCH", CLAIM, {"ttl": ttl}, given=claim) for ttl in (60, 43200)),
    *(
        Row("1.6", f"limit {limit}", ALL, 200, None, "GET", f"{path}limit={limit}", given=message)
        for path in ("/queues?", MESSAGES + "?echo=true&")
        for limit in _LIMITS
    ),
    *(
        Row(
            "2.13",
            f"limit {limit}",
            ALL,
            201,
            None,
            "POST",
            f"{CLAIMS}?limit={limit}",
            {"ttl": 60, "grace": 60},
            given=message,
        )
        for limit in (1, 20, "")
    ),
    *(Row("3.5", f"pop {pop}", LATE, 200, None, "DELETE", f"{MESSAGES}?pop={pop}") for pop in (1, 20)),
    Row("2.9", "20 ids", ALL, 204, None, "DELETE", f"{MESSAGES}?ids={','.join([UNKNOWN] * 20)}"),
    *(
        Row("4.1", f"{key} {value}", LATE, 201, None, "PUT", "/queues/orders", {key: value}, given=nothing)
        for key, values in {
            "_default_message_ttl": (60, 1209600, None),
            "_max_messages_post_size": (1, 262144, None),
            "_default_message_delay": (0, 900, None),
            "_dead_letter_queue": ("dead", None),
            "_dead_letter_queue_messages_ttl": (60, 1209600, None),
            "_max_claim_count": (1, 10**6, -1, None),
            "_enable_encrypt_messages": (False, None),
            "_retry_policy": ({"minimum_delay": 5, "maximum_delay": 15, "retry_backoff_function": "linear"}, {}, None),
            "_x": ([1], None),
        }.items()
        for value in values
    ),
    *(
        Row("1.5", f"integer {number}", V1_1, 201, None, "PUT", "/queues/orders", {"a": [number]}, given=nothing)
        for number in (2**63 - 1, -(2**63), 1.5, 1e300, 1e308)
    ),
    *(
        Row(
            "4.11",
            f"subscription ttl {ttl}",
            V2,
            201,
            None,
            "POST",
            SUBSCRIPTIONS,
            {"subscriber": "http://a", "ttl": ttl},
        )
        for ttl in (60, 10**9)
    ),
)
