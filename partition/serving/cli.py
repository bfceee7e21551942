"""The program ``marconi-partition``: ``serve``, ``check`` and ``reopen``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any, TypeVar

from oslo_config import cfg

from partition.errors import BadStorageURI, StorageError
from partition.serving import options
from partition.serving.errors import StartError
from partition.storage.interface import Storage
from partition.storage.opening import driver_of, open_storage, redacted

T = TypeVar("T")

DEFAULT_FILE = "/etc/marconi-partition/marconi-partition.conf"


_STORAGE_HELP = (
    "[storage] uri: sqlite:////absolute/path or mongodb://HOST:PORT/DATABASE. Other users of this machine can see it; "
    "one with a password belongs into the file, or into OS_STORAGE__URI"
)


class Exit(IntEnum):
    """The exit codes of the program."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status. Usage errors and ``serve`` raise SystemExit."""
    given = _parser().parse_args(argv)
    try:
        if given.command == "serve":
            return _serve(given)
        return _check(given) if given.command == "check" else _reopen(given)
    except options.OptionError as error:
        return _fail(str(error), Exit.USAGE)
    except BadStorageURI as error:
        return _fail(f"[storage] uri: {error}", Exit.USAGE)
    except StorageError as error:
        return _fail(f"[storage] uri: {error}", Exit.FAILED)
    except StartError as error:
        return _fail(str(error), Exit.FAILED)


def _fail(message: str, status: Exit) -> int:
    sys.stderr.write(f"marconi-partition: {message}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "marconi-partition", description="A small, durable queue server that speaks the Marconi/Zaqar API."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = _command(
        commands,
        "serve",
        "serve the API until SIGTERM or SIGINT",
        """
  marconi-partition serve --storage sqlite:////var/lib/marconi-partition/messages.db --workers 2
  OS_STORAGE__URI='mongodb://USER:PASSWORD@HOST/DATABASE?replicaSet=rs0' marconi-partition serve --bind 0.0.0.0:8888
""",
    )
    serve.add_argument("--bind", metavar="HOST:PORT", help="[server] bind; port 0 for any free one")
    serve.add_argument(
        "--admin-bind", metavar="HOST:PORT", help="[server] admin_bind: where the operator finds the inventory"
    )
    serve.add_argument("--workers", metavar="N", help="[server] workers: how many processes")
    check = _command(
        commands,
        "check",
        "verify a store: damage and inconsistent counts; slow",
        """
  marconi-partition check --storage sqlite:////var/lib/marconi-partition/messages.db
""",
    )
    reopen = _command(
        commands,
        "reopen",
        "accept posts again for queues that a proxy has closed to earlier epochs: after a restore of the proxy's "
        "catalog from a backup, or after the removal of the proxy",
        """
  marconi-partition reopen --storage sqlite:////var/lib/marconi-partition/messages.db
""",
    )
    for command in (serve, check, reopen):
        command.add_argument("--config-file", metavar="FILE", help=f"options; default: {DEFAULT_FILE} if it exists")
        command.add_argument("--storage", metavar="URI", help=_STORAGE_HELP)
    return parser


def _command(commands: Any, name: str, what: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"Examples:\n{examples.rstrip()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _load(given: argparse.Namespace, **overrides: object) -> cfg.ConfigOpts:
    file = given.config_file or (DEFAULT_FILE if os.path.exists(DEFAULT_FILE) else None)
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return options.load(file, {"storage.uri": given.storage, **named})


def _serve(given: argparse.Namespace) -> int:
    conf = _load(given, server__bind=given.bind, server__admin_bind=given.admin_bind, server__workers=given.workers)
    # Only this command needs gunicorn.
    from partition.serving.server import serve

    serve(conf)
    return Exit.DONE


def _check(given: argparse.Namespace) -> int:
    uri = _load(given).storage.uri
    faults = asyncio.run(_with_store(uri, lambda storage: storage.check()))
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    if faults:
        return _fail(f"{redacted(uri)} has {len(faults)} faults", Exit.REFUSED)
    sys.stdout.write(f"{redacted(uri)} is in order\n")
    return Exit.DONE


def _reopen(given: argparse.Namespace) -> int:
    uri = _load(given).storage.uri
    count = asyncio.run(_with_store(uri, lambda storage: storage.reopen()))
    sys.stdout.write(f"{redacted(uri)}: reopened {count} queues that were closed to earlier epochs\n")
    return Exit.DONE


async def _with_store(uri: str, work: Callable[[Storage], Awaitable[T]]) -> T:
    # Opening would create a new store, and report a mistyped path as correct.
    if not await driver_of(uri).exists(uri):
        raise StartError(f"[storage] uri: there is nothing at {redacted(uri)}")
    storage = await open_storage(uri)
    try:
        return await work(storage)
    finally:
        await storage.close()
