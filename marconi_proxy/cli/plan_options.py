"""The options of a plan: its budgets, its target partitions, and the pins of tenants."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from marconi_proxy.cli.verb import number


def add_budgets(parser: argparse.ArgumentParser) -> None:
    def add(option: str, kind: Callable[[str], object], metavar: str, text: str) -> None:
        parser.add_argument(option, type=kind, metavar=metavar, help=text)

    add(
        "--at-once",
        int,
        "N",
        "moves of a partition before their switch, at most [moving] at_once of movers; default: 4",
    )
    add(
        "--seals-per-second",
        number,
        "N",
        "moves begun per second, at most [moving] seals_per_second of movers; default: 10",
    )
    add(
        "--window",
        str,
        "HH:MM-HH:MM",
        "begin moves at that time of day only, in UTC; a move that has begun is retried at any time",
    )
    add("--stop-after", int, "N", "stop after so many failures; default: 10")
    add(
        "--max-pause",
        number,
        "MS",
        "give up an attempt to switch a queue after it has held writes for so long",
    )


def budgets(parsed_args: argparse.Namespace) -> dict[str, Any]:
    given = {
        "at_once": parsed_args.at_once,
        "seals_per_second": parsed_args.seals_per_second,
        "window": parsed_args.window,
        "stop_after": parsed_args.stop_after,
        "max_pause_ms": parsed_args.max_pause,
    }
    return {name: value for name, value in given.items() if value is not None}


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        metavar="PARTITION",
        action="extend",
        nargs="+",
        help="partitions that may receive queues; may be repeated; default: all that take new queues",
    )


def add_break_pins(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--break-pins",
        action="store_true",
        help="move queues even against the pins and spreads of their tenants",
    )


def pins(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return the members of the request body for --repin and --break-pins."""
    chosen: dict[str, Any] = {"break_pins": True} if parsed_args.break_pins else {}
    if getattr(parsed_args, "repin", None) is not None:
        chosen["repin"] = parsed_args.repin
    return chosen
