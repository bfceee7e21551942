"""``marconi-proxy move export``: the records of finished moves, before movers remove them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from marconi_proxy.admin_client.client import AdminClient
from marconi_proxy.admin_client.pages import page
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import AdminVerb
from marconi_proxy.cli.whole_file import destination

# Each has its log and certificate: a page is some hundred kilobytes.
_PAGE = 100


class MoveExport(AdminVerb):
    """Write the records of finished moves to a file, a line of JSON each, with their logs and certificates.

    Records are removed after a while ([moving] keep_finished and keep_finished_for). The file appears whole or not at
    all.
    """

    examples = """
  marconi-proxy move export -o moves.jsonl
  marconi-proxy move export --plan 20261121T080000-p5b01dd | jq .certificate
  marconi-proxy move export --force -o moves.jsonl
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "-o", "--output", metavar="FILE", default="-", help="the file to write; default: - (stdout)"
        )
        parser.add_argument("--force", action="store_true", help="replace an existing file")
        parser.add_argument("--project", metavar="P", help=PROJECT_HELP)
        parser.add_argument("--queue", metavar="Q", help="only queues of this name")
        parser.add_argument("--partition", metavar="P", help="only moves from or to it")
        parser.add_argument("--plan", metavar="ID", help="only moves of this plan")
        parser.add_argument("--marker", metavar="ID", help="begin after this one, which may have ended later")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        filters = {name: getattr(parsed_args, name) for name in ("project", "queue", "partition", "plan")}
        moves = certified = 0
        with (
            destination(parsed_args.output, replace=parsed_args.force) as stream,
            self.admin() as admin,
            self.counting("moves") as counting,
        ):
            for move in _finished(admin, filters, parsed_args.marker):
                stream.write(json.dumps(move).encode("ascii") + b"\n")
                moves += 1
                certified += move["certificate"] is not None
                counting.show("exporting", moves, None)
            stream.flush()
        self.say(f"Exported {moves} finished move{'s' if moves != 1 else ''}, {certified} of them with a certificate.")


def _finished(admin: AdminClient, filters: dict[str, str | None], marker: str | None) -> Iterator[dict[str, Any]]:
    whole = {**filters, "state": "finished", "whole": "true"}
    while True:
        moves, marker = page(admin, "moves", whole, marker, _PAGE)
        if not moves:
            return
        yield from moves
