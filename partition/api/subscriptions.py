"""Subscriptions (API section 4.11): they are kept and shown. Nothing is delivered to subscribers yet."""

from __future__ import annotations

from typing import Any

from partition.api.answer import Answer, document, error, location, no_content
from partition.api.call import Call
from partition.api.node import Node
from partition.model.limits import DEFAULT_PAGE
from partition.model.subscription import Subscription
from partition.validation import subscription_body
from partition.validation.query import check_messages_page, link

_MAX_BODY = 262144


def _shown(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "source": subscription.source,
        "subscriber": subscription.subscriber,
        "ttl": subscription.ttl,
        "age": subscription.age,
        "options": dict(subscription.options),
        "confirmed": subscription.confirmed,
    }


async def get(node: Node, call: Call) -> Answer:
    """List a page of the subscriptions of a queue, which need not exist."""
    marker, limit = call.query.text("marker"), call.query.integer("limit")
    check_messages_page(limit, node.limits.max_subscriptions_per_page)
    found = await node.storage.list_subscriptions(call.key, DEFAULT_PAGE if limit is None else limit, marker)
    links = []
    if found:
        following = link(call.path, {"limit": limit}, found[-1].id, marker_first=marker is not None)
        links.append({"rel": "next", "href": following})
    return document({"subscriptions": [_shown(one) for one in found], "links": links})


async def post(node: Node, call: Call) -> Answer:
    """Subscribe. The queue is created first, even if the body is refused after that."""
    asked = await call.optional_document(_MAX_BODY)
    await node.storage.create_queue(call.key, {}, call.epoch)
    subscription, created = await node.storage.subscribe(call.key, subscription_body.new(asked or {}, node.limits))
    if not created and subscription.confirmed:
        unique = "Subscriptions are unique by project + queue + subscriber URI."
        # Without a space, as every release has it.
        return error(409, "Resource conflict", f"Such subscription already exists.{unique}", location(call.path))
    return document({"subscription_id": subscription.id}, 201, location(call.path))


async def get_one(node: Node, call: Call) -> Answer:
    """Show one subscription."""
    return document(_shown(await node.storage.get_subscription(call.key, call.item)))


async def patch(node: Node, call: Call) -> Answer:
    """Change parts of it, and restart its ttl."""
    asked = await call.optional_document(_MAX_BODY)
    change = subscription_body.change(asked or {}, node.limits)
    await node.storage.change_subscription(call.key, call.item, change)
    return no_content(location(call.path))


async def delete_one(node: Node, call: Call) -> Answer:
    """Delete it."""
    await node.storage.delete_subscription(call.key, call.item)
    return no_content()


async def confirm(node: Node, call: Call) -> Answer:
    """Confirm it, or revoke the confirmation."""
    confirmed = subscription_body.confirmation(await call.optional_document(_MAX_BODY) or {})
    await node.storage.confirm_subscription(call.key, call.item, confirmed)
    return no_content(location(call.path))
