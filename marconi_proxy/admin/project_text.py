"""How a project is written in URLs and JSON, and how it is stored.

The catalog stores the bytes of ``X-Project-Id`` read as latin-1, as header text is. People and JSON write UTF-8.
Percent-decoding a URL into latin-1 text therefore gives the stored form at once, whatever the bytes mean.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from catalog.model import NO_PROJECT

_NONE = "-"
_LITERAL = "id:"


def from_url(encoded: str) -> str:
    """Return the stored text of a percent-encoded part of a URL."""
    return unquote(encoded, encoding="latin-1")


def project_named(text: str) -> str:
    """Return the project that ``text`` (in stored form) names: ``-`` is no project, ``id:X`` is X, else itself.

    Raises ValueError if it names nothing.
    """
    if text == _NONE:
        return NO_PROJECT
    project = text.removeprefix(_LITERAL)
    if not project:
        raise ValueError("a project is written as its id, as id: and its id, or as - for no project")
    return project


def shown(stored: str) -> str:
    """Return what to show for stored text: its bytes as UTF-8 if they are that, else as latin-1."""
    try:
        return stored.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return stored


def shown_project(project: str) -> str | None:
    """Return the form of JSON: None for no project."""
    return None if project == NO_PROJECT else shown(project)


def to_url(stored: str) -> str:
    """Return stored text percent-encoded, as one part of a path or query; the inverse of ``from_url``."""
    return quote(stored, safe="", encoding="latin-1", errors="strict")
