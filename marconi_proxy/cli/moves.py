"""``marconi-proxy move``: ordering the move of one queue, and controlling moves."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

from cliff.columns import FormattableColumn

from marconi_proxy.admin_client.client import AdminClient, AdminNotFound, part
from marconi_proxy.cli.formatters import Words
from marconi_proxy.cli.plans import PLAN_COLUMNS, ended, plan_row
from marconi_proxy.cli.tenants import PROJECT_HELP
from marconi_proxy.cli.verb import AdminLister, AdminShow, Shown, add_page, number
from marconi_proxy.cli.watch import Watch
from marconi_proxy.exits import CommandError, Exit

COLUMNS = ("id", "project", "queue", "source", "target", "writes_to", "state", "pause_ms", "left", "waits")
WHOLE = (
    *("id", "project", "queue", "source", "target", "writes_to", "toward", "state", "waits", "can", "attempt"),
    *("created", "due", "max_pause_ms", "pause_ms", "left", "plan", "group", "holder", "facts", "log"),
)


class Structure(FormattableColumn[Any]):
    """JSON in JSON, and in text."""

    def __str__(self) -> str:
        return json.dumps(self._value)

    def human_readable(self) -> str:
        return "" if self._value in (None, {}) else json.dumps(self._value)


class Log(FormattableColumn[list[dict[str, Any]]]):
    """The events of a move, a line each."""

    def __str__(self) -> str:
        return json.dumps(self._value)

    def human_readable(self) -> str:
        return "\n".join(self._line(entry) for entry in self._value)

    def _line(self, entry: dict[str, Any]) -> str:
        measures = ", ".join(f"{k} {v}" for k, v in entry.items() if k not in ("at", "state", "reason"))
        return f"{entry['at']} {entry['state']}: {entry['reason']}{f' ({measures})' if measures else ''}"


_CELLS = {"can": Words, "group": Words, "holder": Structure, "facts": Structure, "log": Log}


def row(move: dict[str, Any], columns: Sequence[str] = COLUMNS) -> tuple[Any, ...]:
    return tuple(_CELLS[c](move[c]) if c in _CELLS else move[c] for c in columns)


def project_in_json(text: str) -> str | None:
    """Return the JSON value of PROJECT as written on the command line. Raises CommandError."""
    if text == "-":
        return None
    project = text.removeprefix("id:")
    if not project:
        raise CommandError("PROJECT: must be an id, id: followed by an id, or - for no project", Exit.USAGE)
    return project


def add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=number,
        metavar="S",
        help="follow it for at most so many seconds; it continues all the same (status 4)",
    )


class Watcher(AdminShow):
    """A command that may follow the operation that it began."""

    def watch(self, admin: AdminClient, parsed_args: argparse.Namespace) -> Watch:
        return Watch(admin, self.reporter(), parsed_args.timeout, time.monotonic)


class MoveStart(Watcher):
    """Move a queue to another partition while it is in use.

    Nothing is copied: after the switch writes go to the target, and consumers empty the old place first. Queues of its
    dead-letter group move with it. If it cannot be moved now, the command ends with status 3 and the reason. With
    --wait partitions and workers are checked first, and a move that is paused or cancelled ends with 3 too.
    """

    examples = """
  marconi-proxy move start 8f2c orders --to west-1 --wait switch
  marconi-proxy move start 8f2c orders --to west-1 --dry-run
  marconi-proxy move start - orders --to west-1 --max-pause 250 -f json
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help=PROJECT_HELP)
        parser.add_argument("queue", metavar="QUEUE", help="a queue's name; ~NAME for a topic")
        parser.add_argument("--to", metavar="PARTITION", required=True, help="the partition to move it to")
        parser.add_argument(
            "--wait",
            choices=("switch", "done"),
            help="return when writes go to the target, or when the old place is empty and removed; default: at once",
        )
        parser.add_argument(
            "--max-pause",
            metavar="MS",
            type=number,
            help="give up an attempt to switch the queue after it has held writes for so long",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only show the steps and the longest wait of writes, or the obstacles (status 3)",
        )
        add_timeout(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        body = {
            "project": project_in_json(parsed_args.project),
            "queue": parsed_args.queue,
            "to": parsed_args.to,
            "max_pause_ms": parsed_args.max_pause,
        }
        with self.admin() as admin:
            if parsed_args.dry_run or parsed_args.wait is not None:
                _, document = admin.call("POST", "/v1/moves", body | {"dry_run": True})
                if document["problems"]:
                    raise CommandError(" ".join(document["problems"]), Exit.REFUSED)
                if parsed_args.dry_run:
                    return self._rehearsed(document)
            status, document = admin.call("POST", "/v1/moves", body)
            move, *others = document["moves"]
            if status == 200:
                self.say(f"The older places of this queue are not empty yet: move {move['id']} takes it on from there.")
            for other in others:
                self.say(f"Queue {other['queue']} of its dead-letter group moves with it: move {other['id']}.")
            if parsed_args.wait is None:
                self.say(f"Ordered. Next: marconi-proxy move watch {move['id']}")
                return COLUMNS, row(move)
            # The requested move is watched last, so that its record is the one shown.
            watch = self.watch(admin, parsed_args)
            for ordered in (*others, move):
                move = watch.move(ordered["id"], parsed_args.wait, parsed_args.to)
        if parsed_args.wait == "switch":
            self.say(f"Writes go to {move['toward']}. Next: marconi-proxy move watch {move['id']}")
        else:
            self.say(f"Done. Next: marconi-proxy move certificate {move['id']}")
        return COLUMNS, row(move)

    def _rehearsed(self, document: dict[str, Any]) -> Shown:
        asked = (
            "catalog, partitions and workers" if document["rehearsed"] else "the catalog (partitions were not checked)"
        )
        self.say(f"The move is possible. Checked: {asked}. Nothing was changed.")
        if document["would"]:
            self.say("\n".join(["It would:", *(f"  {words}" for words in document["would"])]))
        values = row(document["moves"][0] | {"id": None, "waits": None})
        return (*COLUMNS, "would"), (*values, Words(document["would"]))


class MoveList(AdminLister):
    """List moves by id, which is the order of their creation; without options, all of them."""

    examples = """
  marconi-proxy move list --state unfinished
  marconi-proxy move list --project 8f2c --queue orders -f json
  marconi-proxy move list --partition east-1 --state draining,verifying-empty
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="P", help=PROJECT_HELP)
        parser.add_argument("--queue", metavar="Q", help="only queues of this name")
        parser.add_argument("--partition", metavar="P", help="only moves from or to it")
        parser.add_argument("--state", metavar="S", help="states separated by commas, or unfinished, or finished")
        parser.add_argument("--plan", metavar="ID", help="only moves of this plan")
        add_page(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        filters = {name: getattr(parsed_args, name) for name in ("project", "queue", "partition", "state", "plan")}
        with self.admin() as admin:
            found = self.listed(admin, "moves", filters, parsed_args)
        return COLUMNS, [row(move) for move in found]


class OneMove(AdminShow):
    """A command on one move."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", help="a move's id, from 'move list'")
        return parser


