"""Every route of the API, in every version and method, and every path that is none (API sections 1.1, 1.4, 8.1)."""

from __future__ import annotations

import re
from itertools import product
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.model import API_VERSIONS, TOPIC_PREFIX
from marconi_proxy.routing.route import ROUTES, Effect, ParsedRoute, RouteKind, parse, valid_name

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Row(NamedTuple):
    """A row of API section 8.1. ``?`` in ``path`` is the query; ``{v}`` a version, ``{q}`` a queue or topic."""

    path: str
    versions: tuple[str, ...]
    kind: RouteKind
    creates: str = ""  # methods that may create a queue
    deletes: str = ""  # methods that may delete it
    once: str = ""  # methods that must not be repeated
    local: str = ""  # methods that the front door answers itself
    writes: str = ""  # methods that may change what the queue holds


V1, EARLIER, LATER, V2, ALL = ("v1",), ("v1", "v1.1"), ("v1.1", "v2"), ("v2",), API_VERSIONS

TABLE = (
    Row("/", ("",), RouteKind.ROOT, local="GET"),
    Row("/{v}", ALL, RouteKind.HOME),
    Row("/{v}/", ALL, RouteKind.HOME),
    Row("/{v}/ping", LATER, RouteKind.PING, local="GET HEAD"),
    Row("/{v}/health", V1, RouteKind.HEALTH, local="GET HEAD"),
    Row("/{v}/ready", ALL, RouteKind.READY, local="GET HEAD"),
    Row("/{v}/queues", ALL, RouteKind.QUEUES, local="GET"),
    Row("/{v}/queues/{q}", ALL, RouteKind.QUEUE, creates="PUT", deletes="DELETE", writes="PUT PATCH DELETE"),
    Row("/{v}/queues/{q}/metadata", V1, RouteKind.METADATA, writes="PUT"),
    Row("/{v}/queues/{q}/stats", ALL, RouteKind.STATS),
    Row("/{v}/queues/{q}/messages", V1, RouteKind.MESSAGES, once="POST", writes="POST DELETE"),
    Row("/{v}/queues/{q}/messages", LATER, RouteKind.MESSAGES, creates="POST", once="POST", writes="POST DELETE"),
    Row(
        "/{v}/queues/{q}/messages?ids=a,b", LATER, RouteKind.MESSAGES, creates="POST", once="POST", writes="POST DELETE"
    ),
    Row(
        "/{v}/queues/{q}/messages?pop=2",
        LATER,
        RouteKind.MESSAGES,
        creates="POST",
        once="POST DELETE",
        writes="POST DELETE",
    ),
    Row(
        "/{v}/queues/{q}/messages?%70op=2",
        LATER,
        RouteKind.MESSAGES,
        creates="POST",
        once="POST DELETE",
        writes="POST DELETE",
    ),
    Row("/{v}/queues/{q}/messages/5d2b", ALL, RouteKind.MESSAGE, writes="DELETE"),
    Row("/{v}/queues/{q}/messages/5d2b?claim_id=c", ALL, RouteKind.MESSAGE, writes="DELETE"),
    Row("/{v}/queues/{q}/claims", ALL, RouteKind.CLAIMS, once="POST", writes="POST"),
    Row("/{v}/queues/{q}/claims?limit=3", ALL, RouteKind.CLAIMS, once="POST", writes="POST"),
    Row("/{v}/queues/{q}/claims/51db", ALL, RouteKind.CLAIM, writes="PATCH DELETE"),
    Row("/{v}/queues/{q}/purge", V2, RouteKind.PURGE, writes="POST"),
    Row("/{v}/queues/{q}/share", V2, RouteKind.SHARE),
    Row("/{v}/queues/{q}/subscriptions", V2, RouteKind.SUBSCRIPTIONS, creates="POST", writes="POST"),
    Row("/{v}/queues/{q}/subscriptions/61", V2, RouteKind.SUBSCRIPTION, writes="PATCH DELETE"),
    Row("/{v}/queues/{q}/subscriptions/61/confirm", V2, RouteKind.CONFIRM, writes="PUT"),
    Row("/{v}/topics", V2, RouteKind.TOPICS, local="GET"),
    Row("/{v}/topics/{q}", V2, RouteKind.TOPIC, creates="PUT", deletes="DELETE", writes="PUT PATCH DELETE"),
    Row("/{v}/topics/{q}/stats", V2, RouteKind.TOPIC_PART, writes="POST PUT PATCH DELETE"),
    Row("/{v}/topics/{q}/purge", V2, RouteKind.TOPIC_PART, writes="POST PUT PATCH DELETE"),
    Row(
        "/{v}/topics/{q}/messages",
        V2,
        RouteKind.TOPIC_MESSAGES,
        creates="POST",
        once="POST DELETE",
        writes="POST DELETE",
    ),
    Row("/{v}/topics/{q}/messages/5d2b", V2, RouteKind.TOPIC_PART, writes="POST PUT PATCH DELETE"),
    Row("/{v}/topics/{q}/subscriptions", V2, RouteKind.TOPIC_SUBSCRIPTIONS, creates="POST", writes="POST"),
    Row("/{v}/topics/{q}/subscriptions/61", V2, RouteKind.TOPIC_PART, writes="POST PUT PATCH DELETE"),
    Row("/{v}/topics/{q}/subscriptions/61/confirm", V2, RouteKind.TOPIC_PART, writes="POST PUT PATCH DELETE"),
)

