"""``marconi-proxy member``: the front-door workers that are registered in the catalog."""

from __future__ import annotations

import argparse

from marconi_proxy.admin_client.client import part
from marconi_proxy.cli.formatters import Words
from marconi_proxy.cli.verb import AdminLister, AdminVerb, Shown

COLUMNS = ("id", "renewed", "age", "lease", "may_write_for", "fresh", "synced", "late_writes", "capabilities")


class MemberList(AdminLister):
    """List the workers of all front doors, with how long each may still write without another heartbeat."""

    examples = """
  marconi-proxy member list
  marconi-proxy member list -f json
"""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, document = admin.call("GET", "/v1/members")
        if not document["members"]:
            self.say("There are none. Next: marconi-proxy serve public")
        rows = [tuple(Words(m[c]) if c == "capabilities" else m[c] for c in COLUMNS) for m in document["members"]]
        return COLUMNS, rows


class MemberEvict(AdminVerb):
    """Remove a killed worker from the catalog, so that moves do not wait for it.

    Refused with status 3, and the time to wait, while it may still write: stop its process first.
    """

    examples = """
  marconi-proxy member evict web-3/4711/5f0c
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", help="a worker's id, from 'member list'")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.admin() as admin:
            admin.call("DELETE", f"/v1/members/{part(parsed_args.id)}")
        self.say(f"Evicted worker {parsed_args.id}. Next: marconi-proxy member list")
