"""Commands that move many queues: they make a plan, show it, and have it carried out. And ``marconi-proxy plan``."""

from __future__ import annotations

import argparse
import json
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from catalog.model import WholePlan
from marconi_proxy.admin.project_text import shown
from marconi_proxy.cli.admin_client import AdminClient, NotFound, part
from marconi_proxy.cli.exits import CommandError, Exit
from marconi_proxy.cli.formatters import Words
from marconi_proxy.cli.moves import PAGE, Watcher, add_timeout, project_in_json
from marconi_proxy.cli.pages import count, listed, number
from marconi_proxy.cli.partitions import add_repin, repin
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import AdminLister, AdminShow, Verb
from marconi_proxy.cli.watching import named

PLAN_COLUMNS = (
    "id",
    "title",
    "state",
    "moves",
    "waiting",
    "begun",
    *("done", "reversed", "cancelled", "gone"),
    *("refused", "failed", "note"),
)
# How often a plan is made anew when what it relies on changes before it is applied.
_TIMES = 3
# So many queues that are left out are named.
_NAMED = 10

# What a plan says of tenants.
_TENANTS = {
    "kept": "Tenants whose queues stay, for their pins and spreads",
    "broken": "BREAKS pins and spreads of tenants",
}

Shown = tuple[Sequence[str], Iterable[Any]]


