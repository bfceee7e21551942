"""The file of a plan: JSON Lines, in which an operator reads the plan and edits the rules.

The first line is a header. Conflicts follow, then queues without a conflict, one line each. The last line has their
numbers and a SHA-256 of all lines before, without ``rule`` and ``keep`` of conflicts, so that other edits and a
truncated file are detected. The file is read line by line, so its size does not matter.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from catalog.model import QueueKey
from catalog.model.field import check_id
from marconi_proxy.adoption.draft import check_together
from marconi_proxy.adoption.entries import RULES, QueueConflict, Single

FORMAT = "marconi-proxy adoption plan 1"
_EDITABLE = ("rule", "keep")
_LONGEST_LINE = 1024 * 1024


class BadPlan(ValueError):
    """The file is not a valid plan. The message has the line and the invalid member."""


@dataclass(frozen=True, slots=True)
class Header:
    """``id``: of the plan. ``made``: its time, in ISO 8601. ``read``: by partition, the way in which it was read."""

    id: str
    made: str
    read: dict[str, str]
    projects: int | None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "id": self.id,
            "made": self.made,
            "partitions": self.read,
            "projects": self.projects,
            "edit": "only 'rule' and 'keep' of the lines with 'conflict'",
            "rules": {rule.value: words for rule, words in RULES.items()},
        }


class Writer:
    """Collect entries in any order, in temporary files in ``directory`` (None: the system's).

    ``finish`` writes the plan to the stream; without it, nothing is written.
    """

    def __init__(self, stream: IO[bytes], directory: str | None) -> None:
        """Create the temporary files. Raises OSError."""
        self._stream = stream
        self._conflicts, self._singles = _spool(directory), _spool(directory)
        self.conflicts = self.singles = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *args: object) -> None:
        self._conflicts.close()
        self._singles.close()

    def add(self, entry: QueueConflict | Single) -> None:
        if isinstance(entry, QueueConflict):
            self.conflicts += 1
            self._conflicts.write(_line(entry.to_json()))
        else:
            self.singles += 1
            self._singles.write(_line(entry.to_json()))

    def finish(self, header: Header) -> str:
        """Write the plan, and return its hash. Raises OSError."""
        digest = sha256()
        self._put(digest, _line(header.to_json()))
        for spool in (self._conflicts, self._singles):
            spool.seek(0)
            for line in spool:
                self._put(digest, line)
        end = {"end": True, "conflicts": self.conflicts, "queues": self.singles, "sha256": digest.hexdigest()}
        self._stream.write(_line(end))
        return digest.hexdigest()

    def _put(self, digest: Any, line: bytes) -> None:
        self._stream.write(line)
        digest.update(_judged(json.loads(line)))


def _spool(directory: str | None) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=directory)


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode("ascii") + b"\n"


def _judged(document: dict[str, Any]) -> bytes:
    """Return the part of a line that is hashed."""
    left_out = _EDITABLE if "conflict" in document else ()
    kept = {name: value for name, value in document.items() if name not in left_out}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


@dataclass(frozen=True, slots=True)
class AdoptionPlan:
    """A verified file. ``conflicts``, ``singles``: the numbers of its lines of each kind."""

    path: Path
    id: str
    conflicts: int
    singles: int
    sha256: str

    def entries(self) -> Iterator[tuple[int, QueueConflict | Single]]:
        """Read the file again; yield (line number, entry). Raises OSError, BadPlan if it changed meanwhile."""
        digest = sha256()
        for number, document in _documents(self.path):
            if "end" in document:
                break
            digest.update(_judged(document))
            if number > 1:
                yield number, _entry(number, document)
        if digest.hexdigest() != self.sha256:
            raise BadPlan("the file was changed while it was applied: give the command again")


def verified(path: Path) -> AdoptionPlan:
    """Read a whole plan and verify it. Raises BadPlan, OSError."""
    digest = sha256()
    header: dict[str, Any] | None = None
    end: dict[str, Any] | None = None
    numbers: dict[QueueKey, int] = {}
    conflicts: dict[QueueKey, QueueConflict] = {}
    singles = 0
    for number, document in _documents(path):
        if end is not None:
            raise BadPlan(f"line {number}: there is something after the end")
        if header is None:
            header = document
            if header.get("format") != FORMAT:
                raise BadPlan(f"line 1: format: is not {FORMAT!r}: this is no plan of this release")
        elif "end" in document:
            end = document
            continue
        else:
            entry = _entry(number, document)
            if isinstance(entry, QueueConflict):
                numbers[entry.key] = number
                conflicts[entry.key] = entry
            else:
                singles += 1
        digest.update(_judged(document))
    if header is None or end is None:
        raise BadPlan("the file has no last line with its hash: it was cut off")
    if (end.get("conflicts"), end.get("queues")) != (len(conflicts), singles):
        raise BadPlan("a line is missing, or there twice: the numbers in the last line are others")
    if end.get("sha256") != digest.hexdigest():
        raise BadPlan("the hash in the last line does not fit: only 'rule' and 'keep' may be edited; make a new plan")
    parted = check_together(conflicts)
    if parted is not None:
        key, why = parted
        raise BadPlan(f"line {numbers[key]}: rule of {key.queue}: {why}")
    try:
        check_id("id", header.get("id"))
    except ValueError as error:
        raise BadPlan(f"line 1: {error}") from None
    return AdoptionPlan(path, header["id"], len(conflicts), singles, digest.hexdigest())


def _documents(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(_LONGEST_LINE):
            number += 1
            try:
                document = json.loads(line) if line.endswith(b"\n") else None
            except (ValueError, RecursionError):
                document = None
            if not isinstance(document, dict):
                raise BadPlan(f"line {number}: is not one whole JSON object")
            yield number, document


def _entry(number: int, document: dict[str, Any]) -> QueueConflict | Single:
    read: Callable[[dict[str, Any]], QueueConflict | Single] = (
        QueueConflict.from_json if "conflict" in document else Single.from_json
    )
    try:
        return read(document)
    except ValueError as error:
        raise BadPlan(f"line {number}: {error}") from None
