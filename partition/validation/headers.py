"""Request headers (API section 1.2): content type, accepted types, client and project. None stands for absent."""

from __future__ import annotations

import uuid
from functools import lru_cache

from partition.errors import BadInput, bad_request
from partition.model.limits import Limits
from partition.model.queue import Epoch

_FORM = b"application/x-www-form-urlencoded"
_ADMITTING = frozenset({"*/*", "application/*", "application/json"})
# API section 1.2: harmless, though the reference refuses them.
_VENDOR = "application/vnd.openstack.messaging-v"


def check_content_type(content_type: bytes | None, content_length: bytes | None) -> None:
    """Refuse forms, which old clients of some libraries send by mistake, if there is a body."""
    if content_type is not None and content_length is not None and content_type.lower() == _FORM:
        raise BadInput(
            "Invalid Content-Type",
            "Endpoint does not accept `application/x-www-form-urlencoded` content; currently supported media type is "
            '`application/json`; specify proper client-side media type with the "Content-Type" header.',
        )


# Bytes of the longest header value that is cached, so that a client cannot fill the memory.
_REMEMBERED = 100


def admits_json(accept: bytes | None) -> bool:
    """Whether the value of an Accept header admits application/json with some quality above zero."""
    if not accept:
        return True
    return _admits_json(accept) if len(accept) <= _REMEMBERED else _admits_json.__wrapped__(accept)


@lru_cache(maxsize=256)
def _admits_json(accept: bytes) -> bool:
    # RFC 9110 section 12.5.1: the most specific range decides.
    quality: dict[str, float] = {}
    for entry in accept.decode("latin-1").lower().split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        if media in _ADMITTING or (media.startswith(_VENDOR) and media.endswith("+json")):
            quality[media] = max(quality.get(media, 0.0), _quality(parameters))
    for media in ("application/json", "application/*", "*/*"):
        if media in quality:
            return quality[media] > 0
    return any(value > 0 for value in quality.values())


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def missing_client() -> BadInput:
    """No Client-ID where one is needed."""
    return BadInput("Missing header value", 'The "Client-ID" header is required.')


def client(value: bytes, limits: Limits) -> bytes:
    """Return the identity of the client: two spellings of one UUID are the same bytes. Raises BadInput."""
    if limits.client_id_uuid_safe == "off":
        if not limits.min_length_client_id <= len(value) <= limits.max_length_client_id:
            raise bad_request(
                f"Length of client id must be at least {limits.min_length_client_id} and no greater than "
                f"{limits.max_length_client_id}."
            )
        return (_uuid(value) if len(value) <= _REMEMBERED else None) or value
    found = _uuid(value) if len(value) <= _REMEMBERED else None
    if found is None:
        raise BadInput("Wrong UUID value", "Malformed hexadecimal UUID.")
    return found


@lru_cache(maxsize=4096)
def _uuid(value: bytes) -> bytes | None:
    try:
        return uuid.UUID(value.decode("ascii")).bytes
    except ValueError:
        return None


def check_project(value: bytes | None, *, required: bool) -> None:
    """Raise BadInput for an empty project, and for a missing one where one is required."""
    if value == b"":
        raise BadInput(
            "Empty project header not allowed",
            "X-PROJECT-ID cannot be an empty string. Specify the right header X-PROJECT-ID and retry.",
        )
    if value is None and required:
        raise BadInput("Project-Id Missing", "The header X-PROJECT-ID was missing")


def epoch(value: bytes | None) -> Epoch | None:
    """Return the epoch from a proxy's header. Raises BadInput."""
    if value is None:
        return None
    found = Epoch.read(value)
    if found is None:
        raise bad_request("The X-Marconi-Epoch header must be LIFE/EPOCH; only a proxy sends it.")
    return found
