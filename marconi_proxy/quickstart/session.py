"""The sequence of a quickstart: state, servers, partitions, tour, and then waiting for Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import httpx

from marconi_proxy.admin_client.client import AdminClient, part
from marconi_proxy.exits import CommandError, Exit
from marconi_proxy.option_types import AddressType
from marconi_proxy.quickstart import embedded
from marconi_proxy.quickstart.children import ChildError, Children, program_of
from marconi_proxy.quickstart.errors import TourError
from marconi_proxy.quickstart.tour import TENANTS, Tour
from marconi_proxy.serving.errors import StartError
from marconi_proxy.serving.listener import bind

# Seconds for each of the servers to come up.
_START = 30.0
# The command as the reader must type it, which may not be on the PATH.
_PROGRAM = sys.argv[0] if sys.argv[0].endswith("/marconi-proxy") else "marconi-proxy"


@dataclass(frozen=True, slots=True)
class TourPlan:
    """The requested session. ``partitions`` maps names to base URLs of hosts; if empty, partitions are started;
    ``catalog`` None is a file in the state directory; ``public`` and ``admin`` are HOST:PORT; ``leave`` ends after the
    tour."""

    partitions: Mapping[str, Sequence[str]]
    catalog: str | None
    public: str
    admin: str
    leave: bool


def state_directory() -> Path:
    """Return the directory for catalog and logs, by the XDG Base Directory Specification."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "marconi-proxy" / "quickstart"


class _Interrupted(BaseException):
    """A signal requested the end."""


def run(plan: TourPlan, say: Callable[[str], None]) -> None:
    """Run the session. Returns when the tour is over (``leave``) or on SIGINT and SIGTERM, with no process left
    running.

    Raises ChildError, TourError, CommandError.
    """
    _check_free("--public", plan.public)
    _check_free("--admin", plan.admin)
    directory = state_directory()
    directory.mkdir(parents=True, exist_ok=True)
    lock = _locked(directory)
    catalog = plan.catalog or f"sqlite:///{directory / 'catalog.sqlite'}"

    def interrupt(*_: object) -> None:
        raise _Interrupted

    toured = False
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with (
            Children(directory) as children,
            AdminClient(f"http://{plan.admin}", os.environ.get("MARCONI_PROXY_ADMIN_TOKEN")) as admin,
            httpx.Client(base_url=f"http://{plan.public}", timeout=30.0, trust_env=False) as public,
        ):
            say(f"Everything is kept in {directory}: catalog, logs, messages of partitions that are started here")
            if not plan.partitions:
                plan = replace(plan, partitions=embedded.start(children, directory))
            _start(plan, catalog, children, public, admin)
            say(f"The public API is at http://{plan.public}, the admin API at http://{plan.admin}")
            _register(plan, admin, say)
            # Not earlier: it continues moves of an earlier quickstart, with partitions at other addresses.
            children.start("mover", [*program_of("marconi_proxy"), "mover"], _environment(catalog))
            tour = Tour(public, admin, tuple(plan.partitions), lambda line: say(f"  {line}"), children.check)
            try:
                say("A tour, as two tenants use the public API:")
                tour.run()
                say("Every step held.")
                toured = True
                if not plan.leave:
                    _stay(plan, children, say)
            finally:
                _tidy_up(tour, say)
    except _Interrupted:
        say("Stopped; nothing is left running.")
        if not toured:
            raise TourError("it was interrupted before the tour was over") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        lock.close()


