"""marconi-proxy itself as child processes: a prepared catalog, the front door, the admin API, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.zaqar import HOST, ServerProcess, on_a_free_port, status_of

ADMIN_URL_VARIABLE = "MARCONI_PROXY_ADMIN_URL"
COMMAND_SECONDS = 60
_EXECUTABLE = Path(sys.executable).with_name("marconi-proxy")


class CommandFailed(Exception):
    """A command of the operator ended with another exit code than 0; the message has what it printed."""


@dataclass(frozen=True)
class MarconiProxy:
    """A running marconi-proxy: the ports of its two doors and their processes."""

    catalog: str
    public_port: int
    admin_port: int
    public: ServerProcess
    admin: ServerProcess

    @property
    def public_url(self) -> str:
        return f"http://{HOST}:{self.public_port}"

    @property
    def admin_url(self) -> str:
        return f"http://{HOST}:{self.admin_port}"

    @property
    def public_address(self) -> tuple[str, int]:
        return HOST, self.public_port

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the front door's workers, as of now."""
        return self.public.children

    def run(self, *arguments: str) -> str:
        """Run ``marconi-proxy`` with the arguments against this admin API; return its stdout. Raises CommandFailed."""
        return run_command(*arguments, admin_url=self.admin_url)

    def query(self, *arguments: str) -> Any:
        """Run a command with ``-f json``; return the document. Raises CommandFailed."""
        return json.loads(self.run(*arguments, "-f", "json"))


def run_command(*arguments: str, admin_url: str | None = None) -> str:
    """Run ``marconi-proxy`` with the arguments; return its stdout. Raises CommandFailed."""
    env = {**os.environ, **({ADMIN_URL_VARIABLE: admin_url} if admin_url else {})}
    done = subprocess.run(
        (str(_EXECUTABLE), *arguments),
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=COMMAND_SECONDS,
    )
    if done.returncode != 0:
        raise CommandFailed(
            f"marconi-proxy {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


@contextmanager
def marconi_proxy(
    catalog: str,
    logs: Path,
    *,
    workers: int = 2,
    options: Mapping[str, object] | None = None,
    launcher: Sequence[str] = (str(_EXECUTABLE),),
) -> Iterator[MarconiProxy]:
    """Prepare the catalog at URI ``catalog`` and run both doors over it, logging below the directory ``logs``.

    ``options`` of both by ``GROUP.NAME``; ``launcher`` runs the program ``marconi-proxy`` for the public door. Nothing
    is registered yet. Raises CommandFailed or ServerFailed.
    """
    run_command("catalog", "init", "--catalog", catalog)
    logs.mkdir(parents=True, exist_ok=True)
    options = {"public.drain_time": 0, **(options or {})}
    env = {f"OS_{name.replace('.', '__')}".upper(): str(value) for name, value in options.items()}
    admin, admin_port = _serve("admin", catalog, logs, env, workers=1, path="/v1/health", status=200)
    try:
        public, public_port = _serve(
            "public", catalog, logs, env, workers=workers, path="/", status=300, launcher=launcher
        )
        try:
            yield MarconiProxy(catalog, public_port, admin_port, public, admin)
        finally:
            public.stop()
    finally:
        admin.stop()


def _serve(
    door: str,
    catalog: str,
    logs: Path,
    env: Mapping[str, str],
    *,
    workers: int,
    path: str,
    status: int,
    launcher: Sequence[str] = (str(_EXECUTABLE),),
) -> tuple[ServerProcess, int]:
    def start(port: int) -> ServerProcess:
        options = ("--catalog", catalog, "--bind", f"{HOST}:{port}", "--workers", str(workers))
        command = (*launcher, "serve", door, *options)
        return ServerProcess(f"marconi-proxy serve {door}", command, logs / f"{door}.log", env)

    return on_a_free_port(start, lambda port: status_of(HOST, port, path) == status)
