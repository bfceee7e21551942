"""``marconi-proxy quickstart``: a front door over partitions, given or started for the purpose, and a tour of it."""

from __future__ import annotations

import argparse

from marconi_proxy.cli.verb import Verb
from marconi_proxy.exits import CommandError, Exit


class Quickstart(Verb):
    """Start a front door over partitions and a mover, show a tour, and keep them up until Ctrl-C.

    Without --partition, the command starts three small partitions of our own. A state directory
    ($XDG_STATE_HOME/marconi-proxy/quickstart) keeps their messages and the catalog, unless --catalog names another
    catalog. All processes that the command starts end with it.
    """

    examples = """
  marconi-proxy quickstart
  marconi-proxy quickstart --partition one=http://10.0.0.1:8888 --partition two=http://10.0.0.2:8888
  marconi-proxy quickstart --partition one=http://127.0.0.1:8001 --public 127.0.0.1:8080 --exit
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--partition",
            metavar="NAME=URL",
            action="append",
            default=[],
            help="a running partition, by the base URL of a host of it; repeat it for more partitions, or more hosts "
            "of one; default: three that the command starts",
        )
        parser.add_argument("--catalog", metavar="URI", help="sqlite:////absolute/path or mongodb://HOST:PORT/DATABASE")
        parser.add_argument("--public", metavar="HOST:PORT", default="127.0.0.1:8888", help="default: %(default)s")
        parser.add_argument("--admin", metavar="HOST:PORT", default="127.0.0.1:8889", help="default: %(default)s")
        parser.add_argument("--exit", action="store_true", help="leave after the tour; status 0 if every step held")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from marconi_proxy.quickstart import session
        from marconi_proxy.quickstart.children import ChildError
        from marconi_proxy.quickstart.errors import TourError

        plan = session.TourPlan(
            partitions=_partitions(parsed_args.partition),
            catalog=parsed_args.catalog,
            public=parsed_args.public,
            admin=parsed_args.admin,
            leave=parsed_args.exit,
        )
        try:
            session.run(plan, lambda line: print(line, file=self.app.stdout, flush=True))
        except (ChildError, TourError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"the state directory cannot be used: {error}") from error


def _partitions(given: list[str]) -> dict[str, list[str]]:
    """Return hosts by partition name. Raises CommandError."""
    partitions: dict[str, list[str]] = {}
    for text in given:
        name, equals, url = text.partition("=")
        if not (name and equals and url.startswith(("http://", "https://"))):
            raise CommandError(f"--partition: {text!r} is not NAME=URL such as one=http://127.0.0.1:8001", Exit.USAGE)
        partitions.setdefault(name, []).append(url)
    return partitions