CASES = [
    pytest.param(row, version, method, id=f"{method} {row.path.format(v=version, q='q')}")
    for row in TABLE
    for version, method in product(row.versions, METHODS)
]


@pytest.mark.parametrize(("row", "version", "method"), CASES)
def test_every_route(row: Row, version: str, method: str) -> None:
    route = parse(method, row.path.format(v=version, q="fizbit").encode())

    def told(methods: str) -> bool:
        return method in methods.split()

    effect = Effect.CREATES if told(row.creates) else Effect.DELETES if told(row.deletes) else Effect.NONE
    rule = route.rule
    assert (rule.kind, rule.effect) == (row.kind, effect)
    assert (rule.repeatable, rule.local, rule.writes) == (not told(row.once), told(row.local), told(row.writes))
    assert route.version == version
    queue = "fizbit" if "{q}" in row.path else ""
    assert route.queue == (TOPIC_PREFIX + queue if "topics/" in row.path else queue)
    assert route.named is bool(queue)


def test_the_table_above_has_every_row_of_the_code() -> None:
    tested = {(row.kind, version) for row in TABLE for version in row.versions}
    assert tested == {(kind, version) for kind, versions in ROUTES for version in versions}


def test_what_creates_or_deletes_also_writes() -> None:
    for rules in ROUTES.values():
        for rule in rules.values():
            assert rule.writes or rule.effect is Effect.NONE
            assert rule.repeatable or rule.writes


# -- which versions have which routes ----------------------------------------------------------------------------------

MISSING = [
    pytest.param(f"/{version}{path.format(q='q')}", id=f"{version}{path}")
    for path, versions in {
        "/ping": V1,
        "/health": LATER,
        "/queues/{q}/metadata": LATER,
        "/queues/{q}/purge": EARLIER,
        "/queues/{q}/share": EARLIER,
        "/queues/{q}/subscriptions": EARLIER,
        "/queues/{q}/subscriptions/s": EARLIER,
        "/queues/{q}/subscriptions/s/confirm": EARLIER,
        "/topics": EARLIER,
        "/topics/{q}": EARLIER,
        "/topics/{q}/messages": EARLIER,
    }.items()
    for version in versions
]


@pytest.mark.parametrize("path", MISSING)
@pytest.mark.parametrize("method", METHODS)
def test_routes_that_a_version_does_not_have(method: str, path: str) -> None:
    assert parse(method, path.encode()).rule.kind is RouteKind.UNKNOWN


