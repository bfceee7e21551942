"""The rules of API sections 1.2 to 1.6, 2.7, 2.13, 4.1, 4.5, 4.11, each with what it refuses."""

from __future__ import annotations

import json

import pytest

from partition.errors import BadInput
from partition.model.limits import Limits
from partition.model.queue import Kind
from partition.validation import (
    claim_body,
    headers,
    json_document,
    message_post,
    metadata,
    metadata_patch,
    queue,
    subscription_body,
)
from partition.validation.query import Query, link

LIMITS = Limits()
CLIENT = b"3381af92-2b9e-11e3-b191-71861300734c"


def title(call, *arguments, **keywords):
    """The title under which a call refuses its input."""
    with pytest.raises(BadInput) as caught:
        call(*arguments, **keywords)
    return caught.value.title


# JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{} x",
        b"123",
        b'"text"',
        b"null",
        b"true",
        b"[NaN]",
        b"[Infinity]",
        b"[1e999]",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"a": 9223372036854775808}',
        b'{"a": -9223372036854775809}',
        b"[" + b"9" * 5000 + b"]",
        b"[" * 100_000,
        None,
    ],
)
def test_what_is_no_document(body):
    assert title(json_document.parse, body) == "Invalid request body"


def test_integers_up_to_64_bits_pass():
    assert json_document.parse(b"[9223372036854775807, -9223372036854775808]") == [2**63 - 1, -(2**63)]


@pytest.mark.parametrize("value", ["é", {"a": [1, 2.5, None, True]}, "\U0001f600", "\ud800", 1e300])
def test_values_survive_being_text(value):
    written = json_document.text(value)
    written.encode()
    assert json.loads(written) == value


# Headers


@pytest.mark.parametrize(
    "accept",
    [
        None,
        b"",
        b"*/*",
        b"application/*",
        b"application/json",
        b"text/html, application/*;q=0.1",
        b"application/json;q=0.2, text/plain",
        b"application/vnd.openstack.messaging-v2+json",
        b"text/plain, " * 100 + b"application/json",
    ],
)
def test_accepts_that_admit_json(accept):
    assert headers.admits_json(accept)


@pytest.mark.parametrize(
    "accept", [b"text/plain", b"plain/text", b"application/xml", b"application/json-home", b"application/json;q=0"]
)
def test_accepts_that_do_not(accept):
    assert not headers.admits_json(accept)


@pytest.mark.parametrize("spelling", [CLIENT, CLIENT.upper(), CLIENT.replace(b"-", b""), b"{%s}" % CLIENT])
def test_spellings_of_one_client_are_one_client(spelling):
    assert headers.client(spelling, LIMITS) == headers.client(b"urn:uuid:" + CLIENT, LIMITS)


@pytest.mark.parametrize(
    "text", [b"", b"1234", b"aa2-bb3", CLIENT[:-1], CLIENT + b"c", b"\xe9" * 32, b"urn:" * 100 + CLIENT]
)
def test_clients_that_are_none(text):
    assert title(headers.client, text, LIMITS) == "Wrong UUID value"


def test_long_headers_are_not_remembered():
    """Thousands of them could be a megabyte each."""
    for cached, judge in (
        (headers._admits_json, lambda: headers.admits_json(b"application/json" + b" " * 100)),
        (headers._uuid, lambda: title(headers.client, b"0" * 101, LIMITS)),
    ):
        before = cached.cache_info().currsize
        assert judge()
        assert cached.cache_info().currsize == before


def test_clients_of_any_text_if_the_operator_allows():
    loose = Limits(client_id_uuid_safe="off")
    assert headers.client(b"some client", loose) == b"some client"
    assert title(headers.client, b"short", loose) == "Invalid API request"


def test_projects():
    headers.check_project(None, required=False)
    headers.check_project(b"p", required=True)
    assert title(headers.check_project, b"", required=False) == "Empty project header not allowed"
    assert title(headers.check_project, None, required=True) == "Project-Id Missing"


def test_forms_are_refused_only_with_a_length():
    form = b"application/x-www-Form-urlencoded"
    headers.check_content_type(form, None)
    assert title(headers.check_content_type, form, b"0") == "Invalid Content-Type"


@pytest.mark.parametrize("good", ["a", "_x", "TESTqueue", "with.dot", "i" * 64, "-.-"])
def test_names(good):
    queue.check_name(Kind.QUEUE, good, "p" * 256)


@pytest.mark.parametrize("bad", ["", "i" * 65, "a b", "@$@^qw", "漢字", "abc\n", ".", "..", "a/b"])
def test_names_that_are_none(bad):
    assert title(queue.check_name, Kind.QUEUE, bad, "p") == "Invalid queue identification"
    assert title(queue.check_name, Kind.TOPIC, bad, "p") == "Invalid topic identification"


