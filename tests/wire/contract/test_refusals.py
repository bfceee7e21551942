"""Every rule of the table of refusals, and the neighbours of the rules that are accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire.contract.refusals import (
    ACCEPTED,
    BODY,
    MALFORMED_BODIES,
    ROWS,
    TAKING_BODIES,
    TOO_LARGE,
    Row,
    Taking,
)
from tests.wire.contract.tenant import Reply, Tenant


def cases(rows: tuple[Row, ...]) -> Any:
    return pytest.mark.parametrize(
        ("version", "row"),
        [
            pytest.param(version, row, id=f"{version}-{row.section}-{row.method}-{row.rule}")
            for row in rows
            for version in row.versions
        ],
    )


takers = pytest.mark.parametrize(
    ("version", "taker"),
    [
        pytest.param(version, taker, id=f"{version}-{taker.method}{taker.path}")
        for taker in TAKING_BODIES
        for version in taker.versions
    ],
)


def ask(tenant: Tenant, row: Row) -> Reply:
    names = row.given(tenant)
    return tenant.ask(row.method, row.path.format(**names), row.body, row.headers)


@cases(ROWS)
def test_refusal(tenant: Tenant, row: Row) -> None:
    answer = ask(tenant, row)
    expected = tenant.expected(row.status, row.instead)
    assert answer.status == expected, answer
    if expected == row.status:
        assert (answer.header("Content-Type") or "").startswith("application/json")
        assert isinstance(answer.title, str)
        assert row.title in (None, answer.title), answer


@cases(ACCEPTED)
def test_what_is_just_good_is_accepted(tenant: Tenant, row: Row) -> None:
    assert ask(tenant, row).status == row.status


@takers
def test_malformed_bodies(tenant: Tenant, taker: Taking) -> None:
    """API section 1.5: they are 400, and "Invalid request body"."""
    path = taker.path.format(**taker.given(tenant))

    def refused(body: bytes | str | None) -> bool:
        answer = tenant.ask(taker.method, path, body, taker.headers)
        return (answer.status, answer.title) == (400, BODY)

    wrong = [rule for rule, body in MALFORMED_BODIES.items() if not refused(body)]
    for number in TOO_LARGE:
        inside = f'{{"a": {number}, "messages": [{number}], "resource_types": [], "ttl": {number}}}'
        if not refused(f"[{inside}]" if taker.array else inside):
            wrong.append(f"an integer of {len(str(number))} digits")
    if taker.needed:
        wrong += [rule for rule, body in (("no body", None), ("empty body", b"")) if not refused(body)]
    assert wrong == []


@takers
def test_bodies_of_the_wrong_kind(tenant: Tenant, taker: Taking) -> None:
    """API section 1.5: an array where an object is due, or the reverse."""
    path = taker.path.format(**taker.given(tenant))
    answer = tenant.ask(taker.method, path, json.dumps({} if taker.array else []), taker.headers)
    assert answer.status == tenant.expected(400, taker.otherwise), answer
    if answer.status == 400:
        assert isinstance(answer.title, str)
