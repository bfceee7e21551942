"""Commands that read the options of a service, from ``--config-file``, ``--catalog`` and the environment."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from marconi_proxy.cli.verb import Verb
from marconi_proxy.exits import CommandError, Exit

if TYPE_CHECKING:
    from oslo_config import cfg

DEFAULT_FILE = "/etc/marconi-proxy/marconi-proxy.conf"


class ConfiguredVerb(Verb):
    """A command that reads the options of a service."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--config-file",
            metavar="FILE",
            help=f"options; default: {DEFAULT_FILE} if there is one. Any option can also be given in the environment, "
            "as OS_<GROUP>__<OPTION>.",
        )
        parser.add_argument(
            "--catalog",
            metavar="URI",
            help="[catalog] uri: sqlite:////absolute/path or mongodb://HOST:PORT/DATABASE. Other users of this machine "
            "can see it; one with a password belongs into the file or the environment.",
        )
        return parser

    def conf(self, parsed_args: argparse.Namespace, **overrides: object) -> cfg.ConfigOpts:
        """Return all options; ``overrides`` maps ``group__option`` to a value, None being none. Raises CommandError."""
        from marconi_proxy import options

        given: dict[str, Any] = {name.replace("__", "."): value for name, value in overrides.items()}
        try:
            return options.load(config_file(parsed_args), {"catalog.uri": parsed_args.catalog, **given})
        except options.OptionError as error:
            raise CommandError(str(error), Exit.USAGE) from error


def config_file(parsed_args: argparse.Namespace) -> str | None:
    """Return the file that options are read from, None if there is none."""
    if parsed_args.config_file is not None:
        return str(parsed_args.config_file)
    return DEFAULT_FILE if os.path.exists(DEFAULT_FILE) else None
