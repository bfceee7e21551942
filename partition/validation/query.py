"""Query strings (API section 1.6)."""

from __future__ import annotations

from urllib.parse import quote, unquote_plus

from partition.errors import BadInput, bad_request

_TRUE = frozenset({"true", "True", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "False", "f", "no", "n", "0", "off"})


class Query:
    """The parameters of one request. Those with an empty value are absent, and unknown ones do no harm."""

    __slots__ = ("_values",)

    def __init__(self, raw: bytes) -> None:
        self._values: dict[str, list[str]] = {}
        for pair in raw.decode("latin-1").split("&") if raw else ():
            name, _, value = pair.partition("=")
            # Literal commas separate, encoded ones are data. That holds for single values too: the last one wins.
            parts = [_decoded(part) for part in value.split(",") if part]
            if parts:
                self._values.setdefault(_decoded(name), []).extend(parts)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        """The parameters that are there, in the order of the request."""
        return list(self._values)

    def values(self, name: str) -> list[str] | None:
        """All values of a list parameter."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """The last value."""
        values = self._values.get(name)
        return values[-1] if values else None

    def integer(self, name: str) -> int | None:
        """The last value as an integer. Raises BadInput."""
        value = self.text(name)
        if value is None:
            return None
        try:
            if "_" not in value:  # which int() would take
                return int(value)
        except ValueError:
            pass
        raise BadInput("Invalid parameter", f'The "{name}" parameter is invalid. The value must be an integer.')

    def boolean(self, name: str) -> bool | None:
        """The last value as a boolean. Raises BadInput."""
        value = self.text(name)
        if value is None:
            return None
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise BadInput(
            "Invalid parameter",
            f'The "{name}" parameter is invalid. The value of the parameter must be "true" or "false".',
        )


def _decoded(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def check_page(limit: int | None, most: int) -> None:
    """Raise BadInput for a limit of queues beyond ``1..most``."""
    if limit is not None and not 0 < limit <= most:
        raise bad_request(f"Limit must be at least 1 and no greater than {most}.")


def check_messages_page(limit: int | None, most: int) -> None:
    """Raise BadInput for a limit of messages, or of subscriptions, beyond ``1..most``."""
    if limit is not None and not 0 < limit <= most:
        raise bad_request(f"Limit must be at least 1 and may not be greater than {most}.")


def link(path: str, parameters: dict[str, int | bool | str | None], marker: str, *, marker_first: bool) -> str:
    """Return ``path`` with the parameters that are not None and the marker: last, or first if the request had one.

    Parameter order is that of the reference, because some clients compare its links.
    """
    pairs = [f"{name}={_encoded(value)}" for name, value in parameters.items() if value is not None]
    place = 0 if marker_first else len(pairs)
    pairs.insert(place, f"marker={_encoded(marker)}")
    return f"{path}?{'&'.join(pairs)}"


def _encoded(value: int | bool | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value, safe="") if isinstance(value, str) else str(value)
