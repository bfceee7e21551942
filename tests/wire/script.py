"""Scripts: sequences of requests as data, and how to play one against a server.

A script is played in a fresh project. Texts in a step may name variables as ``${name}``: ``project`` and ``queue``
(made up for the run) and whatever an earlier step captured from its answer.
"""

from __future__ import annotations

import re
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.wire.canonical import Canonical, CanonicalAnswer
from tests.wire.raw_http import Answer, exchange

CLIENT = "3381af92-2b9e-11e3-b191-71861300734c"
OTHER_CLIENT = "5b2f4d36-9a1e-4c7c-8f0b-0d6a7c1e2f43"


@dataclass(frozen=True)
class Step:
    """One request and the status that Zaqar answers it with.

    ``headers`` are sent beside the usual Client-ID and X-Project-Id; None as a value leaves a usual one out. ``body``
    is text (sent as UTF-8, with variables) or bytes (sent as they are). ``capture`` gives for each new variable a
    regular expression with one group, searched in the headers and then the body of the answer.
    """

    method: str
    target: str
    status: int
    body: str | bytes | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    capture: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """A named sequence of steps for one version of the API. ``releases`` are the Zaqar releases it holds for."""

    name: str
    version: str
    steps: tuple[Step, ...]
    releases: tuple[str, ...] = ("16", "23")

    def __str__(self) -> str:
        return f"{self.version} {self.name}"


@dataclass(frozen=True)
class Played:
    """A step as it was sent, and its canonical answer."""

    step: Step
    answer: CanonicalAnswer

    def __str__(self) -> str:
        return f"{self.step.method} {self.step.target} {dict(self.step.headers) or ''}\n{self.answer}"


def play(script: Script, address: tuple[str, int]) -> list[Played]:
    """Run the script in a fresh project against the server; return what was answered, in order.

    Raises AssertionError if a step captures from an answer that does not have it.
    """
    variables = {"project": f"project-{uuid.uuid4().hex[:12]}", "queue": f"queue-{uuid.uuid4().hex[:12]}"}
    canonical = Canonical({value: f"<{name}>" for name, value in variables.items()})
    played = []
    for step in script.steps:
        answer = _send(step, address, variables)
        for name, pattern in step.capture.items():
            variables[name] = _captured(pattern, answer)
        played.append(Played(step, canonical.answer(answer)))
    return played


def _send(step: Step, address: tuple[str, int], variables: Mapping[str, str]) -> Answer:
    headers: dict[str, str | None] = {"Client-ID": CLIENT, "X-Project-Id": "${project}", **step.headers}
    sent = [(name, _filled(value, variables)) for name, value in headers.items() if value is not None]
    body = _filled(step.body, variables).encode() if isinstance(step.body, str) else step.body
    return exchange(address, step.method, _filled(step.target, variables), sent, body)


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return string.Template(text).substitute(variables) if "${" in text else text


def _captured(pattern: str, answer: Answer) -> str:
    text = "\n".join(f"{name}: {value}" for name, value in answer.headers) + "\n\n" + answer.body.decode()
    found = re.search(pattern, text)
    assert found, f"nothing to capture for {pattern!r} in:\n{answer.status}\n{text}"
    return found[1]
