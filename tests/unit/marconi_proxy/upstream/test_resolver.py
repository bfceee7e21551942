"""The cache of names: look-ups that are slow, fail or change, by threads that the test steps."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator

import pytest

from marconi_proxy.upstream.resolver import REPEAT, Addresses, Resolver, look_up
from tests.faults.evil_host import settled

SECONDS = 30.0


class Names:
    """A name server. A name that is ``held`` is not answered until it is let go."""

    def __init__(self) -> None:
        self.known: dict[str, Addresses] = {}
        self.asked: Counter[str] = Counter()
        self.held: dict[str, threading.Event] = {}
        self.changes: list[tuple[str, Addresses]] = []
        self.at_once: dict[str, int] = defaultdict(int)
        self.most_at_once = 0
        self.resolver = Resolver(SECONDS, lambda name, found: self.changes.append((name, found)), self._look_up)

    def _look_up(self, name: str) -> Addresses:
        self.asked[name] += 1
        self.at_once[name] += 1
        self.most_at_once = max(self.most_at_once, self.at_once[name])
        try:
            if name in self.held:
                self.held[name].wait()
            if name not in self.known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return self.known[name]
        finally:
            self.at_once[name] -= 1

    def hold(self, name: str) -> None:
        self.held[name] = threading.Event()

    def let_go(self, name: str) -> None:
        self.held.pop(name).set()

    def pass_time(self, name: str, seconds: float) -> None:
        self.resolver._entries[name].stale_at -= seconds

    async def resolved(self, name: str) -> None:
        await settled(lambda: self.resolver._entries[name].pending is None)


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    names = Names()
    yield names
    for name in list(names.held):
        names.let_go(name)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "2001:db8::1"])
async def test_an_address_is_not_looked_up(names: Names, address: str) -> None:
    assert await names.resolver.addresses(address) == (address,)
    assert not names.asked


async def test_a_name_is_looked_up_once_in_its_time(names: Names) -> None:
    names.known["a"] = ("10.0.0.1", "10.0.0.2")
    for _ in range(3):
        assert await names.resolver.addresses("a") == ("10.0.0.1", "10.0.0.2")
    names.pass_time("a", SECONDS - 5)
    names.resolver.refresh("a")
    assert names.asked == {"a": 1}


async def test_calls_wait_for_one_look_up_together(names: Names) -> None:
    names.known["a"] = ("10.0.0.1",)
    names.hold("a")
    calls = [asyncio.create_task(names.resolver.addresses("a")) for _ in range(50)]
    await settled(lambda: names.asked["a"])
    # One that gives up does not take the look-up from the others.
    calls[0].cancel()
    names.let_go("a")
    assert await asyncio.gather(*calls[1:]) == [("10.0.0.1",)] * 49
    assert names.asked == {"a": 1}


async def test_a_name_that_is_not_answered_does_not_hold_up_another(names: Names) -> None:
    """The resolver's threads were shared: one partition's dead name took down another's posts."""
    for number in range(50):
        names.hold(f"dead{number}")
    waiting = [asyncio.create_task(names.resolver.addresses(f"dead{number % 50}")) for number in range(200)]
    names.known["a"] = ("10.0.0.1",)
    assert await names.resolver.addresses("a") == ("10.0.0.1",)
    assert names.most_at_once == 1
    for task in waiting:
        task.cancel()


async def test_known_addresses_are_used_while_a_name_is_resolved_again(names: Names) -> None:
    names.known["a"] = ("10.0.0.1",)
    await names.resolver.addresses("a")
    names.hold("a")
    names.pass_time("a", SECONDS)
    for _ in range(3):
        assert await names.resolver.addresses("a") == ("10.0.0.1",)
    assert names.asked["a"] <= 2
    names.known["a"] = ("10.0.0.9",)
    names.let_go("a")
    await names.resolved("a")
    assert await names.resolver.addresses("a") == ("10.0.0.9",)
    assert names.changes == [("a", ("10.0.0.9",))]


async def test_known_addresses_are_used_while_a_name_cannot_be_resolved(names: Names) -> None:
    names.known["a"] = ("10.0.0.1",)
    await names.resolver.addresses("a")
    del names.known["a"]
    for _ in range(3):
        names.pass_time("a", SECONDS)
        assert await names.resolver.addresses("a") == ("10.0.0.1",)
        await names.resolved("a")
    assert names.asked == {"a": 4}
    assert names.changes == []


async def test_a_name_that_was_never_resolved_fails_for_a_while_and_is_then_looked_up_again(names: Names) -> None:
    for _ in range(3):
        with pytest.raises(OSError, match="a cannot be resolved"):
            await names.resolver.addresses("a")
    assert names.asked == {"a": 1}
    names.known["a"] = ("10.0.0.1",)
    names.pass_time("a", REPEAT)
    assert await names.resolver.addresses("a") == ("10.0.0.1",)


async def test_another_order_is_no_change(names: Names) -> None:
    names.known["a"] = ("10.0.0.1", "10.0.0.2")
    await names.resolver.addresses("a")
    names.resolver.prefer("a", "10.0.0.2")
    assert await names.resolver.addresses("a") == ("10.0.0.2", "10.0.0.1")
    names.pass_time("a", SECONDS)
    names.resolver.refresh("a")
    await names.resolved("a")
    assert await names.resolver.addresses("a") == ("10.0.0.2", "10.0.0.1")
    assert names.changes == []


async def test_a_name_whose_addresses_cannot_be_connected_to_is_resolved_again_soon(names: Names) -> None:
    names.known["a"] = ("10.0.0.1",)
    await names.resolver.addresses("a")
    names.resolver.doubt("a")
    names.pass_time("a", REPEAT)
    names.resolver.refresh("a")
    await names.resolved("a")
    assert names.asked == {"a": 2}


async def test_a_look_up_that_ends_after_its_loop(names: Names) -> None:
    names.hold("a")
    waiting = asyncio.create_task(names.resolver.addresses("a"))
    await settled(lambda: names.asked["a"])
    waiting.cancel()


def test_the_names_of_this_machine() -> None:
    assert set(look_up("localhost")) <= {"127.0.0.1", "::1"}
    assert look_up("127.0.0.1") == ("127.0.0.1",)
