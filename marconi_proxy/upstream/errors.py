"""The failures on the way to a partition host, by how much of the call may have been processed."""

from __future__ import annotations


class UpstreamError(Exception):
    """Root of these errors. ``str()`` names the host and is for logs, never for clients."""


class NotSent(UpstreamError):
    """No byte of the request can have been processed: any call may be retried elsewhere."""


class ConnectFailed(NotSent):
    """The host refused the connection, could not be reached or took too long to accept it."""


class ConnectTimedOut(ConnectFailed):
    """The host took too long to accept the connection."""


class PartitionBusy(NotSent):
    """The partition has its maximum number of calls of this worker in flight."""


class Withdrawn(NotSent):
    """The sender of the call has lost the right to send it (``exchange.Guard``)."""


class PartitionDisabled(NotSent):
    """An operator disabled the partition."""


class Closed(NotSent):
    """The host refused the call unprocessed: the queue there takes no writes of so early an epoch any more."""


class Unanswered(UpstreamError):
    """The request was sent and no answer came: it may have been processed. ``on_kept_connection``: the connection had
    been used before, so the host may merely have closed it."""

    def __init__(self, message: str, *, on_kept_connection: bool = False) -> None:
        super().__init__(message)
        self.on_kept_connection = on_kept_connection


class DeadlineExceeded(Unanswered):
    """The answer did not come in time. The call may still be processed later."""


class Abandoned(UpstreamError):
    """A safe call was ended because its client has left; or has closed its side, while others need the place."""


class BadAnswer(UpstreamError):
    """The host's fault: the answer is not HTTP/1.1, is too large, or breaks off."""
