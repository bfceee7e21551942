"""Calls of the admin API: paths in, JSON out, every failure a CommandError with the action to take."""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from marconi_proxy.exits import CommandError, Exit

# httpx has a command line of its own, and imports it wherever click and rich are installed. That is a third of the time
# in which one of our commands starts; httpx tolerates the failed import.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402

# Longer than a registration that waits for a partition's hosts.
_TIMEOUT = 30.0

_STATUS_EXITS = {400: Exit.USAGE, 409: Exit.REFUSED}


class AdminNotFound(CommandError):
    """The admin API answered 404: the object does not exist."""


class AdminClient:
    """Use in a ``with`` statement. ``transport`` stands in for the network."""

    def __init__(self, url: str, token: str | None, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        if not self._url.startswith(("http://", "https://")):
            raise CommandError(f"--admin-url: {url} is not an http(s) URL", Exit.USAGE)
        if token is not None and not token.isascii():
            raise CommandError("MARCONI_PROXY_ADMIN_TOKEN: is not ASCII", Exit.USAGE)
        headers = {"Accept": "application/json"} | ({"X-Auth-Token": token} if token else {})
        # Without TLS the certificates of authorities need not be read.
        tls = self._url.startswith("https://")
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT, trust_env=False, transport=transport, verify=tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the parsed body, None if it is empty, of a call that succeeded. Raises CommandError."""
        try:
            response = self._client.request(method, f"{self._url}{path}", **_encoded(body))
        except httpx.InvalidURL as error:
            raise CommandError(f"--admin-url: {self._url} is not a URL: {error}", Exit.USAGE) from error
        except httpx.ConnectTimeout as error:
            raise CommandError(_unreachable(self._url, "no answer"), Exit.TIMED_OUT) from error
        except httpx.TimeoutException as error:
            raise CommandError(
                f"the admin API at {self._url} did not answer within {_TIMEOUT:g} s; the request may have been "
                "processed",
                Exit.TIMED_OUT,
            ) from error
        except httpx.ConnectError as error:
            raise CommandError(_unreachable(self._url, str(error))) from error
        except httpx.HTTPError as error:
            raise CommandError(f"the connection to {self._url} failed: {error or type(error).__name__}") from error
        document = self._parsed(response)
        if response.is_success:
            return response.status_code, document
        description = document.get("description") if isinstance(document, dict) else None
        kind = AdminNotFound if response.status_code == 404 and description else CommandError
        raise kind(
            str(description or f"{self._url} answered {response.status_code}; is that the admin API?"),
            _STATUS_EXITS.get(response.status_code, Exit.FAILED),
        )

    def _parsed(self, response: httpx.Response) -> Any:
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            message = (
                f"{self._url} answered {response.status_code} and no JSON; is that the admin API? See --admin-url."
            )
            raise CommandError(message) from error


def part(text: str) -> str:
    """Return ``text`` as one percent-encoded part of a path or query; bytes that are not UTF-8 come through as well."""
    encoded = quote(text, safe="", errors="surrogateescape")
    # Undotted: HTTP clients resolve dot segments.
    return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded


def _encoded(body: Any) -> dict[str, Any]:
    # In ASCII: a byte of an argument that is not UTF-8 is a lone surrogate here, which JSON can only escape.
    if body is None:
        return {}
    return {"content": json.dumps(body).encode("ascii"), "headers": {"Content-Type": "application/json"}}


def _unreachable(url: str, why: str) -> str:
    return (
        f"cannot reach the admin API at {url}: {why}; start it with 'marconi-proxy serve admin', or name another one "
        "with --admin-url or MARCONI_PROXY_ADMIN_URL"
    )
