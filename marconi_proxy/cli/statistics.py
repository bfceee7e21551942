"""``marconi-proxy stats``: the contents of queues, summed up for each partition and project."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from cliff.columns import FormattableColumn

from marconi_proxy.admin_client.client import part
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import AdminLister, Shown, add_page

COLUMNS = ("queues", "free", "claimed", "oldest", "unknown", "as_of")


class Ago(FormattableColumn[str | None]):
    """The time of a computation, None if there was none yet; for people, its ``age`` in seconds."""

    def __init__(self, when: str | None, age: float | None) -> None:
        super().__init__(when)
        self._age = age

    def human_readable(self) -> str:
        return "not yet computed" if self._age is None else ago(self._age)

    def __str__(self) -> str:
        return self._value or ""


def ago(seconds: float) -> str:
    """Return an age in the largest unit that fits at least twice."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


class _Stats(AdminLister):
    def shown(self, noun: str, found: Sequence[dict[str, Any]], walk: dict[str, Any]) -> Shown:
        """Return columns and rows, and print the notes on the figures."""
        if not any(one["ended"] for one in found):
            if walk["ended"] is not None:
                self.say(f"There were no queues when a mover last polled them, at {walk['ended']}.")
            else:
                began = "has not begun" if walk["begun"] is None else f"began at {walk['begun']}"
                self.say(f"Not yet computed: a mover polls all queues, one after the other, and {began}.")
        elif any(one["unknown"] for one in found):
            self.say("Unknown queues could not be polled: their messages are missing in the sums.")
        rows = [(one[noun], *(one[column] for column in COLUMNS[:-1]), Ago(one["ended"], one["age"])) for one in found]
        return (noun, *COLUMNS), rows


class StatsPartitions(_Stats):
    """Show how many queues and messages each partition has, as last computed by a mover.

    The command sends no request to partitions: the last column shows the age of the figures.
    """

    examples = """
  marconi-proxy stats partitions
  marconi-proxy stats partitions -f json
"""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, document = admin.call("GET", "/v1/statistics/partitions")
        return self.shown("partition", document["partitions"], document["walk"])


class StatsProjects(_Stats):
    """Show how many queues and messages each project has, or one of them, as last computed by a mover.

    The command sends no request to partitions: the last column shows the age of the figures.
    """

    examples = """
  marconi-proxy stats projects
  marconi-proxy stats projects --project 8f2c
  marconi-proxy stats projects --limit 100000 -f csv
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="P", help=PROJECT_HELP)
        add_page(parser, "M", "this project")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            if parsed_args.project is not None:
                _, document = admin.call("GET", f"/v1/statistics/projects?project={part(parsed_args.project)}")
                found = document["projects"]
            else:
                found = self.listed(admin, "statistics/projects", {}, parsed_args)
                _, document = admin.call("GET", "/v1/statistics/projects?limit=1")
        return self.shown("project", found, document["walk"])
