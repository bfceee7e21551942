"""``marconi-proxy catalog``: preparing a catalog, and its backups."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, BinaryIO

from marconi_proxy.cli.configuration import ConfiguredVerb
from marconi_proxy.cli.counts import CountReporter
from marconi_proxy.cli.whole_file import destination
from marconi_proxy.exits import CommandError, Exit

if TYPE_CHECKING:
    from catalog import Catalog
    from catalog.backup.reader import Backup

# Seconds for counting the placements to export; without a count the progress has no percentage.
_COUNT_TIMEOUT = 5.0


class CatalogInit(ConfiguredVerb):
    """Prepare a catalog for use: once, before the first server starts. Safe to repeat."""

    examples = """
  marconi-proxy catalog init --catalog sqlite:////var/lib/marconi-proxy/catalog.db
  OS_CATALOG__URI=mongodb://proxy:secret@db1,db2/marconi?replicaSet=rs0 marconi-proxy catalog init
"""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from catalog.errors import CatalogError
        from marconi_proxy.option_types import redacted

        uri = self.conf(parsed_args).catalog.uri
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


class CatalogExport(ConfiguredVerb):
    """Write a snapshot of a catalog to a file, while it is in use.

    It leaves out front-door workers and the locks of moves. The file appears whole or not at all, and only its owner
    can read it.
    """

    examples = """
  marconi-proxy catalog export --catalog sqlite:////var/lib/marconi-proxy/catalog.db -o catalog.jsonl
  marconi-proxy catalog export --catalog 'mongodb://db1,db2/marconi?replicaSet=rs0' | zstd > catalog.jsonl.zst
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            default="-",
            help="the file to write, replacing an existing one; default: - (stdout)",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from marconi_proxy.option_types import redacted

        uri = self.conf(parsed_args).catalog.uri
        _require_file(uri)
        with self.counting() as counting, destination(parsed_args.output) as stream:
            counts = _run(
                _export(uri, stream, counting), f"the catalog {redacted(uri)} cannot be exported", "interrupted"
            )
        self.say(f"Exported {told(counts)}.")
        if parsed_args.output != "-":
            self.say(f"Next: marconi-proxy catalog import --catalog URI {parsed_args.output}")


