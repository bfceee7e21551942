"""``marconi-proxy catalog verify``: whether catalog and partitions agree."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from cliff.lister import Lister

from marconi_proxy.cli.configuration import ConfiguredVerb
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import LISTS, Shown, Verb, number
from marconi_proxy.exits import CommandError, Exit

if TYPE_CHECKING:
    from oslo_config import cfg

    from catalog.interface import Catalog
    from marconi_proxy.audit.observation import Finding
    from marconi_proxy.audit.round import RoundSummary, Scope

COLUMNS = ("kind", "project", "queue", "partition", "physical", "seen", "repair")
# The most findings that are shown; beyond these, only their number is.
_MOST = 10_000


class CatalogVerify(ConfiguredVerb, Lister):
    """Compare the catalog with the partitions, both ways, and show the findings. Nothing is changed.

    Both may be in use meanwhile. With --repair, findings with a safe repair are repaired, one by one, and checked
    again. The status is 0 if there are no findings (any more), 3 if there are, and 4 if there are none but not all
    partitions could be read. An interrupted run shows its findings, and ends with 1. On a partition without an
    inventory, the command lists the queues of those projects that the catalog has there, or that are named.
    """

    examples = """
  marconi-proxy catalog verify
  marconi-proxy catalog verify --partition north --repair
  marconi-proxy catalog verify --project 8f2c --rate 5 -f json
"""

    formatter_namespace = LISTS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--partition", metavar="P", action="append", help="only this one; may be repeated")
        named = parser.add_mutually_exclusive_group()
        named.add_argument("--project", metavar="P", action="append", help=f"only {PROJECT_HELP}; may be repeated")
        named.add_argument(
            "--projects-file",
            metavar="FILE",
            help="a file with one project on each line, in the same form: searched in addition to those of the catalog",
        )
        parser.add_argument("--repair", action="store_true", help="repair findings that have a safe repair")
        parser.add_argument(
            "--rate", type=number, default=20.0, metavar="N", help="requests per second to each partition; default: 20"
        )
        self._status = Exit.DONE
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        return super().run(parsed_args) or self._status

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        from catalog.errors import CatalogError
        from marconi_proxy.audit.round import Scope
        from marconi_proxy.cli.adoption import projects_named
        from marconi_proxy.option_types import redacted

        if not parsed_args.rate > 0:
            raise CommandError("--rate: must be more than 0", Exit.USAGE)
        projects = projects_named(parsed_args)
        only = projects if parsed_args.project else None
        scope = Scope(parsed_args.partition, only, projects or () if only is None else ())
        conf = self.conf(parsed_args)
        verifying = _Verifying(self, repair=parsed_args.repair)
        try:
            summary = asyncio.run(verifying.run(conf, scope, parsed_args.rate))
        except (CatalogError, KeyboardInterrupt) as error:
            why = "interrupted"
            if isinstance(error, CatalogError):
                why = f"the catalog {redacted(conf.catalog.uri)}: {error}"
            if not verifying.rows:
                raise CommandError(f"{why}; the comparison is incomplete, without a finding until then") from None
            # It may have taken hours.
            self.say(f"{why}; the comparison is incomplete. Findings until then are shown; completed repairs remain.")
            self._status = Exit.FAILED
            return COLUMNS, verifying.rows
        self._conclude(summary, verifying, repair=parsed_args.repair)
        return COLUMNS, verifying.rows

    def _conclude(self, summary: RoundSummary, verifying: _Verifying, *, repair: bool) -> None:
        for name, why in sorted(summary.unreachable.items()):
            self.say(f"Not read, or not completely: partition {name}: {why}")
        if verifying.found > len(verifying.rows):
            self.say(f"{verifying.found - len(verifying.rows)} more findings are not shown.")
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(summary.findings.items())) or "no findings"
        self.say(f"{summary.queues - summary.skipped - summary.changed} queues compared: {counts}.")
        if summary.skipped:
            self.say(f"{summary.skipped} more could not be polled.")
        if summary.changed:
            self.say(f"{summary.changed} more were changing during a check; the next run compares them.")
        if verifying.left:
            self._status = Exit.REFUSED
            if not repair and verifying.repairable:
                self.say(f"{verifying.repairable} can be repaired. Next: marconi-proxy catalog verify --repair")
            else:
                self.say(
                    "The remaining findings need your decision. Next: the operator guide, section Checking the catalog."
                )
        elif summary.unreachable:
            self._status = Exit.TIMED_OUT


class _Verifying:
    """``rows`` are the findings; ``left`` is how many remain, ``repairable`` how many of them have a repair."""

    def __init__(self, verb: Verb, *, repair: bool) -> None:
        self._verb = verb
        self._repair = repair
        self.rows: list[tuple[Any, ...]] = []
        self.found = self.left = self.repairable = 0

    async def run(self, conf: cfg.ConfigOpts, scope: Scope, per_second: float) -> RoundSummary:
        from catalog import open_catalog
        from marconi_proxy.audit.factory import AuditFactory
        from marconi_proxy.clock import SystemClock
        from marconi_proxy.partition_client.upstreams import make_upstreams

        async with AsyncExitStack() as stack:
            catalog = await open_catalog(conf.catalog.uri)
            stack.push_async_callback(catalog.close)
            await catalog.check()
            await _check_partitions(catalog, scope)
            factory = AuditFactory.open(conf, catalog, make_upstreams(conf, stack), SystemClock(), per_second)
            repairing = factory.repair(self._say)

            async def add(finding: Finding) -> None:
                outcome = await repairing.repair(finding) if self._repair else None
                self._add(finding, outcome)

            counting = stack.enter_context(self._verb.counting("queues"))
            whole = factory.round(add, lambda summary: counting.show("verifying", summary.queues, None))
            return await whole.run(scope)

    def _say(self, finding: Finding, text: str) -> None:
        self._verb.say(f"{finding.kind} {_called(finding)}: {text}")

    def _add(self, finding: Finding, outcome: str | None) -> None:
        from marconi_proxy.project_text import shown_project

        self.found += 1
        if outcome not in ("repaired", "changed"):
            self.left += 1
            self.repairable += finding.repairable
        repair = outcome or ("possible" if finding.repairable else "none")
        if len(self.rows) < _MOST:
            place = (finding.partition, finding.backend_name)
            self.rows.append(
                (str(finding.kind), shown_project(finding.project), finding.queue, *place, finding.words, str(repair))
            )


async def _check_partitions(catalog: Catalog, scope: Scope) -> None:
    registered = {partition.name for partition in await catalog.partitions.all()}
    for name in scope.partitions or ():
        if name not in registered:
            raise CommandError(f"--partition: {name} is not registered", Exit.USAGE)


def _called(finding: Finding) -> str:
    from marconi_proxy.moving.plans.names import called
    from marconi_proxy.project_text import shown

    return called(shown(finding.project), finding.queue)
