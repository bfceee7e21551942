"""The cost of a forwarded call, in what is the same on every machine: calls of functions, and instructions of Python.

A change that makes a call dearer by more than a tenth has to say so here. ``bench.instructions`` counts those of the
processor.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bench.forwarding import CREATED, GET, PAGE, POST, path
from serving.head_recogniser import COMPILED

# By request and whether the recogniser is compiled: calls of functions, and instructions of Python 3.11.
COSTS = {
    ("GET", True): (67, 1544),
    ("POST", True): (84, 1886),
    ("GET", False): (71, 1728),
    ("POST", False): (88, 2070),
}


class Counter:
    """Counts what runs while it is the tracer."""

    def __init__(self) -> None:
        self.calls = self.instructions = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> Counter:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "call":
            self.calls += 1
        elif event == "opcode":
            self.instructions += 1
        return self


@pytest.mark.parametrize(("name", "request_", "answer"), [("GET", GET, PAGE), ("POST", POST, CREATED)])
async def test_a_call_costs_no_more_than_it_did(tmp_path: Path, name: str, request_: bytes, answer: bytes) -> None:
    counter = Counter()
    async with path(tmp_path) as forwarding:
        forwarding.call(request_, answer)
        traced = sys.gettrace()
        sys.settrace(counter)
        try:
            forwarding.call(request_, answer)
        finally:
            sys.settrace(traced)
    calls, instructions = COSTS[name, COMPILED]
    print(f"{name}: {counter.calls} calls of functions, {counter.instructions} instructions")
    assert counter.calls <= calls * 1.1
    if sys.version_info[:2] == (3, 11):
        assert counter.instructions <= instructions * 1.1