def spellings(path: bytes) -> list[bytes]:
    """Ways to write a path that decode to the same, or to the same but for a trailing slash."""
    letters = b"".join(b"%%%02x" % c if c != 0x2F else b"/" for c in path)
    return [
        path,
        path + b"/",
        path + b"?x=1",
        path.replace(b"o", b"%6f"),
        path.replace(b"o", b"%6F"),
        path[:-1] + b"%%%02X" % path[-1],
        path[:4] + path[4:].replace(b"/", b"%2f"),
        b"/" + path[1:].replace(b"/", b"%2F"),
        letters,
    ]


OPERATORS_ROUTES = [
    f"/{version}{path}"
    for version, path in product(
        API_VERSIONS, ("/pools", "/pools/pool", "/flavors", "/flavors/flavor", "/pools/a/b", "/queues/q/pools")
    )
] + ["/v1.1/health", "/v2/health"]


@pytest.mark.parametrize("path", OPERATORS_ROUTES)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_for_operators_cannot_be_reached_in_any_spelling(method: str, path: str) -> None:
    for spelling in spellings(path.encode()):
        assert parse(method, spelling).rule.kind is RouteKind.UNKNOWN, spelling


UNKNOWN = (
    b"",
    b"*",
    b"//",
    b"///",
    b"/v",
    b"/v3",
    b"/v3/queues/q",
    b"/V2/queues/q",
    b"/v2.0/queues/q",
    b"/v1.0/queues",
    b"/v2/Queues/q",
    b"/v2/queue/q",
    b"/queues/q",
    b"//v2/queues/q",
    b"/v2//queues/q",
    b"/v2/queues//q",
    b"/v2/queues/q//",
    b"/v2/queues/q/Messages",
    b"/v2/queues/q/message",
    b"/v2/queues/q/messages/m/x",
    b"/v2/queues/q/messages/m//",
    b"/v2/queues/q/claims/c/x",
    b"/v2/queues/q/stats/x",
    b"/v2/queues/q/subscriptions/s/confirm/x",
    b"/v2/queues/q/subscriptions/s/Confirm",
    b"/v2/queues/q/messages/m/confirm",
    b"/v2/topics/t/claims",
    b"/v2/topics/t/share",
    b"/v2/topics/t/metadata",
    b"/v2/ping/x",
    b"/v2/ping/",
    b"/v1/health/",
    b"/v2/%00",
    b"/v2/queues%00",
    b"/ v2/queues/q",
    b"/v2/queues/a%2Fb",
    b"/v2/queues/a%2fb/messages",
    b"/v2/queues/a%2F..b/stats",
    b"/v2/\xff\xfe",
    b"/%ff%fe",
    b"/index.html",
    b"/v2;x/queues/q",
    # Not paths at all: no server takes these for the path behind them.
    b"*/v2/queues/q",
    b"x/v2/queues/q",
    b"xv1",
    b"v2/queues/q",
    b"%2Fv2/queues/q",
    b"http://h/v2/queues/q",
    b"http:/v2/queues/q",
    b"h:80/v2/queues/q",
)


@pytest.mark.parametrize("target", UNKNOWN, ids=repr)
@pytest.mark.parametrize("method", METHODS)
def test_unknown_paths(method: str, target: bytes) -> None:
    assert parse(method, target) == ParsedRoute(parse("GET", b"/nothing").rule, "", "", False)
    assert parse(method, target).rule.kind is RouteKind.UNKNOWN


UNSAFE = (
    b"/.",
    b"/..",
    b"/./v2/queues",
    b"/v2/../v1/queues",
    b"/v2/queues/.",
    b"/v2/queues/..",
    b"/v2/queues/../pools",
    b"/v2/queues/q/messages/..",
    b"/v2/queues/q/./messages",
    b"/v2/queues/q/messages/m/../../../../pools",
    b"/v2/queues/%2e",
    b"/v2/queues/%2E%2e",
    b"/v2/queues/.%2e/",
    b"/v2/queues/x%2f..%2f..%2fpools",
    b"/v2/%2e%2e/pools",
    b"/v2/queues/../../etc/passwd",
    b"/v2/queues/q#",
    b"/v2/queues/q#/../pools",
    b"/v2/queues/q?a=1#frag",
    b"/#",
)


