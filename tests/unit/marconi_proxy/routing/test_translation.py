"""Between what clients call things and what a segment calls them: requests in, answers out, by route and version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.model import Placement, PlacementState, Segment
from marconi_proxy.routing.answer_text import SHAPES, failure, headers, messages, next_link, outward_id_of, translated
from marconi_proxy.routing.route import RouteKind
from marconi_proxy.routing.translation import Translation

# Segment 1 was retired; segment 2 is on a partition that had a segment of this queue already.
BASE, MIDDLE, LAST = Segment(0, "p0", "q", True), Segment(2, "p1", "q.2", True), Segment(3, "p0", "q")
PLACEMENT = Placement("project", "q", 9, PlacementState.OPEN, (BASE, MIDDLE, LAST))
IN_BASE, IN_MIDDLE, IN_LAST = (Translation(PLACEMENT, segment) for segment in PLACEMENT.segments)


@pytest.mark.parametrize(
    ("names", "target", "expected"),
    [
        (IN_BASE, "/v2/queues/q", "/v2/queues/q"),
        (IN_MIDDLE, "/v2/queues/q", "/v2/queues/q.2"),
        (IN_MIDDLE, "/v1/queues/q/metadata", "/v1/queues/q.2/metadata"),
        (IN_MIDDLE, "/v2/queues/%71/stats?a=%2C", "/v2/queues/q.2/stats?a=%2C"),
        (IN_MIDDLE, "/v2/queues/q/stats/", "/v2/queues/q.2/stats/"),
        (IN_MIDDLE, "/v2/topics/q", "/v2/topics/q.2"),
        (IN_MIDDLE, "/v2/queues/q/subscriptions/s2-x", "/v2/queues/q.2/subscriptions/s2-x"),
        # A signature is over the queue's own path.
        (IN_MIDDLE, "/v2/queues/q/share", "/v2/queues/q/share"),
        (IN_BASE, "/v2/queues/q/messages/x", "/v2/queues/q/messages/x"),
        (IN_BASE, "/v2/queues/q/messages/s0-s2-x", "/v2/queues/q/messages/s2-x"),
        (IN_MIDDLE, "/v1/queues/q/messages/s2-x", "/v1/queues/q.2/messages/x"),
        (IN_MIDDLE, "/v1/queues/q/messages/s2%2Dx%0Ay", "/v1/queues/q.2/messages/x%0Ay"),
        (IN_MIDDLE, "/v1/queues/q/messages/s2-x?claim_id=s2-c", "/v1/queues/q.2/messages/x?claim_id=c"),
        # The claim of another segment is none that this one knows.
        (IN_MIDDLE, "/v1/queues/q/messages/s2-x?claim_id=c", "/v1/queues/q.2/messages/x?claim_id=s0-c"),
        (IN_BASE, "/v1/queues/q/messages/x?claim_id=s2-c", "/v1/queues/q/messages/x?claim_id=s2-c"),
        # A message of a retired segment is gone, whatever its claim.
        (IN_LAST, "/v1/queues/q/messages/s1-x?a=1&claim_id=s1-c", "/v1/queues/q/messages/s1-x?a=1"),
        (IN_LAST, "/v2/queues/q/claims/s3-c", "/v2/queues/q/claims/c"),
        (IN_LAST, "/v2/queues/q/claims/c", "/v2/queues/q/claims/s0-c"),
        (IN_LAST, "/v2/queues/q/claims?limit=%35", "/v2/queues/q/claims?limit=%35"),
        (IN_MIDDLE, "/v2/queues/q/messages?ids=x,s2-y,s3-z,s1-w", "/v2/queues/q.2/messages?ids=s0-x,y,s3-z,s1-w"),
        (IN_BASE, "/v2/queues/q/messages?ids=x&claim_ids=c,s2-d", "/v2/queues/q/messages?ids=x&claim_ids=c,s2-d"),
        (IN_MIDDLE, "/v2/queues/q/messages?ids=x&claim_ids=s2-d", "/v2/queues/q.2/messages?ids=s0-x&claim_ids=d"),
        (IN_BASE, "/v2/queues/q/messages?ids=a%2Cs2-b", "/v2/queues/q/messages?ids=a%2Cs2-b"),
        (IN_MIDDLE, "/v2/queues/q/messages?echo=true&marker=s1-5&limit=2", "/v2/queues/q.2/messages?echo=true&limit=2"),
    ],
)  # fmt: skip
def test_requests(names: Translation, target: str, expected: str) -> None:
    assert names.inward(target.encode()) == expected.encode()


def test_the_marker_in_a_request() -> None:
    target = b"/v2/queues/q/messages?marker=s2-5&limit=2"
    assert IN_MIDDLE.inward(target, marker="5") == b"/v2/queues/q.2/messages?marker=5&limit=2"


@pytest.mark.parametrize(
    ("names", "href", "expected"),
    [
        (IN_BASE, "/v1/queues/q/messages/x?claim_id=c", "/v1/queues/q/messages/x?claim_id=c"),
        (IN_BASE, "/v1/queues/q/messages/s2-x", "/v1/queues/q/messages/s0-s2-x"),
        (IN_MIDDLE, "/v2/queues/q.2/messages/x?claim_id=c", "/v2/queues/q/messages/s2-x?claim_id=s2-c"),
        (IN_MIDDLE, "/v2/queues/q.2/messages?ids=x,y", "/v2/queues/q/messages?ids=s2-x,s2-y"),
        (IN_MIDDLE, "/v2/queues/q.2/claims/c", "/v2/queues/q/claims/s2-c"),
        (IN_MIDDLE, "/v1/queues/q.2/messages?limit=2&marker=5", "/v1/queues/q/messages?limit=2&marker=s2-5"),
        (IN_MIDDLE, "/v2/queues/q.2", "/v2/queues/q"),
        (IN_MIDDLE, "/v2/queues/q.2/subscriptions/x", "/v2/queues/q/subscriptions/x"),
        (IN_MIDDLE, "/v2/queues/q.2/subscriptions?marker=5", "/v2/queues/q/subscriptions?marker=5"),
        (IN_MIDDLE, "/v2/queues/other/messages/x", "/v2/queues/other/messages/x"),
        (IN_MIDDLE, "http://elsewhere/v2/queues/q.2", "http://elsewhere/v2/queues/q.2"),
        (IN_MIDDLE, "", ""),
    ],
)
def test_hrefs(names: Translation, href: str, expected: str) -> None:
    assert names.outward(href) == expected


def message(path: str, identifier: str, claimed: str = "", **more: Any) -> dict[str, Any]:
    return {"href": f"{path}/messages/{identifier}{claimed}", "ttl": 300, "age": 1, **more}


THERE, HERE = "/v2/queues/q.2", "/v2/queues/q"
# The kind, the answer of the segment, the answer to the client; in v1 with V1 instead.
BODIES: list[tuple[RouteKind, Any, Any]] = [
    (
        RouteKind.MESSAGES,
        {
            "messages": [message(THERE, "x", id="x", body={"href": f"{THERE}/messages/x", "id": "x"})],
            "links": [{"rel": "next", "href": f"{THERE}/messages?limit=1&marker=5"}],
        },
        {
            "messages": [message(HERE, "s2-x", id="s2-x", body={"href": f"{THERE}/messages/x", "id": "x"})],
            "links": [{"rel": "next", "href": f"{HERE}/messages?limit=1&marker=s2-5"}],
        },
    ),
    (RouteKind.MESSAGES, {"messages": [], "links": []}, {"messages": [], "links": []}),
    (RouteKind.MESSAGES, [message(THERE, "x", body=None)], [message(HERE, "s2-x", body=None)]),
    (
        RouteKind.MESSAGES,
        {"resources": [f"{THERE}/messages/x", f"{THERE}/messages/y"], "partial": False},
        {"resources": [f"{HERE}/messages/s2-x", f"{HERE}/messages/s2-y"], "partial": False},
    ),
    (
        RouteKind.MESSAGES,
        {"messages": [{"id": "x", "ttl": 300, "body": [1.0], "claim_id": None, "claim_count": 0}]},
        {"messages": [{"id": "s2-x", "ttl": 300, "body": [1.0], "claim_id": None, "claim_count": 0}]},
    ),
    (
        RouteKind.MESSAGES,
        {"messages": [{"id": "x", "claim_id": "c"}]},
        {"messages": [{"id": "s2-x", "claim_id": "s2-c"}]},
    ),
    (RouteKind.MESSAGE, message(THERE, "x", "?claim_id=c", id="x"), message(HERE, "s2-x", "?claim_id=s2-c", id="s2-x")),
    (RouteKind.CLAIMS, [message(THERE, "x", "?claim_id=c")], [message(HERE, "s2-x", "?claim_id=s2-c")]),
    (
        RouteKind.CLAIMS,
        {"messages": [message(THERE, "x", "?claim_id=c", id="x")]},
        {"messages": [message(HERE, "s2-x", "?claim_id=s2-c", id="s2-x")]},
    ),
    (
        RouteKind.CLAIM,
        {"href": f"{THERE}/claims/c", "ttl": 60, "age": 1, "messages": [message(THERE, "x", "?claim_id=c")]},
        {"href": f"{HERE}/claims/s2-c", "ttl": 60, "age": 1, "messages": [message(HERE, "s2-x", "?claim_id=s2-c")]},
    ),
    (
        RouteKind.STATS,
        {
            "messages": {
                "free": 1,
                "claimed": 0,
                "total": 1,
                "oldest": message(THERE, "x"),
                "newest": message(THERE, "y"),
            }
        },
        {
            "messages": {
                "free": 1,
                "claimed": 0,
                "total": 1,
                "oldest": message(HERE, "s2-x"),
                "newest": message(HERE, "s2-y"),
            }
        },
    ),
    (
        RouteKind.STATS,
        {"messages": {"free": 0, "claimed": 0, "total": 0}},
        {"messages": {"free": 0, "claimed": 0, "total": 0}},
    ),
    (
        RouteKind.SUBSCRIPTIONS,
        {
            "subscriptions": [{"id": "x", "source": "q.2", "options": {"source": "q.2"}}],
            "links": [{"rel": "next", "href": f"{THERE}/subscriptions?marker=x"}],
        },
        {
            "subscriptions": [{"id": "x", "source": "q", "options": {"source": "q.2"}}],
            "links": [{"rel": "next", "href": f"{HERE}/subscriptions?marker=x"}],
        },
    ),
    (RouteKind.SUBSCRIPTIONS, {"subscription_id": "x"}, {"subscription_id": "x"}),
    (RouteKind.SUBSCRIPTION, {"id": "x", "source": "q.2"}, {"id": "x", "source": "q"}),
    # Nothing in these is ours to translate, whatever a tenant's metadata looks like.
    (RouteKind.QUEUE, {"href": f"{THERE}/messages/x", "messages": [message(THERE, "x")]}, ...),
    (RouteKind.METADATA, {"id": "x", "source": "q.2"}, ...),
    (RouteKind.SHARE, {"paths": ["/v2/queues/q/messages"], "signature": "0"}, ...),
]


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
@pytest.mark.parametrize(("kind", "said", "shown"), BODIES, ids=[body[0].name for body in BODIES])
def test_bodies(kind: RouteKind, said: Any, shown: Any, version: str) -> None:
    text = json.dumps(said).replace("/v2/", f"/{version}/")
    expected = text if shown is ... else json.dumps(shown).replace("/v2/", f"/{version}/")
    assert translated(kind, text.encode(), IN_MIDDLE).decode() == expected


def test_every_shape_is_tested() -> None:
    assert SHAPES.keys() <= {kind for kind, *_ in BODIES}


def test_a_body_stays_byte_for_byte_but_for_what_is_translated() -> None:
    odd = b'{"messages":[ {"body" : [1e400, 1.10, "\\u00e9\xc3\xa9", {"a":1,"a":2}],\n"id":"x"} ] , "links":[]}'
    assert translated(RouteKind.MESSAGES, odd, IN_MIDDLE) == odd.replace(b'"x"', b'"s2-x"')


def test_no_body() -> None:
    assert translated(RouteKind.MESSAGES, b"", IN_MIDDLE) == b""


def test_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        translated(RouteKind.MESSAGES, b"<html>", IN_MIDDLE)


@pytest.mark.parametrize(
    "text", ['[{"href": "/v1/queues/q.2/messages/x"}]', '{"messages": [{"href": "/v1/queues/q.2/messages/x"}]}']
)
def test_the_messages_of_an_answer(text: str) -> None:
    (found,) = messages(text.encode(), IN_MIDDLE)
    assert found == b'{"href": "/v1/queues/q/messages/s2-x"}'
    assert outward_id_of(found) == "s2-x"


def test_no_messages() -> None:
    assert messages(b"", IN_MIDDLE) == []
    with pytest.raises(ValueError, match="no messages"):
        messages(b"{}", IN_MIDDLE)
    with pytest.raises(ValueError, match="no href"):
        outward_id_of(b"{}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", None),
        (b"{}", None),
        (b'{"links": []}', None),
        (b'{"links": [{"rel": "next", "href": "/x?marker=5"}]}', "/x?marker=5"),
    ],
)
def test_the_next_link(text: bytes, expected: str | None) -> None:
    assert next_link(text) == expected


def test_refusals_do_not_tell_the_hidden_name() -> None:
    text = b'{"title": "Not found", "description": "Message x does not exist in queue q.2"}'
    assert failure(text, IN_MIDDLE) == text.replace(b"q.2", b"q")
    assert failure(text, IN_BASE) is text


@pytest.mark.parametrize(
    ("kind", "location", "content_location"),
    [
        (RouteKind.MESSAGES, b"/v1/queues/q/messages/s1-x?claim_id=s1-c", b"/v1/queues/q/messages/s1-x?claim_id=s1-c"),
        (RouteKind.STATS, b"/v1/queues/q/stats?a=b", b"/v1/queues/q/stats"),
    ],
)
def test_headers(kind: RouteKind, location: bytes, content_location: bytes) -> None:
    received = [
        (b"location", b"/v1/queues/q.2/messages?ids=x,y"),
        (b"content-location", b"/v1/queues/q.2/whatever"),
        (b"content-length", b"7"),
        (b"content-type", b"application/json"),
    ]
    shown = [
        (b"location", b"/v1/queues/q/messages?ids=s2-x,s2-y"),
        (b"content-location", content_location),
    ]
    assert headers(kind, received, IN_MIDDLE, location, None) == [*shown, *received[2:]]
    assert headers(kind, received, IN_MIDDLE, location, 9) == [*shown, received[3], (b"content-length", b"9")]