def _locked(directory: Path) -> IO[bytes]:
    """Return a file that locks the directory for this quickstart until it is closed. Raises CommandError."""
    lock = (directory / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise CommandError(
            f"another quickstart keeps its state in {directory}; stop it, or set XDG_STATE_HOME to another directory"
        ) from error
    return lock


def _check_free(option: str, address: str) -> None:
    """Raise CommandError unless we can listen at ``address``. Another server there would be mistaken for ours: a Zaqar
    at its usual port 8888 answers like the front door."""
    try:
        bind(AddressType()(address), option).close()
    except ValueError as error:
        raise CommandError(f"{option}: {error}", Exit.USAGE) from error
    except StartError as error:
        raise CommandError(f"{error}; give another {option} HOST:PORT") from error


def _environment(catalog: str) -> dict[str, str]:
    # Not as an argument: a URI may contain a password, and all users of the machine can read arguments.
    return {**os.environ, "OS_CATALOG__URI": catalog.replace("$", "$$")}


def _start(plan: TourPlan, catalog: str, children: Children, public: httpx.Client, admin: AdminClient) -> None:
    program = program_of("marconi_proxy")
    env = _environment(catalog)
    # Also an existing one: it may be of an earlier release.
    done = subprocess.run([*program, "catalog", "init"], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildError(f"the catalog cannot be prepared: {done.stderr.strip()}")
    children.start("public", [*program, "serve", "public", "--bind", plan.public], env)
    children.start("admin", [*program, "serve", "admin", "--bind", plan.admin], env)
    children.wait_until(lambda: _answers(lambda: public.get("/").status_code == 300), "the public API", _START)
    children.wait_until(lambda: _answers(lambda: bool(admin.call("GET", "/v1/partitions"))), "the admin API", _START)


def _answers(call: Callable[[], bool]) -> bool:
    try:
        return call()
    except (httpx.HTTPError, CommandError):
        return False


def _register(plan: TourPlan, admin: AdminClient, say: Callable[[str], None]) -> None:
    """Let exactly the given partitions take new queues, and the tour's tenants use them all."""
    _, known = admin.call("GET", "/v1/partitions")
    states = {partition["name"]: partition["state"] for partition in known or ()}
    for name, hosts in plan.partitions.items():
        if name in states:
            admin.call("PATCH", f"/v1/partitions/{part(name)}", {"hosts": list(hosts), "state": "enabled"})
        else:
            admin.call("PUT", f"/v1/partitions/{part(name)}", {"hosts": list(hosts), "weight": 100})
        _, partition = admin.call("GET", f"/v1/partitions/{part(name)}")
        spoken = partition["api_versions"]
        if "v2" not in spoken:
            raise TourError(
                f"partition {name} at {', '.join(hosts)} "
                + (
                    f"speaks {', '.join(spoken)} only; the tour needs v2"
                    if spoken
                    else "does not answer; is it running?"
                )
            )
        say(f"Partition {name} at {', '.join(hosts)} speaks {', '.join(spoken)}")
    # Only for a catalog of our own. A named catalog may be in use, and must not be changed.
    for name in states.keys() - plan.partitions.keys():
        if plan.catalog is None and states[name] == "enabled":
            admin.call("PATCH", f"/v1/partitions/{part(name)}", {"state": "cordoned"})
            say(f"Partition {name}, of an earlier quickstart, takes no new queues now")
    for tenant in TENANTS:
        admin.call("PUT", f"/v1/tenants/{tenant}", {"spread": len(plan.partitions)})


def _tidy_up(tour: Tour, say: Callable[[str], None]) -> None:
    try:
        tour.tidy_up()
    except TourError as error:
        say(f"The tour's queues may be left behind: {error}")


def _stay(plan: TourPlan, children: Children, say: Callable[[str], None]) -> None:
    """Return never; _Interrupted and ChildError end it."""
    say(
        f"""
It stays up until Ctrl-C. In another terminal, for example:

  curl -i http://{plan.public}/v2/queues -H 'X-Project-Id: tour-blue' -H 'Client-ID: {uuid.uuid4()}'
  {_PROGRAM} --help
  {_PROGRAM} placement list --admin-url http://{plan.admin}
  {_PROGRAM} move list --admin-url http://{plan.admin}
"""
    )
    while True:
        children.check()
        time.sleep(0.5)
