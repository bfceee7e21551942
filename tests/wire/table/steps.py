"""Short spellings for the rows of the table: a function per method, and what is captured from answers."""

from __future__ import annotations

from collections.abc import Mapping

from tests.wire.script import Step

VERSIONS = ("v1", "v1.1", "v2")
# Zaqar 23 has v2 only.
RELEASES = {"v1": ("16",), "v1.1": ("16",), "v2": ("16", "23")}

JSON_PATCH = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NO_CLIENT = {"Client-ID": None}
NO_PROJECT = {"X-Project-Id": None}
NOTHING = {"Client-ID": None, "X-Project-Id": None}

MESSAGE = {"message": r"[?]ids=([0-9a-f]+)"}
TWO_MESSAGES = {**MESSAGE, "second": r"[?]ids=[0-9a-f]+,([0-9a-f]+)"}
CLAIM = {"claim": r"/claims/([0-9a-f]+)"}
# In the body: Content-Location repeats the marker of the request.
MARKER = {"marker": r'"href": "[^"]*[?&]marker=([A-Za-z0-9_.-]+)'}
SUBSCRIPTION = {"subscription": r'"subscription_id": "([0-9a-f]+)"'}

# A well-formed id that no store has drawn, and one that none can draw.
UNKNOWN_ID = "ffffffffffffffffffffffff"
MALFORMED_ID = "no-such-id"

Headers = Mapping[str, str | None]
Body = str | bytes | None
_NONE: Mapping[str, str] = {}


def get(
    target: str, status: int, headers: Headers = _NONE, capture: Mapping[str, str] = _NONE, body: Body = None
) -> Step:
    return Step("GET", target, status, body, headers, capture)


def head(
    target: str, status: int, headers: Headers = _NONE, capture: Mapping[str, str] = _NONE, body: Body = None
) -> Step:
    return Step("HEAD", target, status, body, headers, capture)


def options(
    target: str, status: int, headers: Headers = _NONE, capture: Mapping[str, str] = _NONE, body: Body = None
) -> Step:
    return Step("OPTIONS", target, status, body, headers, capture)


def put(
    target: str, status: int, body: Body = None, headers: Headers = _NONE, capture: Mapping[str, str] = _NONE
) -> Step:
    return Step("PUT", target, status, body, headers, capture)


def post(
    target: str, status: int, body: Body = None, headers: Headers = _NONE, capture: Mapping[str, str] = _NONE
) -> Step:
    return Step("POST", target, status, body, headers, capture)


def patch(
    target: str, status: int, body: Body = None, headers: Headers = _NONE, capture: Mapping[str, str] = _NONE
) -> Step:
    return Step("PATCH", target, status, body, headers, capture)


def delete(
    target: str, status: int, body: Body = None, headers: Headers = _NONE, capture: Mapping[str, str] = _NONE
) -> Step:
    return Step("DELETE", target, status, body, headers, capture)
