"""``marconi-proxy placement``: where queues live."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cliff.columns import FormattableColumn

from marconi_proxy.admin_client.client import part
from marconi_proxy.admin_client.pages import query
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import AdminLister, AdminShow, Shown, add_page

COLUMNS = ("project", "queue", "epoch", "state", "segments", "base", "since", "group")
FILTERS = ("project", "partition", "region", "state")


class Segments(FormattableColumn[list[dict[str, Any]]]):
    """A chain in read order, such as ``0:east-1 (sealed), 1:west-1``."""

    def __str__(self) -> str:
        return json.dumps(self._value)

    def human_readable(self) -> str:
        return ", ".join(f"{s['n']}:{s['partition']}{' (sealed)' if s['sealed'] else ''}" for s in self._value)


def _row(placement: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(Segments(placement[c]) if c == "segments" else placement[c] for c in COLUMNS)


def add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", metavar="P", help=PROJECT_HELP)
    parser.add_argument("--partition", metavar="P", help="only queues with any segment there")
    parser.add_argument("--region", metavar="R", help="only queues with any segment on a partition of this region")
    parser.add_argument(
        "--state", metavar="S", help="reserved, creating, open, sealing or deleting, or several separated by commas"
    )


def filters(parsed_args: argparse.Namespace) -> dict[str, str | None]:
    """Return what ``add_filters`` has parsed, as query parameters."""
    return {name: getattr(parsed_args, name) for name in FILTERS}


class PlacementShow(AdminShow):
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


class PlacementList(AdminLister):
    """List placements by project and queue; without options, those of all projects and partitions."""

    examples = """
  marconi-proxy placement list --project 8f2c
  marconi-proxy placement list --partition east-1 --limit 10000 -f json
  marconi-proxy placement list --region eu --state sealing,deleting
  marconi-proxy placement list --marker 8f2c/orders
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_filters(parser)
        add_page(parser, "M", "this one: PROJECT/QUEUE")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            found = self.listed(admin, "placements", filters(parsed_args), parsed_args)
        return COLUMNS, [_row(placement) for placement in found]


class PlacementCount(AdminShow):
    """Count placements; without options, those of all projects and partitions.

    A count that would take too long is refused: narrow it with options.
    """

    examples = """
  marconi-proxy placement count --partition east-1
  marconi-proxy placement count --region eu --state sealing
  marconi-proxy placement count --project 8f2c -f value
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_filters(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, document = admin.call("GET", f"/v1/placements/count?{query(filters(parsed_args))}")
        return ("count",), (document["count"],)
