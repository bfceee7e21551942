"""The program ``marconi-proxy``."""

from __future__ import annotations

import argparse
import logging
import sys
from importlib.metadata import version
from typing import Any

from cliff.app import App
from cliff.command import Command
from cliff.help import HelpCommand

from marconi_proxy.cli.commands import Commands
from marconi_proxy.cli.verb import AdminVerb, add_admin_url
from marconi_proxy.exits import Exit

_DESCRIPTION = (
    "One endpoint in front of many Marconi and Zaqar deployments. 'marconi-proxy help NOUN VERB' shows the details."
)


class MarconiProxy(App):
    """cliff's application without its interactive shell and completion, with messages on standard error."""

    NAME = "marconi-proxy"
    LOG = logging.getLogger("marconi_proxy.cli")

    def __init__(self) -> None:
        super().__init__(_DESCRIPTION, version("marconi-proxy"), Commands("marconi_proxy.cli"), deferred_help=True)
        del self.command_manager.commands["complete"]
        App.NAME = self.NAME

    def build_option_parser(
        self, description: str | None, version: str | None, argparse_kwargs: dict[str, Any] | None = None
    ) -> argparse.ArgumentParser:
        # By default argparse takes the program name from argv[0], which may be __main__.py. Abbreviations are off so
        # that a command's --admin is not read as --admin-url.
        parser = super().build_option_parser(description, version, {"prog": self.NAME, "allow_abbrev": False})
        add_admin_url(parser)
        return parser

    def prepare_to_run_command(self, cmd: Command) -> None:
        if self.options.admin_url and not isinstance(cmd, AdminVerb | HelpCommand):
            self.parser.error(f"--admin-url: '{cmd.cmd_name}' does not use the admin API")

    def configure_logging(self) -> None:
        level = logging.WARNING if self.options.verbose_level < 2 else logging.DEBUG
        logging.basicConfig(level=level, format=f"{self.NAME}: %(message)s", stream=self.stderr, force=True)

    def interact(self) -> None:
        self.parser.print_usage(self.stderr)
        self.stderr.write("Name a command; 'marconi-proxy --help' lists them.\n")
        raise SystemExit(Exit.USAGE)

    def run_subcommand(self, argv: list[str]) -> int:
        try:
            self.command_manager.find_command(argv)
        except ValueError:
            self.stderr.write(f"marconi-proxy: there is no command '{' '.join(argv)}'.\n")
            near = self.get_fuzzy_matches(argv[0])
            if near:
                self.stderr.write(f"Perhaps: {', '.join(near)}\n")
            return Exit.USAGE
        return super().run_subcommand(argv)


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status. Usage errors, ``--help`` and ``serve`` raise SystemExit."""
    return MarconiProxy().run(sys.argv[1:] if argv is None else argv)
