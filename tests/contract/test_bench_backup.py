"""bench.backup at a small size: with the commands as processes, and real catalogs."""

from __future__ import annotations

from pathlib import Path

from bench.backup import measure
from bench.catalog_contents import SQLiteFiller


def test_a_catalog_comes_whole_into_the_other_driver_and_back(mongodb_database_uri: str, tmp_path: Path) -> None:
    path = str(tmp_path / "catalog.db")
    figures = measure((f"sqlite:///{path}", mongodb_database_uri), SQLiteFiller(path), 2000, tmp_path)
    assert figures["differences"] == []
    assert figures["documents"]["placement"] == 2000
    assert [(run["command"], run["catalog"]) for run in figures["commands"]] == [
        ("export", "sqlite"),
        ("import", "mongodb"),
        ("export", "mongodb"),
        ("import --replace", "sqlite"),
        ("export", "sqlite"),
    ]
