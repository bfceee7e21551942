"""Python interpreters for programs of other projects: one virtual environment per pin file, built on demand and kept.

The real Zaqar releases and their clients need versions that conflict with one another and with ours, so each lives in
an environment of its own, installed from PyPI exactly by its pin file. Owns the cache of these environments and
nothing else; the programs that run in them are none of its concern.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE_VARIABLE = "MARCONI_TEST_CACHE"
_REPOSITORY = Path(__file__).resolve().parents[2]
_BUILT = "built-as-pinned"


class BuildFailed(Exception):
    """An environment could not be built; the message ends with the output of pip."""


def interpreter(pins: Path) -> Path:
    """Return the Python executable of an environment that holds exactly what the file ``pins`` lists.

    Builds it on first use, from PyPI, and waits if another process is building the same one. Raises BuildFailed.
    """
    environment = _cache() / f"{pins.stem}-{_fingerprint(pins)}"
    python = environment / "bin" / "python"
    if not (environment / _BUILT).exists():
        with _only_one_builder(environment):
            # The process that held the lock before may have built it.
            if not (environment / _BUILT).exists():
                _build(environment, python, pins)
    return python


def _cache() -> Path:
    configured = os.environ.get(CACHE_VARIABLE)
    return (Path(configured) if configured else _REPOSITORY / ".cache" / "interpreters").absolute()


def _fingerprint(pins: Path) -> str:
    """Return a hash of all that an environment depends on: the pins, the version of Python and its directory."""
    made_of = pins.read_bytes() + sys.version.encode() + sys.base_prefix.encode()
    return hashlib.sha256(made_of).hexdigest()[:16]


@contextmanager
def _only_one_builder(environment: Path) -> Iterator[None]:
    """Hold the build lock of ``environment``. The kernel lets go of it if this process dies."""
    environment.parent.mkdir(parents=True, exist_ok=True)
    with environment.with_name(environment.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(environment: Path, python: Path, pins: Path) -> None:
    # In place, not moved there afterwards: an environment's scripts name its path. The remains of a crash have no
    # mark, and the next process builds them anew.
    shutil.rmtree(environment, ignore_errors=True)
    _run(pins, sys.executable, "-m", "venv", "--without-pip", str(environment))
    # Our own pip: to install one into each environment would take longer than some have to install.
    pip = (sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--no-input")
    _run(pins, *pip, "install", "--quiet", "--no-compile", "--no-deps", "--requirement", str(pins))
    (environment / _BUILT).touch()


def _run(pins: Path, *command: str) -> None:
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise BuildFailed(
            f"the environment of {pins} could not be built (set {CACHE_VARIABLE} to a directory that has it, or allow"
            f" access to PyPI): {' '.join(command)} exited with {done.returncode}:\n{done.stdout[-4000:]}"
        )
