"""The headers that cross the proxy, in both directions (API section 8.5, RFC 9110 section 7.6)."""

from __future__ import annotations

import pytest

from marconi_proxy.routing.headers import (
    ANSWER_RULES,
    DROPPED_FROM_ANSWERS,
    HOP_BY_HOP,
    MAX_HOPS,
    MAX_REQUEST_ID,
    REQUEST_RULES,
    VIA,
    BadHead,
    RequestHead,
    added_lines,
    answer_headers,
    answer_lines,
    pseudonym,
    read_head,
    recognised_head,
    take_hop,
)
from serving.head_recogniser import TWINS, RequestRecogniser, ResponseRecogniser

Pairs = list[tuple[bytes, bytes]]
ID = b"req-1"


def forwarded(pairs: Pairs) -> Pairs:
    """The headers that ``read_head`` lets through, in order."""
    lines = read_head(pairs).lines
    assert lines == b"" or lines.endswith(b"\r\n")
    split = [line.partition(b": ") for line in lines.split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in split]


# -- requests ----------------------------------------------------------------------------------------------------------

KEPT: Pairs = [
    (b"client-id", b"3381af92-2b9e-11e3-b191-71861300734c"),
    (b"x-project-id", b"a project"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"x-auth-token", b"t"),
    (b"url-signature", b"s"),
    (b"url-expires", b"2026"),
    (b"url-methods", b"GET,POST"),
    (b"url-paths", b"/v2/queues/q/messages"),
    (b"user-agent", b"curl"),
    (b"x-roles", b"admin"),
    (b"cookie", b"a=b"),
    (b"x-custom", b"\xe9, \x80"),
    (b"x-empty", b""),
]


def test_what_goes_on_goes_on_unchanged_and_in_order() -> None:
    assert forwarded(KEPT) == KEPT


def test_a_header_given_twice_goes_on_twice() -> None:
    pairs = [(b"accept", b"a/b"), (b"x-a", b"1"), (b"accept", b"c/d")]
    assert forwarded(pairs) == pairs


DROPPED = [
    *sorted(HOP_BY_HOP - {b"transfer-encoding"}),
    b"host",
    b"expect",
    b"forwarded",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-forwarded-for",
    b"extra-spec",
    b"x-marconi-epoch",
    b"via",
    b"content-length",
    b"x-openstack-request-id",
    # WSGI servers confuse these with the headers with dashes.
    b"x_project_id",
    b"client_id",
    b"content_length",
    b"_",
]


@pytest.mark.parametrize("name", DROPPED, ids=repr)
def test_what_does_not_go_on(name: bytes) -> None:
    assert forwarded([(b"accept", b"*/*"), (name, b"7"), (b"x-a", b"b")]) == [(b"accept", b"*/*"), (b"x-a", b"b")]


CONNECTION = {
    b"close": [],
    b"keep-alive": [],
    b"Keep-Alive, Close": [],
    b"": [],
    b",": [],
    b"x-a": [b"x-a"],
    b"X-A": [b"x-a"],
    b"close, x-a": [b"x-a"],
    b"x-a ,\tx-b": [b"x-a", b"x-b"],
    b"te, x-b, upgrade": [b"x-b"],
    b"x-none": [],
    # Not the client's to take away.
    b"x-project-id": [],
    b"content-length": [],
    b"host, transfer-encoding, connection": [],
}


@pytest.mark.parametrize("value", CONNECTION, ids=repr)
def test_headers_named_in_connection(value: bytes) -> None:
    pairs = [(b"x-a", b"1"), (b"connection", value), (b"x-b", b"2"), (b"x-project-id", b"p"), (b"content-length", b"3")]
    expected = [p for p in pairs if p[0] not in (*CONNECTION[value], b"connection", b"content-length")]
    assert forwarded(pairs) == expected
    head = read_head(pairs)
    assert head.length == 3
    assert head.project == (None if b"x-project-id" in CONNECTION[value] else b"p")


@pytest.mark.parametrize("first", [b"x-a", b"keep-alive", b"close, x-a"])
def test_two_connection_headers_are_one_list(first: bytes) -> None:
    pairs = [(b"connection", first), (b"x-a", b"1"), (b"x-b", b"2"), (b"x-c", b"3"), (b"connection", b"x-b, x-a")]
    assert forwarded(pairs) == [(b"x-c", b"3")]


