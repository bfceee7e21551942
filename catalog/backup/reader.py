"""Parse and check a backup. Errors name the line and the field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, BinaryIO, NoReturn

from catalog.backup.lines import END, FORMAT, MAX_LINE, VERSION, kind_of, sort_key
from catalog.backup.shapes import PLAN_OF_VERSION_3, SHAPES, check
from catalog.interface import SCHEMA_VERSION
from catalog.model import KINDS, BackupValue, Move, MovePlan, Partition, Placement, PlannedMove, QueueKey, WholePlan
from catalog.model.plan import from_version_3

# Values in a batch, and bytes of their lines.
_BATCH = 500
_BATCH_BYTES = 8 * 2**20


class BadBackup(Exception):
    """The stream is no backup, or not a complete one. The message names the line and its fault."""


class Backup:
    """A backup in a stream, read line by line, with one batch in memory at a time.

    ``line`` is the number of the last line read, ``read`` the bytes so far, ``counts`` the values by kind.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = sha256()
        self._order = list(KINDS)
        self._last: tuple[int, tuple[str, ...]] | None = None
        self._partitions: set[str] = set()
        self._moving: set[QueueKey] = set()
        # The plans with moves still to be read, and the moves read of the present one.
        self._plans: dict[str, MovePlan] = {}
        self._moves: list[PlannedMove] = []
        self._schema = SCHEMA_VERSION
        self.line = 0
        self.read = 0
        self.counts = dict.fromkeys(KINDS, 0)

    def batches(self) -> Iterator[list[BackupValue]]:
        """Yield the values. Raises BadBackup at the first wrong line, and at the end if some are missing.

        So only its end proves that a backup is complete.
        """
        self._check_header(self._next())
        batch: list[BackupValue] = []
        began = self.read
        while (document := self._next()).get("kind") != END:
            batch += self._values(document)
            while len(batch) >= _BATCH or (batch and self.read - began > _BATCH_BYTES):
                yield batch[:_BATCH]
                batch, began = batch[_BATCH:], self.read
        self._check_end(document)
        if batch:
            yield batch

    def _refuse(self, words: str) -> NoReturn:
        raise BadBackup(f"line {self.line}: {words}")

    def _next(self) -> dict[str, Any]:
        """Return the next line, and add it to the checksum unless it is the last."""
        line = self._stream.readline(MAX_LINE + 1)
        self.line += 1
        self.read += len(line)
        if len(line) > MAX_LINE:
            self._refuse(f"is longer than {MAX_LINE} bytes")
        if not line.endswith(b"\n"):
            self._refuse("the backup ends here, without its last line: it was cut off")
        try:
            document = json.loads(line, parse_constant=_no_constant, object_pairs_hook=_each_once)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            self._refuse("is not a JSON object")
        if document.get("kind") != END:
            self._digest.update(line)
        return document

    def _check_header(self, header: dict[str, Any]) -> None:
        if header.get("format") != FORMAT:
            self._refuse(f"format: is not {FORMAT!r}; this is no backup of a catalog")
        for name, latest in (("version", VERSION), ("schema", SCHEMA_VERSION)):
            found = header.get(name)
            if not isinstance(found, int) or isinstance(found, bool) or found < 1:
                self._refuse(f"{name}: is not an integer from 1")
            if found > latest:
                self._refuse(f"{name}: {found} is of a later release; this one reads up to {latest}")
        self._schema = header["schema"]
        if not isinstance(header.get("time"), str):
            self._refuse("time: is not a text")

    def _values(self, document: dict[str, Any]) -> list[BackupValue]:
        """Return the value of a line; of a plan of schema version 3 and before, also its moves."""
        kind = document.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            self._refuse(f"kind: is none of {', '.join((*KINDS, END))}")
        if document.keys() != {"kind", "value"}:
            self._refuse("has not exactly a kind and a value")
        written = document["value"]
        of_before = self._schema < 4 and kind == "plan"
        moves: tuple[PlannedMove, ...] = ()
        try:
            check(kind, written, PLAN_OF_VERSION_3 if of_before else SHAPES[kind])
            value: BackupValue
            if of_before:
                value, moves = from_version_3(written)
            else:
                value = KINDS[kind].from_json(written)
            self._check_place(value)
            self._check_whole(value, of_before)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._refuse(f"{kind}: {error}" if not str(error).startswith(kind) else str(error))
        self.counts[kind] += 1
        return [value, *moves]

    def _check_whole(self, value: BackupValue, of_before: bool) -> None:
        """Raise ValueError unless the moves of a plan, in the order of their numbers, belong to it and are complete."""
        if isinstance(value, MovePlan) and not of_before and value.size:
            self._plans[value.id] = value
        elif isinstance(value, PlannedMove):
            self._moves.append(value)
            plan = self._plans.get(value.plan)
            if plan is None or value.number != len(self._moves) - 1:
                raise ValueError(
                    f"number {value.number} of plan {value.plan!a} is too many, or one before it is missing"
                )
            if plan.size == len(self._moves):
                WholePlan(self._plans.pop(value.plan), tuple(self._moves))
                self._moves.clear()

    def _check_place(self, value: BackupValue) -> None:
        place = self._order.index(kind_of(value)), sort_key(value)
        if self._last is not None and place <= self._last:
            twice = place == self._last
            self._refuse("is there twice" if twice else "stands before what it must come after: lines were moved")
        self._last = place
        if isinstance(value, Partition):
            self._partitions.add(value.name)
        elif isinstance(value, Placement):
            for segment in value.segments:
                if segment.partition not in self._partitions:
                    self._refuse(f"placement.segments: partition {segment.partition!a} is not in this backup")
        elif isinstance(value, Move) and not value.finished:
            if value.key in self._moving:
                self._refuse("move: is not finished, like another one of the same queue")
            self._moving.add(value.key)

    def _check_end(self, end: dict[str, Any]) -> None:
        if self._plans:
            self._refuse(f"planned_move: some of plan {min(self._plans)!a} are missing")
        counts = end.get("counts")
        if self._schema < 4 and isinstance(counts, dict):
            counts = {"planned_move": 0, **counts}
        if counts != self.counts:
            self._refuse(f"counts: are not those of the lines before, {self.counts}")
        if end.get("sha256") != self._digest.hexdigest():
            self._refuse("sha256: is not that of the lines before: they were changed or damaged")
        if self._stream.read(1):
            self.line += 1
            self._refuse("there is something after the last line")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key is there twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
