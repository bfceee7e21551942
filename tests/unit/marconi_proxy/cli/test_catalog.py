"""``catalog export`` and ``catalog import`` as operators use them, over SQLite."""

from __future__ import annotations

import errno
import io
import itertools
import json
import logging
import os
import stat

import pytest

from bench.backup import differences
from catalog.backup import importer
from catalog.errors import CatalogUnavailable
from catalog.model import Member
from catalog.sqlite.backups import SQLiteBackups
from catalog.sqlite.members import SQLiteMembers
from marconi_proxy.cli.bars import CountBar
from marconi_proxy.cli.counts import CountLines
from marconi_proxy.cli.main import main
from tests.contract.backup_stage import count, do, filled
from tests.contract.examples import placement

ORDERS = placement("orders", "p1")


@pytest.fixture(autouse=True)
def quiet_logging():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture
def uri(tmp_path):
    return filled(tmp_path)


@pytest.fixture
def other(tmp_path):
    return f"sqlite:///{tmp_path}/other.db"


@pytest.fixture
def backup(uri, tmp_path, capsys):
    path = tmp_path / "catalog.jsonl"
    assert main(["catalog", "export", "--catalog", uri, "-o", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "Exported 1 partition, 0 tenants, 1200 placements, 0 moves, 0 plans, 0 planned moves." in err
    assert f"marconi-proxy catalog import --catalog URI {path}" in err
    return path


def test_a_backup_is_a_file_for_its_owner_and_fills_another_catalog(backup, other, tmp_path, capsys):
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert len(backup.read_text().splitlines()) == 1203
    assert main(["catalog", "import", "--catalog", other, str(backup)]) == 0
    assert (
        "Imported 1 partition, 0 tenants, 1200 placements, 0 moves, 0 plans, 0 planned moves."
        in capsys.readouterr().err
    )
    again = tmp_path / "again.jsonl"
    assert main(["catalog", "export", "--catalog", other, "-o", str(again)]) == 0
    assert differences(backup, again) == []


def test_a_catalog_that_is_not_empty_is_left_alone_unless_it_is_replaced(backup, uri, capsys):
    do(uri, lambda catalog: catalog.placements.insert(ORDERS))
    assert main(["catalog", "import", "--catalog", uri, str(backup)]) == 3
    err = capsys.readouterr().err
    assert "not empty: it has partitions, placements. Nothing was changed. Next: the same command with --replace" in err
    assert count(uri) == 1201
    assert main(["catalog", "import", "--catalog", uri, "--replace", str(backup)]) == 0
    assert count(uri) == 1200


def test_not_while_workers_serve(backup, uri, capsys, monkeypatch):
    do(uri, lambda catalog: catalog.members.register(Member("host/1/boot", lease=30.0)))
    listed, beats = SQLiteMembers.all, itertools.count(1)

    async def renewed(self):
        await self.renew(Member("host/1/boot", next(beats), lease=30.0))
        return await listed(self)

    monkeypatch.setattr(SQLiteMembers, "all", renewed)
    assert main(["catalog", "import", "--catalog", uri, "--replace", str(backup)]) == 3
    err = capsys.readouterr().err
    for words in (
        "1 front-door worker registered: host/1/boot",
        "Next: stop the front door, the movers",
        "Nothing was changed.",
    ):
        assert words in err
    do(uri, lambda catalog: catalog.check())


def test_workers_that_were_killed_are_waited_for(backup, uri, capsys, monkeypatch):
    monkeypatch.setattr(importer, "_GLANCE", 0.01)
    do(uri, lambda catalog: catalog.members.register(Member("host/1/boot", lease=0.2)))
    assert main(["catalog", "import", "--catalog", uri, "--replace", str(backup)]) == 0
    assert do(uri, lambda catalog: catalog.members.all()) == []
    assert count(uri) == 1200


def test_a_damaged_file_changes_nothing(backup, other, capsys):
    lines = backup.read_text().splitlines(keepends=True)
    for damaged, words in (
        (lines[:-1], "line 1203: the backup ends here"),
        ([*lines[:900], *lines[901:]], "line 1202: counts: "),
        ([*lines[:700], lines[700].replace('"epoch":1', '"epoch":"one"'), *lines[701:]], "line 701: placement.epoch: "),
    ):
        backup.write_text("".join(damaged))
        assert main(["catalog", "import", "--catalog", other, str(backup)]) == 3
        err = capsys.readouterr().err
        assert f"{backup}: {words}" in err
        assert "Nothing was changed." in err
        do(other, lambda catalog: catalog.check())
        assert count(other) == 0


def test_a_store_that_fails_in_the_middle_is_no_refusal(backup, other, monkeypatch, capsys):
    async def load(self, token, values):
        raise CatalogUnavailable("the disk is full")

    monkeypatch.setattr(SQLiteBackups, "load", load)
    assert main(["catalog", "import", "--catalog", other, str(backup)]) == 1
    err = capsys.readouterr().err
    assert "the disk is full" in err
    assert "was emptied and is incomplete, and servers refuse it until" in err


def test_an_import_that_is_interrupted_while_it_reads_says_that_nothing_was_changed(backup, other, monkeypatch, capsys):
    async def verify(stream, seen):
        raise KeyboardInterrupt

    monkeypatch.setattr(importer, "verify", verify)
    assert main(["catalog", "import", "--catalog", other, str(backup)]) == 1
    assert "interrupted. Nothing was changed." in capsys.readouterr().err
    assert count(other) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["export", "--catalog", "sqlite:////none/c.db"], 1, "there is no catalog /none/c.db"),
        (["export", "--catalog", "URI", "-o", "/none/backup"], 1, f"/none/backup: {os.strerror(errno.ENOENT)}"),
        (["import", "--catalog", "URI", "/none/backup"], 2, f"/none/backup: {os.strerror(errno.ENOENT)}"),
        (["import", "--catalog", "URI", "/"], 2, f"/: {os.strerror(errno.EISDIR)}"),
    ],
)
def test_what_is_not_there(uri, arguments, status, words, capsys):
    assert main(["catalog", *(uri if argument == "URI" else argument for argument in arguments)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_a_backup_is_json_lines_on_stdout_and_nothing_else(uri, capfdbinary):
    assert main(["catalog", "export", "--catalog", uri]) == 0
    documents = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert documents[0]["format"] == "marconi-proxy catalog"
    assert documents[-1]["counts"]["placement"] == 1200


def test_lines_come_at_most_every_few_seconds():
    now, said = [0.0], []
    with CountLines(said.append, lambda: now[0], every=5.0) as lines:
        for second in range(12):
            now[0] = float(second)
            lines.show("exporting", second * 1000, second / 12 if second < 8 else None)
    assert said == ["exporting: 5,000 documents, 42%", "exporting: 10,000 documents"]


def test_a_bar_says_how_far_it_is():
    stream = io.StringIO()
    with CountBar(stream, width=100) as bar:
        bar.show("importing", 500, None)
        bar.show("importing", 1234567, 0.5)
    assert "importing" in stream.getvalue()
    assert "1,234,567 documents, 50%" in stream.getvalue()
