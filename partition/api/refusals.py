"""From a fault to an answer: the one place with status codes of faults (API section 1.8)."""

from __future__ import annotations

import logging

from partition.api.answer import Answer, error
from partition.api.call import Call, NotAcceptable, NotFound
from partition.errors import (
    BadInput,
    ClaimMissing,
    PartitionError,
    QueueClosed,
    QueueMissing,
    StorageError,
    SubscriberTaken,
    SubscriptionMissing,
)
from partition.model.clock import Clock
from partition.model.queue import Kind
from partition.validation.headers import admits_json
from partition.validation.metadata_patch import PatchConflict

LOG = logging.getLogger("partition.api")

RETRY_AFTER = (b"retry-after", b"2")

# Milliseconds between two log lines about the same fault, and the number of different faults remembered.
_SILENCE = 10_000
_REMEMBERED = 100


class Faults:
    """Answers faults, and logs those of the store: each cause at most once per interval, for any number of requests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._logged: dict[str, int] = {}

    def answer(self, fault: BaseException, call: Call) -> Answer:
        """The answer to a request that raised ``fault``; it has a body only if the client takes JSON."""
        found = self._answer(fault, call)
        return found if admits_json(call.headers.get(b"accept")) else found._replace(body=b"")

    def _answer(self, fault: BaseException, call: Call) -> Answer:
        if isinstance(fault, BadInput):
            return error(400, fault.title, fault.description)
        if isinstance(fault, StorageError):
            return self._of_storage(fault, call)
        if isinstance(fault, PatchConflict):
            return error(409, "Resource conflict", str(fault))
        if isinstance(fault, NotFound):
            return error(404, "404 Not Found")
        if isinstance(fault, NotAcceptable):
            return error(406, "406 Not Acceptable")
        if not isinstance(fault, PartitionError):
            LOG.error("internal error in %s %s", call.method, call.path, exc_info=fault)
        return error(
            503,
            "Service temporarily unavailable",
            "The server failed; its log has the cause. The request may have been processed; check before you repeat "
            "it.",
            RETRY_AFTER,
        )

    def _of_storage(self, fault: StorageError, call: Call) -> Answer:
        where = f"for project {call.project or None}"
        if isinstance(fault, QueueMissing):
            what = "Queue" if call.key.kind is Kind.QUEUE else "Topic"
            return error(404, "Not found", f"{what} {call.key.name} does not exist {where}")
        if isinstance(fault, QueueClosed):
            return error(
                409,
                "Queue closed",
                f"Queue {call.key.name} {where} was moved to another server, or was about to be, and refuses such "
                "writes here. The request was not processed; send it to the proxy.",
                (b"x-marconi-closed", b"%d" % fault.number),
            )
        if isinstance(fault, ClaimMissing):
            return error(404, "Not found", f"Claim {call.item} does not exist in queue {call.key.name} {where}")
        if isinstance(fault, SubscriptionMissing):
            return error(404, "Not found", f"Subscription {call.item} does not exist")
        if isinstance(fault, SubscriberTaken):
            unique = "Subscriptions are unique by project + queue + subscriber URI."
            return error(409, "Resource conflict", f"Such subscription already exists. {unique}")
        self._log(str(fault))
        maybe_done = getattr(fault, "maybe_done", False)
        outcome = "may have been processed; check before you repeat it" if maybe_done else "was not processed; retry it"
        return error(
            503,
            "Service temporarily unavailable",
            f"The storage failed. The request {outcome}.",
            RETRY_AFTER,
        )

    def _log(self, what: str) -> None:
        now = self._clock()
        # Negative times count as elapsed: a clock that was set back does not prolong the silence.
        if 0 <= now - self._logged.get(what, now - _SILENCE) < _SILENCE:
            return
        if len(self._logged) >= _REMEMBERED:
            self._logged.clear()
        self._logged[what] = now
        LOG.error("%s", what)
