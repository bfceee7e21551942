"""Partitions of our own, for a quickstart without --partition: nodes, each a process over a SQLite file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx

from marconi_proxy.quickstart.children import Children, program_of

NAMES = ("local-1", "local-2", "local-3")

# Seconds that all of them may take to come up.
_START = 30.0
_CLIENT = {"Client-ID": "6a1a4a54-5b4c-4c57-9d40-0d3f1f0f9f3b", "X-Project-Id": "quickstart"}
_LISTENING = re.compile(r"listening on (http://\S+),")


def start(children: Children, directory: Path) -> dict[str, list[str]]:
    """Start them over files in ``directory`` on free ports; return hosts by partition name once all answer.

    Raises ChildError.
    """
    # Options in the environment are for the proxy; a partition would refuse them.
    env = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    program = [*program_of("partition"), "serve", "--config-file", os.devnull, "--bind", "127.0.0.1:0"]
    for name in NAMES:
        children.start(name, [*program, "--storage", f"sqlite:///{directory / name}.sqlite"], env)
    hosts: dict[str, list[str]] = {}

    def ready() -> bool:
        for name in NAMES:
            host = children.says(name, _LISTENING)
            if host is None or not _healthy(host):
                return False
            hosts[name] = [host]
        return True

    children.wait_until(ready, "a partition", _START)
    return hosts


def _healthy(host: str) -> bool:
    try:
        return httpx.get(f"{host}/v2/ping", headers=_CLIENT, trust_env=False).is_success
    except httpx.HTTPError:
        return False
