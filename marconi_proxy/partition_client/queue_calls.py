"""The calls of movers and audits to one queue of a partition, in the latest API version that the partition speaks.

An answer that is not JSON, or has an unexpected status, raises Unready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from typing import Any
from urllib.parse import parse_qs, urlsplit

from catalog.model import TOPIC_PREFIX, QueueKey
from marconi_proxy.partition_client.call import answer_to, own_call
from marconi_proxy.partition_client.existence import exists
from marconi_proxy.partition_client.metadata import dead_letters_of, difference, users_own
from marconi_proxy.partition_client.outcome import Look, Unready
from marconi_proxy.partition_client.subscriptions import SubscriptionEntry
from marconi_proxy.routing.headers import epoch_line
from marconi_proxy.upstream.errors import UpstreamError
from marconi_proxy.upstream.exchange import Upstream

_JSON_PATCH = b"application/openstack-messaging-v2.0-json-patch"
_MAX_ANSWER = 16 * 1024 * 1024
_PAGE = 20
# The most claims that are polled for their end, which is only displayed. Most queues have fewer.
_CLAIMS = 5


class QueueCalls:
    """Call one queue by its ``backend_name``. ``within``: timeout of each call, in seconds."""

    def __init__(self, upstream: Upstream, key: QueueKey, backend_name: str, within: float) -> None:
        self._upstream = upstream
        self._key = key
        self._physical = backend_name
        self._within = within
        self.partition = upstream.partition.name
        self.is_topic = key.queue.startswith(TOPIC_PREFIX)
        self.versions = upstream.partition.api_versions
        self.has_fences = upstream.partition.fences

    @property
    def version(self) -> str:
        """The version of calls: the latest, or v1 for a queue without a project, which others do not have."""
        if not self._key.project:
            return "v1"
        return self.versions[-1] if self.versions else "v2"

    async def ask(
        self,
        method: str,
        below: str = "",
        body: Any = None,
        *,
        version: str | None = None,
        **rest: bytes,
    ) -> tuple[int, Any]:
        """Send a call to the path ``below`` the queue; return the status and the parsed body, None if it is empty.

        ``rest``: as for ``own_call``. Raises Unready.
        """
        collection = "topics" if self.is_topic else "queues"
        target = f"/{version or self.version}/{collection}/{self._physical}{below}"
        call = own_call(method, target, self._key.project, body, **rest)
        try:
            return await answer_to(self._upstream, call, within=self._within, most=_MAX_ANSWER)
        except UpstreamError as error:
            raise Unready(f"partition {self.partition}: {error}") from error

    async def do(
        self, what: str, wanted: Collection[int], method: str, below: str = "", body: Any = None, **rest: Any
    ) -> Any:
        """Send a call as ``ask``; return the parsed body. Raises Unready unless the status is one of ``wanted``."""
        status, answer = await self.ask(method, below, body, **rest)
        if status not in wanted:
            raise self.unexpected(status, answer, what)
        return answer

    def unexpected(self, status: int, answer: Any, what: str) -> Unready:
        words = answer.get("description") or answer.get("title") if isinstance(answer, dict) else None
        return Unready(f"partition {self.partition} answered {status} to {what}" + (f": {words}" if words else ""))

    async def exists(self) -> bool:
        try:
            return await exists(self._upstream, self._key, self._physical)
        except UpstreamError as error:
            raise Unready(f"partition {self.partition}: {error}") from error

    # -- metadata ----------------------------------------------------------------------------------------------------

    async def metadata(self, version: str) -> dict[str, Any]:
        """Return the metadata as ``version`` shows it, empty for a missing queue. Raises Unready."""
        status, found = await self.ask("GET", "/metadata" if version == "v1" else "", version=version)
        if status == 404:
            return {}
        if status != 200 or not isinstance(found, dict):
            raise self.unexpected(status, found, "a request for metadata")
        return found

    async def dead_letter_queue(self) -> str | None:
        """Return the name of its dead-letter queue, None if unset. v2 honours one, v1.1 shows it. Raises Unready."""
        if self.version == "v1" or self.is_topic:
            return None
        return dead_letters_of(await self.metadata(self.version))

    async def take_over(self, source: QueueCalls) -> None:
        """Create the queue if it is missing, and copy the metadata of ``source``. Raises Unready."""
        version, shown = _versions(source, self)
        # PERF: concurrently, because clients may be waiting. Usually there is nothing to change.
        there, wanted, has = await together(self.exists(), source.metadata(shown), self.metadata(shown))
        if not there:
            await self._create(version, shown, wanted)
            has = await self.metadata(shown)
        await self._adapt(wanted, has, version)

    async def follow(self, source: QueueCalls) -> None:
        """Copy the metadata of ``source``; do nothing if this queue is missing. Raises Unready."""
        version, shown = _versions(source, self)
        there, wanted, has = await together(self.exists(), source.metadata(shown), self.metadata(shown))
        if there:
            await self._adapt(wanted, has, version)

    async def unlike(self, source: QueueCalls) -> list[dict[str, Any]]:
        """Return the operations that would turn the metadata into that of ``source``. Raises Unready."""
        _, shown = _versions(source, self)
        wanted, has = await together(source.metadata(shown), self.metadata(shown))
        return difference(wanted, has)

    async def make(self, source: QueueCalls | None) -> None:
        """Create the queue if it is missing, with as much of the metadata of ``source`` as one call can set.

        Raises Unready.
        """
        # v1 creates a queue without metadata.
        version, shown = (self.version, "v1") if source is None else _versions(source, self)
        await self._create(version, shown, {} if source is None else await source.metadata(shown))

    async def _create(self, version: str, shown: str, wanted: dict[str, Any]) -> None:
        body = {"v1": None, "v1.1": wanted, "v2": users_own(wanted)}[shown]
        await self.do("the creation of the queue", (201, 204), "PUT", body=body, version=version)

    async def newest_age(self) -> int | None:
        """Return the age of the newest message in seconds, by the partition's clock; None if there is none, or the age
        is not shown. Raises Unready."""
        _, _, counts = await self.stats()
        newest = counts.get("newest") if counts else None
        age = newest.get("age") if isinstance(newest, dict) else None
        return age if isinstance(age, int) else None

    async def _adapt(self, wanted: dict[str, Any], has: dict[str, Any], version: str) -> None:
        operations = difference(wanted, has)
        if not operations:
            return
        if version == "v2":
            await self.do("a change of metadata", (200,), "PATCH", body=operations, version=version, kind=_JSON_PATCH)
        elif version == "v1" or ("v1" in self.versions and wanted == users_own(wanted)):
            # v1.1 sets metadata only on creation, and v1 sets no attributes. The queue must not be deleted and created
            # again: an unanswered deletion may take effect later, when the queue has messages.
            await self.do("a change of metadata", (204,), "PUT", "/metadata", wanted, version="v1")
        else:
            raise Unready(
                f"the queue on partition {self.partition} has different metadata, and the partition's API versions "
                "cannot change it: cancel the move, which deletes that queue, and order it again"
            )

    async def delete(self) -> None:
        await self.do("a deletion", (200, 204, 404), "DELETE")

    # -- subscriptions -----------------------------------------------------------------------------------------------

    @property
    def has_subscriptions(self) -> bool:
        return self.version == "v2" and not self.is_topic

    async def subscriptions(self) -> list[SubscriptionEntry]:
        """Return all subscriptions. Raises Unready."""
        if not self.has_subscriptions:
            return []
        found: dict[str, SubscriptionEntry] = {}
        marker = ""
        while True:
            below = f"/subscriptions?limit={_PAGE}" + (f"&marker={marker}" if marker else "")
            status, answer = await self.ask("GET", below)
            if status == 404:  # a release without subscriptions
                return []
            page = answer.get("subscriptions") if isinstance(answer, dict) else None
            if status != 200 or not isinstance(page, list):
                raise self.unexpected(status, answer, "a list of subscriptions")
            try:
                listed = [SubscriptionEntry.from_json(one) for one in page]
            except (KeyError, TypeError) as error:
                raise Unready(f"partition {self.partition} lists subscriptions in an unknown form") from error
            news = [one for one in listed if one.id not in found]
            if not news:
                return list(found.values())
            found |= {one.id: one for one in news}
            marker = listed[-1].id

    async def subscribe(self, wanted: SubscriptionEntry) -> None:
        """Create a subscription, and confirm it if ``wanted`` is confirmed. Raises Unready."""
        body = {"subscriber": wanted.subscriber, "ttl": wanted.remaining, "options": wanted.options}
        answer = await self.do(f"the subscription of {wanted.subscriber}", (201, 409), "POST", "/subscriptions", body)
        if wanted.confirmed and isinstance(answer, dict) and "subscription_id" in answer:
            await self.confirm(str(answer["subscription_id"]))

    async def resubscribe(self, identifier: str, wanted: SubscriptionEntry) -> None:
        """Change a subscription. Raises Unready."""
        body = {"ttl": wanted.remaining, "options": wanted.options}
        what = f"the subscription of {wanted.subscriber}"
        await self.do(what, (204, 404), "PATCH", f"/subscriptions/{identifier}", body)
        if wanted.confirmed:
            await self.confirm(identifier)

    async def confirm(self, identifier: str) -> None:
        await self.do("a confirmation", (204, 404), "PUT", f"/subscriptions/{identifier}/confirm", {"confirmed": True})

    async def unsubscribe(self, identifier: str) -> None:
        await self.do("the deletion of a subscription", (204, 404), "DELETE", f"/subscriptions/{identifier}")

    # -- fences ------------------------------------------------------------------------------------------------------

    async def fence(self, incarnation: str, epoch: int) -> None:
        """Close the queue to writes of earlier epochs. The partition must have fences. Raises Unready."""
        await self.do("the fence of the queue", (204,), "PUT", "/fence", more=epoch_line(incarnation, epoch))

    # -- messages ----------------------------------------------------------------------------------------------------

    async def stats(self) -> tuple[int, Any, dict[str, Any] | None]:
        """Return the status, the parsed body, and the message counts in it, None without any. Raises Unready."""
        status, answer = await self.ask("GET", "/stats")
        counts = answer.get("messages") if status == 200 and isinstance(answer, dict) else None
        return status, answer, counts if isinstance(counts, dict) else None

    async def look(self, now: float) -> Look:
        """Return the contents of the queue. ``now``: seconds since 1970. Raises Unready."""
        status, answer, counts = await self.stats()
        if status == 404:  # v1: no such queue (API section 7)
            return Look(self.partition)
        if counts is not None:
            total, claimed = _count(counts, "total"), _count(counts, "claimed")
            # Topics have only a total (API section 4.12).
            free = _count(counts, "free") or total - claimed
            messages = await self._messages(_PAGE if total else 1)
        else:
            # Stats of Zaqar's MongoDB store fail while all messages of a queue are delayed; a list shows some of them.
            messages = await self._messages(_PAGE)
            if not messages:
                raise self.unexpected(status, answer, "a request for stats")
            total = free = len(messages)
            claimed = 0
        claims = {claim for message in messages for claim in _claims(message)}
        ends = [await self._claim_ends(claim, now) for claim in sorted(claims)[:_CLAIMS]]
        expires = [now + message["ttl"] - message["age"] for message in messages[:1] if _is_timed(message)]
        return Look(
            self.partition,
            free=free,
            claimed=claimed,
            total=total,
            listed=bool(messages),
            oldest_expires=min(expires, default=None),
            # With more claims than were polled, the end of the last one is unknown.
            claimed_until=None if len(claims) > _CLAIMS else max((e for e in ends if e is not None), default=None),
        )

    async def _messages(self, limit: int) -> list[dict[str, Any]]:
        """Return the first messages, of any client, including claimed and delayed ones. Raises Unready."""
        delayed = "&include_delayed=true" if self.version == "v2" else ""
        query = f"?limit={limit}&echo=true&include_claimed=true{delayed}"
        status, answer = await self.ask("GET", f"/messages{query}")
        if status == 204 or (self.is_topic and status in (404, 500)):
            # Every release of Zaqar fails to list messages of topics, so none can exist (API section 4.12).
            return []
        found = answer.get("messages") if isinstance(answer, dict) else None
        if status != 200 or not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self.unexpected(status, answer, "a list of messages")
        return found

    async def _claim_ends(self, claim: str, now: float) -> float | None:
        status, answer = await self.ask("GET", f"/claims/{claim}")
        if status == 200 and isinstance(answer, dict) and _is_timed(answer):
            return float(now + answer["ttl"] - answer["age"])
        return None


async def together(*asked: Awaitable[Any]) -> list[Any]:
    """Await all concurrently; return the results. When all have ended, raise the first failure."""
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def _versions(source: QueueCalls, target: QueueCalls) -> tuple[str, str]:
    """Return the best common version for metadata, and the one to read it in. Raises Unready without a common one."""
    versions = [version for version in source.versions if version in target.versions]
    shared = [version for version in ("v2", "v1", "v1.1") if version in versions]
    version = source.version if source.version == target.version else next(iter(shared), None)
    if version is None:
        raise Unready(f"partitions {source.partition} and {target.partition} have no API version in common")
    # v1.1 shows what is stored, where v2 adds the defaults.
    return version, "v1.1" if version == "v2" and "v1.1" in versions else version


def _count(counts: dict[str, Any], name: str) -> int:
    found = counts.get(name, 0)
    return found if isinstance(found, int) else 0


def _claims(message: dict[str, Any]) -> list[str]:
    return parse_qs(urlsplit(str(message.get("href", ""))).query).get("claim_id", [])


def _is_timed(document: dict[str, Any]) -> bool:
    return isinstance(document.get("ttl"), int) and isinstance(document.get("age"), int)
