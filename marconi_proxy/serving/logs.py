"""One form of log line for everything in the process: ours, gunicorn's and uvicorn's."""

from __future__ import annotations

import logging

from gunicorn import glogging

FORMAT = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"


class GunicornLogger(glogging.Logger):
    """gunicorn's own logger in our form."""

    error_fmt = FORMAT
    datefmt = TIME_FORMAT


def configure(level: str) -> None:
    """Log everything from ``level`` on to standard error, once per process."""
    logging.basicConfig(level=level.upper(), format=FORMAT, datefmt=TIME_FORMAT, force=True)
    # One line per probe is useless.
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
