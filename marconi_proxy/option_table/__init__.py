"""Every option: its name, type, default, bounds, and the knowledge that an operator needs to change it.

A table and nothing else; ``options`` loads it. Names are part of the product: renaming one breaks configurations. Here
are the groups that every process reads; each module has groups of one subject.
"""

from __future__ import annotations

from oslo_config import cfg

from marconi_proxy.option_table.background import AUDIT, STATISTICS
from marconi_proxy.option_table.forwarding import DIRECTORY, LISTING, UPSTREAM
from marconi_proxy.option_table.listeners import ADMIN, AUTH, PUBLIC
from marconi_proxy.option_table.moving import MOVING
from marconi_proxy.option_types import CatalogURIType

_CATALOG = (
    cfg.Opt(
        "uri",
        type=CatalogURIType(),
        secret=True,
        sample_default="sqlite:////var/lib/marconi-proxy/catalog.db",
        help="Where the catalog is: sqlite:////absolute/path or mongodb://HOST:PORT[,HOST:PORT]/DATABASE[?options]. "
        "Must be set, to the same value for every process of one installation: two catalogs are two proxies that "
        "place the same queue twice. SQLite serves the processes of one machine, MongoDB those of many. The URI may "
        "contain a password, so it is never logged whole; in this file a $ is written $$.",
    ),
)

_LOG = (
    cfg.StrOpt(
        "level",
        default="info",
        choices=["debug", "info", "warning", "error"],
        ignore_case=True,
        help="The least severe messages that are logged, to standard error. debug logs several lines per call and "
        "costs much throughput.",
    ),
)

GROUPS: dict[str, tuple[cfg.Opt, ...]] = {
    "admin": ADMIN,
    "audit": AUDIT,
    "auth": AUTH,
    "catalog": _CATALOG,
    "directory": DIRECTORY,
    "listing": LISTING,
    "log": _LOG,
    "moving": MOVING,
    "public": PUBLIC,
    "statistics": STATISTICS,
    "upstream": UPSTREAM,
}
