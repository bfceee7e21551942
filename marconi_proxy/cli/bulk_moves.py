"""Commands that move many queues: they make a plan, show it, ask for confirmation, and apply it."""

from __future__ import annotations

import argparse
import sys
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from marconi_proxy.admin_client.client import AdminClient, part
from marconi_proxy.admin_client.pages import listed
from marconi_proxy.cli.moves import Watcher, add_timeout, project_in_json
from marconi_proxy.cli.partitions import add_repin, repin
from marconi_proxy.cli.plan_options import add_break_pins, add_budgets, add_to, budgets, pins
from marconi_proxy.cli.plans import PLAN_COLUMNS, described, ended, plan_row, say_applied
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import Shown
from marconi_proxy.exits import CommandError, Exit

# The most times that a plan is made, if a precondition changes before it is applied.
_TIMES = 3
# The most pinned tenants that are named.
_NAMED = 10


class BulkMove(Watcher):
    """A command that makes a plan, shows it, asks for confirmation, and applies it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_selection(parser)
        add_break_pins(parser)
        add_budgets(parser)
        parser.add_argument("--yes", action="store_true", help="do it without asking")
        parser.add_argument("--dry-run", action="store_true", help="only show the plan")
        parser.add_argument("--no-wait", action="store_true", help="return when it has begun")
        add_timeout(parser)
        return parser

    @abstractmethod
    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments that select the queues of the plan."""

    @abstractmethod
    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the body of the request that makes the plan."""

    def begin(self, admin: AdminClient, parsed_args: argparse.Namespace) -> list[str]:
        """Prepare for planning; return the partitions that this call cordoned."""
        return []

    def needless(self, admin: AdminClient, parsed_args: argparse.Namespace) -> bool:
        """Return whether there is nothing to plan. If so, complete the command first. Raises CommandError if the
        operator does not confirm it."""
        return False

    def done(self, parsed_args: argparse.Namespace) -> None:
        """Print the next step, after all queues have moved."""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        body = self.selection(parsed_args) | {"budgets": budgets(parsed_args)}
        with self.admin() as admin:
            if parsed_args.dry_run:
                _, document = admin.call("POST", "/v1/plans", body)
                self._describe(document["summary"])
                self.say(f"Nothing was moved. Next: marconi-proxy plan show {document['plan']['id']}")
                return PLAN_COLUMNS, plan_row(document["summary"])
            cordoned = self.begin(admin, parsed_args)
            try:
                if self.needless(admin, parsed_args):
                    return PLAN_COLUMNS, [None] * len(PLAN_COLUMNS)
                plan = self._agreed(admin, body, parsed_args)
            except CommandError as error:
                # Any other failure may have happened after the plan was applied.
                if error.status in (Exit.REFUSED, Exit.USAGE):
                    self._uncordon(admin, cordoned)
                raise
            say_applied(self, plan)
            if parsed_args.no_wait:
                self.say(f"Next: marconi-proxy move watch {plan['id']}")
                return PLAN_COLUMNS, plan_row(plan)
            plan = self.watch(admin, parsed_args).plan(plan["id"])
        ended(self, plan, "the same command again")
        self.done(parsed_args)
        return PLAN_COLUMNS, plan_row(plan)

    def _uncordon(self, admin: AdminClient, names: Iterable[str]) -> None:
        for name in names:
            admin.call("PATCH", f"/v1/partitions/{part(name)}", {"state": "enabled"})
            self.say(f"Partition {name} takes new queues again.")

    def _agreed(self, admin: AdminClient, body: dict[str, Any], parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Make a plan, show it, and apply it if the operator confirms; return it."""
        for turn in range(_TIMES):
            _, document = admin.call("POST", "/v1/plans", body)
            plan = document["plan"]
            self._describe(document["summary"])
            try:
                self.confirm(parsed_args)
            except CommandError:
                admin.call("POST", f"/v1/plans/{part(plan['id'])}/stop")
                raise
            try:
                _, applied = admin.call("POST", f"/v1/plans/{part(plan['id'])}/apply", {"hash": plan["hash"]})
            except CommandError as error:
                if error.status is not Exit.REFUSED or turn == _TIMES - 1:
                    raise
                self.say(f"marconi-proxy: {error}")
                continue
            found: dict[str, Any] = applied
            return found
        raise AssertionError("the last turn returns or raises")

    def _describe(self, summary: dict[str, Any]) -> None:
        for line in described(summary):
            self.say(line)

    def confirm(self, parsed_args: argparse.Namespace) -> None:
        """Ask for confirmation unless --yes is given. Raises CommandError if the answer is not yes."""
        if parsed_args.yes:
            return
        if not sys.stdin.isatty():
            raise CommandError("Nothing was moved: stdin is not a terminal. Pass --yes to confirm.", Exit.USAGE)
        self.app.stderr.write("Proceed? [y/N] ")
        self.app.stderr.flush()
        with suppress(KeyboardInterrupt):
            if sys.stdin.readline().strip().lower() in ("y", "yes"):
                return
        raise CommandError("nothing was moved", Exit.REFUSED)


class MoveTenant(BulkMove):
    """Move all queues of a project to one partition.

    The placement of queues that it creates meanwhile does not change, unless --pin is given.
    """

    examples = """
  marconi-proxy move tenant 8f2c --to west-1
  marconi-proxy move tenant 8f2c --to west-1 --pin --at-once 2 --window 22:00-04:00 --yes
"""

    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help=PROJECT_HELP)
        parser.add_argument("--to", metavar="PARTITION", required=True, help="the partition to move its queues to")
        parser.add_argument("--pin", action="store_true", help="also pin the project there, for its new queues")

    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        pin = {"repin": parsed_args.to} if parsed_args.pin else {}
        project = project_in_json(parsed_args.project)
        return {"kind": "tenant", "project": project, "to": [parsed_args.to], **pin, **pins(parsed_args)}


