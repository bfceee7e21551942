"""``marconi-proxy catalog adopt``: placing queues that are older than the catalog."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cliff.show import ShowOne

from marconi_proxy.cli.configuration import ConfiguredVerb
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import SINGLES, Shown, number
from marconi_proxy.cli.watch import View, WatchReporter
from marconi_proxy.exits import CommandError, Exit

if TYPE_CHECKING:
    from oslo_config import cfg

    from catalog.interface import Catalog
    from marconi_proxy.adoption.outcome import AdoptionSummary
    from marconi_proxy.partition_client.upstreams import Open

T = TypeVar("T")

PLAN_COLUMNS = ("id", "queues", "conflicts", "chain", "prefer", "skip", "sha256")
APPLY_COLUMNS = ("id", "adopted", "there", "skipped", "gone", "conflicts", "chains", "retiring")
# The most conflicts that are named.
_NAMED = 20
# Seconds between two updates of the display.
_INTERVAL = 0.5


class _AdoptVerb(ConfiguredVerb, ShowOne):
    """A command that works on a catalog, and sends requests to partitions."""

    formatter_namespace = SINGLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--rate", type=number, default=100.0, metavar="N", help="requests to partitions per second; default: 100"
        )
        return parser

    def carry_out(
        self,
        parsed_args: argparse.Namespace,
        work: Callable[[cfg.ConfigOpts, Catalog, Open], Awaitable[T]],
    ) -> T:
        """Run ``work(options, catalog, way to partitions)``. Raises CommandError."""
        from catalog.errors import CatalogError
        from marconi_proxy.adoption.plan_file import BadPlan
        from marconi_proxy.adoption.presence import AdoptionStopped
        from marconi_proxy.option_types import redacted
        from marconi_proxy.partition_client.inventory import CannotList

        if not parsed_args.rate > 0:
            raise CommandError("--rate: must be more than 0", Exit.USAGE)
        conf = self.conf(parsed_args)
        try:
            return asyncio.run(_opened(conf, work))
        except CatalogError as error:
            raise CommandError(f"the catalog {redacted(conf.catalog.uri)}: {error}. {self.again}") from error
        except (CannotList, AdoptionStopped) as error:
            raise CommandError(f"{error}. {self.again}") from error
        except BadPlan as error:
            raise CommandError(f"{error}", Exit.REFUSED) from error
        except KeyboardInterrupt:
            raise CommandError(f"interrupted. {self.again}") from None

    # The state after a failure, and the next step.
    again = ""


async def _opened(conf: cfg.ConfigOpts, work: Callable[[cfg.ConfigOpts, Catalog, Open], Awaitable[T]]) -> T:
    from catalog import open_catalog
    from marconi_proxy.partition_client.upstreams import make_upstreams

    async with AsyncExitStack() as stack:
        catalog = await open_catalog(conf.catalog.uri)
        stack.push_async_callback(catalog.close)
        await catalog.check()
        return await work(conf, catalog, make_upstreams(conf, stack))


class _Watched:
    """Shows numbers at intervals, and at the end."""

    def __init__(self, reporter: WatchReporter) -> None:
        self._reporter = reporter
        self._next = 0.0

    def show(self, view: Callable[[], View], *, now: bool = False) -> None:
        if now or time.monotonic() >= self._next:
            self._next = time.monotonic() + _INTERVAL
            self._reporter.show(view(), 0.0, None)


class CatalogAdoptPlan(_AdoptVerb):
    """Find queues on partitions that are unknown to the catalog, and write a plan for them to a file.

    Nothing is changed. A queue in several places is a conflict: its line in the file has a rule, which may be edited.
    For a partition without an inventory (see 'partition set --inventory') the projects must be named.
    """

    examples = """
  marconi-proxy catalog adopt plan north south --projects-file projects.txt -o adoption.jsonl
  marconi-proxy catalog adopt plan north --project 8f2c --project - --rule skip -o adoption.jsonl
  marconi-proxy catalog adopt plan node-1 node-2 -o adoption.jsonl