class MoveShow(OneMove):
    """Show one move: its state, why it is not done, the possible verbs, and its log."""

    examples = """
  marconi-proxy move show 20261121T080000-m3f9c2a
  marconi-proxy move show 20261121T080000-m3f9c2a -f value -c waits
"""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, move = admin.call("GET", f"/v1/moves/{part(parsed_args.id)}")
        if move["certificate"] is not None:
            self.say(f"Next: marconi-proxy move certificate {move['id']}")
        return WHOLE, row(move, WHOLE)


class MoveWatch(Watcher):
    """Follow a move or a plan until it has ended. Ctrl-C ends the watch, and nothing else."""

    examples = """
  marconi-proxy move watch 20261121T080000-m3f9c2a
  marconi-proxy move watch 20261121T080000-p5b01dd --timeout 600
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", help="the id of a move or of a plan")
        add_timeout(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            watch = self.watch(admin, parsed_args)
            try:
                return COLUMNS, row(watch.move(parsed_args.id, "end"))
            except AdminNotFound:
                try:
                    plan = watch.plan(parsed_args.id)
                except AdminNotFound as error:
                    raise CommandError(f"there is neither a move nor a plan {parsed_args.id}") from error
        ended(self, plan)
        return PLAN_COLUMNS, plan_row(plan)


class MoveCertificate(OneMove):
    """Show the certificate of a finished move: switches, pauses, held writes, acknowledgements, zero checks."""

    examples = """
  marconi-proxy move certificate 20261121T080000-m3f9c2a -f json
"""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, certificate = admin.call("GET", f"/v1/moves/{part(parsed_args.id)}/certificate")
        names = tuple(certificate)
        plain = (str, int, float, bool)
        return names, [v if isinstance(v, plain) or v is None else Structure(v) for v in certificate.values()]


class MovePause(OneMove):
    """Pause a move until it is resumed. Its queue stays in service, and writes go where they go now."""

    examples = """
  marconi-proxy move pause 20261121T080000-m3f9c2a
"""
    _verb = "pause"

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        with self.admin() as admin:
            _, move = admin.call("POST", f"/v1/moves/{part(parsed_args.id)}/{self._verb}")
        self.say(f"Move {move['id']} is {move['state']}. Next: marconi-proxy move show {move['id']}")
        return COLUMNS, row(move)


class MoveResume(MovePause):
    """Resume a paused move."""

    examples = """
  marconi-proxy move resume 20261121T080000-m3f9c2a
"""
    _verb = "resume"


class MoveCancel(MovePause):
    """Cancel a move and leave the queue where it is: possible until writes go to the target."""

    examples = """
  marconi-proxy move cancel 20261121T080000-m3f9c2a
"""
    _verb = "cancel"


class MoveReverse(MovePause):
    """Send writes back to the old partition: possible after they go to the target. It is another switch."""

    examples = """
  marconi-proxy move reverse 20261121T080000-m3f9c2a
"""
    _verb = "reverse"
