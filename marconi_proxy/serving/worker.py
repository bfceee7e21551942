"""gunicorn's worker: one process with one event loop, running uvicorn with our protocol.

gunicorn names it by the string ``WORKER_CLASS``, so that the master need not import uvicorn before it forks.
"""

from __future__ import annotations

import math
import os
import signal
from functools import partial
from types import FrameType
from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker

from marconi_proxy.serving.protocol import FrontDoorProtocol

WORKER_CLASS = "marconi_proxy.serving.worker.FrontDoorWorker"


class FrontDoorWorker(UvicornWorker):
    """``app`` is a ``serving.server.Listener``, which knows the limits of its connections."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        "interface": "asgi3",
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        # uvicorn compares it each second with how long ago the last heartbeat to the master was, by the wall clock. So
        # there is one each second, also when that clock is set back; else the master would kill all workers.
        "timeout_notify": -math.inf,
    }

    def __init__(self, age: int, ppid: int, sockets: list[Any], app: Any, timeout: float, cfg: Any, log: Any) -> None:
        # The base reads the attribute while it makes uvicorn's configuration; the settings of a listener are added
        # here.
        self.CONFIG_KWARGS = {  # type: ignore[misc]
            **type(self).CONFIG_KWARGS,
            "http": partial(FrontDoorProtocol, limits=app.limits),
            "timeout_graceful_shutdown": app.graceful_timeout,
        }
        super().__init__(age, ppid, sockets, app, timeout, cfg, log)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on SIGQUIT, which is how gunicorn's master passes on a SIGINT. uvicorn listens to SIGTERM."""
        signal.raise_signal(signal.SIGTERM)

    async def callback_notify(self) -> None:
        """Send the heartbeat to the master; stop if the master is dead.

        A master that was killed outright takes no worker with it, and one left over would hold the port for ever.
        """
        if os.getppid() != self.ppid:
            signal.raise_signal(signal.SIGTERM)
        self.notify()
