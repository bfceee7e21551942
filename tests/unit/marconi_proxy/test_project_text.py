from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marconi_proxy.project_text import from_url, project_named, shown, shown_project, to_url


@pytest.mark.parametrize(
    ("encoded", "project"),
    [
        ("8f2c", "8f2c"),
        ("-", ""),
        ("id:-", "-"),
        ("id:id:x", "id:x"),
        ("--", "--"),
        ("a%2Fb", "a/b"),
        ("a%20b+c", "a b+c"),
        ("%252F", "%2F"),
        # Stored is the header's bytes read as latin-1.
        ("%C3%A9", "\u00c3\u00a9"),
        ("%E9", "\u00e9"),
    ],
)
def test_how_a_url_names_a_project(encoded, project):
    assert project_named(from_url(encoded)) == project


@pytest.mark.parametrize("text", ["", "id:"])
def test_what_names_no_project(text):
    with pytest.raises(ValueError, match="a project is written as"):
        project_named(text)


@pytest.mark.parametrize(
    ("stored", "json"),
    [("", None), ("-", "-"), ("a", "a"), ("\u00c3\u00a9", "\u00e9"), ("\u00e9", "\u00e9"), ("\u20ac", "\u20ac")],
)
def test_how_a_project_is_shown(stored, json):
    assert shown_project(stored) == json


@given(st.text())
def test_text_sent_as_utf8_is_shown_as_it_was(text):
    assert shown(text.encode().decode("latin-1")) == text


@given(st.binary())
def test_urls_carry_every_header_there_and_back(header):
    stored = header.decode("latin-1")
    assert from_url(to_url(stored)) == stored
