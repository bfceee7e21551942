"""Signed URLs (API sections 4.10, 9.2): the signature of paths, methods, project and expiry. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from partition.errors import BadInput, bad_request

SHAREABLE = frozenset({"messages", "subscriptions", "claims"})
_KNOWN = frozenset({"paths", "methods", "expires"})
_FORMAT = "%Y-%m-%dT%H:%M:%S"
_DAY = 86400
# RFC 9110 section 9.1 allows more in a method, but nothing else is served; and what separates the parts that are signed
# must not be inside of one, or there would be two ways to read a signature.
_METHOD = re.compile(r"[A-Za-z]+")
_SEPARATOR = r"\n"


class Grant(NamedTuple):
    """The scope of a signature: ``methods`` on ``paths`` in ``project`` until ``expires`` (UTC, as text)."""

    paths: tuple[str, ...]
    methods: tuple[str, ...]
    project: str
    expires: str


def signature(secret: str, grant: Grant) -> str:
    """Return 64 lower-case hex digits. The order of paths and methods makes no difference."""
    # Backslash and n, not a line feed: so it is signed, and verified, by every release there is.
    text = _SEPARATOR.join(
        (",".join(sorted(grant.paths)), ",".join(sorted(grant.methods)), grant.project, grant.expires)
    )
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def grant(document: dict[str, Any], queue_path: str, project: str, now: int) -> Grant:
    """Return the grant that the body of a share request asks for; ``now`` in seconds since 1970. Raises BadInput."""
    unknown = sorted(document.keys() - _KNOWN)
    if unknown:
        raise bad_request(f"Unknown keys: {', '.join(unknown)}")
    paths = _texts(document, "paths") or ["messages"]
    strange = sorted(set(paths) - SHAREABLE)
    if strange:
        raise bad_request(f"Invalid paths: {', '.join(strange)}")
    methods = _texts(document, "methods") or ["GET"]
    if not all(_METHOD.fullmatch(method) for method in methods):
        raise bad_request("`methods` should be a list of HTTP methods")
    if _SEPARATOR in project:
        raise bad_request("Resources of this project cannot be shared.")
    expires = document.get("expires")
    until = _expiry(expires) if expires is not None else datetime.fromtimestamp(now + _DAY, UTC)
    if until.timestamp() <= now:
        raise bad_request("`expires` is lower than the current time")
    full = tuple(sorted(f"{queue_path}/{path}" for path in paths))
    return Grant(full, tuple(sorted(methods)), project, until.strftime(_FORMAT))


def allows(secret: str, given: Grant, signed: str, method: str, path: str, now: int) -> bool:
    """Whether ``signed`` is a valid signature of ``given``, and that allows this request now (seconds since 1970)."""
    if _SEPARATOR in given.project or not all(_METHOD.fullmatch(one) for one in given.methods):
        return False
    if method not in given.methods or not any(_covers(one, path) for one in given.paths):
        return False
    try:
        expires = datetime.strptime(given.expires, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return False
    if expires.timestamp() <= now:
        return False
    return hmac.compare_digest(signature(secret, given).encode(), signed.encode())


def _covers(granted: str, path: str) -> bool:
    return bool(granted) and (path == granted or path.startswith(granted + "/"))


def _texts(document: dict[str, Any], name: str) -> list[str]:
    values = document.get(name)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise bad_request(f"`{name}` should be a list")
    return values


def _expiry(value: Any) -> datetime:
    refusal: BadInput = bad_request(f"`expires` should be date format, for example 2016-01-01T00:00:00, not: {value!r}")
    if not isinstance(value, str) or "T" not in value:
        raise refusal
    try:
        parsed = datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise refusal from None
