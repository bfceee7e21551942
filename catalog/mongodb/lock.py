"""Locks: the fields ``holder``, ``token``, ``beat`` and ``seconds`` of the documents that have them.

``until`` is of releases before schema version 4, which compare it with the clock. It says that a lock is held for ever,
so that a process of such a release leaves it alone. One that holds a lock renews ``until`` only, and knows no ``beat``
and no ``seconds``: then ``until`` counts as its beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from catalog.model import Holder

_FOR_EVER = datetime(9999, 12, 31)
_SINCE = datetime(1970, 1, 1)
FREE: dict[str, Any] = {"holder": None, "until": None}


def held(token: int) -> dict[str, Any]:
    """Return the condition that the hold under ``token`` lasts."""
    return {"token": token, "holder": {"$ne": None}}


def free_for(holder: str, over: Holder | None) -> dict[str, Any]:
    """Return the condition that ``holder`` may take it: it is free, or its own already, or held as ``over`` says."""
    ways: list[dict[str, Any]] = [{"holder": None}, {"holder": holder}]
    if over is not None:
        beats = [{"until": _FOR_EVER, "beat": over.beat}, {"until": _SINCE + timedelta(milliseconds=over.beat)}]
        ways.append({"holder": over.name, "token": over.token, "$or": beats})
    return {"$or": ways}


def taken(holder: str, seconds: float) -> dict[str, Any]:
    """Return the update that begins a hold."""
    hold = {"holder": holder, "beat": 0, "seconds": seconds, "until": _FOR_EVER}
    return {"$set": hold, "$inc": {"token": 1}}


def renewed(seconds: float) -> dict[str, Any]:
    """Return the update that renews a hold."""
    return {"$set": {"seconds": seconds}, "$inc": {"beat": 1}}


def holder_of(document: Mapping[str, Any]) -> Holder | None:
    """Return the process that holds it, None if none does. Raises KeyError for what is no lock."""
    if document["holder"] is None:
        return None
    until = document["until"]
    if until == _FOR_EVER:
        return Holder(document["holder"], document["token"], document["beat"], document["seconds"])
    # A hold of an earlier release promises nothing, and what the document had before is not its own.
    return Holder(document["holder"], document["token"], (until - _SINCE) // timedelta(milliseconds=1))
