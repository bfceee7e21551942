"""Home documents (API section 1.11): a table of link relations, written once at import."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

_ALL, _LATE, _V1, _V2 = ("v1", "v1.1", "v2"), ("v1.1", "v2"), ("v1",), ("v2",)
_QUEUE = "/queues/{queue_name}"
_MESSAGES = _QUEUE + "/messages"
_CLAIM = _QUEUE + "/claims/{claim_id}"
_SUBSCRIPTIONS = _QUEUE + "/subscriptions"
_SUBSCRIPTION = _SUBSCRIPTIONS + "/{subscriptions_id}"


class _Relation(NamedTuple):
    """``limit`` is the limit for a variable of that name; ``also`` names variables that are not in the template."""

    name: str
    versions: tuple[str, ...]
    template: str
    allow: tuple[str, ...]
    limit: str = ""
    also: tuple[str, ...] = ()


_RELATIONS = (
    _Relation("queues", _ALL, "/queues{?marker,limit,detailed}", ("GET",), "queue_limit"),
    _Relation("queue", _V1, _QUEUE, ("GET", "HEAD", "PUT", "DELETE")),
    _Relation("queue", ("v1.1",), _QUEUE, ("PUT", "DELETE")),
    _Relation("queue", _V2, _QUEUE, ("GET", "PUT", "DELETE", "PATCH")),
    _Relation("queue-metadata", _V1, _QUEUE + "/metadata", ("GET", "PUT")),
    _Relation("queue-stats", _V1, _QUEUE + "/stats", ("GET",)),
    _Relation("queue_stats", _LATE, _QUEUE + "/stats", ("GET",)),
    _Relation("queue_share", _V2, _QUEUE + "/share", ("POST",)),
    _Relation("queue_purge", _V2, _QUEUE + "/purge", ("POST",)),
    _Relation("messages", _ALL, _MESSAGES + "{?marker,limit,echo,include_claimed}", ("GET",), "messages_limit"),
    _Relation("post-messages", _V1, _MESSAGES, ("POST",)),
    _Relation("post_messages", _LATE, _MESSAGES, ("POST",)),
    _Relation("messages_delete", _LATE, _MESSAGES + "{?ids,pop}", ("DELETE",)),
    _Relation("message_delete", _LATE, _MESSAGES + "/{message_id}{?claim}", ("DELETE",)),
    _Relation("message_get", _V2, _MESSAGES + "/{message_id}", ("GET",)),
    _Relation("claim", _V1, _QUEUE + "/claims{?limit}", ("POST",), "claim_limit"),
    _Relation("claim", _LATE, _CLAIM, ("GET",)),
    _Relation("post_claim", _LATE, _QUEUE + "/claims{?limit}", ("POST",), "claim_limit"),
    _Relation("patch_claim", _LATE, _CLAIM, ("PATCH",)),
    _Relation("delete_claim", _LATE, _CLAIM, ("DELETE",)),
    _Relation("subscriptions_get", _V2, _SUBSCRIPTIONS + "{?marker,limit}", ("GET",), "subscription_limit"),
    # Upstream names the limit here too, and clients may have come to rely on the document as it is.
    _Relation("subscriptions_post", _V2, _SUBSCRIPTIONS, ("POST",), "subscription_limit", ("limit",)),
    _Relation("subscription", _V2, _SUBSCRIPTION, ("GET", "DELETE")),
    _Relation("subscription_patch", _V2, _SUBSCRIPTION, ("PATCH",)),
    _Relation("ping", _LATE, "/ping", ("GET",)),
)

_VARIABLES = re.compile(r"[{]\??([a-z_,]+)[}]")


def _entry(version: str, relation: _Relation) -> dict[str, Any]:
    names = ",".join(_VARIABLES.findall(relation.template)).split(",") + list(relation.also)
    parameters = {"limit": relation.limit, "claim": "claim_id"}
    entry: dict[str, Any] = {"href-template": f"/{version}{relation.template}"}
    if names != [""]:
        entry["href-vars"] = {name: f"param/{parameters.get(name, name)}" for name in names}
    hints: dict[str, Any] = {"allow": list(relation.allow), "formats": {"application/json": {}}}
    if relation.allow in (("POST",), ("PATCH",)):
        hints["accept-post"] = ["application/json"]
    return entry | {"hints": hints}


def _document(version: str) -> bytes:
    resources = {f"rel/{one.name}": _entry(version, one) for one in _RELATIONS if version in one.versions}
    return json.dumps({"resources": resources}, indent=4).encode()


DOCUMENTS = {version: _document(version) for version in _ALL}
