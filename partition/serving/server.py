"""Running the server under gunicorn, from checked options to the last worker's end."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys

from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from oslo_config import cfg

from partition.api.node import Node
from partition.errors import StorageUnavailable
from partition.serving import options
from partition.serving.errors import StartError
from partition.serving.lifespan import Worker
from partition.serving.listener import bind, url
from partition.storage.opening import driver_of, open_storage, redacted
from serving import WORKER_CLASS
from serving.forking import end_newborns_by_signals
from serving.limits import Limits

LOG = logging.getLogger(__name__)

FORMAT = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"

# Seconds beyond graceful_timeout before gunicorn kills a worker, which needs them to close the store.
_CLOSING_TIME = 5


class Logger(glogging.Logger):
    """gunicorn's own logger in our form."""

    error_fmt = FORMAT
    datefmt = TIME_FORMAT


class Listener(BaseApplication):
    """The server as gunicorn sees it: settings for the master, the application for each worker."""

    def __init__(self, conf: cfg.ConfigOpts, targets: list[str], admin_port: int | None) -> None:
        self._conf = conf
        self._targets = targets
        self._admin_port = admin_port
        super().__init__(prog="marconi-partition")

    def load_config(self) -> None:
        settings = {
            "bind": self._targets,
            "workers": self._conf.server.workers,
            "worker_class": WORKER_CLASS,
            "timeout": self._conf.server.worker_timeout,
            "graceful_timeout": math.ceil(self.drain_time) + self.graceful_timeout + _CLOSING_TIME,
            "proc_name": "marconi-partition",
            "loglevel": self._conf.log.level,
            "logger_class": Logger,
            # The heartbeat is a file that each worker touches; on a disk it stalls whenever the disk does.
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108
            # An additional control socket, which is not wanted here. Releases before 25 have none.
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    @property
    def graceful_timeout(self) -> int:
        return int(self._conf.server.graceful_timeout)

    @property
    def drain_time(self) -> float:
        return float(self._conf.server.drain_time)

    @property
    def limits(self) -> Limits:
        """The bounds of the connections of a worker."""
        server = self._conf.server
        return Limits(
            max_head=server.max_head,
            head_timeout=server.request_timeout,
            body_timeout=server.request_timeout,
            keep_alive=server.keepalive,
            send_timeout=server.request_timeout,
            max_bodies=server.max_bodies,
            max_connections=server.max_connections,
        )

    def load(self) -> Worker:
        """Return the application. Called in each worker, after fork."""
        # The writing thread waits for the interpreter for this long while requests are being parsed.
        sys.setswitchinterval(0.0005)
        return Worker(lambda: open_node(self._conf), self._conf.storage.sweep_interval, self._admin_port)


async def open_node(conf: cfg.ConfigOpts) -> Node:
    """Open the store, which ``serve`` has prepared, and put a node together. Raises StorageError."""
    uri = conf.storage.uri
    if not await driver_of(uri).exists(uri):
        # Opening it would create a new store, while workers wait for the old one to be restored.
        raise StorageUnavailable(f"storage {redacted(uri)}: there is no store any more")
    storage = await open_storage(uri)
    # An empty key counts as unset, because every client could sign with it.
    return Node(storage, options.limits(conf), conf.signed_url.secret_key or None)


def serve(conf: cfg.ConfigOpts) -> None:
    """Run until SIGTERM or SIGINT, then exit with status 0. Before any process is made, raises StartError,
    StorageError."""
    logging.basicConfig(level=conf.log.level.upper(), format=FORMAT, datefmt=TIME_FORMAT, force=True)
    asyncio.run(_try(conf.storage.uri))
    listener = bind(*conf.server.bind)
    listeners = [listener]
    LOG.info(
        "listening on %s, workers: %d, storage: %s", url(listener), conf.server.workers, redacted(conf.storage.uri)
    )
    LOG.warning("X-Project-Id is trusted as sent by any client")
    admin_port = None
    if conf.server.admin_bind is not None:
        host, port = conf.server.admin_bind
        admin = bind(host, port, "admin_bind")
        admin_port = admin.getsockname()[1]
        if admin_port == listener.getsockname()[1]:
            # The port identifies calls of the operator.
            raise StartError("[server] admin_bind: must have another port than [server] bind")
        listeners.append(admin)
        LOG.warning("all projects and queues are shown to every client of %s", url(admin))
    # gunicorn owns the descriptors from here on.
    targets = [f"fd://{each.detach()}" for each in listeners]
    end_newborns_by_signals()
    Listener(conf, targets, admin_port).run()


async def _try(uri: str) -> None:
    """Open the store once and close it again, so that a wrong store fails the start instead of every worker.

    A store that is only readable does not: it may soon have space again, or be unlocked. Raises StorageError.
    """
    storage = await open_storage(uri)
    try:
        await storage.ping()
    except StorageUnavailable as error:
        LOG.error("the storage cannot be written; writes are answered 503 until it can: %s", error)
    finally:
        await storage.close()
