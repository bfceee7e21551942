"""Query strings as a partition reads them (API section 1.6), changed and otherwise left alone."""

from __future__ import annotations

import pytest

from marconi_proxy.routing.query import changed, last, replaced, values


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", []),
        ("ids=", []),
        ("ids=a,b", ["a", "b"]),
        ("ids=a,,b", ["a", "b"]),
        ("ids=a&limit=1&ids=b", ["a", "b"]),
        ("ids=a%2Cb", ["a,b"]),
        ("%69ds=a", ["a"]),
        ("ids=a+b", ["a b"]),
        ("xids=a", []),
        ("ids", []),
    ],
)
def test_values(query: str, expected: list[str]) -> None:
    assert values(query, "ids") == expected


@pytest.mark.parametrize(("query", "expected"), [("marker=", None), ("marker=1&marker=2", "2"), ("x", None)])
def test_the_last_value_counts(query: str, expected: str | None) -> None:
    assert last(query, "marker") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("limit=%31", "limit=%31"),
        ("ids=a,b&x=a", "ids=A,B&x=a"),
        ("%69ds=a", "ids=A"),
        ("ids=a%2Cb", "ids=A%2CB"),
        ("ids=a,,b", "ids=A,,B"),
    ],
)
def test_every_value_of_a_parameter_is_changed_and_nothing_else(query: str, expected: str) -> None:
    assert changed(query, "ids", str.upper) == expected


@pytest.mark.parametrize(
    ("query", "value", "expected"),
    [
        ("", "2", "limit=2"),
        ("", None, ""),
        ("a=%31&limit=5&b", "2", "a=%31&limit=2&b"),
        ("limit=5&limit=6", "2", "limit=2"),
        ("limit=5&x=1", None, "x=1"),
        ("%6Cimit=5", None, ""),
    ],
)
def test_a_parameter_is_given_once(query: str, value: str | None, expected: str) -> None:
    assert replaced(query, "limit", value) == expected
