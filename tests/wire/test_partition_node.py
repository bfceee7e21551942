"""Our own node answers the whole table of requests as real Zaqar 16 does.

Where it differs on purpose, the difference is listed here with its reason. Descriptions of refusals are free text (API
section 1.8) and not compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.servers.partition import PartitionNode, partition_node
from tests.wire.canonical import CanonicalAnswer
from tests.wire.conftest import Directly, logged
from tests.wire.requests_table import TABLE
from tests.wire.script import Played, Script, Step, play

CASES = [pytest.param(script, id=str(script)) for script in TABLE]
COMPARED = [pytest.param(script, id=str(script)) for script in TABLE if "16" in script.releases]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartitionNode]:
    with partition_node(tmp_path_factory.mktemp("partition"), workers=2) as node, logged(node.process):
        yield node


@pytest.fixture(scope="module")
def played(node: PartitionNode) -> Callable[[Script], list[Played]]:
    """Play a script against the node, once."""
    done: dict[str, list[Played]] = {}

    def answers(script: Script) -> list[Played]:
        if str(script) not in done:
            done[str(script)] = play(script, node.address)
        return done[str(script)]

    return answers


class Quirk(NamedTuple):
    """A difference on purpose: it ``applies`` to a step and Zaqar's answer; ``same`` checks the rest."""

    reason: str
    applies: Callable[[Step, CanonicalAnswer], bool]
    same: Callable[[CanonicalAnswer, CanonicalAnswer], bool]


def _headers(answer: CanonicalAnswer) -> dict[str, str]:
    return dict(answer.headers)


def _topic_items(step: Step, answer: CanonicalAnswer) -> bool:
    return answer.status == 500 and step.target.startswith("/v2/topics/")


def _xml(step: Step, answer: CanonicalAnswer) -> bool:
    return _headers(answer).get("content-type") == "application/xml"


def _bare_options(step: Step, answer: CanonicalAnswer) -> bool:
    return step.method == "OPTIONS" and "allow" not in _headers(answer)


def _refused_list(step: Step, answer: CanonicalAnswer) -> bool:
    return answer.status == 400 and "content-location" in _headers(answer)


def _stats_without_delayed(step: Step, answer: CanonicalAnswer) -> bool:
    return step.target == "/v2/queues/orders/stats" and '"claimed": 1, "free": 2, "total": 3' in answer.body


def _version_document(step: Step, answer: CanonicalAnswer) -> bool:
    return answer.status == 300


def _without_ours(answer: CanonicalAnswer) -> CanonicalAnswer:
    headers = tuple(header for header in answer.headers if header[0] not in ("x-marconi-store", "x-marconi-fences"))
    return CanonicalAnswer(answer.status, headers, answer.body)


QUIRKS = (
    Quirk(
        "The version document's headers tell a proxy the store, and that it fences; Zaqar has nothing to tell",
        _version_document,
        lambda theirs, ours: ours != theirs and _without_ours(ours) == theirs,
    ),
    Quirk(
        "API section 4.12: messages and subscriptions of topics fail in every release; here they are queue routes",
        _topic_items,
        lambda theirs, ours: ours.status in (200, 201, 404),
    ),
    Quirk(
        "API section 1.8: a refusal to a client that wants XML may be XML there; here it has no body",
        _xml,
        lambda theirs, ours: ours.status == theirs.status and ours.body == "",
    ),
    Quirk(
        "API section 1.1: OPTIONS answers Allow; there a CORS layer swallows it if the request lacks other headers",
        _bare_options,
        lambda theirs, ours: ours.status == 200 and "allow" in _headers(ours),
    ),
    Quirk(
        "API section 2.8: Content-Location goes with 200 and 204; there also with some refusals of v1 lists",
        _refused_list,
        lambda theirs, ours: ours.status == theirs.status and _title(ours) == _title(theirs),
    ),
    Quirk(
        "API section 6.7: oldest and newest include delayed messages; there the MongoDB store ignores them",
        _stats_without_delayed,
        lambda theirs, ours: ours.headers == theirs.headers and '"total": 3, "oldest"' in ours.body,
    ),
)


def _title(answer: CanonicalAnswer) -> object:
    return json.loads(answer.body).get("title") if answer.body else None


def _comparable(answer: CanonicalAnswer) -> CanonicalAnswer:
    """Return a refusal without its free text and its length."""
    if answer.status < 400 or not answer.body.startswith("{"):
        return answer
    headers = tuple(header for header in answer.headers if header[0] != "content-length")
    return CanonicalAnswer(answer.status, headers, str(_title(answer)))


@pytest.mark.parametrize("script", CASES)
def test_statuses_are_those_of_the_table(script: Script, played: Callable[[Script], list[Played]]) -> None:
    wrong = [
        f"step {number}, expected {one.step.status}: {one}"
        for number, one in enumerate(played(script), 1)
        if one.answer.status != one.step.status and not _topic_items(one.step, _of_table(one.step))
    ]
    assert not wrong, "\n\n".join(wrong)


def _of_table(step: Step) -> CanonicalAnswer:
    return CanonicalAnswer(step.status, (), "")


@pytest.mark.parametrize("script", COMPARED)
def test_answers_are_those_of_zaqar(
    script: Script, played: Callable[[Script], list[Played]], directly: Directly
) -> None:
    differences = []
    for number, (theirs, ours) in enumerate(zip(directly(script, "16"), played(script), strict=True), 1):
        quirk = next((quirk for quirk in QUIRKS if quirk.applies(theirs.step, theirs.answer)), None)
        if quirk is None:
            same = _comparable(theirs.answer) == _comparable(ours.answer)
        else:
            same = quirk.same(theirs.answer, ours.answer)
        if not same:
            differences.append(f"step {number}, {theirs}\n----- but -----\n{ours.answer}\n({quirk and quirk.reason})")
    assert not differences, "\n\n".join(differences)


def test_every_quirk_is_met(directly: Directly) -> None:
    """One that no step shows any more is to be struck off the list."""
    answers = [one for script in TABLE if "16" in script.releases for one in directly(script, "16")]
    idle = [quirk.reason for quirk in QUIRKS if not any(quirk.applies(one.step, one.answer) for one in answers)]
    assert idle == []