"""
    again = "No plan was written"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("partitions", metavar="PARTITION", nargs="+", help="a partition that has queues")
        named = parser.add_mutually_exclusive_group()
        named.add_argument("--project", metavar="P", action="append", help=f"{PROJECT_HELP}; may be repeated")
        named.add_argument(
            "--projects-file", metavar="FILE", help="a file with a project on each line, in the same form"
        )
        parser.add_argument(
            "--rule",
            choices=("chain", "prefer", "skip"),
            default="chain",
            help="the rule of conflicts where possible, skip otherwise: chain (all places, older messages first), "
            "prefer (one partition, the last one written to) or skip (do nothing); default: chain",
        )
        parser.add_argument(
            "-o", "--output", metavar="FILE", required=True, help="the file to write; an existing one is replaced"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        from marconi_proxy.adoption.entries import ConflictRule
        from marconi_proxy.adoption.plan_file import Writer
        from marconi_proxy.cli.whole_file import whole_file

        projects = projects_named(parsed_args)
        path = parsed_args.output
        rules = dict.fromkeys(ConflictRule, 0)
        try:
            with whole_file(path) as stream, Writer(stream, _directory(path)) as writer:
                header = self.carry_out(
                    parsed_args,
                    lambda conf, catalog, ways: self._survey(parsed_args, projects, writer, rules, conf, catalog, ways),
                )
                digest = writer.finish(header)
        except OSError as error:
            raise CommandError(f"--output: cannot write {path}: {error.strerror}") from error
        self.say(f"Queues to adopt: {writer.singles}. Conflicts: {writer.conflicts}. Nothing was changed.")
        if writer.conflicts:
            self.say(f'Review them, and edit their rules: the lines of {path} with "conflict".')
        self.say(f"Next: marconi-proxy catalog adopt apply {path}, with the same catalog")
        counts = [rules[ConflictRule(name)] for name in ("chain", "prefer", "skip")]
        return PLAN_COLUMNS, (header.id, writer.singles, writer.conflicts, *counts, digest)

    async def _survey(
        self,
        parsed_args: argparse.Namespace,
        projects: list[str] | None,
        writer: Any,
        rules: dict[Any, int],
        conf: cfg.ConfigOpts,
        catalog: Catalog,
        ways: Open,
    ) -> Any:
        from marconi_proxy.adoption.entries import ConflictRule, QueueConflict, Single
        from marconi_proxy.adoption.plan_file import Header
        from marconi_proxy.adoption.survey import Survey
        from marconi_proxy.clock import Pacer, SystemClock
        from marconi_proxy.partition_client.inventory import Inventory

        names = list(dict.fromkeys(parsed_args.partitions))
        registered = {partition.name: partition for partition in await catalog.partitions.all()}
        for name in names:
            if name not in registered:
                raise CommandError(f"PARTITION: {name} is not registered", Exit.USAGE)
        rate = Pacer(parsed_args.rate, SystemClock())
        survey = Survey(
            catalog, Inventory(ways, rate), ways, rate, conf.moving.max_segments, ConflictRule(parsed_args.rule)
        )
        done = queues = 0

        def add(entry: QueueConflict | Single) -> None:
            writer.add(entry)
            if isinstance(entry, QueueConflict):
                rules[entry.rule] += 1

        with self.reporter() as reporter:
            watched = _Watched(reporter)

            def view() -> View:
                found = f"{queues} queues, {writer.singles} to adopt, {writer.conflicts} conflicts"
                return View("read", done, max(done, len(projects or ())), "projects", "", numbers=found)

            def read(project: str, number: int) -> None:
                nonlocal done, queues
                done, queues = done + 1, queues + number
                watched.show(view)

            await survey.run(names, projects, add, read)
            done = max(done, len(projects or ()))
            watched.show(view, now=True)
        now = datetime.now(UTC)
        return Header(
            f"{now:%Y%m%dT%H%M%S}-a{secrets.token_hex(4)}",
            f"{now:%Y-%m-%dT%H:%M:%SZ}",
            {name: "projects" if registered[name].inventory is None else "inventory" for name in names},
            None if projects is None else len(projects),
        )


def _directory(path: str) -> str | None:
    """Return the directory for temporary data of a large file: beside it, unless it is a device or a pipe."""
    return None if os.path.exists(path) and not os.path.isfile(path) else os.path.dirname(os.path.realpath(path))


def projects_named(parsed_args: argparse.Namespace) -> list[str] | None:
    """Return the named projects in stored form; None if none were named. Raises CommandError."""
    from marconi_proxy.project_text import from_json, project_named

    option, texts = "--project", parsed_args.project
    if parsed_args.projects_file is not None:
        option = "--projects-file"
        try:
            with open(parsed_args.projects_file, encoding="utf-8", errors="surrogateescape") as lines:
                texts = [text for line in lines if (text := line.rstrip("\r\n"))]
        except OSError as error:
            raise CommandError(
                f"{option}: cannot read {parsed_args.projects_file}: {error.strerror}", Exit.USAGE
            ) from error
        if not texts:
            raise CommandError(f"{option}: {parsed_args.projects_file} names no project", Exit.USAGE)
    if texts is None:
        return None
    try:
        return sorted({project_named(from_json("a project", text)) for text in texts})
    except ValueError as error:
        raise CommandError(f"{option}: {error}", Exit.USAGE) from error


class CatalogAdoptApply(_AdoptVerb):
    """Place the queues of a plan in the catalog, while they are in use. Nothing on partitions is changed.

    Safe to interrupt and rerun; finished items are skipped. Queues that no longer match the plan are left unchanged and
    named; the status is then 3, and a new plan shows their present state.
    """

    examples = """
  marconi-proxy catalog adopt apply adoption.jsonl --catalog 'mongodb://db1,db2/marconi?replicaSet=rs0'
  marconi-proxy catalog adopt apply adoption.jsonl --retire