@pytest.mark.parametrize("target", UNSAFE, ids=repr)
@pytest.mark.parametrize("method", METHODS)
def test_paths_that_not_everybody_reads_alike(method: str, target: bytes) -> None:
    assert parse(method, target).rule.kind is RouteKind.UNSAFE


NOT_UNSAFE = {
    b"/v2/queues/...": True,
    b"/v2/queues/.hidden": True,
    b"/v2/queues/a..b": True,
    b"/v2/queues/q?path=/../": True,
    b"/v2/queues/%252e%252e": False,  # decoded once, as partitions do
    b"/v2/queues/q%23": False,
}


@pytest.mark.parametrize("target", NOT_UNSAFE, ids=repr)
def test_dots_that_mean_nothing(target: bytes) -> None:
    route = parse("GET", target)
    assert (route.rule.kind, route.named) == (RouteKind.QUEUE, NOT_UNSAFE[target])


# -- spellings ---------------------------------------------------------------------------------------------------------

SPELLINGS = {
    b"/v2/queues/fizbit": (
        b"/v2/queues/fizbit/",
        b"/v2/queues/fizbit?",
        b"/v2/queues/fizbit?x=/v1/queues/other",
        b"/v2/queues/f%69zbit",
        b"/v2/%71ueues/fizbit",
        b"/%762/queues/fizbit",
        b"/v2%2Fqueues%2ffizbit",
        b"/v2/queues/fizbit%2F",
        b"/%76%32%2f%71%75%65%75%65%73%2f%66%69%7a%62%69%74",
    ),
    b"/v1.1/queues/fizbit": (b"/v1%2e1/queues/fizbit", b"/v1%2E1/queues/fizbit/"),
    b"/v2/queues/q/messages": (
        b"/v2/queues/q/messages/",
        b"/v2/queues/q/messages?",
        b"/v2/queues/q%2Fmessages",
        b"/v2/queues/q/%6dessages",
    ),
    b"/v2/queues/q/subscriptions/s/confirm": (
        b"/v2/queues/q/subscriptions/s/confirm/",
        b"/v2/queues/q/subscriptions/%73/confir%6D",
        b"/v2/queues/q/subscriptions/s%2Fconfirm",
    ),
    b"/v1": (b"/v1/", b"/v%31", b"/v1?x", b"/v1/?x", b"/v1%2f"),
    b"/": (b"/?", b"/?x=1&y=/v2"),
}


@pytest.mark.parametrize(
    ("plain", "spelling"), [pytest.param(p, s, id=repr(s)) for p, all_of_it in SPELLINGS.items() for s in all_of_it]
)
@pytest.mark.parametrize("method", METHODS)
def test_spellings_of_the_same_path(method: str, plain: bytes, spelling: bytes) -> None:
    assert parse(method, spelling) == parse(method, plain)
    assert parse(method, plain).rule.kind not in (RouteKind.UNKNOWN, RouteKind.UNSAFE)


@pytest.mark.parametrize("version", API_VERSIONS)
def test_a_collection_with_a_trailing_slash_is_a_queue_without_a_name(version: str) -> None:
    route = parse("PUT", f"/{version}/queues/".encode())
    assert (route.rule.kind, route.queue, route.named) == (RouteKind.QUEUE, "", False)


def test_paths_of_any_length_are_read_alike() -> None:
    # The memory of parse ends somewhere; that must not show.
    for length in range(1, 300):
        name = "x" * length
        for method in ("GET", "DELETE"):
            route = parse(method, f"/v2/queues/{name}/messages?pop=1".encode())
            assert (route.rule.kind, route.queue, route.named) == (RouteKind.MESSAGES, name, length <= 64)
            assert route.rule.repeatable is (method == "GET")


