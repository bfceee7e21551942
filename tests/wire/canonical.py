"""Replace the parts that may differ between two equal answers, and nothing more.

If the same script is played on two fresh projects of one Zaqar, the answers differ in the names of the projects, the
ids that the store draws, times, and signatures over these. ``Canonical`` replaces exactly these, in the bytes as
received. The order of members, white space, markers, numbers and spellings stay, and are compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.wire.raw_http import Answer

# Of the connection (RFC 9110 section 7.6.1), of the hop (Via), or of the moment and the server's make.
NOT_COMPARED = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "date",
        "server",
        "x-openstack-request-id",
    }
)

# Ids of the MongoDB store: messages, claims and subscriptions.
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])")
_DYNAMIC_MEMBERS = (
    (re.compile(r'"age": \d+'), '"age": <age>'),
    (re.compile(r'"created": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"'), '"created": "<time>"'),
    (re.compile(r'"signature": "[0-9a-f]{64}"'), '"signature": "<signature>"'),
)


@dataclass(frozen=True)
class CanonicalAnswer:
    """An answer with the dynamic parts replaced; equal answers are equal values."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def __str__(self) -> str:
        return "\n".join([str(self.status), *(f"{name}: {value}" for name, value in self.headers), "", self.body])


class Canonical:
    """Canonicalises the answers of one run of one script, in the order they came.

    ``names`` maps each name made up for this run to what stands for it. Ids are numbered in order of first appearance
    in the run, so that an answer with another id than it should have is another answer.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)
        self._ids: dict[str, str] = {}

    def answer(self, answer: Answer) -> CanonicalAnswer:
        """Replace what may differ. Must be called once per answer."""
        body = self._text(answer.body.decode("utf-8", "backslashreplace"))
        headers = [
            self._header(name, value, answer, body)
            for name, value in answer.headers
            if name.lower() not in NOT_COMPARED
        ]
        return CanonicalAnswer(answer.status, tuple(sorted(headers)), body)

    def _header(self, name: str, value: str, answer: Answer, body: str) -> tuple[str, str]:
        if name.lower() != "content-length":
            return name, self._text(value)
        if not answer.body:
            return name.lower(), value
        # The length of the canonical body replaces that of the body, if the header had the right one.
        truthful = int(value) == len(answer.body)
        return name.lower(), str(len(body.encode())) if truthful else f"{value}, but {len(answer.body)} bytes came"

    def _text(self, text: str) -> str:
        for name, stand_in in self._names.items():
            text = text.replace(name, stand_in)
        for pattern, stand_in in _DYNAMIC_MEMBERS:
            text = pattern.sub(stand_in, text)
        return _ID.sub(lambda found: self._ids.setdefault(found[0], f"<id {len(self._ids) + 1}>"), text)
