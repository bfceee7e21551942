"""Splitting URIs, without interpreting their parts.

The standard library's parser is unsuitable here: MongoDB's authority is a list of hosts, and newer releases of it
refuse a list in which an IPv6 literal is not the first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# RFC 3986, appendix B. It matches everything.
_URI = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)


class Parts(NamedTuple):
    """A missing part is an empty string. The scheme is in lower case."""

    scheme: str
    authority: str
    path: str
    query: str
    fragment: str


def split(uri: str) -> Parts:
    """Split ``uri``. Never fails."""
    found = _URI.fullmatch(uri)
    assert found is not None
    scheme, *others = (part or "" for part in found.groups())
    return Parts(scheme.lower(), *others)
