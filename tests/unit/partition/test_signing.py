"""Signed URLs, with the test vectors of API section 9.2."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from partition import signing
from partition.errors import BadInput
from partition.signing import Grant

SECRET = "topsecret"
EXPIRES = "2099-01-01T00:00:00"
NOW = 1_700_000_000
ONE = Grant(("/v2/queues/demo/messages",), ("GET",), "p1", EXPIRES)
TWO = Grant(("/v2/queues/demo/messages", "/v2/queues/demo/claims"), ("POST", "GET"), "p1", EXPIRES)


@pytest.mark.parametrize(
    ("grant", "signature"),
    [
        (ONE, "6cf5f9357d7303c01a9ae37875889ae4b41c4742aa30e7ce51dbec822e0fd055"),
        (TWO, "69592dd7e82d2ff2f3f7f0c1b0ef37386039debcca3e740590cc7620402d44e0"),
    ],
)
def test_vectors(grant, signature):
    assert signing.signature(SECRET, grant) == signature


@dataclass(frozen=True)
class Request:
    method: str = "GET"
    path: str = "/v2/queues/demo/messages"
    grant: Grant = ONE
    signed: str = signing.signature(SECRET, ONE)
    secret: str = SECRET
    now: int = NOW

    @property
    def allowed(self) -> bool:
        return signing.allows(self.secret, self.grant, self.signed, self.method, self.path, self.now)


@pytest.mark.parametrize("request_", [Request(), Request(path="/v2/queues/demo/messages/abc")])
def test_what_a_grant_allows(request_):
    assert request_.allowed


@pytest.mark.parametrize(
    "request_",
    [
        Request(method="POST"),
        Request(path="/v2/queues/demo/messagesx"),
        Request(path="/v2/queues/demo/claims"),
        Request(path="/x/v2/queues/demo/messages"),
        Request(secret="other"),
        Request(signed="0" * 64),
        Request(signed="é"),
        Request(grant=ONE._replace(project="p2")),
        Request(grant=ONE._replace(expires="2098-01-01T00:00:00")),
        Request(grant=ONE._replace(expires="junk")),
        Request(grant=ONE._replace(paths=("",)), signed=signing.signature(SECRET, ONE._replace(paths=("",)))),
        Request(now=4_100_000_000),
    ],
)
def test_what_it_does_not(request_):
    assert not request_.allowed


def test_a_signature_can_be_read_in_one_way_only():
    """Else a share in a project that is called oddly would be one in another project."""
    odd = Grant(("/v2/queues/demo/messages",), ("DELETE", "GET"), r"x\np1", EXPIRES)
    read_otherwise = Grant(odd.paths, ("DELETE", r"GET\nx"), "p1", EXPIRES)
    assert signing.signature(SECRET, odd) == signing.signature(SECRET, read_otherwise)
    signed = signing.signature(SECRET, odd)
    for grant in (odd, read_otherwise):
        assert not Request(method="DELETE", grant=grant, signed=signed).allowed
    with pytest.raises(BadInput):
        signing.grant({}, "/v2/queues/demo", odd.project, NOW)


def test_a_grant_has_defaults_and_is_sorted():
    assert signing.grant({}, "/v2/queues/demo", "p1", NOW) == Grant(
        ("/v2/queues/demo/messages",), ("GET",), "p1", "2023-11-15T22:13:20"
    )
    asked = {"paths": ["messages", "claims"], "methods": ["POST", "GET"], "expires": "2099-01-01T02:00:00+02:00"}
    assert signing.grant(asked, "/v2/queues/demo", "p1", NOW) == Grant(
        ("/v2/queues/demo/claims", "/v2/queues/demo/messages"), ("GET", "POST"), "p1", EXPIRES
    )


@pytest.mark.parametrize(
    "document",
    [
        {"unknown": 1},
        {"paths": ["stats"]},
        {"paths": "messages"},
        {"paths": [1]},
        {"methods": "GET"},
        {"methods": ["GET,POST"]},
        {"methods": [r"GET\np2"]},
        {"methods": ["\ud800"]},
        {"methods": [""]},
        {"expires": "yesterday"},
        {"expires": "4100000000"},
        {"expires": 4100000000},
        {"expires": "2001-01-01T00:00:00"},
        {"expires": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_grants_that_are_refused(document):
    with pytest.raises(BadInput):
        signing.grant(document, "/v2/queues/demo", "p1", NOW)
