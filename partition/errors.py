"""The faults, named by the party at fault. Independent of HTTP: ``api/refusals.py`` maps them to answers."""

from __future__ import annotations


class PartitionError(Exception):
    """Root of everything this package raises on purpose."""


class StorageError(PartitionError):
    """Root of everything a storage raises."""


class BadStorageURI(StorageError):
    """The operator's fault: the URI names no storage. The message quotes the accepted forms, never a password."""


class WrongStore(StorageError):
    """The operator's fault: the URI names no store of ours, or one of another release."""


class StorageUnavailable(StorageError):
    """The store's fault: it failed. The message names the store.

    Unless ``maybe_done``, nothing was done.
    """

    def __init__(self, message: str, *, maybe_done: bool = False) -> None:
        super().__init__(message)
        self.maybe_done = maybe_done


class QueueMissing(StorageError):
    """There is no such queue in the project."""


class QueueChanged(StorageError):
    """The caller's read of the queue is stale: another queue, or other metadata. Nothing was done."""


class QueueClosed(StorageError):
    """The queue takes no writes of epochs before ``number``. Nothing was done."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name)
        self.number = number


class ClaimMissing(StorageError):
    """There is no such claim in the queue, or it has ended."""


class SubscriptionMissing(StorageError):
    """There is no such subscription in the queue, or it has ended."""


class SubscriberTaken(StorageError):
    """Another subscription of the queue has this subscriber already."""


class BadInput(PartitionError):
    """The client's fault: a part of its request breaks a rule of the API. ``title`` is one of API section 1.8."""

    def __init__(self, title: str, description: str) -> None:
        super().__init__(description)
        self.title = title
        self.description = description


def bad_request(description: str) -> BadInput:
    """A value out of range."""
    return BadInput("Invalid API request", description)


def bad_body(description: str) -> BadInput:
    """A body that is not the JSON it has to be."""
    return BadInput("Invalid request body", description)
