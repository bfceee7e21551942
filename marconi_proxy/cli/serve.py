"""``marconi-proxy serve``: running the public and the admin API."""

from __future__ import annotations

import argparse
from typing import ClassVar

from marconi_proxy.cli.configuration import ConfiguredVerb
from marconi_proxy.exits import CommandError, Exit


class _Serve(ConfiguredVerb):
    service: ClassVar[str]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--bind", metavar="HOST:PORT", help=f"[{self.service}] bind; port 0 for any free one")
        parser.add_argument("--workers", metavar="N", help=f"[{self.service}] workers: how many processes")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        given = {f"{self.service}__bind": parsed_args.bind, f"{self.service}__workers": parsed_args.workers}
        conf = self.conf(parsed_args, **given)
        from marconi_proxy.admin.policy import require_protection
        from marconi_proxy.options import OptionError
        from marconi_proxy.serving.errors import StartError
        from marconi_proxy.serving.server import serve

        try:
            if self.service == "admin":
                require_protection(conf)
            serve(conf, self.service)
        except OptionError as error:
            raise CommandError(str(error), Exit.USAGE) from error
        except StartError as error:
            raise CommandError(str(error)) from error


class ServePublic(_Serve):
    """Serve the public API: the one endpoint that tenants use. Runs until SIGTERM or SIGINT."""

    examples = """
  marconi-proxy serve public --catalog sqlite:////var/lib/marconi-proxy/catalog.db
  marconi-proxy serve public --config-file /etc/marconi-proxy/marconi-proxy.conf --bind 0.0.0.0:8888 --workers 8
"""
    service = "public"


class ServeAdmin(_Serve):
    """Serve the admin API, for operators and this command line. Runs until SIGTERM or SIGINT."""

    examples = """
  marconi-proxy serve admin --catalog sqlite:////var/lib/marconi-proxy/catalog.db
"""
    service = "admin"
