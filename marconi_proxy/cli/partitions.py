"""``marconi-proxy partition``: registering and changing partitions."""

from __future__ import annotations

import argparse
from typing import Any

from marconi_proxy.admin_client.client import AdminClient, part
from marconi_proxy.admin_client.pages import query
from marconi_proxy.cli.formatters import Words
from marconi_proxy.cli.verb import AdminLister, AdminShow, AdminVerb, Shown, Verb
from marconi_proxy.exits import CommandError, Exit

COLUMNS = (
    *("name", "weight", "hosts", "region", "labels", "state", "api_versions", "inventory"),
    *("fences", "store", "same_store"),
)
# The most tenants that are named.
_NAMED = 10
STATES = ("enabled", "cordoned", "drained", "disabled")


def _row(partition: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(Words(partition[c]) if isinstance(partition[c], list) else partition[c] for c in COLUMNS)


def _shown(admin: AdminClient, name: str) -> Shown:
    _, partition = admin.call("GET", f"/v1/partitions/{part(name)}")
    return COLUMNS, _row({"name": name, **partition})


def _add_settings(parser: argparse.ArgumentParser, *, required: bool) -> None:
    again = "" if required else "; replaces the ones before"
    parser.add_argument(
        "--host",
        metavar="URL",
        action="append",
        required=required,
        help=f"base URL of one of its servers, such as http://10.0.0.1:8888; may be repeated{again}",
    )
    parser.add_argument(
        "--weight",
        type=int,
        default=100 if required else None,
        metavar="N",
        help="its share of new queues, 0 to 4294967295; 0 takes none" + ("; default: 100" if required else ""),
    )
    parser.add_argument("--region", metavar="R", help="its region" + ("" if required else "; empty for none"))
    parser.add_argument(
        "--label",
        metavar="L",
        action="append",
        help="a word of your own; may be repeated" + ("" if required else "; replaces the ones before, empty for none"),
    )
    parser.add_argument(
        "--api-version",
        metavar="V",
        action="append",
        help="v1, v1.1 or v2; may be repeated; default: as its servers report"
        + ("" if required else "; empty to use the report of its servers again"),
    )
    parser.add_argument(
        "--inventory",
        metavar="URL",
        help="base URL of its inventory, the admin listener of a marconi-partition: with it, adopting and verifying "
        "need no list of projects" + ("" if required else "; empty for none"),
    )


def _settings(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given, as the admin API takes them."""
    given: dict[str, Any] = {}
    if parsed_args.host is not None:
        given["hosts"] = parsed_args.host
    if parsed_args.weight is not None:
        given["weight"] = parsed_args.weight
    if parsed_args.region is not None:
        given["region"] = parsed_args.region or None
    if parsed_args.label is not None:
        given["labels"] = [label for label in parsed_args.label if label]
    if parsed_args.api_version is not None:
        given["api_versions"] = [version for version in parsed_args.api_version if version]
    if parsed_args.inventory is not None:
        given["inventory"] = parsed_args.inventory or None
    return given


class PartitionRegister(AdminShow):
    """Register a partition: servers over one store, for new queues.

    A repetition changes nothing; with other values it is refused. Use 'partition set' to change them.
    """

    examples = """
  marconi-proxy partition register east-1 --host http://10.0.0.1:8888 --host http://10.0.0.2:8888
  marconi-proxy partition register west-1 --host http://10.1.0.1:8888 --weight 50 --region west --label ssd
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the partition's name")
        _add_settings(parser, required=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        name = parsed_args.name
        with self.admin() as admin:
            status, _ = admin.call("PUT", f"/v1/partitions/{part(name)}", _settings(parsed_args))
            columns, row = _shown(admin, name)
        self.say(f"Registered partition {name}." if status == 201 else f"Partition {name} was registered already.")
        if not parsed_args.api_version and not list(row)[COLUMNS.index("api_versions")].machine_readable():
            self.say("Its API versions are not known yet, because none of its servers answered; probes will retry.")
        self.say("Next: marconi-proxy partition list")
        return columns, row


class PartitionList(AdminLister):
    """List all partitions."""

    examples = """
  marconi-proxy partition list
  marconi-proxy partition list -f json
"""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, partitions = admin.call("GET", "/v1/partitions")
        if not partitions:
            self.say("There are none. Next: marconi-proxy partition register NAME --host URL")
        return COLUMNS, [_row(p) for p in partitions or []]


class PartitionShow(AdminShow):
    """Show one partition."""

    examples = """
  marconi-proxy partition show east-1 -f json
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the partition's name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            return _shown(admin, parsed_args.name)


class PartitionSet(PartitionShow):
    """Change a partition. Values without an option stay as they are."""

    examples = """
  marconi-proxy partition set east-1 --weight 200
  marconi-proxy partition set east-1 --host http://10.0.0.3:8888 --host http://10.0.0.4:8888
  marconi-proxy partition set east-1 --state disabled
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_settings(parser, required=False)
        parser.add_argument("--state", choices=STATES, help="disabled: no call is forwarded to it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        body = _settings(parsed_args) | ({"state": parsed_args.state} if parsed_args.state else {})
        if not body:
            raise CommandError("nothing to change: give at least one of the options", Exit.USAGE)
        with self.admin() as admin:
            _, stranded = admin.call("PATCH", f"/v1/partitions/{part(parsed_args.name)}", body)
            shown = _shown(admin, parsed_args.name)
        if stranded is not None:
            warn_stranded(self, parsed_args.name, stranded)
        self.say(f"Changed partition {parsed_args.name}. Next: marconi-proxy partition show {parsed_args.name}")
        return shown


class PartitionCordon(PartitionShow):
    """Close a partition to new queues. Its existing queues are served as before.

    New queues of tenants that are pinned to it are refused from then on. These tenants are named, and --repin pins
    them to another partition.
    """

    examples = """
  marconi-proxy partition cordon east-1
  marconi-proxy partition cordon east-1 --repin west-1
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_repin(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        name = parsed_args.name
        with self.admin() as admin:
            if parsed_args.repin is not None:
                repin(self, admin, name, parsed_args.repin)
            _, stranded = admin.call("PATCH", f"/v1/partitions/{part(name)}", {"state": "cordoned"})
            shown = _shown(admin, name)
        self.say(f"Partition {name} is cordoned.")
        if stranded is None:
            self.say(f"Next: marconi-proxy placement list --partition {name}")
        else:
            warn_stranded(self, name, stranded)
        return shown


def add_repin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repin", metavar="TO", help="pin the tenants of that partition to this one instead")


def repin(verb: Verb, admin: AdminClient, name: str, to: str) -> None:
    """Pin the tenants of partition ``name`` to another one, and print their number."""
    _, changed = admin.call("POST", f"/v1/partitions/{part(name)}/repin", {"to": to})
    verb.say(f"Tenants pinned to {to} instead of {name}: {changed['tenants']}.")


def warn_stranded(verb: Verb, name: str, stranded: dict[str, Any]) -> None:
    """Name the tenants that are pinned to a partition which takes no new queues."""
    named = ", ".join(project or "-" for project in stranded["pinned"][:_NAMED])
    more = " and others" if len(stranded["pinned"]) > _NAMED or stranded["more"] else ""
    verb.say(f"New queues of tenants pinned to {name} are refused now: {named}{more}.")
    verb.say(f"Next: marconi-proxy partition cordon {name} --repin TO, or marconi-proxy tenant list --pinned {name}")


class PartitionUncordon(PartitionShow):
    """Open a partition to new queues again."""

    examples = """
  marconi-proxy partition uncordon east-1
"""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            admin.call("PATCH", f"/v1/partitions/{part(parsed_args.name)}", {"state": "enabled"})
            shown = _shown(admin, parsed_args.name)
        self.say(f"Partition {parsed_args.name} is enabled.")
        self.say(f"Next: marconi-proxy partition show {parsed_args.name}")
        return shown


class PartitionDelete(AdminVerb):
    """Remove a partition without queues from the catalog. Its servers are not changed.

    Refused with status 3 while a queue is placed on it, or a tenant is pinned to it.
    """

    examples = """
  marconi-proxy partition delete east-1
  marconi-proxy partition delete east-1 --repin west-1
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the partition's name")
        add_repin(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.admin() as admin:
            chosen = query({"repin": parsed_args.repin})
            path = f"/v1/partitions/{part(parsed_args.name)}{'?' if chosen else ''}{chosen}"
            _, pinned = admin.call("DELETE", path)
        if pinned is not None:
            self.say(f"Tenants pinned to {parsed_args.repin} instead of {parsed_args.name}: {pinned['tenants']}.")
        self.say(f"Removed partition {parsed_args.name}. Next: marconi-proxy partition list")