def test_projects_have_a_longest_name():
    assert title(queue.check_name, Kind.QUEUE, "good", "p" * 257) == "Invalid queue identification"


# Query


def test_query_values():
    query = Query(b"limit=1&limit=%32&ids=a,b&ids=c%2Cd&echo=yes&empty=&&flag&name=a+b%C3%A9")
    assert query.integer("limit") == 2
    assert query.values("ids") == ["a", "b", "c,d"]
    assert query.boolean("echo") is True
    assert query.text("name") == "a bé"
    assert query.names() == ["limit", "ids", "echo", "name"]
    assert query.values("empty") is None
    assert query.boolean("flag") is None


@pytest.mark.parametrize("raw", [b"limit=x", b"limit=1.5", b"limit=1_0", b"limit=" + b"9" * 5000])
def test_integers_that_do_not_parse(raw):
    assert title(Query(raw).integer, "limit") == "Invalid parameter"


@pytest.mark.parametrize("raw", [b"echo=TRUE", b"echo=maybe"])
def test_booleans_that_do_not_parse(raw):
    assert title(Query(raw).boolean, "echo") == "Invalid parameter"


def test_links_repeat_what_was_asked():
    parameters = {"limit": 2, "echo": True, "name": "a b*", "detailed": None}
    assert link("/v2/queues", parameters, "m", marker_first=False) == (
        "/v2/queues?limit=2&echo=true&name=a%20b%2A&marker=m"
    )
    assert link("/v2/queues", {"limit": 1}, "m", marker_first=True) == "/v2/queues?marker=m&limit=1"


# Messages


def entry(**members):
    return {"ttl": 60, "body": 1, **members}


def test_a_post_is_read():
    read = message_post.messages([entry(body=None, other=1), {"body": {"é": 1}}], LIMITS, default_ttl=100)
    assert [(message.ttl, message.body, message.delay) for message in read] == [(60, "null", 0), (100, '{"é": 1}', 0)]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], "Invalid API request"),
        (["text"], "Invalid request body"),
        ([{"ttl": 60}], "Invalid request body"),
        ([{"body": 1}], "Invalid request body"),
        ([entry(ttl="60")], "Invalid request body"),
        ([entry(ttl=60.0)], "Invalid request body"),
        ([entry(ttl=True)], "Invalid request body"),
        ([entry(ttl=None)], "Invalid request body"),
        ([entry(ttl=59)], "Invalid API request"),
        ([entry(ttl=1209601)], "Invalid API request"),
    ],
)
def test_posts_that_are_refused(entries, expected):
    assert title(message_post.messages, entries, LIMITS) == expected


def test_delays_count_only_in_a_queue_that_has_one():
    assert message_post.messages([entry(delay="junk")], LIMITS)[0].delay == 0
    assert message_post.messages([entry()], LIMITS, default_delay=5)[0].delay == 5
    assert message_post.messages([entry(delay=0)], LIMITS, default_delay=5)[0].delay == 0
    assert title(message_post.messages, [entry(delay="1")], LIMITS, default_delay=5) == "Invalid request body"
    assert title(message_post.messages, [entry(delay=901)], LIMITS, default_delay=5) == "Invalid API request"


def test_sizes_are_inclusive_and_the_smaller_counts():
    message_post.check_size(262144, LIMITS)
    message_post.check_size(200, LIMITS, {"_max_messages_post_size": 200})
    assert title(message_post.check_size, 262145, LIMITS) == "Invalid API request"
    assert title(message_post.check_size, 201, LIMITS, {"_max_messages_post_size": 200}) == "Invalid API request"


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"messages": 1}'])
def test_envelopes_that_are_none(body):
    assert title(message_post.enveloped, body)


# Claims


def test_leases():
    assert claim_body.lease({"grace": 70, "x": 1}, 300, 60) == (300, 70)
    assert title(claim_body.lease, {"ttl": 60}, None, None) == "Invalid request body"


@pytest.mark.parametrize(
    ("ttl", "grace", "limit"),
    [(59, 60, 1), (43201, 60, 1), (60, 59, 1), (60, 43201, 1), (60, 60, 0), (60, 60, 21), (60, 60, -1)],
)
def test_claims_out_of_range(ttl, grace, limit):
    lease = claim_body.lease({"ttl": ttl, "grace": grace}, None, None)
    assert title(claim_body.check_new, lease, limit, LIMITS) == "Invalid API request"


def test_the_grace_of_a_renewal_is_not_judged():
    claim_body.check_renewal(claim_body.lease({"ttl": 60, "grace": -1}, None, 0), LIMITS)


