"""The access rules of the admin API. Each route names a rule, which checks the request, and returns or raises."""

from __future__ import annotations

import hmac
from typing import Protocol

import falcon
import falcon.asgi
from oslo_config import cfg

from marconi_proxy.options import OptionError


class PolicyRule(Protocol):
    """Return to let the request pass; raise falcon.HTTPUnauthorized or HTTPForbidden to refuse it."""

    def __call__(self, req: falcon.asgi.Request) -> None: ...


class AdminRule:
    """Require the token, if one is configured."""

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token is not None else None

    def __call__(self, req: falcon.asgi.Request) -> None:
        if self._token is None:
            return
        # Compared as bytes: compare_digest refuses text that is not ASCII.
        given = (req.get_header("X-Auth-Token") or "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._token):
            raise falcon.HTTPUnauthorized(
                title="Authentication required",
                description="Send the token of [admin] token in X-Auth-Token. The command line takes it from the "
                "environment variable MARCONI_PROXY_ADMIN_TOKEN.",
            )


def rules(token: str | None) -> dict[str, PolicyRule]:
    """Return every rule by the name that the route table uses."""
    return {"admin": AdminRule(token)}


def require_protection(conf: cfg.ConfigOpts) -> None:
    """Raise OptionError if the admin API would serve other machines without a token or allow_unauthenticated."""
    if conf.admin.bind.loopback or conf.admin.token is not None or conf.admin.allow_unauthenticated:
        return
    raise OptionError(
        f"[admin] bind: {conf.admin.bind} can be reached from other machines, and each of them could move every "
        "tenant's queues; set [admin] token, or [admin] allow_unauthenticated = true if the network keeps others out"
    )