def test_what_is_read_on_the_way() -> None:
    head = read_head(
        [
            (b"content-length", b"0012"),
            (b"x-project-id", b"p"),
            (b"via", b"1.0 a"),
            (b"x-forwarded-for", b"10.0.0.1"),
            (b"url-signature", b"s"),
            (b"x-openstack-request-id", b"req-client"),
        ]
    )
    assert (head.length, head.chunked, head.project) == (12, False, b"p")
    assert (head.via, head.forwarded_for, head.request_id, head.is_signed) == (
        b"1.0 a",
        b"10.0.0.1",
        b"req-client",
        True,
    )


def test_what_is_absent() -> None:
    head = read_head([])
    assert (head.lines, head.length, head.chunked, head.project) == (b"", None, False, None)
    assert (head.via, head.forwarded_for, head.request_id, head.is_signed) == (None, None, None, False)


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b"chunked "], ids=repr)
def test_a_chunked_body(value: bytes) -> None:
    head = read_head([(b"transfer-encoding", value), (b"accept", b"*/*")])
    assert head.chunked
    assert head.lines == b"accept: */*\r\n"


@pytest.mark.parametrize("value", [b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"xchunked"])
def test_other_codings_are_refused(value: bytes) -> None:
    with pytest.raises(BadHead, match="chunked"):
        read_head([(b"transfer-encoding", value)])


@pytest.mark.parametrize("other", [b"p", b"q", b""], ids=repr)
def test_two_projects_are_refused(other: bytes) -> None:
    with pytest.raises(BadHead, match="X-Project-Id"):
        read_head([(b"x-project-id", b"p"), (b"x-project-id", other)])


@pytest.mark.parametrize("value", [b"p ", b"p\t", b"p \t "], ids=repr)
def test_white_space_after_a_project_is_not_part_of_it(value: bytes) -> None:
    # Parsers differ in whether they remove it; a partition must not know a queue under another project than we do.
    head = read_head([(b"x-project-id", value)])
    assert head.project == b"p"
    assert head.lines == b"x-project-id: p\r\n"


def test_the_last_of_a_header_in_question() -> None:
    head = read_head([(b"accept", b"a/b"), (b"accept", b"c/d \t"), (b"x-a", b"")])
    assert head.get(b"accept") == b"c/d"
    assert head.get(b"x-a") == b""
    assert head.get(b"client-id") is None


def test_several_of_one_kind_are_a_list() -> None:
    head = read_head(
        [(b"via", b"1.1 a"), (b"x-forwarded-for", b"1"), (b"via", b"1.1 b"), (b"x-forwarded-for", b"2, 3")]
    )
    assert (head.via, head.forwarded_for) == (b"1.1 a, 1.1 b", b"1, 2, 3")


@pytest.mark.parametrize("hops", range(MAX_HOPS + 2))
@pytest.mark.parametrize("together", [True, False], ids=["one header", "many headers"])
def test_a_call_that_goes_in_circles(hops: int, together: bool) -> None:
    vias = [b"1.1 front, " + VIA] * hops
    pairs = [(b"via", b", ".join(vias))] if together else [(b"via", via) for via in vias]
    if hops < MAX_HOPS:
        assert read_head(pairs).lines == b""
    else:
        with pytest.raises(BadHead, match="circles"):
            read_head(pairs)


# -- Via and Forwarded of a forwarded request -------------------------------------------------------------------------


def added(
    pairs: Pairs, *, peer: bytes = b"192.0.2.1", scheme: bytes = b"http", trust: bool = False
) -> dict[bytes, bytes]:
    lines = added_lines(read_head(pairs), peer, scheme, ID, pseudonym("0a1b"), trust_forwarded_for=trust)
    assert lines.endswith(b"\r\n")
    split = [line.partition(b": ") for line in lines.split(b"\r\n")[:-1]]
    assert len({name for name, _, _ in split}) == len(split)
    return {name: value for name, _, value in split}


def test_the_first_hop() -> None:
    assert added([]) == {
        b"via": b"1.1 marconi-proxy-0a1b",
        b"x-forwarded-for": b"192.0.2.1",
        b"x-forwarded-proto": b"http",
        b"x-openstack-request-id": ID,
    }


