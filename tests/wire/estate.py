"""All that moves queues, as processes: partitions of our own, both doors of marconi-proxy, and a mover."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.servers.fake_partition import until
from tests.servers.marconi import ADMIN_URL_VARIABLE, MarconiProxy, marconi_proxy
from tests.servers.partition import PartitionNode, start_partition
from tests.servers.zaqar import ServerProcess
from tests.wire.conftest import logged
from tests.wire.door import Door

_EXECUTABLE = Path(sys.executable).with_name("marconi-proxy")
# Seconds until a command must have ended: a plan of a thousand queues has time, on a busy machine too.
_PATIENCE = 600.0
# Nothing here fails because something is done too late: only what waits on purpose is made short.
OPTIONS = {"moving.linger": 0.2, "moving.back_off": 0.1, "directory.member_interval": 0.5}


class Command:
    """A command of the operator that is under way."""

    def __init__(self, directory: Path, admin_url: str, *arguments: str) -> None:
        self._out, self._err = directory / "command.out", directory / "command.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                (str(_EXECUTABLE), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, ADMIN_URL_VARIABLE: admin_url},
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def ended(self) -> int:
        """Return its status, when it has ended."""
        return self.process.wait(_PATIENCE)

    def stop(self) -> None:
        """Make it end. Idempotent."""
        self.process.kill()
        self.process.wait()


class Estate:
    """``nodes`` by the names of their partitions."""

    def __init__(
        self,
        proxy: MarconiProxy,
        nodes: Mapping[str, PartitionNode],
        directory: Path,
        stack: ExitStack,
        options: Mapping[str, object],
    ) -> None:
        self.proxy = proxy
        self.door = Door(proxy)
        self.nodes = nodes
        self.directory = directory
        self._stack = stack
        self._options = options
        self._mover: ServerProcess | None = None

    def resume_mover(self) -> None:
        """Have a mover at work. Idempotent."""
        if self._mover is None:
            env = {f"OS_{name.replace('.', '__')}".upper(): str(value) for name, value in self._options.items()}
            command = (str(_EXECUTABLE), "mover", "--catalog", self.proxy.catalog)
            log = self.directory / f"mover-{uuid.uuid4().hex[:8]}.log"
            mover = self._mover = ServerProcess("marconi-proxy mover", command, log, env)
            self._stack.callback(mover.stop)
            self._stack.enter_context(logged(mover))
            mover.wait_until(lambda: "is at work" in mover.log_tail())

    def pause_mover(self) -> None:
        """Have no mover at work."""
        if self._mover is not None:
            self._mover.stop()
            self._mover = None

    def command(self, *arguments: str) -> Command:
        """Begin a command."""
        command = Command(self.directory, self.proxy.admin_url, *arguments)
        self._stack.callback(command.stop)
        return command

    def move(self, move_id: str) -> dict[str, Any]:
        """Return a move as ``move show`` has it."""
        found: dict[str, Any] = self.proxy.query("move", "show", move_id)
        return found

    def reaches(self, move_id: str, *states: str) -> dict[str, Any]:
        """Return the move when it is in one of the states."""

        def there() -> dict[str, Any] | None:
            _, move = self.door.admin("GET", f"/v1/moves/{move_id}")
            return move if move["state"] in states else None

        found: dict[str, Any] = until(there, f"move {move_id} is {' or '.join(states)}")
        return found


@contextmanager
def estate(
    directory: Path, *names: str, launcher: Sequence[str] = (str(_EXECUTABLE),), **options: object
) -> Iterator[Estate]:
    """Run a partition on SQLite for each of the names, and all that moves queues between them.

    ``options`` by ``group__name``; ``launcher`` as for ``marconi_proxy``.
    """
    named = {**OPTIONS, **{name.replace("__", ".", 1): value for name, value in options.items()}}
    with ExitStack() as stack:
        nodes = {}
        for name in names:
            (directory / name).mkdir()
            node = start_partition(f"sqlite:///{directory / name / 'messages.db'}", directory / name)
            stack.callback(node.process.stop)
            stack.enter_context(logged(node.process))
            nodes[name] = node
        catalog = f"sqlite:///{directory / 'catalog.db'}"
        proxy = stack.enter_context(marconi_proxy(catalog, directory, options=named, launcher=launcher))
        stack.enter_context(logged(proxy.public, proxy.admin))
        for name, node in nodes.items():
            proxy.run("partition", "register", name, "--host", node.url)
        here = Estate(proxy, nodes, directory, stack, named)
        here.resume_mover()
        yield here