class _Emptying(BulkMove):
    """A plan that empties partitions. They are cordoned first, so that no queue is created on them after planning."""

    def cordon(self, admin: AdminClient, names: Iterable[str]) -> list[str]:
        """Cordon partitions; return those that were not cordoned before."""
        changed = []
        for name in names:
            _, partition = admin.call("GET", f"/v1/partitions/{part(name)}")
            if partition["state"] == "enabled":
                admin.call("PATCH", f"/v1/partitions/{part(name)}", {"state": "cordoned"})
                self.say(f"Partition {name} is cordoned: it takes no new queues.")
                changed.append(name)
        return changed

    @abstractmethod
    def names(self, admin: AdminClient, parsed_args: argparse.Namespace) -> list[str]:
        """Return the partitions that are to be emptied."""

    def begin(self, admin: AdminClient, parsed_args: argparse.Namespace) -> list[str]:
        names = self.names(admin, parsed_args)
        for name in names:
            self._check_pins(admin, name, parsed_args)
        return self.cordon(admin, names)

    def needless(self, admin: AdminClient, parsed_args: argparse.Namespace) -> bool:
        names = self.names(admin, parsed_args)
        for name in names:
            _, document = admin.call("GET", f"/v1/placements?partition={part(name)}&limit=1")
            if document["placements"]:
                return False
        if not names:
            return False
        to, those = parsed_args.repin, ", ".join(names)
        pins = "" if to is None else f" Tenants pinned to {those} get pinned to {to}."
        self.say(f"There is nothing to move.{pins}")
        self.confirm(parsed_args)
        for name in names:
            if to is not None:
                repin(self, admin, name, to)
            _, partition = admin.call("GET", f"/v1/partitions/{part(name)}")
            if partition["state"] == "cordoned":
                admin.call("PATCH", f"/v1/partitions/{part(name)}", {"state": "drained"})
        return True

    def _check_pins(self, admin: AdminClient, name: str, parsed_args: argparse.Namespace) -> None:
        """Name the tenants that are pinned to a partition. Raises CommandError unless an option decides about them."""
        if parsed_args.repin is not None:
            return
        found, others = listed(admin, "tenants", {"pinned": name}, None, _NAMED, _NAMED)
        if not found:
            return
        names = ", ".join(tenant["project"] or "-" for tenant in found) + (" and others" if others else "")
        if not parsed_args.break_pins:
            reason = f"nothing was changed: new queues of tenants pinned to {name} would be refused: {names}"
            raise CommandError(f"{reason}. Next: the same command with --repin TO, or --break-pins", Exit.REFUSED)
        self.say(f"New queues of tenants pinned to {name} will be refused: {names}.")

    def done(self, parsed_args: argparse.Namespace) -> None:
        self.say("All queues are moved.")


class PartitionDrain(_Emptying):
    """Move all queues of a partition to others, so that it can be deleted.

    The partition is cordoned first. Its queues go where new queues of their tenants go. If tenants are pinned to it,
    they are named and nothing is moved, unless --repin pins them to another partition.
    """

    examples = """
  marconi-proxy partition drain east-1 --repin west-1
  marconi-proxy partition drain east-1
  marconi-proxy partition drain east-1 --to west-1 west-2 --at-once 2 --yes
  marconi-proxy partition drain east-1 --dry-run
"""

    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the partition to empty")
        add_to(parser)
        add_repin(parser)

    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {"kind": "drain", "partition": parsed_args.name, "to": parsed_args.to or [], **pins(parsed_args)}

    def names(self, admin: AdminClient, parsed_args: argparse.Namespace) -> list[str]:
        return [parsed_args.name]

    def done(self, parsed_args: argparse.Namespace) -> None:
        super().done(parsed_args)
        self.say(f"Next: marconi-proxy partition delete {parsed_args.name}")


class RegionEvacuate(_Emptying):
    """Move all queues of a region's partitions to partitions elsewhere. The region's partitions are cordoned first."""

    examples = """
  marconi-proxy region evacuate eu-central
  marconi-proxy region evacuate eu-central --to west-1 west-2 --yes --no-wait
"""

    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="a region, as given to 'partition register --region'")
        add_to(parser)
        add_repin(parser)

    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {"kind": "evacuate", "region": parsed_args.name, "to": parsed_args.to or [], **pins(parsed_args)}

    def names(self, admin: AdminClient, parsed_args: argparse.Namespace) -> list[str]:
        _, partitions = admin.call("GET", "/v1/partitions")
        return [p["name"] for p in partitions or [] if p["region"] == parsed_args.name]


class Rebalance(BulkMove):
    """Move as few queues as bring partitions to their shares by weight.

    Queues go only where new queues of their tenants go, by pin and spread. --break-pins also moves other queues.
    """

    examples = """
  marconi-proxy rebalance --dry-run
  marconi-proxy rebalance --to east-1 west-1 --window 22:00-04:00 --yes
"""

    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--to",
            metavar="PARTITION",
            action="extend",
            nargs="+",
            help="balance these; one or several, may be repeated; default: all",
        )

    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {"kind": "rebalance", "to": parsed_args.to or [], **pins(parsed_args)}
