"""JSON as text: its parts are found where a parser finds them, and the rest stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marconi_proxy.routing.json_text import Span, elements, exchanged, member, members, string, whole

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
SPACED = st.sampled_from([None, 0, 1, "\t"])


def spelled(value: Any, indent: Any, ascii_only: bool) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


@given(st.lists(VALUES), SPACED, st.booleans())
def test_elements_are_where_a_parser_finds_them(value: list[Any], indent: Any, ascii_only: bool) -> None:
    text = spelled(value, indent, ascii_only)
    assert [json.loads(span.of(text)) for span in elements(text, whole(text))] == value


@given(st.dictionaries(st.text(), VALUES), SPACED, st.booleans())
def test_members_are_where_a_parser_finds_them(value: dict[str, Any], indent: Any, ascii_only: bool) -> None:
    text = spelled(value, indent, ascii_only)
    found = members(text, whole(text))
    assert {one.name: json.loads(one.value.of(text)) for one in found} == value
    assert exchanged(text, [(one.value, one.value.of(text)) for one in found]) == text


def test_the_last_of_two_members_of_one_name_counts() -> None:
    text = b'{"a": 1, "a": 2}'
    assert member(text, whole(text), "a") == Span(14, 15)
    assert member(text, whole(text), "b") is None


def test_only_the_parts_given_are_exchanged() -> None:
    text = b' {"a" : "x",\n "b": 1e400, "b": [ ]}'
    span = member(text, whole(text), "a")
    assert span is not None
    assert exchanged(text, [(span, b'"y"')]) == text.replace(b'"x"', b'"y"')


def test_no_depth_is_too_much() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    text = b'{"body": %b, "href": "x"}' % deep
    assert [one.name for one in members(text, whole(text))] == ["body", "href"]


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"{", b'{"a"}', b'{"a": 1', b'"x', b"[1] 2", b'{"a": }', b"<html>x</html> y", b"{1: 2}", b",", b"]"],
)
def test_what_is_no_json(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which error it is, is for people
        members(text, whole(text))


@pytest.mark.parametrize("text", [b"[1 2]", b"[1,]", b"[,1]", b"{}", b"1"])
def test_what_is_no_array(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        elements(text, whole(text))


def test_what_is_no_string() -> None:
    with pytest.raises(ValueError, match="no string"):
        string(b"12", Span(0, 2))