def test_the_query_is_not_remembered_with_the_path() -> None:
    target = b"/v2/queues/q/messages"
    popped, by_id, again = (parse("DELETE", target + query) for query in (b"?pop=1", b"?ids=1", b"?pop=1"))
    assert [r.rule.repeatable for r in (popped, by_id, again)] == [False, True, False]


@pytest.mark.parametrize(
    ("query", "repeatable"),
    [("", True), ("ids=a", True), ("pop=1", False), ("ids=a&pop=1", False), ("p%6fp=1", False), ("%70%6F%70=1", False)],
)
@pytest.mark.parametrize("version", API_VERSIONS)
def test_a_pop_is_never_sent_twice(version: str, query: str, repeatable: bool) -> None:
    assert parse("DELETE", f"/{version}/queues/q/messages?{query}".encode()).rule.repeatable is repeatable


# -- names -------------------------------------------------------------------------------------------------------------

NAMES = {
    "a": True,
    "Z9": True,
    "0": True,
    "-": True,
    "_": True,
    "a.b": True,
    ".a": True,
    "...": True,
    "x" * 64: True,
    "x" * 65: False,
    "": False,
    ".": False,
    "..": False,
    "a\n": False,
    "\na": False,
    "a b": False,
    "a%41": False,
    "~a": False,
    "a~": False,
    "@$@^qw": False,
    "a,b": False,
    "a:b": False,
    "a\0": False,
    "ä": False,
    "\u6c49\u5b57\u6f22\u5b57": False,
    "\u0661": False,  # a digit, but not one of ours
    "\uff21": False,
    "\ufffd": False,
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names(name: str) -> None:
    assert valid_name(name) is NAMES[name]


QUOTED_NAMES = {
    b"abc%0A": "abc\n",
    b"abc%0a%0a": "abc\n\n",
    b"%E6%B1%89%E5%AD%97": "\u6c49\u5b57",
    b"@$@^qw": "@$@^qw",
    b"%40%24%40%5Eqw": "@$@^qw",
    b"a%20b": "a b",
    b"a+b": "a+b",
    b"a%7E": "a~",
    b"%7Ea": "~a",
    b"a%00": "a\0",
    b"a%": "a%",
    b"a%4": "a%4",
    b"a%zz": "a%zz",
    b"%FF": "\ufffd",
    b"x" * 65: "x" * 65,
}


@pytest.mark.parametrize("quoted", QUOTED_NAMES, ids=repr)
@pytest.mark.parametrize("rest", [b"", b"/messages", b"/claims/c"])
def test_a_bad_name_has_a_route_but_is_not_named(quoted: bytes, rest: bytes) -> None:
    route = parse("PUT", b"/v2/queues/" + quoted + rest)
    assert route.rule.kind in (RouteKind.QUEUE, RouteKind.MESSAGES, RouteKind.CLAIM)
    assert (route.queue, route.named) == (QUOTED_NAMES[quoted], False)


def test_queues_and_topics_of_the_same_name_are_two() -> None:
    assert parse("PUT", b"/v2/queues/x").queue == "x"
    assert parse("PUT", b"/v2/topics/x").queue == "~x"
    # A queue cannot be spelt so that it is taken for a topic.
    assert not parse("PUT", b"/v2/queues/~x").named
    assert not parse("PUT", b"/v2/queues/%7Ex").named


# -- for every path there is -------------------------------------------------------------------------------------------

SHAPES = (
    "/",
    *(f"/{v}{rest}" for v in API_VERSIONS for rest in ("", "/", "/queues", "/queues/{}", "/queues/{}/stats")),
    *(
        f"/{v}/queues/{{}}{rest}"
        for v in API_VERSIONS
        for rest in ("/messages", "/messages/{}", "/claims", "/claims/{}")
    ),
    "/v1/health",
    "/v1.1/ping",
    "/v2/ping",
    *(f"/{v}/ready" for v in API_VERSIONS),
    "/v1/queues/{}/metadata",
    *(f"/v2/queues/{{}}{rest}" for rest in ("/purge", "/share", "/subscriptions", "/subscriptions/{}")),
    "/v2/queues/{}/subscriptions/{}/confirm",
    "/v2/topics",
    "/v2/topics/{}",
    *(f"/v2/topics/{{}}{rest}" for rest in ("/stats", "/purge", "/messages", "/messages/{}", "/subscriptions")),
    "/v2/topics/{}/subscriptions/{}",
    "/v2/topics/{}/subscriptions/{}/confirm",
)
# The table once more, by other means: the whole decoded path, with one trailing slash or none.
KNOWN = re.compile(
    "|".join(
        re.escape(shape).replace(r"\{\}", "[^/]*") + ("/?" if shape.count("/") > 2 and shape[-1] != "/" else "")
        for shape in SHAPES
    )
    + "|/(v1|v1.1|v2)/(queues|topics)/",
    re.DOTALL,
)

pieces = st.sampled_from(
    b"/ v1 v1.1 v2 queues topics messages claims subscriptions confirm stats metadata purge share ping health pools "
    b"flavors q . .. %2F %2e % ? # %0A \xff ~ * pop=1".split(b" ")
)
targets = st.one_of(
    st.binary(max_size=80),
    st.lists(pieces, max_size=14).map(b"".join),
    st.lists(pieces, max_size=8).map(lambda parts: b"/" + b"/".join(parts)),
    st.builds(
        lambda shape, names: shape.format(*names).encode(),
        st.sampled_from(SHAPES),
        st.lists(st.text("aZ09_-.~ \n/?#%", max_size=5), min_size=2, max_size=2),
    ),
)
methods = st.one_of(st.sampled_from(METHODS), st.text(max_size=8))


@given(methods, targets)
@example("DELETE", b"")
@example("GET", b"/v2/queues/" + b"x" * 200_000)
@example("GET", b"/" * 10_000)
def test_parse_never_raises(method: str, target: bytes) -> None:
    assert isinstance(parse(method, target), ParsedRoute)


@given(methods, targets)
def test_what_is_not_in_the_table_is_nothing(method: str, target: bytes) -> None:
    route = parse(method, target)
    path = unquote_to_bytes(target.partition(b"?")[0]).decode("utf-8", "replace")
    dotted = {".", ".."} & set(path.split("/"))
    if b"#" in target or dotted:
        assert route.rule.kind is RouteKind.UNSAFE
    elif not target.startswith(b"/") or not KNOWN.fullmatch(path):
        assert route.rule.kind is RouteKind.UNKNOWN
    if route.rule.kind in (RouteKind.UNKNOWN, RouteKind.UNSAFE):
        assert (route.version, route.queue, route.named) == ("", "", False)
        assert (route.rule.effect, route.rule.local, route.rule.writes) == (Effect.NONE, False, False)
    else:
        assert route.version == path.split("/")[1]
    # A queue that is called ~x is no topic, and no legal queue either.
    is_topic = route.rule.kind.name.startswith("TOPIC")
    name = route.queue.removeprefix(TOPIC_PREFIX) if is_topic else route.queue
    assert route.named is valid_name(name) or not route.queue


@given(methods, st.sampled_from(SHAPES), st.data())
def test_a_path_means_the_same_however_it_is_encoded(method: str, shape: str, data: st.DataObject) -> None:
    name = data.draw(st.from_regex(r"[A-Za-z0-9_\-]{1,70}", fullmatch=True))
    member = (
        data.draw(st.text(min_size=1, max_size=8).filter(lambda t: not {"/", "?", "#", "%"} & set(t) and t not in ".."))
        if shape.count("{}") > 1
        else ""
    )
    plain = shape.format(name, member).encode()
    route = parse(method, plain)
    assert route.rule.kind not in (RouteKind.UNKNOWN, RouteKind.UNSAFE)

    def encoded(byte: int) -> bytes:
        return data.draw(st.sampled_from([bytes([byte]), b"%%%02x" % byte, b"%%%02X" % byte]))

    spelling = plain[:1] + b"".join(encoded(byte) for byte in plain[1:])
    assert parse(method, spelling) == route
