"""The canonicalisation hides what must differ between two runs, and shows everything else."""

from __future__ import annotations

import pytest

from tests.wire.canonical import Canonical
from tests.wire.raw_http import Answer

ONE, TWO, THREE = "6b010a5b75036d1bcb6f70d8", "6b010a5b75036d1bcb6f70d9", "6b010a5b4de5a6cb57e6cc99"


def _answer(body: str, status: int = 200, **headers: str) -> Answer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, (("content-length", str(len(body.encode()))), *named), body.encode())


def _equal(one: list[Answer], other: list[Answer]) -> bool:
    first, second = Canonical({"project-a": "<project>"}), Canonical({"project-b": "<project>"})
    return [first.answer(answer) for answer in one] == [second.answer(answer) for answer in other]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            _answer("", 201, location=f"/v2/queues/q/messages?ids={ONE}"),
            _answer("", 201, location=f"/v2/queues/q/messages?ids={TWO}"),
        ),
        (_answer(f'["/m/{ONE}", "/m/{TWO}", "/m/{ONE}"]'), _answer(f'["/m/{TWO}", "/m/{THREE}", "/m/{TWO}"]')),
        (_answer('{"age": 9}'), _answer('{"age": 10}')),
        (_answer('{"created": "2026-01-01T00:00:59Z"}'), _answer('{"created": "2026-01-01T00:01:00Z"}')),
        (_answer('"for project project-a"'), _answer('"for project project-b"')),
        (_answer("", date="now", via="1.1 a"), _answer("", date="later", server="b", x_openstack_request_id="req-1")),
        (_answer("", a="1", b="2"), _answer("", b="2", a="1")),
    ],
)
def test_what_must_differ_is_hidden(one: Answer, other: Answer) -> None:
    assert _equal([one], [other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_answer("", 200), _answer("", 201)),
        (_answer('{"a": 1, "b": 2}'), _answer('{"b": 2, "a": 1}')),
        (_answer('{"a": 1}'), _answer('{"a":1}')),
        (_answer(f'["/m/{ONE}", "/m/{TWO}"]'), _answer(f'["/m/{ONE}", "/m/{ONE}"]')),
        (_answer(f'["/m/{ONE}"]'), _answer('["/m/s1-6b010a5b75036d1bcb6f70d8"]')),
        (_answer('{"ttl": 300}'), _answer('{"ttl": 301}')),
        (_answer('{"href": "/v2/queues?marker=1"}'), _answer('{"href": "/v2/queues?marker=2"}')),
        (_answer("", vary="Accept"), _answer("")),
        (_answer("", vary="Accept"), _answer("", Vary="Accept")),
        (_answer("", a="1"), Answer(200, (("content-length", "0"), ("a", "1"), ("a", "1")), b"")),
        (_answer(""), Answer(200, (), b"")),
        (_answer("{}"), Answer(200, (("content-length", "3"),), b"{}")),
        (Answer(405, (("content-length", "35"),), b""), Answer(405, (("content-length", "0"),), b"")),
    ],
)
def test_what_must_not_differ_is_seen(one: Answer, other: Answer) -> None:
    assert not _equal([one], [other])


def test_an_id_keeps_its_number_through_the_script() -> None:
    posted, read = _answer(f'"{ONE}"'), _answer(f'"{TWO}"')
    assert not _equal([posted, posted], [posted, read])
