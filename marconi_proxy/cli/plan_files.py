"""Plans in files: one command writes a plan, an operator reviews it, another command applies it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, ClassVar

from catalog.model import WholePlan
from marconi_proxy.admin_client.client import AdminNotFound, part
from marconi_proxy.cli.moves import Watcher, add_timeout, project_in_json
from marconi_proxy.cli.partitions import add_repin
from marconi_proxy.cli.plan_options import add_break_pins, add_budgets, add_to, budgets, pins
from marconi_proxy.cli.plans import PLAN_COLUMNS, described, ended, plan_row, say_applied
from marconi_proxy.cli.verb import AdminShow, Shown
from marconi_proxy.exits import CommandError, Exit


class PlanCreate(AdminShow):
    """Write a plan to a file, to be reviewed, and applied later. Nothing is moved.

    KIND determines NAME: tenant PROJECT, drain PARTITION, region REGION; rebalance takes none.
    """

    examples = """
  marconi-proxy plan create tenant 8f2c --to west-1 -o tenant.json
  marconi-proxy plan create drain east-1 --window 22:00-04:00 -o drain.json
  marconi-proxy plan create rebalance -o rebalance.json
"""
    # ``evacuate``: the name of the admin API, and of earlier releases, for ``region``.
    _names: ClassVar = {"tenant": "project", "drain": "partition", "region": "region", "evacuate": "region"}

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        kinds = (*self._names, "rebalance")
        shown = ", ".join(kind for kind in kinds if kind != "evacuate")
        parser.add_argument("kind", metavar="KIND", choices=kinds, help=f"the kind of plan: {shown}")
        parser.add_argument("name", metavar="NAME", nargs="?", help="the project, partition or region")
        add_to(parser)
        add_repin(parser)
        add_break_pins(parser)
        add_budgets(parser)
        parser.add_argument(
            "-o", "--output", metavar="FILE", required=True, help="the file to write; an existing one is replaced"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        kind, name = parsed_args.kind, parsed_args.name
        if (name is None) != (kind not in self._names):
            wanted = f"the name of a {self._names[kind]}" if kind in self._names else "no name"
            raise CommandError(f"{kind}: takes {wanted}", Exit.USAGE)
        body: dict[str, Any] = {
            "kind": "evacuate" if kind == "region" else kind,
            "to": parsed_args.to or [],
            "budgets": budgets(parsed_args),
        }
        body |= pins(parsed_args)
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
        self.say(f"Nothing was moved. Next: marconi-proxy plan apply {parsed_args.output}")
        return PLAN_COLUMNS, plan_row(document["summary"])


class PlanApply(Watcher):
    """Apply exactly the plan in a file, or refuse with status 3 and the changes since it was made."""

    examples = """
  marconi-proxy plan apply drain.json
  marconi-proxy plan apply drain.json --no-wait
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="FILE", help="a plan, from 'plan create'")
        parser.add_argument("--no-wait", action="store_true", help="return when it has begun")
        add_timeout(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        plan = _read(parsed_args.file).plan
        with self.admin() as admin:
            try:
                _, applied = admin.call("POST", f"/v1/plans/{part(plan.id)}/apply", {"hash": plan.hash})
            except AdminNotFound as error:
                reason = (
                    f"this catalog has no plan {plan.id}: the plan was made over another catalog, or has been removed"
                )
                raise CommandError(reason, Exit.REFUSED) from error
            say_applied(self, applied)
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
        reason = f"{path} is not the plan that was written: a member is missing, or has another type"
        raise CommandError(reason, Exit.REFUSED) from error
