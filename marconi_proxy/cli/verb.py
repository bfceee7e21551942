"""The base classes of all commands: help with examples, one-sentence errors, hints, ``--admin-url``, option types."""

from __future__ import annotations

import argparse
import os
import shlex
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from cliff.command import Command
from cliff.lister import Lister
from cliff.show import ShowOne

from marconi_proxy.exits import CommandError

if TYPE_CHECKING:
    from marconi_proxy.admin_client.client import AdminClient
    from marconi_proxy.cli.counts import CountReporter
    from marconi_proxy.cli.watch import WatchReporter

# The output of a command: the names of columns, and the cells of a row or the rows.
Shown = tuple[Sequence[str], Iterable[Any]]

DEFAULT_ADMIN_URL = "http://127.0.0.1:8889"
# Entry points with the output formats of one object and of several.
SINGLES = "marconi_proxy.formatter.show"
LISTS = "marconi_proxy.formatter.list"


class Verb(Command):
    """A command. A subclass describes itself in its docstring and shows its use in ``examples``."""

    examples = ""

    def _load_hooks(self) -> None:
        # cliff would search all installed packages for plug-ins of each command; there are none.
        self._hooks = []

    def get_epilog(self) -> str:
        return f"Examples:\n{self.examples.rstrip()}" if self.examples else ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        try:
            return super().run(parsed_args)
        except CommandError as error:
            if self.app.options.debug:
                traceback.print_exc(file=self.app.stderr)
            self.say(f"marconi-proxy: {error}")
            return error.status

    def say(self, text: str) -> None:
        """Write a line to standard error."""
        # A surrogate is a byte of an argument that is not UTF-8.
        self.app.stderr.write(text.encode("utf-8", "backslashreplace").decode() + "\n")

    def reporter(self) -> WatchReporter:
        """Return the display of progress: bars on a terminal, lines elsewhere."""
        if self.app.stderr.isatty():
            from marconi_proxy.cli.bars import Bars

            return Bars(self.app.stderr)
        from marconi_proxy.cli.watch import Lines

        return Lines(self.say)

    def counting(self, unit: str = "documents") -> CountReporter:
        """Return the display of a count: a bar on a terminal, lines elsewhere."""
        if self.app.stderr.isatty():
            from marconi_proxy.cli.bars import CountBar

            return CountBar(self.app.stderr, unit=unit)
        from marconi_proxy.cli.counts import CountLines

        return CountLines(self.say, time.monotonic, unit=unit)


def add_admin_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--admin-url",
        metavar="URL",
        help=f"the admin API; default: $MARCONI_PROXY_ADMIN_URL, else {DEFAULT_ADMIN_URL}. "
        "Its token is taken from $MARCONI_PROXY_ADMIN_TOKEN.",
    )


class AdminVerb(Verb):
    """A command over the admin API."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        # For the help text only: the application consumes the option, at any position, before this parser sees it.
        add_admin_url(parser)
        return parser

    def admin(self) -> AdminClient:
        """Return a client of the admin API, to be used in a ``with`` statement."""
        from marconi_proxy.admin_client.client import AdminClient

        url = self.app.options.admin_url or os.environ.get("MARCONI_PROXY_ADMIN_URL") or DEFAULT_ADMIN_URL
        return AdminClient(url, os.environ.get("MARCONI_PROXY_ADMIN_TOKEN"))


class AdminLister(AdminVerb, Lister):
    """A command that lists objects."""

    formatter_namespace = LISTS
    # The most objects of one request.
    page = 1000

    def listed(
        self, admin: AdminClient, noun: str, filters: Mapping[str, str | None], parsed_args: argparse.Namespace
    ) -> list[dict[str, Any]]:
        """Return the objects that the options of ``add_page`` select, and print whether there are more."""
        from marconi_proxy.admin_client.pages import listed

        found, marker = listed(admin, noun, filters, parsed_args.marker, parsed_args.limit, self.page)
        if marker is not None:
            self.say(f"There are more: give a larger --limit, or continue with --marker {shlex.quote(marker)}")
        return found


class AdminShow(AdminVerb, ShowOne):
    """A command that shows one object."""

    formatter_namespace = SINGLES


def number(text: str) -> float:
    """Return an option's value that is a number, which nan and inf are not. Raises ArgumentTypeError, ValueError."""
    found = float(text)
    if not isfinite(found):
        raise argparse.ArgumentTypeError("must be a number")
    return found


def count(text: str) -> int:
    """Return an option's value that is a number from 1. Raises ArgumentTypeError, ValueError."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def add_page(parser: argparse.ArgumentParser, metavar: str = "ID", after: str = "this one") -> None:
    """Add the options that bound a list; ``after``: the meaning of its marker."""
    parser.add_argument("--limit", type=count, default=1000, metavar="N", help="at most so many; default: 1000")
    parser.add_argument("--marker", metavar=metavar, help=f"begin after {after}")
