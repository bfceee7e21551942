"""Output formats missing in cliff: csv of one object, and lists of words without Python's brackets and quotes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from cliff.columns import FormattableColumn
from cliff.formatters.base import SingleFormatter
from cliff.formatters.commaseparated import CSVLister
from cliff.formatters.value import ValueFormatter


class Words(FormattableColumn[list[str]]):
    """A list of words: an array in JSON and YAML, else joined."""

    def human_readable(self) -> str:
        return ", ".join(self._value)

    def __str__(self) -> str:
        return ",".join(self._value)


class CSV(CSVLister, SingleFormatter):
    """A line of names, then a line of values for each object."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        super().emit_list(column_names, map(_cells, data), stdout, parsed_args)

    def emit_one(
        self, column_names: Sequence[str], data: Sequence[Any], stdout: TextIO, parsed_args: argparse.Namespace
    ) -> None:
        self.emit_list(column_names, [data], stdout, parsed_args)


class Value(ValueFormatter):
    """Values only."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        super().emit_list(column_names, map(_cells, data), stdout, parsed_args)

    def emit_one(
        self, column_names: Sequence[str], data: Sequence[Any], stdout: TextIO, parsed_args: argparse.Namespace
    ) -> None:
        super().emit_one(column_names, _cells(data), stdout, parsed_args)


def _cells(row: Iterable[Any]) -> list[Any]:
    return [str(cell) if isinstance(cell, FormattableColumn) else cell for cell in row]
