"""``catalog verify``: how it ends, and what is shown when it does not come to its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter

import pytest

from catalog import open_catalog
from catalog.errors import CatalogUnavailable
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.audit.observation import Finding
from marconi_proxy.audit.round import AuditRound, RoundSummary
from marconi_proxy.cli.main import main

GHOST = Finding(FindingKind.GHOST, "p", "q", "north", "q", ("b", 1), "open, and not there", repairable=True)
ORPHAN = Finding(FindingKind.ORPHAN, "p", "o", "north", "o", (), "not in the catalog")


@pytest.fixture(autouse=True)
def quiet_logging():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture
def uri(tmp_path):
    uri = f"sqlite:///{tmp_path}/catalog.db"

    async def fill():
        catalog = await open_catalog(uri)
        await catalog.init()
        await catalog.close()

    asyncio.run(fill())
    return uri


@pytest.fixture
def verify(uri, monkeypatch, capsys):
    """Return a function that runs the command over a round with these findings and this end; it returns the exit
    status, the findings and the messages."""

    def run(*found, end=None, summary=None):
        async def round_(self, scope):
            for finding in found:
                await self._on_finding(finding)
            if end is not None:
                raise end
            return summary or RoundSummary(queues=3, findings=Counter(finding.kind for finding in found))

        monkeypatch.setattr(AuditRound, "run", round_)
        status = main(["catalog", "verify", "--catalog", uri, "-f", "json"])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else None, err

    return run


def test_nothing_wrong(verify):
    status, found, said = verify()
    assert (status, found) == (0, [])
    assert "3 queues compared: no findings." in said


def test_what_is_found_is_shown_and_is_a_refusal(verify):
    status, found, said = verify(GHOST, ORPHAN)
    assert status == 3
    assert [(one["kind"], one["project"], one["repair"]) for one in found] == [
        ("ghost", "p", "possible"),
        ("orphan", "p", "none"),
    ]
    assert "1 can be repaired. Next: marconi-proxy catalog verify --repair" in said


@pytest.mark.parametrize(("found", "expected"), [((), 4), ((GHOST,), 3)])
def test_a_partition_that_could_not_be_asked_is_told(verify, found, expected):
    status, _, said = verify(*found, summary=RoundSummary(3, 0, 2, {"west": "away"}))
    assert status == expected
    assert "partition west: away" in said
    assert "1 queues compared: " in said
    assert "2 more could not be polled." in said


def test_what_was_changing_is_told(verify):
    status, _, said = verify(summary=RoundSummary(3, changed=2))
    assert status == 0
    assert "2 more were changing during a check" in said


@pytest.mark.parametrize(
    ("end", "says"), [(KeyboardInterrupt(), "interrupted"), (CatalogUnavailable("away"), "catalog.db: away")]
)
def test_what_was_found_is_shown_though_it_was_broken_off(verify, end, says):
    status, found, said = verify(GHOST, end=end)
    assert (status, [one["queue"] for one in found]) == (1, ["q"])
    assert says in said
    assert "the comparison is incomplete" in said
    assert "no findings" not in said


def test_what_was_broken_off_before_anything_was_found(verify):
    status, found, said = verify(end=KeyboardInterrupt())
    assert (status, found) == (1, None)
    assert "interrupted; the comparison is incomplete" in said
