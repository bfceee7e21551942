"""``marconi-proxy tenant``: where new queues of projects are placed."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from marconi_proxy.admin_client.client import AdminClient, part
from marconi_proxy.cli.verb import AdminLister, AdminShow, AdminVerb, Shown, add_page, count
from marconi_proxy.exits import CommandError, Exit

COLUMNS = ("project", "spread", "pinned", "set")
LIST_COLUMNS = ("project", "spread", "pinned")
PROJECT_HELP = "a project's id; - for no project; id:- for the project named -"


class TenantShow(AdminShow):
    """Show over how many partitions a project's new queues spread, or which one they are pinned to."""

    examples = """
  marconi-proxy tenant show 8f2c
  marconi-proxy tenant show - -f json
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help=PROJECT_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            return _shown(admin, parsed_args.project)


class TenantList(AdminLister):
    """List tenants with settings, by project; without options, those of all partitions.

    All other tenants have the defaults: spread 1, not pinned.
    """

    examples = """
  marconi-proxy tenant list
  marconi-proxy tenant list --pinned east-1 -f json
  marconi-proxy tenant list --spread 4
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--pinned", metavar="PARTITION", help="only tenants pinned to this partition")
        parser.add_argument(
            "--spread", type=count, metavar="N", help="only tenants that spread over so many partitions"
        )
        add_page(parser, "PROJECT")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        spread = None if parsed_args.spread is None else str(parsed_args.spread)
        filters = {"pinned": parsed_args.pinned, "spread": spread}
        with self.admin() as admin:
            found = self.listed(admin, "tenants", filters, parsed_args)
        return LIST_COLUMNS, [[tenant[column] for column in LIST_COLUMNS] for tenant in found]


class TenantSet(TenantShow):
    """Set where a project's new queues go.

    Settings without an option stay as they are, and existing queues stay where they are.
    """

    examples = """
  marconi-proxy tenant set 8f2c --spread 4
  marconi-proxy tenant set 8f2c --pin east-1
  marconi-proxy tenant set 8f2c --no-pin
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--spread", type=int, metavar="N", help="over how many partitions, 1 to 1000")
        pin = parser.add_mutually_exclusive_group()
        pin.add_argument("--pin", metavar="PARTITION", help="put them all on this one")
        pin.add_argument("--no-pin", action="store_true", help="let them spread again")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        given: dict[str, Any] = {}
        if parsed_args.spread is not None:
            given["spread"] = parsed_args.spread
        if parsed_args.pin is not None or parsed_args.no_pin:
            given["pinned"] = parsed_args.pin
        if not given:
            raise CommandError("nothing to set: give --spread, --pin or --no-pin", Exit.USAGE)
        path = f"/v1/tenants/{part(parsed_args.project)}"
        with self.admin() as admin:
            admin.call("PATCH", path, given)
            shown = _shown(admin, parsed_args.project)
        self.say("This affects queues created from now on; existing queues stay where they are.")
        self.say(f"Next: marconi-proxy placement list --project {shlex.quote(parsed_args.project)}")
        return shown


class TenantUnset(AdminVerb):
    """Restore the defaults for a project's new queues: spread 1, not pinned."""

    examples = """
  marconi-proxy tenant unset 8f2c
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help=PROJECT_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.admin() as admin:
            admin.call("DELETE", f"/v1/tenants/{part(parsed_args.project)}")
        self.say("This affects queues created from now on; existing queues stay where they are.")
        self.say(f"Next: marconi-proxy tenant show {shlex.quote(parsed_args.project)}")


def _shown(admin: AdminClient, project: str) -> Shown:
    _, tenant = admin.call("GET", f"/v1/tenants/{part(project)}")
    return COLUMNS, [tenant[column] for column in COLUMNS]