"""
    again = "Finished items remain. Next: the same command again"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="FILE", help="a plan, from 'catalog adopt plan'")
        parser.add_argument(
            "--retire",
            action="store_true",
            help="allow movers to remove the older places of chained queues once they are empty; requires that no "
            "client uses these partitions directly any more",
        )
        self._status = Exit.DONE
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        return super().run(parsed_args) or self._status

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        from marconi_proxy.adoption.outcome import AdoptionOutcome
        from marconi_proxy.adoption.plan_file import BadPlan, verified

        try:
            plan = verified(Path(parsed_args.file))
        except OSError as error:
            raise CommandError(f"FILE: cannot read {parsed_args.file}: {error.strerror}", Exit.USAGE) from error
        except BadPlan as error:
            raise CommandError(f"{parsed_args.file}: {error}. Nothing was done", Exit.REFUSED) from error
        summary = self.carry_out(parsed_args, lambda conf, catalog, ways: self._apply(parsed_args, plan, catalog, ways))
        for line, key, why in sorted(summary.conflicts)[:_NAMED]:
            self.say(f"  line {line}: {_called(key)}: {why}")
        if len(summary.conflicts) > _NAMED:
            self.say(f"  and {len(summary.conflicts) - _NAMED} more")
        if summary.conflicts:
            self._status = Exit.REFUSED
            self.say(
                "They were left unchanged. Next: marconi-proxy catalog adopt plan, which shows their present state"
            )
        elif summary.chains and not parsed_args.retire:
            self.say(
                f"{summary.chains} chained queues keep all their places. Next, after the last client has stopped using "
                f"the partitions directly: marconi-proxy catalog adopt apply {parsed_args.file} --retire"
            )
        counts = [summary.outcomes[outcome] for outcome in AdoptionOutcome]
        return APPLY_COLUMNS, (plan.id, *counts, summary.chains, summary.retiring)

    async def _apply(self, parsed_args: argparse.Namespace, plan: Any, catalog: Catalog, ways: Open) -> AdoptionSummary:
        from marconi_proxy.adoption.adopter import Adopter
        from marconi_proxy.clock import Pacer, SystemClock

        clock = SystemClock()
        applying = Adopter(catalog, ways, Pacer(parsed_args.rate, clock), clock, retire=parsed_args.retire)
        total, done = plan.conflicts + plan.singles, 0
        with self.reporter() as reporter:
            watched = _Watched(reporter)

            def view() -> View:
                told = ", ".join(f"{number} {name}" for name, number in sorted(applying.summary.outcomes.items()))
                return View("adopt", done, total, "queues", "", numbers=told)

            def step() -> None:
                nonlocal done
                done += 1
                watched.show(view)

            await applying.run(plan, step)
            watched.show(view, now=True)
        return applying.summary


def _called(key: tuple[str, str]) -> str:
    from marconi_proxy.moving.plans.names import called
    from marconi_proxy.project_text import shown

    return called(shown(key[0]), key[1])
