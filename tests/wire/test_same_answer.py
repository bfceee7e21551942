"""Through the front door a client gets the very answer that the partition gives when it is asked itself.

The table of requests is played on fresh projects: against a real Zaqar (twice, which proves that the comparison holds
for equal things), and against the front door before the same Zaqar.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from tests.servers.marconi import MarconiProxy
from tests.servers.zaqar import Zaqar
from tests.wire.conftest import Directly
from tests.wire.requests_table import ROUTES, TABLE
from tests.wire.script import Played, Script, play

CASES = [pytest.param(script, release, id=f"{script}-{release}") for script in TABLE for release in script.releases]


@pytest.mark.parametrize(("script", "release"), CASES)
def test_partition_answers_itself_equally(
    script: Script, release: str, directly: Directly, zaqar_of: Callable[[str], Zaqar]
) -> None:
    first = directly(script, release)
    assert [answered.answer.status for answered in first] == [step.status for step in script.steps]
    _assert_same(first, play(script, zaqar_of(release).address))


@pytest.mark.parametrize(("script", "release"), CASES)
def test_front_door_answers_as_the_partition(
    script: Script, release: str, directly: Directly, front_door_of: Callable[[str], MarconiProxy]
) -> None:
    expected = directly(script, release)
    actual = play(script, front_door_of(release).public_address)
    _assert_same(expected, actual)


def test_table_is_large_enough() -> None:
    assert sum(len(script.steps) for script in TABLE) >= 150
    assert len({str(script) for script in TABLE}) == len(TABLE)


def test_table_has_good_and_bad_answers_of_every_route_and_version() -> None:
    statuses = _statuses_by_route()
    missing = [
        f"{route.method} /{version}{route.path} {route.query}: {what}"
        for route in ROUTES
        for version in route.versions
        for what, found in (
            ("no success", any(status < 400 for status in statuses[route, version])),
            ("no refusal", any(400 <= status < 500 for status in statuses[route, version])),
        )
        if not found
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
def test_table_has_every_status_that_a_version_answers(version: str) -> None:
    expected = {200, 201, 204, 400, 403, 404, 405, 406} | ({409, 415} if version == "v2" else set())
    assert expected <= {step.status for script in TABLE if script.version == version for step in script.steps}


def _statuses_by_route() -> dict[tuple[object, str], set[int]]:
    statuses: dict[tuple[object, str], set[int]] = defaultdict(set)
    for script in TABLE:
        for step in script.steps:
            for route in ROUTES:
                if route.matches(script.version, step.method, step.target):
                    statuses[route, script.version].add(step.status)
    return statuses


def _assert_same(expected: list[Played], actual: list[Played]) -> None:
    differences = list(_differences(expected, actual))
    assert not differences, "\n\n".join(differences)


def _differences(expected: list[Played], actual: list[Played]) -> Iterator[str]:
    for number, (one, other) in enumerate(zip(expected, actual, strict=True), 1):
        if one.answer != other.answer:
            yield f"step {number}, {one}\n----- but -----\n{other.answer}"
