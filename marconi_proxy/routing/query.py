"""Raw query strings, read as a partition reads them (API section 1.6), and changed without touching the rest."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, unquote_plus


def _name(field: str) -> str:
    return unquote_plus(field.partition("=")[0])


def values(query: str, name: str) -> list[str]:
    """Return the decoded values of a list parameter. Literal commas separate; empty values count as absent."""
    found = []
    for field in query.split("&"):
        if _name(field) == name:
            found += [unquote_plus(part) for part in field.partition("=")[2].split(",") if part]
    return found


def last(query: str, name: str) -> str | None:
    """Return the decoded value of a scalar parameter: the last one given, None if there is none."""
    found = values(query, name)
    return found[-1] if found else None


def changed(query: str, name: str, change: Callable[[str], str]) -> str:
    """Return the query with every value of ``name`` replaced by the result of ``change`` on it, decoded."""
    if name not in query and "%" not in query:
        return query
    fields = []
    for field in query.split("&"):
        if _name(field) == name:
            parts = field.partition("=")[2].split(",")
            new = ",".join(quote(change(unquote_plus(part)), safe="") if part else "" for part in parts)
            fields.append(f"{name}={new}")
        else:
            fields.append(field)
    return "&".join(fields)


def replaced(query: str, name: str, value: str | None) -> str:
    """Return the query with ``name`` given once, with ``value``; None: not at all. It keeps its place if it has one."""
    fields = []
    due = value is not None
    for field in query.split("&") if query else ():
        if _name(field) != name:
            fields.append(field)
        elif due:
            fields.append(f"{name}={quote(value or '', safe='')}")
            due = False
    if due:
        fields.append(f"{name}={quote(value or '', safe='')}")
    return "&".join(fields)