def test_a_further_hop() -> None:
    assert added([(b"via", b"1.0 fred")], scheme=b"https")[b"via"] == b"1.0 fred, 1.1 marconi-proxy-0a1b"
    assert added([], scheme=b"https")[b"x-forwarded-proto"] == b"https"


@pytest.mark.parametrize(("before", "via"), [([], b"1.0 ours"), ([(b"via", b"1.1 fred")], b"1.1 fred, 1.0 ours")])
@pytest.mark.parametrize("connection", [[], [(b"connection", b"x-a")]])
def test_via_has_the_version_that_was_received(before: Pairs, connection: Pairs, via: bytes) -> None:
    head = read_head([*before, *connection], "1.0")
    assert b"via: %b\r\n" % via in added_lines(head, b"", b"http", ID, b"ours", trust_forwarded_for=False)


# -- Max-Forwards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "goes_on", "forwarded"),
    [
        ([], True, []),
        ([b"0"], False, [b"0"]),
        ([b"1"], True, [b"0"]),
        ([b"007"], True, [b"6"]),
        ([b"5", b"9"], True, [b"8"]),
        ([b"-1"], True, [b"-1"]),
        ([b"1,1"], True, [b"1,1"]),
        ([b"9" * 400], True, [b"9" * 400]),
    ],
)
def test_a_hop_is_counted(given: list[bytes], goes_on: bool, forwarded: list[bytes]) -> None:
    """RFC 9110 section 7.6.2."""
    head = read_head([(b"x-a", b"b"), *((b"max-forwards", value) for value in given), (b"te", b"trailers")])
    assert take_hop(head) is goes_on
    assert head.lines == b"x-a: b\r\n" + b"".join(b"max-forwards: %b\r\n" % value for value in forwarded)


def test_the_request_id_of_a_client_is_kept() -> None:
    assert added([(b"x-openstack-request-id", b"req-9")])[b"x-openstack-request-id"] == b"req-9"
    assert added([(b"x-openstack-request-id", b"")])[b"x-openstack-request-id"] == ID


@pytest.mark.parametrize(
    ("given", "peer", "trust", "expected"),
    [
        (b"10.0.0.1", b"192.0.2.1", False, b"192.0.2.1"),
        (b"10.0.0.1", b"192.0.2.1", True, b"10.0.0.1, 192.0.2.1"),
        (b"10.0.0.1", b"", True, b"10.0.0.1"),
        (b"10.0.0.1", b"", False, b""),
        (b"", b"192.0.2.1", True, b"192.0.2.1"),
        (None, b"192.0.2.1", True, b"192.0.2.1"),
    ],
)
def test_whom_a_call_was_forwarded_for(given: bytes | None, peer: bytes, trust: bool, expected: bytes) -> None:
    pairs = [] if given is None else [(b"x-forwarded-for", given)]
    assert added(pairs, peer=peer, trust=trust)[b"x-forwarded-for"] == expected


# -- answers -----------------------------------------------------------------------------------------------------------

ANSWER: Pairs = [
    (b"content-type", b"application/json"),
    (b"location", b"/v2/queues/q"),
    (b"content-location", b"/v1/queues"),
    (b"allow", b"GET"),
    (b"vary", b"Accept"),
    (b"cache-control", b"max-age=86400"),
    (b"www-authenticate", b"Keystone"),
    (b"retry-after", b"3"),
    (b"content-length", b"17"),
    (b"set-cookie", b"a=b"),
    (b"set-cookie", b"c=d"),
]
OURS: Pairs = [(b"via", VIA), (b"x-openstack-request-id", ID)]


def test_an_answer_is_passed_on() -> None:
    assert answer_headers(list(ANSWER), ID) == ANSWER + OURS


@pytest.mark.parametrize("name", sorted(DROPPED_FROM_ANSWERS), ids=repr)
def test_what_an_answer_loses(name: bytes) -> None:
    assert answer_headers([(name, b"x"), *ANSWER], ID) == ANSWER + OURS


@pytest.mark.parametrize("value", CONNECTION, ids=repr)
def test_headers_of_an_answer_named_in_connection(value: bytes) -> None:
    received = [
        (b"x-a", b"1"),
        (b"connection", value),
        (b"x-b", b"2"),
        (b"x-project-id", b"p"),
        (b"content-length", b"3"),
    ]
    expected = [p for p in received if p[0] not in (*CONNECTION[value], b"connection")]
    assert answer_headers(received, ID) == expected + OURS


