"""Running one of the two HTTP services under gunicorn, from checked options to the last worker's end.

Everything in the process logs lines of one form: ours and gunicorn's.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import os
import resource
import shlex
from collections.abc import Callable
from typing import Any

from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from oslo_config import cfg

from catalog import open_catalog
from catalog.errors import CatalogError, CatalogUnavailable, NotInitialised
from marconi_proxy.option_types import redacted
from marconi_proxy.serving.errors import StartError
from marconi_proxy.serving.listener import bind, bound
from serving import WORKER_CLASS
from serving.forking import end_newborns_by_signals
from serving.limits import Limits

LOG = logging.getLogger(__name__)

# Each module has a make_application(conf) that returns a service's ASGI application. The workers import them.
SERVICES = {
    "public": "marconi_proxy.front_door.application",
    "admin": "marconi_proxy.admin.application",
}

_FORMAT = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"

# Seconds beyond graceful_timeout before gunicorn kills a worker, which needs them to close the catalog.
_CLOSING_TIME = 5

Application = Callable[..., Any]
Factory = Callable[[cfg.ConfigOpts], Application]


class GunicornLogger(glogging.Logger):
    """gunicorn's own logger in our form."""

    error_fmt = _FORMAT
    datefmt = _TIME_FORMAT


class Listener(BaseApplication):
    """One service as gunicorn sees it: settings for the master, the application for each worker."""

    def __init__(self, conf: cfg.ConfigOpts, service: str, factory: Factory, bind: str) -> None:
        self._conf = conf
        self._service = service
        self._factory = factory
        self._bind = bind
        public = conf.public
        self.limits = Limits(
            max_head=public.max_head,
            head_timeout=public.head_timeout,
            body_timeout=public.body_timeout,
            keep_alive=public.keepalive,
            send_timeout=public.send_timeout,
            max_bodies=public.max_bodies,
            max_connections=public.max_connections,
            max_per_client=public.max_connections_per_client,
            trusted_clients=frozenset(public.trusted_balancers),
        )
        self.drain_time: float = public.drain_time
        self.graceful_timeout: int = public.graceful_timeout
        super().__init__(prog="marconi-proxy")

    def load_config(self) -> None:
        settings = {
            "bind": self._bind,
            "workers": self._conf[self._service].workers,
            "worker_class": WORKER_CLASS,
            "timeout": self._conf.public.worker_timeout,
            "graceful_timeout": math.ceil(self.drain_time) + self.graceful_timeout + _CLOSING_TIME,
            "proc_name": f"marconi-proxy {self._service}",
            "loglevel": self._conf.log.level,
            "logger_class": GunicornLogger,
            # The heartbeat is a file that each worker touches; on a disk it stalls whenever the disk does.
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108
            # An additional control socket, which is not wanted here. Releases before 25 have none.
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Application:
        """Return the application. Called in each worker, after fork."""
        return self._factory(self._conf)


def serve(conf: cfg.ConfigOpts, service: str, factory: Factory | None = None) -> None:
    """Run ``service`` ("public" or "admin") until SIGTERM or SIGINT, then exit the process with status 0.

    ``factory`` stands in for the service's own. Raises StartError before any process is made.
    """
    configure_logging(conf.log.level)
    asyncio.run(check_catalog(conf.catalog.uri))
    _raise_file_limit()
    option = f"[{service}] bind"
    if os.environ.keys() & {"LISTEN_FDS", "GUNICORN_FD"}:
        # systemd's socket activation, or gunicorn's own upgrade on SIGUSR2: gunicorn takes the sockets it was handed.
        where = "an inherited socket"
        target = str(conf[service].bind)
    else:
        listener = bind(conf[service].bind, option)
        where = f"http://{bound(listener)}"
        # gunicorn owns the descriptor from here on.
        target = f"fd://{listener.detach()}"
    LOG.info(
        "%s API listening on %s, workers: %d, catalog: %s",
        service,
        where,
        conf[service].workers,
        redacted(conf.catalog.uri),
    )
    if service == "public" and conf.auth.strategy == "noauth":
        LOG.warning("[auth] strategy is noauth: X-Project-Id is trusted as sent by any client")
    end_newborns_by_signals()
    Listener(conf, service, factory or _own_factory(service), target).run()


def configure_logging(level: str) -> None:
    """Log everything from ``level`` on to standard error, once per process."""
    logging.basicConfig(level=level.upper(), format=_FORMAT, datefmt=_TIME_FORMAT, force=True)
    # One line per probe is useless.
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))


def _raise_file_limit() -> None:
    """Allow as many open files as the system lets us: the usual soft limit of 1024 is for programs that call select."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _own_factory(service: str) -> Factory:
    def make_application(conf: cfg.ConfigOpts) -> Application:
        application: Application = importlib.import_module(SERVICES[service]).make_application(conf)
        return application

    return make_application


async def check_catalog(uri: str) -> None:
    """Open the catalog once and close it again, so that a wrong catalog fails the start instead of every worker."""
    try:
        catalog = await open_catalog(uri)
        try:
            await catalog.check()
        finally:
            await catalog.close()
    except NotInitialised as error:
        # The complete URI only if it cannot contain a secret.
        rest = f" --catalog {shlex.quote(uri)}" if redacted(uri) == uri else ", with the same configuration"
        message = f"the catalog {redacted(uri)} was never initialised; run: marconi-proxy catalog init{rest}"
        raise StartError(message) from error
    except CatalogUnavailable as error:
        raise StartError(f"the catalog {redacted(uri)} cannot be reached: {error}") from error
    except CatalogError as error:
        raise StartError(f"the catalog {redacted(uri)} cannot be used: {error}") from error
