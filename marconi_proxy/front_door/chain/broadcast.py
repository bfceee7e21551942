"""Calls that change more than one segment: purges, deletions of messages by their ids, metadata."""

from __future__ import annotations

import asyncio
import logging

from catalog.errors import CatalogError
from catalog.model import Segment
from marconi_proxy.front_door.chain.segment_client import Reply, SegmentClient, together, with_body
from marconi_proxy.front_door.refusals import RequestRefused, unavailable
from marconi_proxy.routing.mirrored_patch import mirrored
from marconi_proxy.routing.route import RouteKind
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import Closed, NotSent, UpstreamError
from marconi_proxy.upstream.exchange import UpstreamCall

LOG = logging.getLogger(__name__)

_FAULTS = (UpstreamError, CatalogError, RequestRefused)


def _done_in_part() -> RequestRefused:
    return unavailable(
        "A partition of this queue cannot be reached. The request was processed in part, or may have been; check "
        "before you repeat it.",
        5,
    )


async def send_to_all(client: SegmentClient, segments: tuple[Segment, ...]) -> UpstreamAnswer:
    """Send the call to every segment in parallel; return the last segment's answer, or a refusal. Raises as
    ``SegmentClient.send``.

    No segment depends on another: each message is in one of them. A crash leaves a call done in part, for the client to
    repeat; all of these calls may be repeated (API section 8.1).
    """
    outcomes = await asyncio.gather(*(client.ask(segment) for segment in segments), return_exceptions=True)
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failed:
        # Closed: the placement was stale, so the call must not be done, and is decided anew as a whole.
        if not isinstance(failure, _FAULTS) or isinstance(failure, Closed):
            raise failure
    if failed and (len(failed) < len(outcomes) or not all(isinstance(failure, NotSent) for failure in failed)):
        LOG.info("done in part: %s", failed[0])
        raise _done_in_part() from failed[0]
    if failed:
        raise failed[0]
    replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    refused = [reply for reply in replies if reply.status >= 300]
    # A store that failed may do better next time; any other refusal would come from every segment.
    refused.sort(key=lambda reply: reply.status, reverse=True)
    return client.shown(refused[0] if refused else replies[-1])


async def mirror(client: SegmentClient, segments: tuple[Segment, ...]) -> UpstreamAnswer:
    """Send the call to the last segment, then repeat it on the sealed ones; return the last segment's answer.

    The last comes first: clients see its metadata, and its refusal must prevent the change everywhere. A crash in
    between leaves sealed segments with their earlier attributes, by which their messages are claimed until they are
    gone; the next change of the same keys repairs that. If a segment cannot be reached, the client is refused (503);
    repeating the call repairs that as well. Raises as ``SegmentClient.send``.
    """
    *sealed, last = segments
    reply = await client.ask(last)
    if not 200 <= reply.status < 300:
        return client.shown(reply)
    call: UpstreamCall | None = client.call
    if client.route.rule.kind is not RouteKind.METADATA:
        body = client.translate(reply, lambda: mirrored(client.call.body))
        call = None if body is None else with_body(client.call, body)
    if call is not None:
        try:
            await together([_follow(client, segment, call) for segment in sealed])
        except Closed:
            raise
        except _FAULTS as error:
            LOG.info("metadata was changed in the last segment and not in all of the others: %s", error)
            raise _done_in_part() from error
    return client.shown(reply)


async def _follow(client: SegmentClient, segment: Segment, call: UpstreamCall) -> None:
    answer = await client.send(segment, call._replace(target=client.target(segment)))
    await answer.read()
    # 404: its queue was retired a moment ago, and has no metadata any more.
    if not 200 <= answer.status < 300 and answer.status != 404:
        raise unavailable(f"A segment answered {answer.status} to metadata that the last segment accepted.")