# Metadata


@pytest.mark.parametrize(
    "attribute",
    [
        {"_default_message_ttl": 59},
        {"_default_message_ttl": 0},
        {"_default_message_ttl": "60"},
        {"_default_message_ttl": True},
        {"_max_messages_post_size": 0},
        {"_max_messages_post_size": 262145},
        {"_default_message_delay": 901},
        {"_default_message_delay": -1},
        {"_dead_letter_queue_messages_ttl": 59},
        {"_max_claim_count": "3"},
        {"_enable_encrypt_messages": "yes"},
        {"_enable_encrypt_messages": []},
        {"_enable_encrypt_messages": True},
        {"_retry_policy": []} | {"_retry_policy": [1]},
        {"_retry_policy": {"minimum_delay": "1"}},
        {"_retry_policy": {"retry_backoff_function": "random"}},
        {"_retry_policy": {"minimum_delay": 25}},
        {"_retry_policy": {"ignore_subscription_override": 1}},
    ],
)
def test_attributes_that_are_refused(attribute):
    assert title(metadata.check_attributes, attribute, LIMITS) == "Invalid API request"


def test_attributes_that_pass():
    metadata.check_attributes(
        {
            "_default_message_ttl": None,
            "_default_message_delay": 0,
            "_max_claim_count": -1,
            "_enable_encrypt_messages": False,
            "_retry_policy": {"minimum_delay": 5, "maximum_delay": 15},
            "_own": [1],
        },
        LIMITS,
    )


def test_v1_sets_no_attributes():
    metadata.check_unreserved({"a": 1})
    assert title(metadata.check_unreserved, {"_a": 1}) == "Invalid API request"


def changed(stored, *operations):
    return metadata_patch.apply(metadata_patch.parse(operations), stored, {"_max_claim_count"})


def test_a_patch():
    assert changed(
        {"colour": "red", "shape": 1},
        {"op": "add", "path": "/Metadata/a~1b~0c", "value": None},
        {"op": "replace", "path": "/metadata/colour", "value": "blue"},
        {"op": "remove", "path": "/anything/shape"},
        {"op": "remove", "path": "/metadata/_max_claim_count"},
    ) == {"colour": "blue", "a/b~c": None}


@pytest.mark.parametrize("op", ["replace", "remove"])
def test_a_patch_of_what_is_not_there(op):
    with pytest.raises(metadata_patch.PatchConflict, match=f"Can't {op} non-existent object none"):
        changed({}, {"op": op, "path": "/metadata/none", "value": 1})


@pytest.mark.parametrize(
    "operation",
    [
        "text",
        {"path": "/metadata/a", "value": 1},
        {"op": "move", "path": "/metadata/a", "value": 1},
        {"op": ["add"], "path": "/metadata/a", "value": 1},
        {"op": "add", "value": 1},
        {"op": "add", "path": 1, "value": 1},
        {"op": "add", "path": "/metadata/a"},
        {"op": "add", "path": "metadata/a", "value": 1},
        {"op": "add", "path": "/", "value": 1},
        {"op": "add", "path": "/metadata", "value": 1},
        {"op": "add", "path": "/metadata/", "value": 1},
        {"op": "add", "path": "//a", "value": 1},
        {"op": "add", "path": "/metadata/a/b", "value": 1},
        {"op": "add", "path": "/metadata/a~2", "value": 1},
        {"op": "add", "path": "/metadata/a~", "value": 1},
        {"op": "add", "path": "/other/a", "value": 1},
    ],
)
def test_operations_that_are_refused(operation):
    assert title(metadata_patch.parse, [operation]) == "Invalid request body"


# Subscriptions and purge


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"subscriber": None},
        {"subscriber": 1},
        {"subscriber": "gopher://a/"},
        {"subscriber": "http://[/"},
        {"subscriber": "http://a/\ud800"},
        {"subscriber": "http://a/", "ttl": 59},
        {"subscriber": "http://a/", "ttl": 0},
        {"subscriber": "http://a/", "ttl": "60"},
        {"subscriber": "http://a/", "ttl": 10**12},
        {"subscriber": "http://a/", "options": []},
    ],
)
def test_subscriptions_that_are_refused(document):
    assert title(subscription_body.new, document, LIMITS) == "Invalid API request"


def test_purging_names_kinds_of_things():
    assert queue.purged_resources({"resource_types": []}) == frozenset()
    for document in ({}, {"resource_types": ["claims"]}, {"resource_types": [[]]}, {"resource_types": "messages"}):
        assert title(queue.purged_resources, document) == "Invalid API request"