def plan_row(plan: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(plan["ended"].get(c, plan.get(c)) for c in PLAN_COLUMNS)


def described(summary: dict[str, Any]) -> list[str]:
    """Return what a plan will do, as lines."""

    def counts(found: dict[str, int]) -> str:
        return ", ".join(f"{name} {number}" for name, number in found.items())

    budgets, pause = summary["budgets"], summary["pause"]
    measured = pause["measured"]
    past = (
        f"; {measured['count']} moves of the last week took {measured['median_ms']:.0f} ms (median), "
        f"{measured['p99_ms']:.0f} ms (99 %)"
        if measured
        else "; none was measured in the last week"
    )
    lines = [
        f"Plan {summary['id']}: {summary['title']}. Queues to move: {summary['moves']}, of projects: "
        f"{summary['projects']}.",
        f"  from  {counts(summary['from'])}",
        f"  to    {counts(summary['to'])}",
        f"  While a queue is switched, each write to it waits for at most {pause['at_most_ms']:.0f} ms; one that would "
        f"wait for longer is answered 503. An attempt is given up after {pause['attempt_ms']:.0f} ms{past}.",
        f"  Asks for {budgets['at_once']} at a time of each partition and {budgets['seals_per_second']:g} begun per "
        "second; a mover does no more than its own [moving] at_once and seals_per_second.",
        f"  Begins moves: {budgets['window'] or 'at any time'}{' UTC' if budgets['window'] else ''}; "
        f"stops after failures: {budgets['stop_after']}.",
    ]
    if summary["repin"] is not None:
        lines.append(f"  Tenants that are pinned to what it empties, or this tenant: pinned to {summary['repin']}.")
    for name, words in _TENANTS.items():
        if summary[f"{name}_count"]:
            lines.append(f"  {words}: {summary[f'{name}_count']}")
            lines += [f"    {tenant['project'] or '-'} {tenant['reason']}" for tenant in summary[name][:_NAMED]]
    if summary["left_out_count"]:
        lines.append(f"  Left out: {summary['left_out_count']}")
        lines += [f"    {named(entry)}: {entry['reason']}" for entry in summary["left_out"][:_NAMED]]
    return lines


def ended(verb: Verb, plan: dict[str, Any], again: str = "make a new plan") -> None:
    """Say how a plan ended; ``again`` is what to do about what it did not move. Raises CommandError if there is any."""
    for problem in plan["problems"][:_NAMED]:
        verb.say(f"  {named(problem)}: {problem['outcome']}{': ' if problem['reason'] else ''}{problem['reason']}")
    failed, left = plan["ended"]["failed"] + plan["ended"]["refused"], plan["left_out_count"]
    wrong = [f"plan {plan['id']} is {plan['state']}"]
    wrong += [f"{failed} failure{'s' if failed != 1 else ''}"] if failed else []
    wrong += [f"{left} queue{' was' if left == 1 else 's were'} left out"] if left else []
    wrong += [plan["note"]] if plan["note"] else []
    if wrong[1:] or plan["state"] != "done":
        following = f"marconi-proxy move list --plan {plan['id']}" if failed else again
        raise CommandError(f"{'; '.join(wrong)}. Next: {following}")


def add_budgets(parser: argparse.ArgumentParser) -> None:
    def add(option: str, kind: Callable[[str], object], metavar: str, text: str) -> None:
        parser.add_argument(option, type=kind, metavar=metavar, help=text)

    add(
        "--at-once",
        int,
        "N",
        "moves of a partition before their switch, at most [moving] at_once of movers; default: 4",
    )
    add(
        "--seals-per-second",
        number,
        "N",
        "moves begun per second, at most [moving] seals_per_second of movers; default: 10",
    )
    add(
        "--window",
        str,
        "HH:MM-HH:MM",
        "begin moves at that time of day only, in UTC; what is begun is tried again at any time",
    )
    add("--stop-after", int, "N", "give up after so many failures; default: 10")
    add(
        "--max-pause",
        number,
        "MS",
        "give up an attempt to switch a queue that has held writes for so long",
    )


def budgets(parsed_args: argparse.Namespace) -> dict[str, Any]:
    given = {
        "at_once": parsed_args.at_once,
        "seals_per_second": parsed_args.seals_per_second,
        "window": parsed_args.window,
        "stop_after": parsed_args.stop_after,
        "max_pause_ms": parsed_args.max_pause,
    }
    return {name: value for name, value in given.items() if value is not None}


def _add_break_pins(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--break-pins",
        action="store_true",
        help="move queues also where pins and spreads of their tenants keep new ones from going",
    )


def _pins(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return what the admin API takes of --repin and --break-pins."""
    chosen: dict[str, Any] = {"break_pins": True} if parsed_args.break_pins else {}
    if getattr(parsed_args, "repin", None) is not None:
        chosen["repin"] = parsed_args.repin
    return chosen


def _add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        metavar="PARTITION",
        action="extend",
        nargs="+",
        help="may take queues; one or several, may be repeated; default: all that do",
    )


def _say_applied(verb: Verb, plan: dict[str, Any]) -> None:
    if "repinned" in plan:
        verb.say(f"Tenants pinned elsewhere, so that their new queues go there: {plan['repinned']}.")
    verb.say(f"Plan {plan['id']} is under way.")


class Planning(Watcher):
    """A command that makes a plan, shows it, asks, and has it carried out."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_selection(parser)
        _add_break_pins(parser)
        add_budgets(parser)
        parser.add_argument("--yes", action="store_true", help="carry it out without asking")
        parser.add_argument("--dry-run", action="store_true", help="only show the plan")
        parser.add_argument("--no-wait", action="store_true", help="return when it is begun")
        add_timeout(parser)
        return parser

    @abstractmethod
    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments that say what is to be planned."""

    @abstractmethod
    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return what is to be planned, as the admin API takes it."""

    def begin(self, admin: AdminClient, parsed_args: argparse.Namespace) -> list[str]:
        """Do what must be done before planning; return the partitions that it cordoned."""
        return []

    def needless(self, admin: AdminClient, parsed_args: argparse.Namespace) -> bool:
        """Tell whether nothing is to be planned, and if so, do what is left to be done. Raises CommandError if that is
        not confirmed."""
        return False

    def done(self, parsed_args: argparse.Namespace) -> None:
        """Say what comes next, now that all of it is moved."""

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
                # Any other failure may have come after the plan was applied.
                if error.status in (Exit.REFUSED, Exit.USAGE):
                    self._uncordon(admin, cordoned)
                raise
            _say_applied(self, plan)
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
        """Make a plan, show it, and apply it if that is wanted; return it."""
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
        """Ask whether to go on, unless --yes says so. Raises CommandError if not."""
        if parsed_args.yes:
            return
        if not sys.stdin.isatty():
            raise CommandError("nothing was moved: stdin is not a terminal; pass --yes to confirm", Exit.USAGE)
        self.app.stderr.write("Carry it out? [y/N] ")
        self.app.stderr.flush()
        with suppress(KeyboardInterrupt):
            if sys.stdin.readline().strip().lower() in ("y", "yes"):
                return
        raise CommandError("nothing was moved", Exit.REFUSED)


class Tenant(Planning):
    """Move all queues of a project to one partition.

    Queues that it creates meanwhile go where they would anyway; --pin lets them go there too.
    """

    examples = """
  marconi-proxy move tenant 8f2c --to west-1
  marconi-proxy move tenant 8f2c --to west-1 --pin --at-once 2 --window 22:00-04:00 --yes
"""

    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help=PROJECT_HELP)
        parser.add_argument("--to", metavar="PARTITION", required=True, help="where its queues are to go")
        parser.add_argument("--pin", action="store_true", help="from now on its new queues go there, too")

    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        pin = {"repin": parsed_args.to} if parsed_args.pin else {}
        project = project_in_json(parsed_args.project)
        return {"kind": "tenant", "project": project, "to": [parsed_args.to], **pin, **_pins(parsed_args)}


class _Emptying(Planning):
    """Partitions are cordoned before the plan is made, so that it has all that they will ever have."""

    def cordon(self, admin: AdminClient, names: Iterable[str]) -> list[str]:
        """Return those that were not cordoned before."""
        changed = []
        for name in names:
            _, partition = admin.call("GET", f"/v1/partitions/{part(name)}")
            if partition["state"] == "enabled":
                admin.call("PATCH", f"/v1/partitions/{part(name)}", {"state": "cordoned"})
                self.say(f"Partition {name} takes no new queues from now on.")
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
        pins = "" if to is None else f" Tenants that are pinned to {those} get pinned to {to}."
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
        """Name the tenants that are pinned to a partition. Raises CommandError unless it is said what to do then."""
        if parsed_args.repin is not None:
            return
        found, others = listed(admin, "tenants", {"pinned": name}, None, _NAMED, _NAMED)
        if not found:
            return
        names = ", ".join(tenant["project"] or "-" for tenant in found) + (" and others" if others else "")
        if not parsed_args.break_pins:
            reason = (
                f"nothing was changed: tenants are pinned to {name}, and their new queues would be refused: {names}"
            )
            raise CommandError(f"{reason}. Next: the same command with --repin TO, or --break-pins", Exit.REFUSED)
        self.say(f"New queues of tenants that are pinned to {name} will be refused: {names}.")

    def done(self, parsed_args: argparse.Namespace) -> None:
        self.say("All of it is moved.")


class Drain(_Emptying):
    """Move all queues of a partition to others, so that it can be deleted.

    It takes no new queues from then on. Its queues go where new ones of their tenants go. Tenants that are pinned to
    it are named, and nothing is moved, unless --repin pins them to another one.
    """

    examples = """
  marconi-proxy partition drain east-1 --repin west-1
  marconi-proxy partition drain east-1
  marconi-proxy partition drain east-1 --to west-1 west-2 --at-once 2 --yes
  marconi-proxy partition drain east-1 --dry-run
"""

    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the partition that is to be emptied")
        _add_to(parser)
        add_repin(parser)

    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {"kind": "drain", "partition": parsed_args.name, "to": parsed_args.to or [], **_pins(parsed_args)}

    def names(self, admin: AdminClient, parsed_args: argparse.Namespace) -> list[str]:
        return [parsed_args.name]

    def done(self, parsed_args: argparse.Namespace) -> None:
        super().done(parsed_args)
        self.say(f"Next: marconi-proxy partition delete {parsed_args.name}")


class Evacuate(_Emptying):
    """Move all queues of a region's partitions to partitions elsewhere. They take no new queues from then on."""

    examples = """
  marconi-proxy region evacuate eu-central
  marconi-proxy region evacuate eu-central --to west-1 west-2 --yes --no-wait
"""

    def add_selection(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="a region, as partitions were registered with")
        _add_to(parser)
        add_repin(parser)

    def selection(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {"kind": "evacuate", "region": parsed_args.name, "to": parsed_args.to or [], **_pins(parsed_args)}

    def names(self, admin: AdminClient, parsed_args: argparse.Namespace) -> list[str]:
        _, partitions = admin.call("GET", "/v1/partitions")
        return [p["name"] for p in partitions or [] if p["region"] == parsed_args.name]


class Rebalance(Planning):
    """Move as few queues as bring partitions to their shares by weight.

    Queues go only where new ones of their tenants go: by pin and spread. --break-pins moves others, too.
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
        return {"kind": "rebalance", "to": parsed_args.to or [], **_pins(parsed_args)}


class Write(AdminShow):
    """Write a plan to a file, to be read, and applied later. Nothing is moved.

    KIND says what NAME is: tenant PROJECT, drain PARTITION, evacuate REGION; rebalance takes none.
    """

    examples = """
  marconi-proxy move plan tenant 8f2c --to west-1 -o tenant.json
  marconi-proxy move plan drain east-1 --window 22:00-04:00 -o drain.json
  marconi-proxy move plan rebalance -o rebalance.json
"""
    _names: ClassVar = {"tenant": "project", "drain": "partition", "evacuate": "region"}

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        kinds = (*self._names, "rebalance")
        parser.add_argument("kind", metavar="KIND", choices=kinds, help=f"what the plan does: {', '.join(kinds)}")
        parser.add_argument(
            "name", metavar="NAME", nargs="?", help="the project, partition or region that KIND is about"
        )
        _add_to(parser)
        add_repin(parser)
        _add_break_pins(parser)
        add_budgets(parser)
        parser.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write it; it is replaced")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        kind, name = parsed_args.kind, parsed_args.name
        if (name is None) != (kind not in self._names):
            wanted = f"the name of a {self._names[kind]}" if kind in self._names else "no name"
            raise CommandError(f"{kind}: takes {wanted}", Exit.USAGE)
        body: dict[str, Any] = {"kind": kind, "to": parsed_args.to or [], "budgets": budgets(parsed_args)}
        body |= _pins(parsed_args)
        if name is not None:
            body[self._names[kind]] = project_in_json(name) if kind == "tenant" else name
        with self.admin() as admin:
            _, document = admin.call("POST", "/v1/plans", body)
        try:
            Path(parsed_args.output).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"--output: cannot write {parsed_args.output}: {error.strerror}") from error
        for line in described(document["summary"]):
            self.say(line)
        self.say(f"Nothing was moved. Next: marconi-proxy move apply {parsed_args.output}")
        return PLAN_COLUMNS, plan_row(document["summary"])


class Apply(Watcher):
    """Carry out exactly the plan in a file, or refuse with status 3, saying what has changed since it was made."""

    examples = """
  marconi-proxy move apply drain.json
  marconi-proxy move apply drain.json --no-wait
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="FILE", help="as 'move plan' has written it")
        parser.add_argument("--no-wait", action="store_true", help="return when it is begun")
        add_timeout(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        plan = _read(parsed_args.file).plan
        with self.admin() as admin:
            try:
                _, applied = admin.call("POST", f"/v1/plans/{part(plan.id)}/apply", {"hash": plan.hash})
            except NotFound as error:
                reason = f"this catalog has no plan {plan.id}: it was made over another one, or is removed by now"
                raise CommandError(reason, Exit.REFUSED) from error
            _say_applied(self, applied)
            if parsed_args.no_wait:
                self.say(f"Next: marconi-proxy move watch {plan.id}")
                return PLAN_COLUMNS, plan_row(applied)
            progress = self.watch(admin, parsed_args).plan(plan.id)
        ended(self, progress)
        return PLAN_COLUMNS, plan_row(progress)


def _read(path: str) -> WholePlan:
    """Return the plan in a file. Raises CommandError, also if it was changed after it was written."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}", Exit.USAGE) from error
    except ValueError as error:
        raise CommandError(f"{path} is no plan: it is not JSON: {error}", Exit.USAGE) from error
    except RecursionError as error:
        raise CommandError(f"{path} is no plan: it is nested too deeply", Exit.USAGE) from error
    written = document.get("plan") if isinstance(document, dict) else None
    if not isinstance(written, dict):
        raise CommandError(f"{path} is no plan: it has no object named plan", Exit.USAGE)
    try:
        return WholePlan.from_json(written)
    except ValueError as error:
        raise CommandError(f"{path} is not the plan that was written: {error}", Exit.REFUSED) from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{path} is not the plan that was written: it lacks something, or has it in another form"
        raise CommandError(reason, Exit.REFUSED) from error


class List(AdminLister):
    """List plans by id, which is by when they were made."""

    examples = """
  marconi-proxy plan list
  marconi-proxy plan list --state running,paused -f json
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--state", metavar="S", help="planned, running, paused, stopped, done; with commas between")
        parser.add_argument("--limit", type=count, default=PAGE, metavar="N", help="at most so many; default: 1000")
        parser.add_argument("--marker", metavar="ID", help="begin after this one")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            filters = {"state": parsed_args.state}
            found, marker = listed(admin, "plans", filters, parsed_args.marker, parsed_args.limit, 100)
        if marker is not None:
            self.say(f"There are more: give a larger --limit, or go on with --marker {marker}")
        return PLAN_COLUMNS, [plan_row(plan) for plan in found]


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="a plan's id, from 'plan list'")


class Show(AdminShow):
    """Show what a plan does, and how far it is."""

    examples = """
  marconi-proxy plan show 20261121T080000-p5b01dd
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_id(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, document = admin.call("GET", f"/v1/plans/{part(parsed_args.id)}")
            _, progress = admin.call("GET", f"/v1/plans/{part(parsed_args.id)}/progress")
        for line in described(document["summary"]):
            self.say(line)
        # A plan is written as the catalog has it.
        queues = Words([f"{shown(named(m))}:{m['source']}->{m['target']}" for m in document["plan"]["moves"]])
        return (*PLAN_COLUMNS, "hash", "queues"), (*plan_row(progress), progress["hash"], queues)


class Pause(AdminShow):
    """Begin no more moves of a plan until it is resumed. Those that are begun go on."""

    examples = """
  marconi-proxy plan pause 20261121T080000-p5b01dd
"""
    _verb = "pause"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_id(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, plan = admin.call("POST", f"/v1/plans/{part(parsed_args.id)}/{self._verb}")
        self.say(f"Plan {plan['id']} is {plan['state']}. Next: marconi-proxy plan show {plan['id']}")
        return PLAN_COLUMNS, plan_row(plan)


class Resume(Pause):
    """Go on with a plan that is paused."""

    examples = """
  marconi-proxy plan resume 20261121T080000-p5b01dd
"""
    _verb = "resume"


class Stop(Pause):
    """Give a plan up. Moves that are begun go on; see 'move list --plan', 'move cancel' and 'move reverse'."""

    examples = """
  marconi-proxy plan stop 20261121T080000-p5b01dd
"""
    _verb = "stop"
