"""Every path of the API with the methods that each version serves there (API sections 2-4, 8.1)."""

from __future__ import annotations

from typing import NamedTuple

ALL, LATE, V1, V1_1, V2 = ("v1", "v1.1", "v2"), ("v1.1", "v2"), ("v1",), ("v1.1",), ("v2",)
METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")


class Path(NamedTuple):
    """``path`` is below the version's prefix; {} in it is the name of a queue or topic."""

    path: str
    methods: tuple[str, ...]
    versions: tuple[str, ...] = ALL

    @property
    def named(self) -> bool:
        return "{}" in self.path

    @property
    def kind(self) -> str:
        return "topic" if self.path.startswith("/topics") else "queue"

    def of(self, name: str = "orders") -> str:
        return self.path.format(name)


PATHS = (
    Path("/", ("GET",)),
    Path("/health", ("GET", "HEAD"), V1),
    Path("/ping", ("GET", "HEAD"), LATE),
    Path("/queues", ("GET",)),
    Path("/queues/{}", ("GET", "HEAD", "PUT", "DELETE"), V1),
    Path("/queues/{}", ("GET", "PUT", "DELETE"), V1_1),
    Path("/queues/{}", ("GET", "PUT", "DELETE", "PATCH"), V2),
    Path("/queues/{}/metadata", ("GET", "PUT"), V1),
    Path("/queues/{}/stats", ("GET",)),
    Path("/queues/{}/messages", ("GET", "POST", "DELETE")),
    Path("/queues/{}/messages/x", ("GET", "DELETE")),
    Path("/queues/{}/claims", ("POST",)),
    Path("/queues/{}/claims/x", ("GET", "PATCH", "DELETE")),
    Path("/queues/{}/purge", ("POST",), V2),
    Path("/queues/{}/share", ("POST",), V2),
    Path("/queues/{}/subscriptions", ("GET", "POST"), V2),
    Path("/queues/{}/subscriptions/x", ("GET", "PATCH", "DELETE"), V2),
    Path("/queues/{}/subscriptions/x/confirm", ("PUT",), V2),
    Path("/topics", ("GET",), V2),
    Path("/topics/{}", ("GET", "PUT", "DELETE", "PATCH"), V2),
    Path("/topics/{}/stats", ("GET",), V2),
    Path("/topics/{}/purge", ("POST",), V2),
)

# (path, version): a case each, for what must hold on every route.
ON_EVERY_PATH = [(path, version) for path in PATHS for version in path.versions]
