"""What can go wrong on the way to a partition host, by how much of the call may have been done."""

from __future__ import annotations


class UpstreamError(Exception):
    """Root of it all. ``str()`` names the host, and is for logs: clients are told less."""


class NotSent(UpstreamError):
    """No byte of the request can have been processed: any call may be tried again elsewhere."""


class ConnectFailed(NotSent):
    """The host refused the connection, could not be reached or took too long to accept it."""


class ConnectTimedOut(ConnectFailed):
    """It took too long."""


class PartitionBusy(NotSent):
    """The partition has as many calls of this worker under way as it may have."""


class Withdrawn(NotSent):
    """Whoever sends it must not send it any more (``exchange.Guard``)."""


class PartitionDisabled(NotSent):
    """An operator disabled the partition."""


class Closed(NotSent):
    """The host refused it without doing anything: its queue takes no writes of so early an epoch there any more."""


class Unanswered(UpstreamError):
    """The request was sent and no answer came: it may have been done. ``on_kept_connection`` tells that the connection
    had been used before, so that the host may merely have closed it."""

    def __init__(self, message: str, *, on_kept_connection: bool = False) -> None:
        super().__init__(message)
        self.on_kept_connection = on_kept_connection


class DeadlineExceeded(Unanswered):
    """The answer did not come in time. The call may still be done later."""


class BadAnswer(UpstreamError):
    """The host's fault: what it answered is not HTTP/1.1, is too large, or breaks off."""
