"""Locks: the fields ``holder``, ``token``, ``beat`` and ``seconds`` of the documents that have them.

``until`` is of releases before schema version 4, which compare it with the clock. It says that a lock is held for ever,
so that a process of such a release leaves it alone. Those releases know no ``beat`` and no ``seconds``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from catalog.model import Holder

_FOR_EVER = datetime(9999, 12, 31)
FREE: dict[str, Any] = {"holder": None, "until": None}


def held(token: int) -> dict[str, Any]:
    """Return the condition that the hold under ``token`` lasts."""
    return {"token": token, "holder": {"$ne": None}}


def free_for(holder: str, over: Holder | None) -> dict[str, Any]:
    """Return the condition that ``holder`` may take it: it is free, or its own already, or held as ``over`` says."""
    ways: list[dict[str, Any]] = [{"holder": None}, {"holder": holder}]
    if over is not None:
        ways.append({"holder": over.name, "token": over.token, "beat": over.beat or {"$in": [0, None]}})
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
    return Holder(document["holder"], document["token"], document.get("beat", 0), document.get("seconds", 0.0))
