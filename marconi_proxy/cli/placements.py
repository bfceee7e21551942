"""``marconi-proxy placement``: where queues live."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from cliff.columns import FormattableColumn

from marconi_proxy.cli.admin_client import part
from marconi_proxy.cli.pages import count, listed
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import AdminLister, AdminShow

COLUMNS = ("project", "queue", "epoch", "state", "segments", "base", "since", "group")
PAGE = 1000

Shown = tuple[Sequence[str], Iterable[Any]]


class Segments(FormattableColumn[list[dict[str, Any]]]):
    """A chain in read order, such as ``0:east-1 (sealed), 1:west-1``."""

    def __str__(self) -> str:
        return json.dumps(self._value)

    def human_readable(self) -> str:
        return ", ".join(f"{s['n']}:{s['partition']}{' (sealed)' if s['sealed'] else ''}" for s in self._value)


def _row(placement: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(Segments(placement[c]) if c == "segments" else placement[c] for c in COLUMNS)


class Show(AdminShow):
    """Show where one queue lives."""

    examples = """
  marconi-proxy placement show 8f2c orders
  marconi-proxy placement show - orders -f json
  marconi-proxy placement show 8f2c '~topic'
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help=PROJECT_HELP)
        parser.add_argument("queue", metavar="QUEUE", help="a queue's name; ~NAME for a topic")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, placement = admin.call("GET", f"/v1/placements/{part(parsed_args.project)}/{part(parsed_args.queue)}")
        return COLUMNS, _row(placement)


class List(AdminLister):
    """List placements by project and queue, those of all projects and partitions unless told otherwise."""

    examples = """
  marconi-proxy placement list --project 8f2c
  marconi-proxy placement list --partition east-1 --limit 10000 -f json
  marconi-proxy placement list --marker 8f2c/orders
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="P", help=PROJECT_HELP)
        parser.add_argument("--partition", metavar="P", help="those with any part of their queue there")
        parser.add_argument("--limit", type=count, default=PAGE, metavar="N", help="at most so many; default: 1000")
        parser.add_argument("--marker", metavar="M", help="begin after this one: PROJECT/QUEUE")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        filters = {"project": parsed_args.project, "partition": parsed_args.partition}
        with self.admin() as admin:
            found, marker = listed(admin, "placements", filters, parsed_args.marker, parsed_args.limit, PAGE)
        if marker is not None:
            self.say(f"There are more: give a larger --limit, or go on with --marker {shlex.quote(marker)}")
        return COLUMNS, [_row(placement) for placement in found]
