"""The JSON of partitions in the admin API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

import falcon

from catalog.model import Partition, PartitionState

SETTABLE = ("hosts", "weight", "region", "labels", "state", "api_versions", "inventory")

# Set by probes only.
_PROBED = ("fences", "store")
_LISTS = ("hosts", "labels", "api_versions")


def shown(partition: Partition, sharing: Mapping[str, list[str]], *, name: bool) -> dict[str, Any]:
    """Return the JSON of a partition; a single one is shown without its name, as in 2013 (API section 10.2).

    ``sharing``: the names of the partitions over each store that several are over.
    """
    document = partition.to_json()
    members = ("name", "weight", *(m for m in SETTABLE if m != "weight")) if name else SETTABLE
    sharers = sharing.get(partition.store or "", [])
    return {member: document[member] for member in (*members, *_PROBED)} | {
        "same_store": [other for other in sharers if other != partition.name]
    }


def parsed(name: str, document: Mapping[str, Any]) -> Partition:
    """Return the partition that a PUT of ``document`` describes. Raises HTTPBadRequest naming the member at fault."""
    for member in ("hosts", "weight"):
        if member not in document:
            _refuse(f"{member}: is needed.")
    return _checked(lambda values: Partition(name=name, **values), document)


def patched(partition: Partition, document: Mapping[str, Any]) -> Partition:
    """Return ``partition`` with the members of ``document`` and the next version. Raises HTTPBadRequest."""
    return _checked(lambda values: replace(partition, version=partition.version + 1, **values), document)


def differences(wanted: Partition, stored: Partition, given: Mapping[str, Any]) -> list[str]:
    """Return one clause for each member in which a registration repeated with ``given`` differs from what is stored.

    State and API versions change in operation, so they only count when they were given.
    """
    found = []
    for member in SETTABLE:
        if member in ("state", "api_versions") and not given.get(member):
            continue
        ours, theirs = wanted.to_json()[member], stored.to_json()[member]
        # The order of a list has no meaning.
        same = sorted(ours) == sorted(theirs) if member in _LISTS else ours == theirs
        if not same:
            found.append(f"{member} is {theirs!r}, not {ours!r}")
    return found


def _checked(make: Any, document: Mapping[str, Any]) -> Partition:
    values: dict[str, Any] = {}
    for member in SETTABLE:
        if member not in document:
            continue
        value = document[member]
        if member in _LISTS:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                _refuse(f"{member}: must be an array of strings.")
            value = tuple(value)
        if member == "state":
            states = [state.value for state in PartitionState]
            if value not in states:
                _refuse(f"state: must be one of {', '.join(states)}.")
            value = PartitionState(value)
        values[member] = value
    if "api_versions" in values:
        # An empty list hands them back to the prober.
        values["api_versions_set"] = bool(values["api_versions"])
    try:
        partition: Partition = make(values)
    except ValueError as error:
        _refuse(f"{error}.")
    return partition


def _refuse(description: str) -> NoReturn:
    raise falcon.HTTPBadRequest(title="Invalid partition", description=description)
