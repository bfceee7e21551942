"""Count the words of the prose that the rules of English (HACKING.rst) bound.

Prose is the text that a person reads: the documents (README.rst, HACKING.rst, docs/), docstrings, comments, and in
product code every string of four words or more: messages, log lines, help texts. Code is no prose: literal blocks and
``literals`` of reStructuredText, statements of SQL, placeholders of f-strings.

Four things are counted. The first three are bounded per 1,000 words:

* ``who``: ``who``, ``whom``, ``whose``, ``whoever``.
* ``somebody``: ``somebody``, ``someone``, ``nobody``, ``no one``, ``anybody``, ``anyone``, ``everybody``, ``everyone``.
* ``told``: both verbs: ``tell``, ``tells``, ``telling``, ``told``; ``say``, ``says``, ``saying``, ``said``.
* ``starts``: sentences and headings that begin with ``Who``, ``What`` or ``Whoever``. The capital letter is the mark of
  a beginning: in the middle of a sentence none of the three has one.

``python -m tests.prose`` prints the counts per package and per file, and ends with status 1 if a document or a package
of ``REWRITTEN`` exceeds a limit. ``tests/unit/test_prose.py`` asserts the same.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRODUCT = ("catalog", "marconi_proxy", "partition", "serving")
PYTHON = (*PRODUCT, "bench", "docs", "tests")
DOCUMENTS = "documents"

# The most per 1,000 words. The number of sentences counted as ``starts`` must be 0.
LIMITS = {"who": 0.5, "somebody": 0.5, "told": 1.5}
# The packages of code that are held to the limits: one line for each, as ``group`` names it ("catalog",
# "marconi_proxy/cli").
REWRITTEN = (
    "bench",
    "catalog",
    "catalog/backup",
    "catalog/interface",
    "catalog/model",
    "catalog/mongodb",
    "catalog/sqlite",
    "docs",
    "marconi_proxy",
    "marconi_proxy/admin",
    "marconi_proxy/admin_client",
    "marconi_proxy/adoption",
    "marconi_proxy/audit",
    "marconi_proxy/cli",
    "marconi_proxy/fencing",
    "marconi_proxy/front_door",
    "marconi_proxy/metrics",
    "marconi_proxy/moving",
    "marconi_proxy/option_table",
    "marconi_proxy/partition_client",
    "marconi_proxy/quickstart",
    "marconi_proxy/routing",
    "marconi_proxy/serving",
    "marconi_proxy/statistics",
    "marconi_proxy/upstream",
    "partition",
    "partition/admin",
    "partition/api",
    "partition/model",
    "partition/serving",
    "partition/storage",
    "partition/validation",
    "tests",
    "tests/checker",
    "tests/contract",
    "tests/faults",
    "tests/servers",
    "tests/simulation",
    "tests/unit",
    "tests/wire",
    "serving",
)

PATTERNS = {
    "who": re.compile(r"\b(?:who|whom|whose|whoever)\b", re.IGNORECASE),
    "somebody": re.compile(r"\b(?:(?:some|no|any|every)body|(?:some|any|every)one|no one)\b(?! of\b)", re.IGNORECASE),
    "told": re.compile(r"\b(?:tell(?:s|ing)?|told|say(?:s|ing)?|said)\b", re.IGNORECASE),
    "starts": re.compile(r"\b(?:Who|What|Whoever)\b"),
}
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
SQL = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|PRAGMA|WITH|BEGIN|WHERE|AND|FROM|ORDER)\b")
LITERAL = re.compile(r"``.*?``", re.DOTALL)
REFERENCE = re.compile(r":[a-z]+:`|^\s*\.\. (?:_[^:]+:.*|[a-z-]+::.*)$|^\s+:[a-z-]+:.*$", re.MULTILINE)
# Comments that a program reads.
PRAGMA = re.compile(r"#\s*(?:noqa|type:|fmt:|pragma:|ruff:|!)")


@dataclass(slots=True)
class Counts:
    """The words of some prose, and how many of them are of each kind."""

    words: int = 0
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PATTERNS, 0))

    def add(self, other: Counts) -> None:
        self.words += other.words
        for kind, number in other.found.items():
            self.found[kind] += number

    def rate(self, kind: str) -> float:
        """How many of a kind there are per 1,000 words."""
        return 1000 * self.found[kind] / self.words if self.words else 0.0

    def excesses(self) -> list[str]:
        """Name each limit that is exceeded, with the rate."""
        over = [f"{kind}: {self.rate(kind):.2f} > {most}" for kind, most in LIMITS.items() if self.rate(kind) > most]
        if self.found["starts"]:
            over.append(f"starts: {self.found['starts']} > 0")
        return over


def count(texts: Iterable[str]) -> Counts:
    total = Counts()
    for text in texts:
        prose = LITERAL.sub("``", text)
        total.add(Counts(len(WORD.findall(prose)), {kind: len(p.findall(prose)) for kind, p in PATTERNS.items()}))
    return total


def prose_of_document(text: str) -> Iterator[str]:
    """Yield the text of reStructuredText without its literal blocks, directives and targets."""
    literal_of: int | None = None
    kept = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.strip() and literal_of is not None and indent <= literal_of:
            literal_of = None
        if literal_of is None:
            kept.append(line)
            if re.match(r"\s*\.\. (?:code-block|literalinclude)::", line) or (
                line.rstrip().endswith("::") and not line.lstrip().startswith("..")
            ):
                literal_of = indent
    yield REFERENCE.sub("", "\n".join(kept))


def prose_of_code(source: str, *, with_strings: bool) -> Iterator[str]:
    """Yield docstrings and comments, and with strings also each string of four words or more."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not PRAGMA.match(token.string):
            yield token.string
    tree = ast.parse(source)
    docstrings = {id(node) for node in _docstrings(tree)}
    for node in _strings(tree):
        text = _text(node)
        if id(node) in docstrings:
            yield from prose_of_document(text)
        elif with_strings and len(WORD.findall(text)) >= 4 and not SQL.match(text):
            yield text


