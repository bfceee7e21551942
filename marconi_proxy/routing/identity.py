"""The project of a call, and the header rules of the API that do not depend on a queue (API section 1.2).

A call that breaks a rule is not answered here: it goes to a partition, which refuses it in its own words.
"""

from __future__ import annotations

import uuid

from falcon.util import mediatypes

from catalog.model import NO_PROJECT
from marconi_proxy.routing.headers import RequestHead

MAX_PROJECT_LENGTH = 256
_FORM = b"application/x-www-form-urlencoded"


def namespace(version: str, project: bytes | None) -> str | None:
    """Return the project of the catalog for an ``X-Project-Id`` header, or None if the API refuses the call for it.

    The text is the header's bytes as latin-1 (RFC 9110 section 5.5), as a WSGI partition reads it too; so two different
    headers are two projects. Only v1 has calls without a project.
    """
    if project is None:
        return NO_PROJECT if version == "v1" else None
    return project.decode("latin-1") or None


def names_queues(project: str) -> bool:
    """Return whether calls on queues are possible in a project: its id may be too long, which only these calls
    check."""
    return len(project) <= MAX_PROJECT_LENGTH


def is_client_id(value: bytes) -> bool:
    """Return whether a ``Client-ID`` is a UUID in any of the spellings that the API takes (API section 1.2, 4)."""
    try:
        uuid.UUID(value.decode("latin-1"))
    except ValueError:
        return False
    return True


def accepts_json(accept: bytes | None) -> bool:
    """Return whether an ``Accept`` header admits ``application/json`` (API section 1.2, 3)."""
    if not accept:
        return True
    try:
        return mediatypes.quality("application/json", accept.decode("latin-1").lower()) > 0
    except ValueError:
        return False


def well_formed(version: str, head: RequestHead) -> bool:
    """Return whether the headers of a call without queue and body pass every check of API section 1.2.

    ``version`` "" is the version document, which only checks ``Accept``.
    """
    if head.is_signed or not accepts_json(head.get(b"accept")):
        return False
    content_type = head.get(b"content-type")
    if content_type is not None and head.length is not None and content_type.lower() == _FORM:
        return False
    if not version:
        return True
    client = head.get(b"client-id")
    if (client is None and version != "v1") or (client is not None and not is_client_id(client)):
        return False
    return namespace(version, head.project) is not None