class CatalogImport(ConfiguredVerb):
    """Fill a catalog from a backup. Front-door workers, movers and admin API must not run on it.

    A file is read and checked completely before any change; a pipe cannot be. After an interrupted import, servers
    refuse the catalog until an import has completed.
    """

    examples = """
  marconi-proxy catalog import --catalog sqlite:////var/lib/marconi-proxy/catalog.db catalog.jsonl
  marconi-proxy catalog import --catalog mongodb://db1,db2/marconi --replace catalog.jsonl
  marconi-proxy catalog export --catalog sqlite:////var/lib/marconi-proxy/catalog.db |
    marconi-proxy catalog import --catalog mongodb://db1,db2/marconi -
"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--replace", action="store_true", help="remove the present content of the catalog first")
        parser.add_argument("file", metavar="FILE", help="a backup; - is stdin")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from catalog.backup.importer import HalfLoaded
        from catalog.backup.reader import BadBackup
        from catalog.errors import CatalogInUse, LoadRefused, NotEmpty
        from marconi_proxy.option_types import redacted

        uri = self.conf(parsed_args).catalog.uri
        where = f"the catalog {redacted(uri)}"
        try:
            with self.counting() as counting, _source(parsed_args.file) as stream:
                steps = _import(uri, stream, parsed_args.replace, counting)
                counts = _run(steps, f"{where} cannot be filled", "interrupted. Nothing was changed.")
        except BadBackup as error:
            raise CommandError(f"{parsed_args.file}: {error}. Nothing was changed.", Exit.REFUSED) from error
        except NotEmpty as error:
            following = "Next: the same command with --replace, which removes it"
            raise CommandError(
                f"{where} is not filled: {error}. Nothing was changed. {following}", Exit.REFUSED
            ) from error
        except CatalogInUse as error:
            raise CommandError(
                f"{where} is not filled: {error}. Nothing was changed. Next: stop the front door, the movers and "
                "the admin API, which depend on its present content, and repeat the import.",
                Exit.REFUSED,
            ) from error
        except HalfLoaded as error:
            why = error.__cause__
            what = f"{parsed_args.file}: {why}" if isinstance(why, BadBackup) else str(why) or "interrupted"
            state = (
                "was emptied and is incomplete" if error.emptied else "may have been emptied; if so, it is incomplete"
            )
            raise CommandError(
                f"{what}. T{where[1:]} {state}, and servers refuse it until marconi-proxy catalog import has "
                "completed.",
                Exit.REFUSED if isinstance(why, BadBackup | LoadRefused) else Exit.FAILED,
            ) from error
        self.say(f"Imported {told(counts)}.")
        self.say("Next: marconi-proxy serve admin, mover and serve public, with this catalog")


def told(counts: dict[str, int]) -> str:
    """Return counts by kind in words."""
    return ", ".join(f"{count} {kind.replace('_', ' ')}{'s' if count != 1 else ''}" for kind, count in counts.items())


def _run(steps: Coroutine[Any, Any, dict[str, int]], what: str, interrupted: str) -> dict[str, int]:
    from catalog.errors import CatalogError, CatalogInUse, NotEmpty

    try:
        return asyncio.run(steps)
    except (NotEmpty, CatalogInUse):
        raise
    except CatalogError as error:
        raise CommandError(f"{what}: {error}") from error
    except OSError as error:
        raise CommandError(f"{what}: {error.strerror or error}") from error
    except KeyboardInterrupt:
        raise CommandError(interrupted) from None


def _require_file(uri: str) -> None:
    from catalog.factory import catalog_scheme
    from catalog.uri import split

    # Opening a missing file would create an empty catalog.
    if catalog_scheme(uri) == "sqlite" and not os.path.exists(split(uri).path[1:]):
        raise CommandError(f"there is no catalog {split(uri).path[1:]}")


@contextmanager
def _source(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = open(path, "rb")  # noqa: SIM115 -- only this may fail for the path
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.USAGE) from error
    with stream:
        yield stream


async def _export(uri: str, stream: BinaryIO, counting: CountReporter) -> dict[str, int]:
    from catalog import open_catalog
    from catalog.backup.exporter import export

    catalog = await open_catalog(uri)
    try:
        whole = await _placements(catalog)

        def seen(counts: dict[str, int]) -> None:
            part = min(counts["placement"] / whole, 1.0) if whole else None
            counting.show("exporting", sum(counts.values()), part)

        return await export(catalog, stream, datetime.now(UTC), seen)
    finally:
        await catalog.close()


async def _placements(catalog: Catalog) -> int | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_COUNT_TIMEOUT):
            return await catalog.placements.count()
    return None


async def _import(uri: str, stream: BinaryIO, replace: bool, counting: CountReporter) -> dict[str, int]:
    from catalog import open_catalog
    from catalog.backup.importer import let_lapse, load, verify

    found = os.fstat(stream.fileno())
    begin, size = (stream.tell(), found.st_size) if S_ISREG(found.st_mode) else (None, None)

    def show(title: str, backup: Backup) -> None:
        part = backup.read / (size - begin) if size and begin is not None else None
        counting.show(title, sum(backup.counts.values()), part)

    if begin is not None:
        await verify(stream, lambda backup: show("checking", backup))
        stream.seek(begin)
    catalog = await open_catalog(uri)
    try:
        # Killed processes did not sign off.
        await let_lapse(catalog, lambda left: counting.show(f"watching registered workers, {left:.0f} s left", 0, None))
        return await load(catalog, stream, time.time(), replace=replace, seen=lambda backup: show("importing", backup))
    finally:
        await catalog.close()
