"""The differences between the versions of the API, as data (API section 7)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version of the API.

    ``strict``       Client-ID and X-Project-Id are needed on every route
    ``lazy``         a post creates its queue, a missing queue looks empty rather than missing
    ``enveloped``    lists of messages travel in an object, messages have an id, empty lists are documents
    ``attributes``   reserved metadata has effects and is shown with defaults; and the other features of v2
    ``located``      answers to GET have Content-Location
    """

    prefix: str
    strict: bool
    lazy: bool
    enveloped: bool
    attributes: bool
    located: bool


V1 = Dialect("v1", strict=False, lazy=False, enveloped=False, attributes=False, located=True)
V1_1 = Dialect("v1.1", strict=True, lazy=True, enveloped=True, attributes=False, located=False)
V2 = Dialect("v2", strict=True, lazy=True, enveloped=True, attributes=True, located=False)

DIALECTS = (V1, V1_1, V2)