def test_two_connection_headers_of_an_answer() -> None:
    received = [(b"connection", b"x-a"), (b"x-a", b"1"), (b"x-b", b"2"), (b"connection", b"close, x-b")]
    assert answer_headers(received, ID) == OURS


def test_the_request_id_of_a_partition_is_kept() -> None:
    received = [(b"x-openstack-request-id", b"req-partition")]
    assert answer_headers(received, ID) == [(b"x-openstack-request-id", b"req-partition"), (b"via", VIA)]


def test_the_way_back_of_an_answer() -> None:
    received = [(b"via", b"1.1 varnish"), (b"x-a", b"1")]
    assert answer_headers(received, ID)[:2] == [(b"x-a", b"1"), (b"via", b"1.1 varnish, 1.1 marconi-proxy")]


def test_a_head_is_read_without_changing_what_was_received() -> None:
    pairs = [(b"connection", b"x-a"), (b"x-a", b"1"), (b"x-project-id", b"p ")]
    before = list(pairs)
    assert isinstance(read_head(pairs), RequestHead)
    assert pairs == before


# -- heads that the server or the pool has recognised ------------------------------------------------------------------

USUAL: Pairs = [
    *((name, b"v") for name in sorted(HOP_BY_HOP - {b"connection"})),
    *(
        (name, b"v")
        for name in (b"accept", b"x-auth-token", b"forwarded", b"extra-spec", b"x-marconi-epoch", b"origin")
    ),
    *((name, b"v") for name in (b"via", b"expect", b"url-signature", b"x-forwarded-host", b"x-forwarded-proto")),
    *((name, b"v") for name in (b"x-project-id", b"x-forwarded-for", b"x-openstack-request-id", b"x_project_id")),
    (b"x-openstack-request-id", b"r" * (MAX_REQUEST_ID + 1)),
    (b"connection", b"keep-alive"),
    (b"content-length", b"12"),
]


def shown(head: RequestHead) -> dict[str, object]:
    return {name: getattr(head, name) for name in RequestHead.__slots__ if name != "pairs"}


@pytest.mark.parametrize("recognise", [RequestRecogniser(*REQUEST_RULES), TWINS[0](*REQUEST_RULES)])
def test_a_recognised_head_is_that_of_read_head(recognise: RequestRecogniser) -> None:
    recognised = 0
    for first in USUAL:
        for second in USUAL:
            pairs = [(b"client-id", b"c"), first, second]
            received = b"".join(b"%b: %b\r\n" % pair for pair in [(b"host", b"x"), *pairs])
            found = recognise(b"GET / HTTP/1.1\r\n" + received + b"\r\n")
            if found is None:
                continue
            recognised += 1
            _, _, _, lines, length, values = found
            assert shown(recognised_head(lines, length, *values)) == shown(read_head(pairs)), pairs
    doubtful = {b"via", b"expect", b"url-signature", b"transfer-encoding", b"x_project_id"}
    usual = [name for name, _ in USUAL if name not in doubtful]
    once = {b"x-project-id", b"x-forwarded-for", b"x-openstack-request-id", b"content-length"}
    assert recognised == len(usual) ** 2 - sum(usual.count(name) ** 2 for name in once)


@pytest.mark.parametrize("recognise", [ResponseRecogniser(*ANSWER_RULES), TWINS[1](*ANSWER_RULES)])
@pytest.mark.parametrize(
    "name", sorted(DROPPED_FROM_ANSWERS | {b"via", b"x-openstack-request-id", b"x-marconi-closed"})
)
def test_a_recognised_answer_is_that_of_answer_headers(recognise: ResponseRecogniser, name: bytes) -> None:
    value = b"keep-alive" if name == b"connection" else b"v"
    pairs = [(b"location", b"/v2/x"), (name, value), (b"content-type", b"t")]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
    found = recognise(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n" + lines + b"\r\n")
    if name in (b"transfer-encoding", b"via", b"x-marconi-closed"):
        assert found is None
        return
    assert found is not None
    _, _, kept, _, (request_id,) = found
    expected = b"".join(b"%b: %b\r\n" % pair for pair in answer_headers(pairs, ID))
    assert answer_lines(kept, request_id, ID) == expected