def _docstrings(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


def _strings(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Yield each string once: of an f-string the whole, and what its placeholders have inside."""
    if isinstance(node, ast.JoinedStr):
        yield node
        children: Iterable[ast.AST] = (part for part in node.values if not isinstance(part, ast.Constant))
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node
        return
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _strings(child)


def _text(node: ast.expr) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else " {} " for part in parts)


def group(path: Path) -> str:
    """Return the name under which a file is counted: the documents, or its package, of the large ones each part."""
    first, *rest = path.relative_to(ROOT).parts
    if path.suffix == ".rst":
        return DOCUMENTS
    return f"{first}/{rest[0]}" if len(rest) > 1 and first in (*PRODUCT, "tests") else first


def files() -> Iterator[Path]:
    yield from (ROOT / "README.rst", ROOT / "HACKING.rst")
    yield from sorted((ROOT / "docs").rglob("*.rst"))
    yield from chain.from_iterable(sorted((ROOT / package).rglob("*.py")) for package in PYTHON)


def counts_of(path: Path) -> Counts:
    text = path.read_text()
    if path.suffix == ".rst":
        return count(prose_of_document(text))
    return count(prose_of_code(text, with_strings=path.relative_to(ROOT).parts[0] in PRODUCT))


def _row(name: str, counts: Counts) -> str:
    rates = "".join(f"{counts.rate(kind):>10.2f}" for kind in LIMITS)
    return f"{name:<52}{counts.words:>8}{rates}{counts.found['starts']:>8}"


def main() -> int:
    by_file = {path: counts_of(path) for path in files()}
    by_group: dict[str, Counts] = defaultdict(Counts)
    total = Counts()
    for path, counts in by_file.items():
        by_group[group(path)].add(counts)
        total.add(counts)
    head = f"{'':<52}{'words':>8}{''.join(f'{kind:>10}' for kind in LIMITS)}{'starts':>8}"
    print(head)
    for path, counts in by_file.items():
        print(_row(str(path.relative_to(ROOT)), counts))
    print(f"\n{head}")
    for name, counts in by_group.items():
        print(_row(name, counts))
    print(_row("everything", total))
    excesses = {name: by_group[name].excesses() for name in (DOCUMENTS, *REWRITTEN)}
    for name, over in excesses.items():
        for excess in over:
            print(f"{name}: {excess}", file=sys.stderr)
    return int(any(excesses.values()))


if __name__ == "__main__":
    sys.exit(main())
