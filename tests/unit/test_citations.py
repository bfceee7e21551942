"""Every citation leads somewhere: sections of the API, RFCs, papers, files and modules that code and documents name.

A citation is found by its form. ``wrong_citations`` returns those that lead nowhere; the tests below plant such ones.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("bench", "catalog", "marconi_proxy", "partition", "serving", "tests")
FOLDERS = (*CODE, "docs", "etc", r"\.ci")
SUFFIXES = ("c", "cfg", "ini", "py", "rst", "sample", "toml", "txt")
API = ROOT / "docs/reference/api.rst"
STANDARDS = ROOT / "docs/reference/standards.rst"
ARCHITECTURE = ROOT / "docs/architecture.rst"
# The documents with sections that are cited by number, by the word before "section" and their labels.
NUMBERED = {"api": API, "architecture": ARCHITECTURE}

# A citation may go on in the next line of a comment.
_GAP = r"(?:\s|#)+"
_NUMBER = r"\d+(?:\.(?:\d+|[A-D]\b))*"
_SECTIONS = re.compile(
    rf"\b[Ss]ections?{_GAP}({_NUMBER}(?:(?:-|,{_GAP}(?:and{_GAP})?|{_GAP}(?:and|to){_GAP}){_NUMBER})*)"
)
_TITLED_SECTION = re.compile(rf"\b[Aa]rchitecture{_GAP}section{_GAP}\"([^\"]+)\"")
_RFC = re.compile(rf"\bRFC{_GAP}\d+")
_PAPER = re.compile(rf"\b[A-Z][a-z]+(?:{_GAP}&{_GAP}[A-Z][a-z]+)*{_GAP}(?:19|20)\d\d(?=[);])")
_LITERAL = re.compile(r"``([^`\s]+)``")
_COMMAND = re.compile(rf"\bpython -m ((?:{'|'.join(CODE)})[\w.]*\w)")
_DOTTED = re.compile(r"[A-Za-z_]\w+(?:\.\w+)+(?:\(\))?")
_PATH = re.compile(rf"(?<![\w/`.:-])(?:{'|'.join(FOLDERS)})/[\w./-]+\.(?:{'|'.join(SUFFIXES)})\b")
# The modules that the docstring of a package lists: ``name: words · name, name: words``.
_LISTED = re.compile(r"(?:^|\n\n|· |[a-z)]\. )((?:[a-z_]+(?:, | and ))*[a-z_]+): ")


def texts() -> Iterator[Path]:
    """Yield the files with citations that must lead somewhere: all code and documentation, but for this test."""
    for folder in (*CODE, "docs"):
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if path != Path(__file__))
    yield from sorted((ROOT / "docs").rglob("*.rst"))
    yield from sorted(ROOT.glob("*.rst"))


def wrong_citations(path: Path, text: str) -> list[str]:
    """Return one line for each citation in ``text``, which is that of ``path``, that leads nowhere."""
    finders: tuple[Callable[[Path, str], Iterator[tuple[int, str]]], ...] = (_sections, _standards, _names, _contents)
    found = sorted(wrong for finder in finders for wrong in finder(path, text))
    return [f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, at) + 1}: {words}" for at, words in found]


def _sections(path: Path, text: str) -> Iterator[tuple[int, str]]:
    for match in _SECTIONS.finditer(text):
        before = re.sub(_GAP, " ", text[max(0, match.start() - 40) : match.start()]).rstrip("( ,")
        if re.search(r"\bRFC \d+$", before):
            continue
        own = next((name for name, numbered in NUMBERED.items() if path == numbered), None)
        document = own or before.rpartition(" ")[2].strip('("').lower()
        if document not in NUMBERED:
            yield match.start(), f"section {match[1]} of which document?"
            continue
        for number in re.findall(_NUMBER, match[1]):
            if number.lower() not in _labels(NUMBERED[document], document):
                yield match.start(), f"no {document} section {number}"
    for match in _TITLED_SECTION.finditer(text):
        if match[1] not in _titles(ARCHITECTURE):
            yield match.start(), f"no architecture section {match[1]!r}"


def _standards(path: Path, text: str) -> Iterator[tuple[int, str]]:
    for match in [*_RFC.finditer(text), *_PAPER.finditer(text)]:
        name = re.sub(_GAP, " ", match[0])
        if not re.search(rf"^{name}\b", STANDARDS.read_text(), re.MULTILINE):
            yield match.start(), f"{name} is not in {STANDARDS.relative_to(ROOT)}"


def _names(path: Path, text: str) -> Iterator[tuple[int, str]]:
    for match in _PATH.finditer(text):
        if not _is_file(path, match[0]):
            yield match.start(), f"no file {match[0]}"
    for match in _COMMAND.finditer(text):
        if not _leads(ROOT, match[1].split(".")):
            yield match.start(), f"no module {match[1]}"
    for match in _LITERAL.finditer(text):
        name = match[1]
        if name.startswith(("/", "~")):  # a route, or a place on some machine
            continue
        if Path(name).suffix[1:] in SUFFIXES or re.match(rf"(?:{'|'.join(FOLDERS)})/", name):
            if not _is_file(path, name):
                yield match.start(), f"no file {name}"
        elif name.startswith("test_") and name.isidentifier():
            if name not in _tests():
                yield match.start(), f"no test {name}"
        elif path == API or name.isupper() or not _DOTTED.fullmatch(name):
            continue
        elif not _is_name(path, text, name.removesuffix("()")):
            yield match.start(), f"no module, class or member {name}"


def _contents(path: Path, text: str) -> Iterator[tuple[int, str]]:
    if path.name == "__init__.py" and (words := ast.get_docstring(ast.parse(text))):
        words = re.sub(r"(?<!\n)\n(?!\n)", " ", words)
        for match in _LISTED.finditer(words):
            for name in re.split(", | and ", match[1]):
                if not _module(path.parent, [name]):
                    yield 0, f"no module {name} in this package"


def _is_file(path: Path, name: str) -> bool:
    """Whether ``name`` is a file or folder, from the top or from one of the folders that ``path`` is in."""
    return any(list(folder.glob(name.strip("/"))) for folder in path.parents if folder.is_relative_to(ROOT))


def _is_name(path: Path, text: str, name: str) -> bool:
    """Whether ``name`` leads to a module or to what one defines, is an expression of the file, or a storage driver."""
    first, *rest = name.split(".")
    folders = [folder for folder in path.parents if folder.is_relative_to(ROOT)]
    if any(_leads(folder, [first, *rest]) for folder in (*folders, *(ROOT / package for package in CODE))):
        return True
    # A class, or a variable that is called after its class.
    class_name = first if first[0].isupper() else "".join(word.title() for word in first.split("_"))
    if any(_is_member(source, class_name, rest) for source in _classes().get(class_name, ())):
        return True
    if first in sys.stdlib_module_names:
        return hasattr(import_module(first), rest[0])
    if path.suffix == ".py" and re.search(rf"(?<![`\w.]){re.escape(name)}\b(?!`)", text):
        return True
    return f"\n{name} =\n" in (ROOT / "setup.cfg").read_text()


def _leads(folder: Path, names: list[str]) -> bool:
    """Whether ``names`` lead from ``folder`` to a module, to what it defines, or to a member of a class in it."""
    for length in range(len(names), 0, -1):
        if source := _module(folder, names[:length]):
            rest = names[length:]
            known = not rest or rest[0] in _defined(source)
            return known and (len(rest) < 2 or _is_member(source, rest[0], rest[1:]))
    return False


def _module(folder: Path, names: list[str]) -> Path | None:
    place = folder.joinpath(*names)
    for source in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if source.is_file():
            return source
    return None


def _is_member(source: Path, class_name: str, names: list[str]) -> bool:
    """Whether the class, or one that it inherits from, has the first of ``names``."""
    for node in _tree(source).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            inherited = ((source, base) for base in bases for source in _classes().get(base, ()))
            return names[0] in _bound(node) or any(_is_member(place, base, names) for place, base in inherited)
    return False


@cache
def _defined(source: Path) -> set[str]:
    """Return the names that a module defines at its top."""
    names: set[str] = set()
    for node in _tree(source).body:
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        names.update({node.name} if named else _bound(node))
    return names


def _bound(node: ast.AST) -> set[str]:
    """Return every name that is defined in ``node``, attributes of ``self`` included."""
    names: set[str] = set()
    for child in ast.walk(node):
        match child:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add(other or name)
    return names


@cache
def _tree(source: Path) -> ast.Module:
    return ast.parse(source.read_text())


@cache
def _classes() -> dict[str, list[Path]]:
    """Return the modules that define each class."""
    found: dict[str, list[Path]] = {}
    for folder in CODE:
        for source in (ROOT / folder).rglob("*.py"):
            for name in re.findall(r"^class (\w+)", source.read_text(), re.MULTILINE):
                found.setdefault(name, []).append(source)
    return found


@cache
def _tests() -> set[str]:
    """Return the names of test modules and of test functions."""
    sources = list((ROOT / "tests").rglob("test_*.py"))
    functions = (name for source in sources for name in re.findall(r"\bdef (test_\w+)", source.read_text()))
    return {source.stem for source in sources}.union(functions)


@cache
def _labels(path: Path, prefix: str) -> set[str]:
    """Return the numbers of the labels ``prefix-NUMBER``, in lower case as docutils has labels."""
    return set(re.findall(rf"^\.\. _{prefix}-(\S+):$", path.read_text() if path.is_file() else "", re.MULTILINE))


@cache
def _titles(path: Path) -> set[str]:
    text = path.read_text() if path.is_file() else ""
    return {title for title, line in re.findall(r"^(\S.*)\n([-=~^]+)$", text, re.MULTILINE) if len(line) >= len(title)}


def test_every_citation_leads_somewhere() -> None:
    wrong = [line for path in texts() for line in wrong_citations(path, path.read_text())]
    assert not wrong, "\n".join(["Citations that lead nowhere:", *wrong])


def test_labels_are_those_of_the_headings() -> None:
    found = re.findall(r"^\.\. _api-(\S+):\n\n(\S+) ", API.read_text(), re.MULTILINE)
    assert len(found) == len(_labels(API, "api"))
    assert [label for label, number in found if label != number.lower()] == []


@pytest.mark.parametrize(
    "citation",
    [
        "(API section 99)",
        "(API section 4.99)",
        "(API sections 4.12, 4.99)",
        "(API sections 2.1-2.99)",
        "API sections 1.2 to 1.99",
        "(API\n# section 4.99)",
        "the limit (section 1.7)",
        "API section 13.A.99",
        "(architecture section 99)",
        '(architecture section "No such title")',
        "RFC 99999 section 1",
        "RFC\n# 99999",
        "(Nobody 1999)",
        "(Thaler & Nobody 1998)",
        "``catalog/changeless.py``",
        "see docs/removed.rst",
        "``catalog/nothing/``",
        "``removed.py``",
        "``python -m bench.removed``",
        "``test_removed``",
        "``moving.fence``",
        "``marconi_proxy.upstream.removed``",
        "``marconi_proxy.upstream.errors.Removed``",
        "``upstream.balance.Balancer.removed``",
        "``Catalog.removed``",
        "``Removed.get``",
        "``removed.get``",
        "``time.removed``",
        "route: a request line · wellformed: what is refused",
    ],
)
def test_wrong_citation_is_found(citation: str) -> None:
    assert len(_wrong_in_docstring(citation)) == 1


@pytest.mark.parametrize(
    "citation",
    [
        "(API section 4.12)",
        "(API\n    # section 4.12)",
        "(API sections 2-4, 8.1)",
        "API sections 1.2 to 1.6, and 13.A.3",
        "RFC 9110 section 7.6.1",
        "(Thaler\n# & Ravishankar 1998)",
        "in 1998",
        "``catalog/unchanged.py``",
        "``tests/wire/contract``",
        "``setup.cfg``",
        "``etc/*.conf.sample``",
        "``test_citations``",
        "``fencing.fence``",
        "``upstream.exchange.Guard``",
        "``route.ROUTES``",
        "``Catalog.watch``",
        "``placement.epoch``",
        "``time.monotonic()``",
        "``NOUN.VERB``",
        "query.after\n``query.after``",
        "route: a request line · tags, query: what is refused",
    ],
)
def test_right_citation_is_passed(citation: str) -> None:
    assert _wrong_in_docstring(citation) == []


def test_wrong_citation_is_named_with_its_place() -> None:
    found = wrong_citations(ROOT / "docs/moves.rst", "Moves\n=====\n\nThe fence: ``moving.fence``.\n")
    assert found == ["docs/moves.rst:4: no module, class or member moving.fence"]


def _wrong_in_docstring(citation: str) -> list[str]:
    return wrong_citations(ROOT / "marconi_proxy/routing/__init__.py", f'"""Words.\n\n{citation}.\n"""\n')
