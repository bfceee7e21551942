"""``marconi-proxy config``: the sample configuration, and checking one."""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterable, Sequence
from typing import Any

from cliff.lister import Lister

from marconi_proxy.cli.configuration import ConfiguredVerb, config_file
from marconi_proxy.cli.verb import Verb
from marconi_proxy.exits import CommandError, Exit


class ConfigSample(Verb):
    """Print a configuration file with every option, its default and its help."""

    examples = """
  marconi-proxy config sample > /etc/marconi-proxy/marconi-proxy.conf
"""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        self.app.stdout.write(sample())


def sample(namespace: str = "marconi_proxy") -> str:
    """Return a configuration file with every option of ``namespace``, its help and its default."""
    from oslo_config import cfg, generator

    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", namespace, "--wrap-width", "100"], default_config_files=[], default_config_dirs=[])
    text = io.StringIO()
    generator.generate(conf, output_file=text)
    return text.getvalue()


class ConfigCheck(ConfiguredVerb, Lister):
    """Check a configuration and show every option's value. Secrets are masked.

    Ends with status 2, naming the option, if one does not exist or has an impossible value.
    """

    examples = """
  marconi-proxy config check --config-file /etc/marconi-proxy/marconi-proxy.conf
  OS_PUBLIC__WORKERS=8 marconi-proxy config check -f json
"""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        conf = self.conf(parsed_args)
        from marconi_proxy.admin.policy import require_protection
        from marconi_proxy.option_table import GROUPS
        from marconi_proxy.option_types import Address, redacted
        from marconi_proxy.options import OptionError

        try:
            require_protection(conf)
        except OptionError as error:
            raise CommandError(str(error), Exit.USAGE) from error

        def shown(group: str, name: str, secret: bool) -> Any:
            value = conf[group][name]
            if (group, name) == ("catalog", "uri"):
                return redacted(value)
            if secret and value is not None:
                return "***"
            return str(value) if isinstance(value, Address) else value

        rows = [(group, opt.dest, shown(group, opt.dest, opt.secret)) for group in GROUPS for opt in GROUPS[group]]
        self.say(f"No fault found in {config_file(parsed_args) or 'the environment and the defaults'}.")
        return ("group", "option", "value"), rows
