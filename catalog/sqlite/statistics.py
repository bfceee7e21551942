"""The table of statistics, and the walk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from catalog.interface.statistics import StatisticsStore
from catalog.model import StatisticsSubject, SubjectStatistics, Walk
from catalog.sqlite.file import CatalogFile, Noun, reading, writing
from catalog.sqlite.lock import SQLiteLockedValue
from catalog.sqlite.translation import unavailable


class SQLiteStatistics(Noun, StatisticsStore):
    """``Catalog.statistics``."""

    walk: SQLiteLockedValue[Walk]

    def __init__(self, file: CatalogFile) -> None:
        super().__init__(file)
        self.walk = SQLiteLockedValue(file, "walks", "the walk of statistics", Walk(), Walk.from_json)

    @writing
    def put(
        self,
        connection: sqlite3.Connection,
        subject: StatisticsSubject,
        found: Collection[SubjectStatistics],
        *,
        since: str,
        until: str | None,
    ) -> None:
        where = "subject = ? AND name >= ?" + ("" if until is None else " AND name < ?")
        values = (subject.value, since) if until is None else (subject.value, since, until)
        connection.execute(f"DELETE FROM statistics WHERE {where}", values)  # noqa: S608
        connection.executemany(
            "INSERT OR REPLACE INTO statistics (subject, name, document) VALUES (?, ?, ?)",
            [(subject.value, one.name, json.dumps(one.to_json())) for one in found],
        )

    @reading
    def get(self, connection: sqlite3.Connection, subject: StatisticsSubject, name: str) -> SubjectStatistics | None:
        row = connection.execute(
            "SELECT name, document FROM statistics WHERE subject = ? AND name = ?", (subject.value, name)
        ).fetchone()
        return _decode(row, self._path) if row else None

    @reading
    def find(
        self, connection: sqlite3.Connection, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[SubjectStatistics]:
        bound = "name > ?" if after is not None else "name >= ?"  # the global namespace has the empty name
        rows = connection.execute(
            f"SELECT name, document FROM statistics WHERE subject = ? AND {bound} ORDER BY name LIMIT ?",  # noqa: S608
            (subject.value, after or "", max(limit, 0)),
        )
        return [_decode(row, self._path) for row in rows]


def _decode(row: tuple[str, str], path: str) -> SubjectStatistics:
    name, document = row
    try:
        return SubjectStatistics.from_json({**json.loads(document), "name": name})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the statistics of {name!r} are damaged ({error})") from error
