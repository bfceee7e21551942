"""``marconi-proxy plan``: controlling plans; and how a plan is shown."""

from __future__ import annotations

import argparse
from typing import Any

from marconi_proxy.admin_client.client import part
from marconi_proxy.cli.formatters import Words
from marconi_proxy.cli.verb import AdminLister, AdminShow, Shown, Verb, add_page
from marconi_proxy.cli.watch import named
from marconi_proxy.exits import CommandError
from marconi_proxy.project_text import shown

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
# The most left-out queues that are named.
_NAMED = 10

# The lines about tenants in a plan.
_TENANTS = {
    "kept": "Tenants with queues that stay, because of their pins and spreads",
    "broken": "BREAKS pins and spreads of tenants",
}


def plan_row(plan: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(plan["ended"].get(c, plan.get(c)) for c in PLAN_COLUMNS)


def described(summary: dict[str, Any]) -> list[str]:
    """Return the description of a plan, as lines."""

    def counts(found: dict[str, int]) -> str:
        return ", ".join(f"{name} {number}" for name, number in found.items())

    budgets, pause = summary["budgets"], summary["pause"]
    measured = pause["measured"]
    past = (
        f"; {measured['count']} moves of the last week took {measured['median_ms']:.0f} ms (median), "
        f"{measured['p99_ms']:.0f} ms (99 %)"
        if measured
        else "; no move was measured in the last week"
    )
    lines = [
        f"Plan {summary['id']}: {summary['title']}. Queues to move: {summary['moves']}, of projects: "
        f"{summary['projects']}.",
        f"  from  {counts(summary['from'])}",
        f"  to    {counts(summary['to'])}",
        f"  While a queue is switched, each write to it waits for at most {pause['at_most_ms']:.0f} ms; then it is "
        f"answered 503. An attempt is given up after {pause['attempt_ms']:.0f} ms{past}.",
        f"  Budgets: at most {budgets['at_once']} at a time per partition, {budgets['seals_per_second']:g} begun per "
        "second; each mover also keeps to its own [moving] at_once and seals_per_second.",
        f"  Begins moves: {budgets['window'] or 'at any time'}{' UTC' if budgets['window'] else ''}; "
        f"stops after failures: {budgets['stop_after']}.",
    ]
    if summary["repin"] is not None:
        lines.append(f"  Tenants pinned to an emptied partition, or this tenant, get pinned to {summary['repin']}.")
    for name, words in _TENANTS.items():
        if summary[f"{name}_count"]:
            lines.append(f"  {words}: {summary[f'{name}_count']}")
            lines += [f"    {tenant['project'] or '-'} {tenant['reason']}" for tenant in summary[name][:_NAMED]]
    if summary["left_out_count"]:
        lines.append(f"  Left out: {summary['left_out_count']}")
        lines += [f"    {named(entry)}: {entry['reason']}" for entry in summary["left_out"][:_NAMED]]
    return lines


def ended(verb: Verb, plan: dict[str, Any], again: str = "make a new plan") -> None:
    """Print how a plan ended. Raises CommandError, with ``again`` as the next step, if it did not move all queues."""
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


def say_applied(verb: Verb, plan: dict[str, Any]) -> None:
    if "repinned" in plan:
        verb.say(f"Tenants pinned to another partition for their new queues: {plan['repinned']}.")
    verb.say(f"Plan {plan['id']} is under way.")


class PlanList(AdminLister):
    """List plans by id, which is the order of their creation."""

    examples = """
  marconi-proxy plan list
  marconi-proxy plan list --state running,paused -f json
"""
    page = 100

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--state", metavar="S", help="planned, running, paused, stopped, done; separated by commas")
        add_page(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            found = self.listed(admin, "plans", {"state": parsed_args.state}, parsed_args)
        return PLAN_COLUMNS, [plan_row(plan) for plan in found]


class OnePlan(AdminShow):
    """A command on one plan."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", help="a plan's id, from 'plan list'")
        return parser


class PlanShow(OnePlan):
    """Show the content and the progress of a plan."""

    examples = """
  marconi-proxy plan show 20261121T080000-p5b01dd
"""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, document = admin.call("GET", f"/v1/plans/{part(parsed_args.id)}")
            _, progress = admin.call("GET", f"/v1/plans/{part(parsed_args.id)}/progress")
        for line in described(document["summary"]):
            self.say(line)
        # The plan is shown as stored in the catalog.
        queues = Words([f"{shown(named(m))}:{m['source']}->{m['target']}" for m in document["plan"]["moves"]])
        return (*PLAN_COLUMNS, "hash", "queues"), (*plan_row(progress), progress["hash"], queues)


class PlanPause(OnePlan):
    """Begin no more moves of a plan until it is resumed. Moves that have begun continue."""

    examples = """
  marconi-proxy plan pause 20261121T080000-p5b01dd
"""
    _verb = "pause"

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, plan = admin.call("POST", f"/v1/plans/{part(parsed_args.id)}/{self._verb}")
        self.say(f"Plan {plan['id']} is {plan['state']}. Next: marconi-proxy plan show {plan['id']}")
        return PLAN_COLUMNS, plan_row(plan)


class PlanResume(PlanPause):
    """Resume a paused plan."""

    examples = """
  marconi-proxy plan resume 20261121T080000-p5b01dd
"""
    _verb = "resume"


class PlanStop(PlanPause):
    """Give a plan up. Moves that have begun continue; see 'move list --plan', 'move cancel' and 'move reverse'."""

    examples = """
  marconi-proxy plan stop 20261121T080000-p5b01dd
"""
    _verb = "stop"
