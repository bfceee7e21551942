"""The project of a call, and the calls that any server of the API would refuse (API section 1.2)."""

from __future__ import annotations

import pytest

from catalog.model import API_VERSIONS, NO_PROJECT
from marconi_proxy.routing.headers import read_head
from marconi_proxy.routing.identity import accepts_json, is_client_id, names_queues, namespace, well_formed

CLIENT = b"3381af922b9e11e3b19171861300734c"

# -- project -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "v1", "later"),
    [
        (None, NO_PROJECT, None),
        (b"", None, None),
        (b"p", "p", "p"),
        (b"7e55e1a7e55e", "7e55e1a7e55e", "7e55e1a7e55e"),
        (b"with space", "with space", "with space"),
        (b"P", "P", "P"),
        (b"0", "0", "0"),
        (b"a/b?c=d#e", "a/b?c=d#e", "a/b?c=d#e"),
        (b"\xc3\xa9", "\xc3\xa9", "\xc3\xa9"),
        (b"\xff\x80", "\xff\x80", "\xff\x80"),
        (b"x" * 256, "x" * 256, "x" * 256),
        (b"x" * 257, "x" * 257, "x" * 257),
    ],
    ids=["absent", "empty", "p", "hex", "space", "upper", "zero", "special", "utf-8", "latin-1", "256", "257"],
)
def test_the_project(header: bytes | None, v1: str | None, later: str | None) -> None:
    assert [namespace(version, header) for version in API_VERSIONS] == [v1, later, later]


@pytest.mark.parametrize(("length", "enough"), [(0, True), (256, True), (257, False)])
def test_a_project_with_a_long_id_has_no_queues(length: int, enough: bool) -> None:
    assert names_queues("x" * length) is enough


def test_no_project_is_none_that_a_client_can_name() -> None:
    assert namespace("v1", NO_PROJECT.encode()) is None


def test_different_headers_are_different_projects() -> None:
    headers = [bytes([byte]) for byte in range(1, 256)]
    assert len({namespace("v2", header) for header in headers}) == 255


# -- client ------------------------------------------------------------------------------------------------------------

CLIENT_IDS = {
    b"3381af92-2b9e-11e3-b191-71861300734c": True,
    b"3381af922b9e11e3b19171861300734c": True,
    b"3381AF92-2B9E-11E3-B191-71861300734C": True,
    b"{3381af92-2b9e-11e3-b191-71861300734c}": True,
    b"{3381af922b9e11e3b19171861300734c}": True,
    b"urn:uuid:3381af92-2b9e-11e3-b191-71861300734c": True,
    b"uuid:3381af922b9e11e3b19171861300734c": True,
    b"00000000-0000-0000-0000-000000000000": True,
    b"ffffffffffffffffffffffffffffffff": True,
    b"3381af92-2b9e-41e3-b191-71861300734c": True,  # version 4
    b"3381af92-2b9e-01e3-0191-71861300734c": True,  # of no version and variant
    b"3-3-8-1-af922b9e11e3b19171861300734c": True,
    b"": False,
    b"1234": False,
    b"bad": False,
    b"3381af922b9e11e3b19171861300734": False,
    b"3381af922b9e11e3b19171861300734c0": False,
    b"3381af92-2b9e-11e3-b191-71861300734g": False,
    b"3381af92 2b9e 11e3 b191 71861300734c": False,
    b"\xff" * 32: False,
    b"{}": False,
    b"None": False,
}


@pytest.mark.parametrize("value", CLIENT_IDS, ids=repr)
def test_client_ids(value: bytes) -> None:
    assert is_client_id(value) is CLIENT_IDS[value]


# -- accept ------------------------------------------------------------------------------------------------------------

ACCEPT = {
    None: True,
    b"": True,
    b"*/*": True,
    b"application/*": True,
    b"application/json": True,
    b"Application/JSON": True,
    b"application/json;q=0.1": True,
    b"application/json; q=0.001": True,
    b"text/plain, application/json": True,
    b"text/html, */*;q=0.1": True,
    b"application/xml;q=0.5,application/json;q=0.1": True,
    b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": True,
    b"application/json;q=0": False,
    b"*/*;q=0": False,
    b"text/plain": False,
    b"plain/text": False,
    b"application/xml": False,
    b"application/json-home": False,
    b"application/vnd.openstack.messaging-v2+json": False,
    b"text/*": False,
    b"nonsense": False,
    b"/": False,
    b"\xff\xfe": False,
    b"application/json;q=x": False,
}


@pytest.mark.parametrize("value", ACCEPT, ids=repr)
def test_accept(value: bytes | None) -> None:
    assert accepts_json(value) is ACCEPT[value]


# -- all of it ---------------------------------------------------------------------------------------------------------

GOOD = {b"client-id": CLIENT, b"x-project-id": b"p"}


def judged(version: str, headers: dict[bytes, bytes]) -> bool:
    return well_formed(version, read_head(list(headers.items())))


@pytest.mark.parametrize("version", ["", *API_VERSIONS])
def test_a_well_formed_call(version: str) -> None:
    assert judged(version, GOOD)


@pytest.mark.parametrize(
    ("changes", "root", "v1", "later"),
    [
        ({b"client-id": None}, True, True, False),
        ({b"client-id": b""}, True, False, False),
        ({b"client-id": b"1234"}, True, False, False),
        ({b"client-id": b"{3381af92-2b9e-11e3-b191-71861300734c}"}, True, True, True),
        ({b"x-project-id": None}, True, True, False),
        ({b"x-project-id": b""}, True, False, False),
        ({b"x-project-id": b"  "}, True, False, False),
        ({b"x-project-id": b"x" * 257}, True, True, True),
        ({b"client-id": None, b"x-project-id": None}, True, True, False),
        ({b"accept": b"application/json"}, True, True, True),
        ({b"accept": b"text/plain"}, False, False, False),
        ({b"url-signature": b"s"}, False, False, False),
        ({b"content-type": b"application/x-www-form-urlencoded"}, True, True, True),
        ({b"content-type": b"application/x-www-form-urlencoded", b"content-length": b"0"}, False, False, False),
        ({b"content-type": b"Application/X-WWW-Form-Urlencoded", b"content-length": b"9"}, False, False, False),
        (
            {b"content-type": b"application/x-www-form-urlencoded; charset=utf-8", b"content-length": b"9"},
            True,
            True,
            True,
        ),
        ({b"content-type": b"text/plain", b"content-length": b"9"}, True, True, True),
        ({b"content-type": b"application/x-www-form-urlencoded ", b"content-length": b"9"}, False, False, False),
        ({b"client-id": CLIENT + b" "}, True, True, True),
    ],
    ids=[
        "no client",
        "an empty client",
        "a bad client",
        "a client in braces",
        "no project",
        "an empty project",
        "a blank project",
        "a long project",
        "nobody",
        "accepts JSON",
        "accepts text",
        "signed",
        "a form without a length",
        "an empty form",
        "a form in capitals",
        "a form with parameters",
        "text",
        "a form and white space",
        "a client and white space",
    ],
)
def test_each_check(changes: dict[bytes, bytes | None], root: bool, v1: bool, later: bool) -> None:
    headers = {name: value for name, value in (GOOD | changes).items() if value is not None}
    assert [judged(version, headers) for version in ("", *API_VERSIONS)] == [root, v1, later, later]
