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


def written(project: str) -> str:
    """Return the text (in stored form) by which ``project_named`` knows a project."""
    if project == NO_PROJECT:
        return _NONE
    return f"{_LITERAL}{project}" if project == _NONE or project.startswith(_LITERAL) else project


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


def from_json(name: str, value: object) -> str:
    """Return the stored text of member ``name`` of a JSON body; an escaped lone surrogate (``\\udcff``) is a byte that
    is not UTF-8. Raises ValueError naming the member unless it is text that is not empty."""
    try:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    except ValueError:
        raise ValueError(f"{name}: must be text that is not empty and has no NUL") from None


def project_from_json(name: str, value: object) -> str:
    """Return the stored project of member ``name`` of a JSON body: null is no project. Raises ValueError."""
    return NO_PROJECT if value is None else from_json(name, value)
