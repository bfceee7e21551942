"""The counter of prose (tests/prose.py)."""

from __future__ import annotations

import pytest

from tests import prose

CODE = '''
"""Nobody reads ``nobody``.

::

    nobody at all
"""

# Who comments, is counted.
x = 1  # noqa: nobody

def f(n: int) -> str:
    """Say it."""
    if n:
        raise ValueError(f"somebody gave {f'what {n} told us'} to it")
    run("SELECT who FROM nobody WHERE told")
    return "who told you"
'''


def found(texts: list[str]) -> dict[str, int]:
    return prose.count(texts).found


def test_docstrings_and_comments_are_counted_and_literals_are_not() -> None:
    texts = list(prose.prose_of_code(CODE, with_strings=False))
    assert found(texts) == {"who": 1, "somebody": 1, "told": 1, "starts": 1}


def test_strings_of_four_words_are_counted_once_and_statements_are_not() -> None:
    texts = list(prose.prose_of_code(CODE, with_strings=True))
    assert found(texts) == {"who": 1, "somebody": 2, "told": 1, "starts": 1}


def test_documents_are_counted_without_blocks_of_code_and_directives() -> None:
    text = (
        "What it is\n==========\n\nRun it, as told::\n\n    tell nobody\n\nAn ``everybody``.\n\n"
        ".. list-table::\n   :widths: told\n\n   * - Anyone\n     - is here\n\n.. _who: https://who/\n"
    )
    assert found(list(prose.prose_of_document(text))) == {"who": 0, "somebody": 1, "told": 1, "starts": 1}


@pytest.mark.parametrize("words", ["one of", "everyone of", "whole", "foretold", "what"])
def test_words_that_contain_a_counted_one_are_not_counted(words: str) -> None:
    assert set(found([words]).values()) == {0}


def test_an_excess_is_named_with_its_rate() -> None:
    counts = prose.count(["word " * 999 + "told", "What"])
    assert counts.excesses() == ["starts: 1 > 0"]
    counts.add(prose.count(["nobody"]))
    assert counts.excesses() == ["somebody: 1.00 > 0.5", "starts: 1 > 0"]


def test_every_rewritten_package_exists() -> None:
    names = {prose.group(path) for path in prose.files()}
    assert names >= {prose.DOCUMENTS, "catalog", "marconi_proxy/cli", "partition/api", "bench"}
    assert set(prose.REWRITTEN) <= names


@pytest.mark.parametrize("name", [prose.DOCUMENTS, *prose.REWRITTEN])
def test_prose_keeps_to_the_limits(name: str) -> None:
    counts = prose.Counts()
    for path in prose.files():
        if prose.group(path) == name:
            counts.add(prose.counts_of(path))
    assert counts.words > 0
    assert counts.excesses() == []
