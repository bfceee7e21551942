"""The processes of a soak: two front doors, two movers, three partitions; and ``harm``, which spares none of them."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers.fake_partition import until
from tests.servers.marconi import MarconiProxy, marconi_proxy
from tests.servers.mongod import ReplicaSet, with_database
from tests.servers.partition import PartitionNode, start_partition
from tests.servers.stepped_clock import SteppedClock
from tests.servers.suspension import suspend
from tests.servers.zaqar import ServerProcess, Zaqar
from tests.wire.conftest import logged

_EXECUTABLE = Path(sys.executable).with_name("marconi-proxy")
# Like production, with shorter waits. A lease still outlasts an election by far, and a killed host does nothing late.
OPTIONS: Mapping[str, object] = {
    "directory.lease": 10.0,
    "directory.member_interval": 1.0,
    "upstream.deadline": 20.0,
    "moving.ambiguity": 5.0,
    "moving.linger": 2.0,
    "moving.back_off": 0.5,
    "moving.hold": 4.0,
    # A seal takes its time on a busy machine, and a seal without kills excuses no refusal.
    "moving.hold_max": 10.0,
    "moving.at_once": 20,
}


# Seconds by which clocks are set, and for which a process stands still: longer than it holds anything, or not.
_STEPS = (-3600, -60, 60, 3600)
_PAUSES = (0.5, 5.0, 12.0)


class Mover:
    """One mover after the other, of one name. ``launcher`` starts them."""

    def __init__(
        self, name: str, catalog: str, logs: Path, options: Mapping[str, object], launcher: Sequence[str] = ()
    ) -> None:
        self._name = name
        self._catalog = catalog
        self._launcher = launcher
        self._log = logs / f"{name}.log"
        self._env = {f"OS_{option.replace('.', '__')}".upper(): str(value) for option, value in options.items()}
        self.process = self._start()

    def _start(self) -> ServerProcess:
        command = (*self._launcher, str(_EXECUTABLE), "mover", "--catalog", self._catalog)
        return ServerProcess(f"marconi-proxy mover {self._name}", command, self._log, self._env)

    def kill(self) -> None:
        """End it with SIGKILL, and start another one."""
        self.process.signal(signal.SIGKILL)
        self.process.ended()
        self.process = self._start()

    def revive(self) -> None:
        """Start another one if it has ended, as a supervisor does: one that starts while the catalog is away ends."""
        if not self.process.is_running:
            self.process = self._start()


class System:
    """``clocks``, if any, are those of front doors, movers and MongoDB servers. Partitions have the machine's: what
    they hand out and let go by it is what clients are judged by. Everything here is of one thread, which outlives the
    processes."""

    def __init__(
        self,
        mongods: ReplicaSet,
        doors: list[MarconiProxy],
        movers: list[Mover],
        nodes: dict[str, tuple[PartitionNode, Path]],
        zaqar: Zaqar | None,
        clocks: Sequence[SteppedClock] = (),
    ) -> None:
        self.mongods = mongods
        self.doors = doors
        self.movers = movers
        self.nodes = nodes
        self.zaqar = zaqar
        self.clocks = clocks

    @property
    def catalog(self) -> str:
        return self.doors[0].catalog

    @property
    def admin(self) -> tuple[str, int]:
        return "127.0.0.1", self.doors[0].admin_port

    @property
    def victims(self) -> list[str]:
        """The arguments of ``harm``: kinds of processes, hosts by their partitions, and the harms that are no kill."""
        hosts = [*self.nodes, *(["zaqar"] if self.zaqar else [])]
        return ["worker", "mover", "primary", *hosts, "pause", *(["clock"] if self.clocks else [])]

    def harm(self, victim: str, chance: random.Random) -> str:
        """Kill one of these with SIGKILL, and return a description of it once another one has replaced it. ``pause``
        suspends a worker or a mover for a while, ``clock`` sets a clock."""
        for mover in self.movers:
            mover.revive()
        match victim:
            case "clock":
                clock, seconds = chance.choice(self.clocks), chance.choice(_STEPS)
                clock.step(seconds)
                return f"set the clock of {clock.name} by {seconds:+} s"
            case "pause":
                workers = [pid for door in self.doors for pid in door.worker_pids]
                pid, seconds = chance.choice(workers + [m.process.pid for m in self.movers]), chance.choice(_PAUSES)
                suspend(pid)
                time.sleep(seconds)
                os.kill(pid, signal.SIGCONT)
                return f"stopped {'worker' if pid in workers else 'mover'} {pid} for {seconds:g} s"
            case "worker":
                door = chance.choice(self.doors)
                before = door.worker_pids
                pid = chance.choice(before)
                os.kill(pid, signal.SIGKILL)
                until(lambda: len(door.worker_pids) == len(before) and pid not in door.worker_pids, "a new worker")
                return f"killed worker {pid} of front door {self.doors.index(door)}"
            case "mover":
                mover = chance.choice(self.movers)
                mover.kill()
                return f"killed mover {self.movers.index(mover)}"
            case "primary":
                killed = self.mongods.kill_primary()
                self.mongods.wait_for_primary()
                killed.start()
                self.mongods.wait_for_secondaries()
                return f"killed the mongod at {killed.seed}"
            case _:
                self._kill_host(victim)
                return f"killed the host of {victim}"

    def _kill_host(self, name: str) -> None:
        if name == "zaqar":
            assert self.zaqar is not None
            before = self.zaqar.process.children
            for child in before:
                os.kill(child, signal.SIGKILL)
            zaqar = self.zaqar
            until(lambda: zaqar.process.children and not set(zaqar.process.children) & set(before), "a new Zaqar")
            return
        node, directory = self.nodes[name]
        node.kill()
        self.nodes[name] = start_partition(node.storage, directory, workers=1, port=node.port), directory

    def stop_nodes(self) -> None:
        for node, _ in self.nodes.values():
            node.process.stop()

    def stop_movers(self) -> None:
        for mover in self.movers:
            mover.process.stop()


@contextmanager
def running(
    mongods: ReplicaSet,
    zaqar: Zaqar | None,
    directory: Path,
    options: Mapping[str, object] = OPTIONS,
    catalog: str | None = None,
    mongod_clocks: Sequence[SteppedClock] = (),
    workers: int = 2,
) -> Iterator[System]:
    """Run it all. One of our nodes is on ``mongods``, and the catalog unless it is given. If there are clocks of those,
    each front door and each mover has one of its own, too. ``workers``: of each front door."""
    with ExitStack() as stack:
        catalog = catalog or with_database(mongods.uri(), f"catalog_{uuid.uuid4().hex[:12]}")
        stores = {
            "sqlite": f"sqlite:///{directory / 'messages.db'}",
            "mongodb": with_database(mongods.uri(), f"partition_{uuid.uuid4().hex[:12]}"),
        }
        nodes = {}
        for name, storage in stores.items():
            home = directory / name
            home.mkdir()
            nodes[name] = start_partition(storage, home, workers=1), home
            stack.callback(nodes[name][0].process.stop)
        names = [f"{what} {number}" for what in ("front door", "mover") for number in range(2)]
        clocks = {name: SteppedClock(directory, name) for name in names if mongod_clocks}
        launchers = {name: clocks[name].launcher if mongod_clocks else () for name in names}
        doors = []
        for number in range(2):
            launcher = (*launchers[f"front door {number}"], str(_EXECUTABLE))
            logs = directory / f"door-{number}"
            door = stack.enter_context(
                marconi_proxy(catalog, logs, workers=workers, options=options, launcher=launcher)
            )
            stack.enter_context(logged(door.public, door.admin))
            doors.append(door)
        for name, (node, _) in nodes.items():
            doors[0].run("partition", "register", name, "--host", node.url)
        if zaqar is not None:
            doors[0].run("partition", "register", "zaqar", "--host", zaqar.url)
        movers = [
            Mover(f"mover-{number}", catalog, directory, options, launchers[f"mover {number}"]) for number in range(2)
        ]
        system = System(mongods, doors, movers, nodes, zaqar, [*clocks.values(), *mongod_clocks])
        stack.callback(system.stop_nodes)
        stack.callback(system.stop_movers)
        yield system
