"""Bytes in, events out: each case at each cut of its bytes, and next to h11, which reads the same language."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.request_parser import END, BadRequest, RequestHead, RequestParser

MAX_HEAD = 1024


def read(chunks: list[bytes], max_head: int = MAX_HEAD) -> list[tuple]:
    """Return all requests that the chunks have, as tuples; what is refused ends the list with its status."""
    parser = RequestParser(max_head)
    requests: list[tuple] = []
    head: RequestHead | None = None
    body = b""
    try:
        for chunk in chunks:
            parser.feed(chunk)
            while (event := parser.next_event()) is not None:
                if isinstance(event, RequestHead):
                    head, body = event, b""
                elif isinstance(event, bytes):
                    assert event, "an empty piece"
                    body += event
                else:
                    assert event is END
                    requests.append(shown(head, body))
                    parser.next_request()
    except BadRequest as error:
        requests.append((error.status,))
    return requests


def shown(head: RequestHead, body: bytes) -> tuple:
    return head.method, head.target, head.version, tuple(head.headers), head.keep_alive, head.expects_continue, body


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def at_every_cut(data: bytes) -> list[list[bytes]]:
    halves = [[data[:cut], data[cut:]] for cut in range(1, len(data))]
    return [[data], *halves, cut(data, 1)]


def accepted(data: bytes) -> list[tuple]:
    """Return the requests that the bytes have at every cut of them."""
    first, *others = [read(chunks) for chunks in at_every_cut(data)]
    assert all(other == first for other in others)
    return first


def lines(first: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([first, *headers, b"", b""])


def get(*headers: bytes, target: bytes = b"/v2", host: bytes = b"Host: x") -> bytes:
    return lines(b"GET " + target + b" HTTP/1.1", host, *headers)


def post(*headers: bytes) -> bytes:
    return lines(b"POST /v2 HTTP/1.1", b"Host: x", *headers)


def one(data: bytes) -> tuple:
    (request,) = accepted(data)
    assert len(request) > 1, request
    return request


TARGETS = [
    *(b"/", b"/v1/queues?", b"/v2/a#b?c", b"/v2/a%2Fb", b"/v2?a=?&b=%00", b"/v2//x//y/", b"/v?b#"),
    *(b"/v;,~$'()", b'/"<>\\^`{|}', b"/http://x/", b"/*"),
]


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_is_what_was_received(target):
    assert one(get(target=target))[1] == target


@pytest.mark.parametrize(
    ("sent", "target", "host"),
    [
        (b"http://y/v2?a", b"/v2?a", b"y"),
        (b"HTTPS://y:80/", b"/", b"y:80"),
        (b"http://y", b"/", b"y"),
        (b"http://y?a=b", b"/?a=b", b"y"),
        (b"http://y#f", b"/#f", b"y"),
        (b"http://[::1]:8080/v2", b"/v2", b"[::1]:8080"),
        (b"http://y//v2", b"/v2", b"y"),
    ],
)
def test_the_authority_of_an_absolute_form_replaces_host(sent, target, host):
    request = one(get(b"A: b", target=sent))
    assert (request[1], request[3]) == (target, ((b"host", host), (b"a", b"b")))


@pytest.mark.parametrize(
    ("sent", "target"), [(b"//", b"/"), (b"//v2//q", b"/v2//q"), (b"///v2?//", b"/v2?//"), (b"//y:80/v2", b"/y:80/v2")]
)
def test_slashes_at_the_beginning_are_one(sent, target):
    """Zaqar routes them so, and no program can take what follows for an authority."""
    assert one(get(target=sent))[1] == target


def test_an_absolute_form_of_http_1_0_needs_no_host():
    assert one(b"GET http://y/v2 HTTP/1.0\r\n\r\n")[1:4] == (b"/v2", "1.0", ((b"host", b"y"),))


@pytest.mark.parametrize("target", [b"*", b"http://x"])
def test_options_may_be_about_the_server(target):
    assert one(lines(b"OPTIONS " + target + b" HTTP/1.1", b"Host: x"))[:2] == (b"OPTIONS", b"*")


BAD_TARGETS = [
    *(b"x:80", b"x", b"?a", b"*", b"**", b"*/", b"/v2/\xc3\xa9", b"/v2/a b", b"", b"/\x00", b"/\x7f", b"/a\tb"),
    *(b"ftp://x/", b"http:///", b"http://", b"http://?a", b"http://a@b/", b"http://a b/", b"http:/x", b"http://x:y/"),
    *(b"http://x:123456/", b"http://:80/", b"http://[::1/", b"http://%zz/", b"#a"),
]


@pytest.mark.parametrize("target", BAD_TARGETS)
def test_targets_that_are_none_are_refused(target):
    assert accepted(get(target=target)) == [(400,)]


@pytest.mark.parametrize("target", [b"x:443", b"/", b"*", b"http://x/"])
def test_this_is_no_tunnel(target):
    assert accepted(lines(b"CONNECT " + target + b" HTTP/1.1", b"Host: x", b"Content-Length: 3") + b"abc") == [(501,)]


@pytest.mark.parametrize("size", [65_531, 200_000])
def test_only_the_whole_head_is_bounded(size):
    target = b"/v2/" + b"x" * size
    assert read([get(target=target)], 300_000)[0][1] == target


@pytest.mark.parametrize(
    "host", [b"x", b"x:80", b"x:", b"", b"127.0.0.1:8888", b"[::1]", b"[::1]:80", b"a%20b", b"x_y", b"a,b"]
)
def test_hosts(host):
    assert one(get(host=b"Host: " + host))[3] == ((b"host", host),)


@pytest.mark.parametrize(
    "host",
    [b"a b", b"a/b", b"a@b", b"x:y", b"x:1:2", b"x:123456", b"[::1", b"::1", b"[x]", b"%zz", b"a?b", b"\xe9"],
)
def test_hosts_that_are_none_are_refused(host):
    assert accepted(get(host=b"Host: " + host)) == [(400,)]


@pytest.mark.parametrize(
    "data",
    [
        lines(b"GET /v2 HTTP/1.1"),
        lines(b"GET /v2 HTTP/1.1", b"Host: x", b"Host: x"),
        lines(b"GET /v2 HTTP/1.1", b"Host: x", b"host: y"),
        lines(b"GET /v2 HTTP/1.0", b"Host: x", b"Host: x"),
        lines(b"GET http://y/ HTTP/1.1"),
    ],
)
def test_host_is_there_exactly_once(data):
    assert accepted(data) == [(400,)]


BROKEN = [
    *(b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\x00", b" GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    *(
        b"GET /v2 HTTP/2.0\r\n\r\n",
        b"GET /v2 HTTP/1.2\r\n\r\n",
        b"GET /v2 HTTP/0.9\r\n\r\n",
        b"GET /v2 http/1.1\r\n\r\n",
    ),
    *(
        b"GET /v2\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET  /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2  HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    *(
        b"GET /v2 HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"GET\t/v2\tHTTP/1.1\r\nHost: x\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    *(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    *(
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    ),
    *(get(b"A B: c"), get(b"A : b"), get(b" A: b"), get(b"A: b", b" folded"), get(b"A: b", b"\tfolded"), get(b": b")),
    *(get(b"A"), get(b"A: \x00"), get(b"A: \x7f"), get(b"A\x00: b"), get(b"A: b\x0b"), get(b"\xe9: b"), get(b"A(: b")),
    *(get(b"A: b\rc"), get(b"A: b\nc: d"), get(b"A: b\r\r")),
]


@pytest.mark.parametrize("data", BROKEN)
def test_bytes_that_are_no_request_are_refused(data):
    assert accepted(data) == [(400,)]


@pytest.mark.parametrize(
    ("header", "value"),
    [(b"A:b", b"b"), (b"A: \t b \t", b"b"), (b"A:", b""), (b"a: b\tc", b"b\tc"), (b"A: \xe9", b"\xe9")],
)
def test_values_lose_the_white_space_at_their_ends(header, value):
    assert one(get(header))[3][1] == (b"a", value)


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        (b"1.1", b"A: b", True),
        (b"1.1", b"Connection: close", False),
        (b"1.1", b"Connection: keep-alive, CLOSE", False),
        (b"1.1", b"Connection: closed", True),
        (b"1.0", b"A: b", False),
        (b"1.0", b"Connection: Keep-Alive", True),
        (b"1.0", b"Connection: keep-alive, close", False),
    ],
)
def test_the_client_decides_about_the_connection(version, header, kept):
    assert one(lines(b"GET / HTTP/" + version, b"Host: x", header))[4] is kept


def test_connection_headers_add_up():
    assert one(get(b"Connection: keep-alive", b"Connection: close"))[4] is False


@pytest.mark.parametrize(
    ("version", "expects"), [(b"1.1", True), (b"1.0", False)], ids=["1.1", "1.0: RFC 9110 section 10.1.1"]
)
def test_expectations(version, expects):
    def request(value: bytes) -> bytes:
        return lines(b"POST / HTTP/" + version, b"Host: x", b"Expect: " + value)

    assert one(request(b"100-Continue"))[5] is expects
    for other in (b"200-ok", b"", b"100-continue, x"):
        assert accepted(request(other)) == [(417,)]


# -- bodies ------------------------------------------------------------------------------------------------------------

CHUNKED = post(b"Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (post(b"Content-Length: 3") + b"abc", b"abc"),
        (post(b"Content-Length: 0003") + b"a\nb", b"a\nb"),
        (post(b"Content-Length: 0"), b""),
        (post(), b""),
        (CHUNKED + b"0\r\n\r\n", b""),
        (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (CHUNKED + b"1\r\na\r\n00B;x=y\r\n\r\n0\r\n\r\n0123\r\n0;z\r\nA: b\r\nC: d\r\n\r\n", b"a\r\n0\r\n\r\n0123"),
        (CHUNKED + b'3 ; a="b"\r\nabc\r\n0\r\n\r\n', b"abc"),
        (post(b"Transfer-Encoding: Chunked") + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (post(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 3") + b"abc", b"abc"),
        (post(b"Connection: upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n", b"a"),
        (lines(b"GET / HTTP/1.0", b"Content-Length: 1") + b"a", b"a"),
    ],
)
def test_bodies(data, body):
    assert one(data)[6] == body
    following = get(target=b"/after")
    assert [request[1] for request in accepted(b"\r\n" + data + b"\r\n\r\n" + following)] == [
        b"/v2" if b"/v2" in data else b"/",
        b"/after",
    ]


LENGTHS = [b"", b"x", b"-1", b"+1", b"1, 1", b"1 1", b"0x1", b"1.0", b"1e1", b"9" * 19, b"\xb2"]
CODINGS = [
    b"",
    b"identity",
    b"chunked, identity",
    b"chunked, chunked",
    b"xchunked",
    b"chunked;q=1",
    b"chunked,",
    b"\x0bchunked",
]


@pytest.mark.parametrize(
    "headers",
    [
        *((b"Content-Length: " + length,) for length in LENGTHS),
        *((b"Transfer-Encoding: " + coding,) for coding in CODINGS),
        (b"Content-Length: 1", b"Content-Length: 1"),
        (b"Content-Length: 1", b"Content-Length: 2"),
        (b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 1"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding : chunked",),
    ],
)
def test_framing_that_two_servers_could_read_differently_is_refused(headers):
    assert accepted(post(*headers) + b"1\r\na\r\n0\r\n\r\n") == [(400,)]


def test_codings_besides_chunked_are_not_implemented():
    assert accepted(post(b"Transfer-Encoding: gzip, chunked")) == [(501,)]


def test_http_1_0_has_no_chunks():
    assert accepted(lines(b"POST / HTTP/1.0", b"Host: x", b"Transfer-Encoding: chunked")) == [(400,)]


@pytest.mark.parametrize(
    "rest",
    [
        *(
            b"zz\r\n",
            b"\r\n",
            b"-1\r\n",
            b"0x1\r\na\r\n",
            b"1\na\r\n0\r\n\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1\r\nab\r\n0\r\n\r\n",
        ),
        *(
            b"1\r\na0\r\n\r\n",
            b"1\r\na\rX",
            b"1 1\r\na\r\n",
            b" 1\r\na\r\n",
            b"1;\x00\r\na\r\n",
            b"1;a\rb\r\na\r\n",
            b"1\r\r\na",
        ),
        *(
            b"0" * 15 + b"1\r\n",
            b"f" * 16 + b"\r\n",
            b"1_0\r\n",
            b"0\r\nA B: c\r\n\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\nA: b\n\r\n",
        ),
        *(b"0\r\nA: \x00\r\n\r\n", b"0\n\n", b"0\r\n\n", b"0\r\n: b\r\n\r\n"),
    ],
)
def test_broken_chunks_are_refused(rest):
    assert accepted(CHUNKED + rest) == [(400,)]


# -- bounds ------------------------------------------------------------------------------------------------------------


def padded(size: int, *headers: bytes) -> bytes:
    """Return a head of exactly ``size`` bytes."""
    bare = get(*headers, b"X: ")
    return bare[:-4] + b"x" * (size - len(bare)) + b"\r\n\r\n"


@pytest.mark.parametrize("blank", [b"", b"\r\n\r\n"])
def test_a_head_may_have_its_limit_and_no_byte_more(blank):
    assert one(blank + padded(MAX_HEAD - len(blank)))
    assert accepted(blank + padded(MAX_HEAD + 1 - len(blank))) == [(400,)]


@pytest.mark.parametrize("size", [1, 3, 100, 5000])
def test_a_head_that_never_ends_is_refused_at_its_limit(size):
    data = b"GET /v2 HTTP/1.1\r\nX: " + b"x" * MAX_HEAD
    assert read(cut(data[:MAX_HEAD], size)) == []
    assert read(cut(data, size)) == [(400,)]


def test_empty_lines_count():
    assert read([b"\r\n"] * (MAX_HEAD // 2)) == []
    assert read([b"\r\n"] * (MAX_HEAD // 2) + [b"\r"]) == [(400,)]


@pytest.mark.parametrize("size", [1, 10, 1000, 100_000])
def test_bodies_do_not_count_as_heads(size):
    data = (padded(MAX_HEAD, b"Content-Length: 5000") + b"b" * 5000) * 2
    assert [request[6] for request in read(cut(data, size))] == [b"b" * 5000] * 2


@pytest.mark.parametrize(
    "rest",
    [
        b"0;" + b"x" * MAX_HEAD,
        b"1\r\na\r\n" * 400,
        b"0\r\nA: " + b"b" * MAX_HEAD,
        b"0\r\n" + b"A: b\r\n" * 200,
    ],
    ids=["an extension", "chunks", "a trailer", "trailers"],
)
def test_chunk_lines_and_trailers_are_bounded(rest):
    assert read([CHUNKED + rest]) == [(400,)]
    assert read([CHUNKED, *cut(rest, 1)]) == [(400,)]


def test_the_bound_of_chunks_is_that_of_one_request():
    chunks = b"1\r\na\r\n" * 300 + b"0\r\n\r\n"
    assert [request[6] for request in read([(CHUNKED + chunks) * 3])] == [b"a" * 300] * 3


# -- how the parser is used --------------------------------------------------------------------------------------------


def test_the_next_request_stays_bytes_until_it_is_asked_for():
    parser = RequestParser(MAX_HEAD)
    parser.feed(get() + b"nonsense\r\n\r\n")
    assert isinstance(parser.next_event(), RequestHead)
    assert (parser.next_event(), parser.next_event()) == (END, None)
    assert parser.buffered == len(b"nonsense\r\n\r\n")
    parser.next_request()
    with pytest.raises(BadRequest):
        parser.next_event()


def test_whether_a_request_has_begun():
    parser = RequestParser(MAX_HEAD)
    assert parser.between_requests
    for sent in (b"\r\n", b"G"):
        parser.feed(sent)
        assert parser.next_event() is None
        assert not parser.between_requests


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (get(), b""),
        (post(b"Content-Length: 3") + b"abc", b"abc"),
        (post(b"Content-Length: 3") + b"abcdef", b"abc"),
        (post(b"Content-Length: 3") + b"ab", None),
        (CHUNKED + b"0\r\n\r\n", None),
    ],
)
def test_a_body_that_has_arrived_can_be_taken_whole(data, body):
    parser = RequestParser(MAX_HEAD)
    parser.feed(data)
    parser.next_event()
    assert parser.whole_body() == body
    if body is None:
        assert parser.next_event() in (b"ab", END)
    else:
        assert parser.next_event() is None
        parser.next_request()


def test_a_buffer_that_is_used_up_is_not_held():
    parser = RequestParser(MAX_HEAD)
    parser.feed(post(b"Content-Length: 5") + b"hello")
    parser.next_event()
    assert parser.whole_body() == b"hello"
    parser.next_request()
    assert (parser.buffered, parser._buffer) == (0, b"")


# -- any chunks, and h11 -----------------------------------------------------------------------------------------------

PIECES = [
    *(b"GET", b"POST", b" ", b"/v2", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"Host: x\r\n", b"A: b\r\n"),
    *(
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n",
        b"\n",
        b"\r",
        b"\x00",
    ),
    *(
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        get(),
        post(b"Content-Length: 3") + b"abc",
        b"http://x",
        b"*",
    ),
    CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
]
BYTES = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@given(BYTES, st.lists(st.integers(1, 40)))
def test_any_chunks_give_the_same_events(data, sizes):
    chunks, at = [], 0
    for size in sizes:
        chunks.append(data[at : at + size])
        at += size
    assert read([chunk for chunk in [*chunks, data[at:]] if chunk]) == read([data])


def read_by_h11(data: bytes) -> list[tuple]:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    requests: list[tuple] = []
    head, body = None, b""
    try:
        if data:  # without, it would be the end of the input
            connection.receive_data(data)
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                headers = tuple((name, value) for name, value in head.headers)
                requests.append((head.method, head.target, head.http_version.decode(), headers, bytes(body)))
                connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        requests.append((error.error_status_hint,))
    return requests


def agree(data: bytes) -> int:
    """Compare the requests before the first one that either refuses; return their number."""
    count = 0
    for ours, theirs in zip(read([data]), read_by_h11(data), strict=False):
        if len(ours) == 1 or len(theirs) == 1:
            break
        method, target, version, headers, _, _, body = ours
        # h11 changes the case of this value.
        lowered = tuple((name, value.lower() if name == b"transfer-encoding" else value) for name, value in headers)
        assert (method, target, version, lowered, body) == theirs
        count += 1
    return count


# Headers that leave the request valid for both.
FINE = st.sampled_from([b"A: b", b"A:  b\t", b"A:", b"B: \xe9", b"Connection: keep-alive"])
BODIES = st.sampled_from(
    [
        (b"", b""),
        (b"Content-Length: 3\r\n", b"abc"),
        (b"content-length: 0\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n", b"3;x=y\r\nabc\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: CHUNKED\r\n", b"1\r\na\r\nA\r\n0123456789\r\n0\r\nT: u\r\n\r\n"),
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    framing, body = draw(BODIES)
    headers = [*draw(st.lists(FINE, max_size=3)), b"Host: x"]
    line = draw(st.sampled_from([b"GET", b"POST", b"M-SEARCH"])) + b" " + draw(st.sampled_from(TARGETS))
    return line + b" HTTP/1.1\r\n" + b"\r\n".join(headers) + b"\r\n" + framing + b"\r\n" + body


@given(st.lists(requests(), min_size=1, max_size=4))
def test_h11_reads_the_same_requests(several):
    data = b"".join(several)
    assert agree(data) >= 1
    assert len(read([data])) == len(several)


@given(BYTES)
def test_h11_reads_nothing_else_in_any_bytes(data):
    agree(data)
