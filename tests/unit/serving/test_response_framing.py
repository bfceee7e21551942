"""Parts of a response in, bytes out: as tables, and as h11 reads them."""

from __future__ import annotations

import json

import h11
import pytest

from serving.request_parser import BadRequest, RequestHead
from serving.response_framing import ResponseMisframed, StreamedResponse, closing_response, refusal, whole_response

DATE = b"date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"


def request(method: bytes = b"GET", version: str = "1.1") -> RequestHead:
    return RequestHead(method, b"/", version, [(b"host", b"x")])


def whole(status=200, headers=(), body=b"", *, method=b"GET", version="1.1", keep_alive=True) -> bytes:
    return whole_response(request(method, version), status, headers, body, date=DATE, keep_alive=keep_alive)


def streamed(pieces, status=200, headers=(), *, method=b"GET", version="1.1", keep_alive=True) -> tuple[bytes, bool]:
    """Return all bytes of a response in pieces, and whether the connection stays."""
    response = StreamedResponse(request(method, version), status, headers, date=DATE, keep_alive=keep_alive)
    data = response.head + b"".join(response.piece(piece) for piece in pieces) + response.end()
    return data, response.keep_alive


def read(data: bytes, method: bytes = b"GET") -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body as a client reads them, which must leave nothing over."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    head = connection.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    until_the_end = False
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            assert not until_the_end, "the body is incomplete"
            until_the_end = True
            connection.receive_data(b"")
        else:
            body += event.data
    assert connection.trailing_data[0] == b""
    return head.status_code, [(name, value) for name, value in head.headers], body


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("keep_alive", [False, True])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("status", [200, 201, 204, 304, 404, 503])
@pytest.mark.parametrize("length", [(), ((b"content-length", b"5"),)], ids=["unframed", "framed"])
def test_a_client_reads_what_was_meant(status, length, version, keep_alive, method):
    bodiless = method == b"HEAD" or status in (204, 304)
    headers = ((b"a", b"b"), *length)
    data = whole(status, headers, b"hello", method=method, version=version, keep_alive=keep_alive)
    assert data.startswith(b"HTTP/1.1 %d " % status)
    assert data.count(b"\r\ndate: ") == 1
    seen, received, body = read(data, method)
    assert (seen, body) == (status, b"" if bodiless else b"hello")
    fields = dict(received)
    assert fields[b"a"] == b"b"
    # RFC 9110 section 8.6: none in a 204; in a 304 only what a GET would have.
    framed = status not in (204, 304) or (status == 304 and bool(length))
    assert fields.get(b"content-length") == (b"5" if framed else None)
    kept = None if version == "1.1" else b"keep-alive"
    assert fields.get(b"connection") == (kept if keep_alive else b"close")


@pytest.mark.parametrize("name", [b"connection", b"keep-alive", b"transfer-encoding"])
def test_the_connection_is_not_the_applications(name):
    own = ((name, b"chunked, close, timeout=5"),)
    assert whole(headers=own) == whole()
    assert streamed([b"a"], headers=own) == streamed([b"a"])


def test_an_unknown_status_has_no_phrase():
    assert whole(299).startswith(b"HTTP/1.1 299 \r\n")
    assert whole(200).startswith(b"HTTP/1.1 200 OK\r\n")


PIECES = [b"he", b"", b"llo"]


@pytest.mark.parametrize("keep_alive", [False, True])
@pytest.mark.parametrize(
    ("version", "headers", "chunked", "may_stay"),
    [
        ("1.1", (), True, True),
        ("1.1", ((b"content-length", b"5"),), False, True),
        ("1.0", (), False, False),
        ("1.0", ((b"content-length", b"5"),), False, True),
    ],
)
def test_pieces_make_one_body(version, headers, chunked, may_stay, keep_alive):
    data, stays = streamed(PIECES, headers=headers, version=version, keep_alive=keep_alive)
    assert stays is (may_stay and keep_alive)
    assert (b"transfer-encoding: chunked\r\n" in data) is chunked
    assert read(data)[2] == b"hello"
    assert (b"connection: close\r\n" in data) is not stays
    assert (b"connection: keep-alive\r\n" in data) is (stays and version == "1.0")


@pytest.mark.parametrize(("status", "method"), [(204, b"GET"), (304, b"GET"), (200, b"HEAD")])
@pytest.mark.parametrize("headers", [(), ((b"content-length", b"5"),)])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_responses_without_a_body_have_no_piece_of_one(status, method, headers, version):
    data, stays = streamed(PIECES, status, headers, method=method, version=version)
    assert data.endswith(b"\r\n\r\n")
    assert stays
    assert b"transfer-encoding" not in data
    assert (b"content-length" in data) is (bool(headers) and status != 204)


def test_more_or_less_than_the_length_is_misframed():
    five = ((b"content-length", b"5"),)
    with pytest.raises(ResponseMisframed, match="1 bytes more"):
        streamed([b"hello", b"!"], headers=five)
    with pytest.raises(ResponseMisframed, match="1 bytes less"):
        streamed([b"hell"], headers=five)


@pytest.mark.parametrize(("status", "retry"), [(400, {None}), (503, {b"1", b"2"})])
def test_answers_of_the_server_itself_are_json_and_the_last(status, retry):
    data = closing_response(status, "Bad", 'a "description"', date=DATE)
    seen, headers, body = read(data)
    assert (seen, json.loads(body)) == (status, {"title": "Bad", "description": 'a "description"'})
    fields = dict(headers)
    assert (fields[b"connection"], fields[b"content-type"]) == (b"close", b"application/json")
    assert fields.get(b"retry-after") in retry
    assert b"date" in fields


def test_a_refusal_has_the_words_of_its_error():
    assert refusal(BadRequest("no", 501, "Not implemented"), date=DATE) == closing_response(
        501, "Not implemented", "no", date=DATE
    )
