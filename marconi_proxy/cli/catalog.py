"""``marconi-proxy catalog``: preparing a catalog."""

from __future__ import annotations

import argparse
import asyncio

from marconi_proxy.cli import configuration
from marconi_proxy.cli.exits import CommandError
from marconi_proxy.cli.verb import Verb


class Init(Verb):
    """Prepare a catalog for use: once, before anything is served. Repeating it does no harm."""

    examples = """
  marconi-proxy catalog init --catalog sqlite:////var/lib/marconi-proxy/catalog.db
  OS_CATALOG__URI=mongodb://proxy:secret@db1,db2/marconi?replicaSet=rs0 marconi-proxy catalog init
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        configuration.add_config_file(parser)
        configuration.add_catalog(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from catalog.errors import CatalogError
        from marconi_proxy.option_types import redacted

        uri = configuration.load(parsed_args, catalog__uri=parsed_args.catalog).catalog.uri
        try:
            asyncio.run(_init(uri))
        except CatalogError as error:
            raise CommandError(f"the catalog {redacted(uri)} cannot be initialised: {error}") from error
        self.say(f"The catalog {redacted(uri)} is ready.")
        self.say("Next: marconi-proxy serve admin and marconi-proxy serve public, with the same catalog")


async def _init(uri: str) -> None:
    from catalog import open_catalog

    catalog = await open_catalog(uri)
    try:
        await catalog.init()
    finally:
        await catalog.close()
