"""The defects of the proxy of 2013 (API section 10.5), item by item: ours has none of them.

Partitions are scripted ones where an item is about a moment or about misbehaviour, and real Zaqar where it is about
answers. Everything else is real: gunicorn, two workers, the admin API, a catalog in MongoDB and one in SQLite.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest

from catalog.factory import open_catalog
from catalog.model import Placement, PlacementState, Segment
from tests.faults.evil_host import unused_port
from tests.servers.fake_partition import PATIENCE, Call, FakePartition, Store, raw_answer, until
from tests.servers.marconi import MarconiProxy, marconi_proxy
from tests.servers.zaqar import Zaqar
from tests.wire.door import Client, Door, alone, process_at, request_headers, unread
from tests.wire.raw_http import TIMEOUT_SECONDS, Answer, exchange

# Seconds of [directory] lease, and so the least that takeover_after may be.
LEASE = 300


@pytest.fixture(scope="module", params=["mongodb", "sqlite"])
def door(
    request: pytest.FixtureRequest, new_catalog: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    """A front door of two workers, and no partition yet."""
    logs = tmp_path_factory.mktemp(f"defects-{request.param}")
    catalog = new_catalog() if request.param == "mongodb" else f"sqlite:///{logs / 'catalog.db'}"
    # Workers that a test stops for a moment should have nothing to write just then: others would wait for SQLite.
    options = {"directory.member_interval": 60, "directory.lease": LEASE, "directory.takeover_after": LEASE}
    with marconi_proxy(catalog, logs, options=options) as proxy:
        yield Door(proxy)


Stage = Callable[..., tuple[str, FakePartition]]


@contextmanager
def staged(door: Door) -> Iterator[Stage]:
    """Start and register scripted partitions, which every worker then knows; they are out of the way at the end."""
    with ExitStack() as stack:

        def add(**members: Any) -> tuple[str, FakePartition]:
            host = stack.enter_context(FakePartition())
            name = door.register(host.url, **members)
            stack.callback(door.change, name, state="disabled")
            door.tell_all(name, host)
            return name, host

        yield add


@pytest.fixture
def stage(door: Door) -> Iterator[Stage]:
    with staged(door) as add:
        yield add


@pytest.fixture(params=["mongodb", "sqlite"])
def hasty(request: pytest.FixtureRequest, new_catalog: Callable[[], str], tmp_path: Path) -> Iterator[Door]:
    """A front door with the shortest time until a worker takes over the work of another."""
    catalog = new_catalog() if request.param == "mongodb" else f"sqlite:///{tmp_path / 'catalog.db'}"
    options = {"directory.lease": 10, "directory.takeover_after": 10}
    with marconi_proxy(catalog, tmp_path, options=options) as proxy:
        yield Door(proxy)


@pytest.fixture
def together() -> Iterator[ThreadPoolExecutor]:
    """Threads for calls that overlap."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def statuses(answers: Any) -> list[int]:
    return [answer.status for answer in answers]


# -- races -----------------------------------------------------------------------------------------------------------


def test_race_1_two_concurrent_puts_agree_on_one_partition(
    door: Door, stage: Stage, together: ThreadPoolExecutor
) -> None:
    """Race 1: two concurrent PUTs of a new queue can pick different partitions; both create it, one is an orphan."""
    partitions = dict(stage() for _ in range(3))
    project = door.tenant(spread=3)
    with door.through_two() as (one, other), ExitStack() as stack:
        # One creation is on its way to its partition while the other begins.
        held = [stack.enter_context(host.hold("PUT", "/v1/queues/orders")) for host in partitions.values()]
        first = together.submit(one.ask, "PUT", "/v1/queues/orders", project)
        until(lambda: sum(len(h.calls) for h in held) == 1, "the first creation arrives")
        second = together.submit(other.ask, "PUT", "/v1/queues/orders", project)
        until(lambda: sum(len(h.calls) for h in held) == 2, "the second creation arrives")
        for h in held:
            h.release()
        assert sorted(statuses([first.result(), second.result()])) == [201, 204]
        # And as it comes, many times.
        queues = ["orders", *(f"queue-{n}" for n in range(20))]
        for queue in queues[1:]:
            path = f"/v1/queues/{queue}"
            both = [together.submit(client.ask, "PUT", path, project) for client in (one, other)]
            assert sorted(statuses(task.result() for task in both)) == [201, 204]
    for queue in queues:
        homes = [name for name, host in partitions.items() if host.store.has(project, queue)]
        assert homes == [door.home(project, queue)]
        assert sum(host.store.created[project, queue] for host in partitions.values()) == 1
        assert door.state(project, queue) == "open"
    assert len({door.home(project, queue) for queue in queues}) == 3, "the project is spread over all three"
    assert door.listed(project) == sorted(queues)


def test_race_2_crash_before_the_catalog_learns_of_a_creation_leaves_no_unreachable_queue(
    door: Door, stage: Stage, together: ThreadPoolExecutor
) -> None:
    """Race 2: crash between the backend's 201 and the catalogue insert: the queue exists but is 404 through the proxy,
    and a later PUT that gets 204 is not catalogued either."""
    name, host = stage()
    project = door.tenant(pinned=name)
    with host.hold("PUT", "/v1/queues/orders", done=True) as held:
        lost = together.submit(door.ask, "PUT", "/v1/queues/orders", project)
        (call,) = held.wait()
        assert host.store.has(project, "orders")
        door.kill(process_at(call.connection, host.port, door.workers))
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a cut connection is to the client
            lost.result()
        assert door.state(project, "orders") == "creating"
        # Not 404: the queue is there, and so it is found.
        assert door.ask("GET", "/v1/queues/orders", project).status == 204
        held.release()
    assert door.ask("PUT", "/v1/queues/orders", project).status == 204
    assert door.state(project, "orders") == "open"
    assert door.home(project, "orders") == name
    assert door.listed(project, "v1") == ["orders"]
    assert host.store.created[project, "orders"] == 1


def test_race_3_crash_in_a_deletion_is_finished_and_the_queue_created_anew(
    hasty: Door, together: ThreadPoolExecutor
) -> None:
    """Race 3: crash between backend deletion and catalogue removal: PUT answers 204 without creating the queue, and all
    else is 404, until a second DELETE."""
    with staged(hasty) as stage:
        name, host = stage()
        project = hasty.tenant(pinned=name)
        assert hasty.ask("PUT", "/v2/queues/orders", project).status == 201
        with host.hold("DELETE", "/v2/queues/orders", done=True) as held:
            lost = together.submit(hasty.ask, "DELETE", "/v2/queues/orders", project)
            (call,) = held.wait()
            assert not host.store.has(project, "orders")
            hasty.kill(process_at(call.connection, host.port, hasty.workers))
            with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a cut connection is to the client
                lost.result()
        assert hasty.state(project, "orders") == "deleting"
        assert hasty.listed(project) == []
        seen: list[Answer] = []

        def put_anew() -> bool:
            seen.append(hasty.ask("PUT", "/v2/queues/orders", project))
            return seen[-1].status != 503

        assert not put_anew()
        until(put_anew, "the deletion is taken over")
        # Never a 204 for a queue that is not there: refused, until one PUT creates it.
        assert Counter(statuses(seen)).keys() <= {503, 201}
        assert seen[-1].status == 201
        assert all(int(answer.header("Retry-After") or 0) > 0 for answer in seen[:-1])
        assert host.store.has(project, "orders")
        assert hasty.state(project, "orders") == "open"
        assert hasty.listed(project) == ["orders"]


def test_race_3_a_second_delete_takes_an_abandoned_deletion_over(hasty: Door, together: ThreadPoolExecutor) -> None:
    """Race 3, the other way out: a crash before the partition deleted anything; DELETE again is what ends it."""
    with staged(hasty) as stage:
        name, host = stage()
        project = hasty.tenant(pinned=name)
        assert hasty.ask("PUT", "/v2/queues/orders", project).status == 201
        with host.hold("DELETE", "/v2/queues/orders") as held:
            lost = together.submit(hasty.ask, "DELETE", "/v2/queues/orders", project)
            (call,) = held.wait()
            hasty.kill(process_at(call.connection, host.port, hasty.workers))
            with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a cut connection is to the client
                lost.result()
            held.lose()
        assert host.store.has(project, "orders")
        until(lambda: hasty.ask("DELETE", "/v2/queues/orders", project).status == 204, "the deletion is taken over")
        assert not host.store.has(project, "orders")
        assert hasty.state(project, "orders") is None


def test_race_4_a_put_during_a_deletion_waits_for_its_end(
    door: Door, stage: Stage, together: ThreadPoolExecutor
) -> None:
    """Race 4: DELETE overlapping PUT: the existence check can succeed just before the deletion."""
    name, host = stage()
    project = door.tenant(pinned=name)
    with door.through_two() as (one, other), door.through(door.workers[0]) as beside_one:
        assert one.ask("PUT", "/v1/queues/orders", project).status == 201
        with host.hold("DELETE", "/v1/queues/orders") as held:
            deletion = together.submit(one.ask, "DELETE", "/v1/queues/orders", project)
            held.wait()
            # Meanwhile no worker answers that the queue exists (204), or creates one that would then be lost. The other
            # worker refuses the creation; the worker that deletes holds it.
            until(lambda: other.ask("PUT", "/v1/queues/orders", project).status == 503, "the other worker knows")
            refused = [other.ask("PUT", "/v1/queues/orders", project) for _ in range(5)]
            assert statuses(refused) == [503] * 5
            assert all(b"The request was not processed" in answer.body for answer in refused)
            waiting = together.submit(beside_one.ask, "PUT", "/v1/queues/orders", project)
        assert deletion.result().status == 204
        assert waiting.result().status == 201
        until(lambda: other.ask("PUT", "/v1/queues/orders", project).status == 204, "the other worker knows")
    assert host.store.created[project, "orders"] == 2
    assert door.state(project, "orders") == "open"
    assert door.listed(project, "v1") == ["orders"]


def test_race_4_a_deletion_during_a_put_ends_with_catalog_and_partition_agreed(
    door: Door, stage: Stage, together: ThreadPoolExecutor
) -> None:
    """Race 4, the other order: the deletion overtakes the creation, which is then done after all."""
    name, host = stage()
    project = door.tenant(pinned=name)
    with door.through_two() as (one, other):
        with host.hold("PUT", "/v1/queues/orders") as held:
            creation = together.submit(one.ask, "PUT", "/v1/queues/orders", project)
            held.wait()
            assert other.ask("DELETE", "/v1/queues/orders", project).status == 204
            assert not host.store.has(project, "orders")
        assert creation.result().status == 201
        assert host.store.has(project, "orders")
        assert door.state(project, "orders") == "open"
        for client in (one, other):
            assert client.ask("GET", "/v1/queues/orders", project).status == 204
    assert door.listed(project, "v1") == ["orders"]


@pytest.mark.parametrize("creation", ["PUT", "POST"])
def test_race_5_a_deletion_seen_by_one_worker_is_honoured_by_the_other(
    creation: str, door: Door, stage: Stage, together: ThreadPoolExecutor
) -> None:
    """Race 5: cache entries have no expiry and live per process: after a deletion seen by one process, another still
    answers PUT with 204 and forwards to the old partition."""
    old, old_host = stage()
    new, new_host = stage()
    project = door.tenant(pinned=old)
    path = "/v2/queues/orders"

    def create_anew(client: Client, number: int) -> Answer:
        if creation == "PUT":
            return client.ask("PUT", path, project)
        return client.ask("POST", f"{path}/messages", project, {"messages": [{"body": number}]})

    with door.through_two() as (one, other):
        assert one.ask("PUT", path, project).status == 201
        for number in range(1, 21):
            # Both have it in their caches.
            for client in (one, other):
                assert client.ask("GET", f"{path}/stats", project).status == 200
            if number % 2:
                assert one.ask("DELETE", path, project).status == 204
                anew = create_anew(other, number)
            else:
                # The other worker meets the call and the news of the deletion in the same moment.
                with alone(door.workers[0], door.workers):
                    assert one.ask("DELETE", path, project).status == 204
                    asking = together.submit(create_anew, other, number)
                    until(lambda: unread(door.proxy.public_port), "the call arrives at the worker that stands still")
                anew = asking.result()
            # Never a 204, and never a queue that only the partition knows of.
            assert anew.status == 201
            assert creation == "PUT" or old_host.store.bodies(project, "orders") == [number]
            until(lambda: door.state(project, "orders") == "open", f"queue number {number} is in the catalog")
            assert door.listed(project) == ["orders"]
        assert one.ask("DELETE", path, project).status == 204
        # And the old partition gets no more calls for the queue when its place is another one. That it is looked for in
        # the listing may be the end of the deletion.
        assert door.admin("PUT", f"/v1/tenants/{project}", {"spread": 1, "pinned": new})[0] == 204
        until(lambda: other.ask("GET", "/v2/queues/orders", project) and new_host.of(project), "news")
        asked = len(called_for(old_host, project, path))
        assert other.ask("PUT", path, project).status == 201
        assert other.ask("GET", f"{path}/stats", project).status == 200
        assert len(called_for(old_host, project, path)) == asked
    assert door.home(project, "orders") == new
    assert new_host.store.has(project, "orders")
    assert not old_host.store.has(project, "orders")


def test_race_6_a_removed_partition_is_never_cached_again(
    door: Door, stage: Stage, together: ThreadPoolExecutor
) -> None:
    """Race 6: deleting a partition invalidates the cache first and the store second, so a request in between re-caches
    it, and other processes never notice. Here it is refused while queues are placed on it, whatever goes on."""
    with FakePartition() as host:
        name = door.register(host.url)
        door.tell_all(name, host)
        other, other_host = stage()
        project = door.tenant(pinned=name)
        assert door.ask("PUT", "/v2/queues/orders", project).status == 201
        status, document = door.admin("DELETE", f"/v1/partitions/{name}")
        assert status == 409
        assert "still has 1 placement" in document["description"]
        assert door.ask("GET", "/v2/queues/orders/stats", project).status == 200
        assert door.ask("DELETE", "/v2/queues/orders", project).status == 204

        # Removed under fire: both workers look queues up, create and delete them on it all the while.
        removed = False

        def fire(client: Client, number: int) -> list[int]:
            seen = []
            while not removed:
                path = f"/v2/queues/busy-{number}"
                seen += statuses(client.ask(method, path, project) for method in ("GET", "PUT", "GET", "DELETE"))
            return seen

        with door.through_two() as clients:
            shots = [together.submit(fire, client, number) for number, client in enumerate(clients)]
            try:
                until(lambda: door.admin("DELETE", f"/v1/partitions/{name}")[0] == 204, "a moment without queues")
                # From here on nothing can be placed there.
                assert door.admin("GET", f"/v1/placements?project={project}")[1]["placements"] == []
                until(lambda: all(_pinned_away(client, project) for client in clients_of(door)), "all workers know")
            finally:
                removed = True
            for shot in shots:
                assert set(shot.result()) <= {200, 201, 204, 503}
        assert door.admin("GET", f"/v1/placements?project={project}")[1]["placements"] == []
        assert door.listed(project) == []
        assert {key for key in host.store.queues if key[0] == project} == set()
        asked = len(host.of(project))
        for client in clients_of(door):
            assert client.ask("PUT", "/v2/queues/orders", project).status == 503
            client.ask("GET", "/v2/queues/orders", project)
        assert len(host.of(project)) == asked, "a removed partition is still called"
        assert door.admin("PUT", f"/v1/tenants/{project}", {"spread": 1, "pinned": other})[0] == 204
        for client in clients_of(door):
            until(lambda client=client: client.ask("PUT", "/v2/queues/orders", project).status in (201, 204), "news")
        assert door.home(project, "orders") == other
        assert other_host.store.has(project, "orders")


def called_for(host: FakePartition, project: str, path: str) -> list[str]:
    return [call.method for call in host.of(project) if call.path.startswith(path)]


def clients_of(door: Door) -> Iterator[Client]:
    """One client after the other, for each worker."""
    for worker in door.workers:
        with door.through(worker) as client:
            yield client


def _pinned_away(client: Client, project: str) -> bool:
    """Whether this worker has no partition for new queues of the project any more."""
    return client.ask("PUT", "/v2/queues/never", project).status == 503


def test_race_7_metadata_is_the_partitions_alone(door: Door, stage: Stage, together: ThreadPoolExecutor) -> None:
    """Race 7: concurrent metadata PUTs can leave catalogue and backend with different winners."""
    name, host = stage()
    project = door.tenant(pinned=name)
    assert door.ask("PUT", "/v1/queues/orders", project).status == 201
    with door.through_two() as (one, other):
        for winner in (0, 1):
            with host.hold("PUT", "/v1/queues/orders/metadata") as held:
                puts = [
                    together.submit(client.ask, "PUT", "/v1/queues/orders/metadata", project, {"from": number})
                    for number, client in enumerate((one, other))
                ]
                by_number = {call.json()["from"]: call for call in held.wait(2)}
                # The order in which the partition takes them is not the order in which they came.
                held.release(by_number[1 - winner])
                assert puts[1 - winner].result().status == 204
                held.release(by_number[winner])
                assert puts[winner].result().status == 204
            direct = exchange(host.address, "GET", "/v1/queues/orders/metadata", request_headers(project, {}).items())
            assert json.loads(direct.body) == {"from": winner}
            for client in (one, other):
                assert client.ask("GET", "/v1/queues/orders/metadata", project).body == direct.body
                (entry,) = json.loads(client.ask("GET", "/v1/queues?detailed=true", project).body)["queues"]
                assert entry["metadata"] == {"from": winner}


# -- bugs and limits ---------------------------------------------------------------------------------------------------


def test_limit_1_changed_hosts_reach_every_worker(door: Door, stage: Stage) -> None:
    """Limit 1: PATCH of hosts reaches neither the cached host list nor the round-robin iterator; new hosts are used
    only after a restart."""
    name, old = stage()
    project = door.tenant(pinned=name)
    assert door.ask("PUT", "/v2/queues/orders", project).status == 201
    with FakePartition(old.store) as new, door.through_two() as clients:
        for client in clients:
            assert client.ask("GET", "/v2/queues/orders/stats", project).status == 200
        door.change(name, hosts=[new.url])
        for client in clients:
            asked = len(new.of(project))
            until(
                lambda client=client, asked=asked: (
                    client.ask("GET", "/v2/queues/orders/stats", project).status == 200 and len(new.of(project)) > asked
                ),
                "the worker uses the new host",
            )
        asked = old.count("GET", "/v2/queues/orders/stats", project)
        for client in clients:
            assert statuses(client.ask("GET", "/v2/queues/orders/stats", project) for _ in range(20)) == [200] * 20
        assert old.count("GET", "/v2/queues/orders/stats", project) == asked, "a host that was removed is still used"
        # Restore the host, for later users of the partition.
        door.change(name, hosts=[old.url])


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
def test_limit_2_listing_pages_never_repeat_and_end(version: str, door: Door, stage: Stage) -> None:
    """Limit 2: each page repeats the last queue of the page before, the end is never reached, nothing is sorted, and
    the queues of all projects are shown."""
    stage()
    stage()
    project, stranger = door.tenant(spread=2), door.tenant(spread=2)
    names = ["Zulu", "a", "a-b", "a.b", "a_b", "alpha", "zeta"]
    for name in reversed(names):
        assert door.ask("PUT", f"/{version}/queues/{name}", project).status == 201
    for name in ("alpha", "beta"):
        assert door.ask("PUT", f"/{version}/queues/{name}", stranger).status == 201
    for limit in (1, 2, 3, 7, 20):
        pages = [[entry["name"] for entry in page] for page in door.pages(project, version, f"limit={limit}")]
        assert [name for page in pages for name in page] == sorted(names)
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert door.listed(stranger, version) == ["alpha", "beta"]
    # A marker need not be the name of a queue; one that is the last name ends the listing.
    after = door.ask("GET", f"/{version}/queues?marker=az", project)
    assert [entry["name"] for entry in json.loads(after.body)["queues"]] == ["zeta"]
    end = door.ask("GET", f"/{version}/queues?marker=zeta", project)
    if version == "v1":
        assert (end.status, end.body) == (204, b"")
    else:
        assert (end.status, json.loads(end.body)) == (200, {"queues": [], "links": []})


async def test_limit_3_a_page_costs_the_same_wherever_it_is(
    new_catalog: Callable[[], str], mongodb_uri: str, tmp_path: Path
) -> None:
    """Limit 3: every listing scans the whole project from its start."""
    uri = new_catalog()
    with marconi_proxy(uri, tmp_path) as proxy, FakePartition() as host:
        door = Door(proxy)
        name = door.register(host.url)
        catalog = await open_catalog(uri)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(catalog.close)
            for project in ("before", "many", "zz-after"):
                for number in range(200):
                    segments = (Segment(0, name, "q"),)
                    await catalog.placements.insert(
                        Placement(project, f"queue-{number:04}", 1, PlacementState.OPEN, segments, incarnation="b")
                    )
        database = uri.rpartition("/")[2].partition("?")[0]
        with pymongo.MongoClient(mongodb_uri) as client:
            client[database].command("profile", 2)
            for marker, expected in (("", "queue-0000"), ("queue-0100", "queue-0101"), ("queue-0194", "queue-0195")):
                answer = door.ask("GET", f"/v2/queues?limit=5&marker={marker}", "many")
                entries = [entry["name"] for entry in json.loads(answer.body)["queues"]]
                assert (len(entries), entries[0]) == (5, expected)
            client[database].command("profile", 0)
            finds = {"op": "query", "command.limit": 5}
            profiles = list(client[database]["system.profile"].find(finds))
        assert len(profiles) == 3
        for profile in profiles:
            assert profile["docsExamined"] <= 10, profile
            assert profile["keysExamined"] <= 10, profile


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
def test_limit_4_what_is_changed_at_the_partition_shows_in_listings(
    version: str, front_door16: MarconiProxy, zaqar16: Zaqar
) -> None:
    """Limit 4: metadata and queues changed directly at a backend never show in listings."""
    door = Door(front_door16)
    project = f"project-{uuid.uuid4().hex[:8]}"
    headers = [*request_headers(project, {}).items()]
    for queue in ("changed", "deleted", "kept"):
        assert door.ask("PUT", f"/{version}/queues/{queue}", project).status == 201
    directly = exchange(zaqar16.address, "PUT", "/v1/queues/changed/metadata", headers, b'{"colour": "blue"}')
    assert directly.status == 204
    assert exchange(zaqar16.address, "DELETE", "/v1/queues/deleted", headers).status == 204

    def detailed() -> dict[str, Any]:
        pages = door.pages(project, version, "detailed=true")
        return {entry["name"]: entry["metadata"] for page in pages for entry in page}

    shown = detailed()
    assert shown["changed"]["colour"] == "blue"
    assert "colour" not in shown["kept"]
    assert shown.keys() == {"changed", "kept"}
    # A queue that was deleted behind the back of the catalog can be created anew.
    assert door.ask("PUT", f"/{version}/queues/deleted", project).status == 201
    assert sorted(detailed()) == ["changed", "deleted", "kept"]


def test_limit_5_a_partition_with_queues_is_not_removed_but_cordoned_and_emptied(door: Door, stage: Stage) -> None:
    """Limit 5: a partition can be deleted with queues on it, which become 404; no draining."""
    leaving, leaving_host = stage()
    staying, staying_host = stage()
    project = door.tenant(spread=2)
    queues = [f"queue-{number}" for number in range(12)]
    for queue in queues:
        assert door.ask("PUT", f"/v2/queues/{queue}", project).status == 201
    there = [queue for queue in queues if door.home(project, queue) == leaving]
    assert 0 < len(there) < len(queues)
    status, document = door.admin("DELETE", f"/v1/partitions/{leaving}")
    assert (status, f"still has {len(there)} placement" in document["description"]) == (409, True)

    door.change(leaving, state="cordoned")
    status, document = door.admin("DELETE", f"/v1/partitions/{leaving}")
    assert status == 409, "cordoned is not empty"
    for client in clients_of(door):
        created = len(leaving_host.store.created)
        fresh = (f"fresh-{uuid.uuid4().hex[:8]}" for _ in range(1000))

        def lands_elsewhere(client: Client = client, fresh: Iterator[str] = fresh) -> bool:
            queue = next(fresh)
            path = f"/v2/queues/{queue}"
            return client.ask("PUT", path, project).status == 201 and staying_host.store.has(project, queue)

        until(lands_elsewhere, "the worker knows of the cordon")
        created = len(leaving_host.store.created)
        for _ in range(20):
            assert client.ask("PUT", f"/v2/queues/{next(fresh)}", project).status == 201
        assert len(leaving_host.store.created) == created, "a cordoned partition got a new queue"
        # Its queues go on working.
        for queue in there:
            assert (
                client.ask("POST", f"/v2/queues/{queue}/messages", project, {"messages": [{"body": 1}]}).status == 201
            )
            assert client.ask("GET", f"/v2/queues/{queue}/messages?echo=true", project).status == 200
    for queue in [name for _, name in list(leaving_host.store.queues)]:
        assert door.ask("DELETE", f"/v2/queues/{queue}", project).status == 204
    assert leaving_host.store.queues == {}
    # Tenants of other tests may be pinned to it.
    status, document = door.admin("DELETE", f"/v1/partitions/{leaving}?repin={staying}")
    assert status == 200, document
    # For the end of the test, which takes it out of the way: there may be nothing left to take.
    door.register(leaving_host.url, name=leaving)
    assert staying in {door.home(project, queue) for queue in queues if queue not in there}


def test_limit_6_a_dead_host_among_two_is_not_seen_by_clients(
    door: Door, stage: Stage, together: ThreadPoolExecutor
) -> None:
    """Limit 6: no timeouts, no retries, no failover, no marking of dead hosts: a dead host means a 500 for its share of
    requests."""
    name, alive = stage()
    project = door.tenant(pinned=name)
    assert door.ask("PUT", "/v2/queues/orders", project).status == 201
    door.change(name, hosts=[f"http://127.0.0.1:{unused_port()}", alive.url])

    def use(client: Client, sender: int) -> list[int]:
        seen = []
        for number in range(50):
            body = {"messages": [{"body": [sender, number]}]}
            seen.append(client.ask("POST", "/v2/queues/orders/messages", project, body).status)
            seen.append(client.ask("GET", "/v2/queues/orders/messages?echo=true", project).status)
        return seen

    with door.through_two() as clients:
        both = [together.submit(use, client, sender) for sender, client in enumerate(clients)]
        assert [Counter(task.result()) for task in both] == [Counter({201: 50, 200: 50})] * 2
    # Posting is tried again only where nothing was done: each message is there once, in its sender's order.
    bodies = alive.store.bodies(project, "orders")
    assert sorted(bodies) == [[sender, number] for sender in (0, 1) for number in range(50)]
    assert [body for body in bodies if body[0] == 0] == [[0, number] for number in range(50)]
    door.change(name, hosts=[alive.url])


def test_limit_6_a_host_that_dies_and_comes_back_is_not_seen_by_readers(door: Door, stage: Stage) -> None:
    """Limit 6: a host of two dies with connections open; reads and creations go on, and it is used again later."""
    name, dying = stage()
    project = door.tenant(pinned=name)
    with FakePartition(dying.store) as staying, door.through_two() as clients:
        door.change(name, hosts=[dying.url, staying.url])
        for client in clients:
            until(
                lambda client=client: (
                    client.ask("GET", "/v2/queues/orders", project).status == 200 and staying.of(project)
                ),
                "the worker knows both hosts",
            )
        dying.refuse()
        for number, client in enumerate(clients):
            for turn in range(30):
                queue = f"/v2/queues/orders-{number}-{turn}"
                assert client.ask("PUT", queue, project).status == 201
                assert client.ask("GET", f"{queue}/stats", project).status == 200
        dying.listen()
        asked = len(dying.of(project))
        until(
            lambda: (
                statuses(client.ask("GET", "/v2/queues/orders", project) for client in clients) == [200, 200]
                and len(dying.calls) > asked
            ),
            "the host that came back is used",
        )
        door.change(name, hosts=[dying.url])


def test_limit_6_a_host_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit 6: no timeouts. One deadline bounds a call, and the answer has Retry-After."""
    monkeypatch.setenv("OS_UPSTREAM__DEADLINE", "4")
    with (
        FakePartition() as host,
        FakePartition() as healthy,
        marconi_proxy(f"sqlite:///{tmp_path / 'catalog.db'}", tmp_path) as proxy,
    ):
        door = Door(proxy)
        stuck = door.register(host.url)
        well = door.register(healthy.url)
        door.tell_all(stuck, host)
        door.tell_all(well, healthy)
        project, other = door.tenant(pinned=stuck), door.tenant(pinned=well)
        assert door.ask("PUT", "/v2/queues/orders", project).status == 201
        with host.hold("POST", ".*/messages") as held:
            answer = door.ask("POST", "/v2/queues/orders/messages", project, {"messages": [{"body": 1}]})
            assert (answer.status, b"may have been processed" in answer.body) == (503, True)
            assert int(answer.header("Retry-After") or 0) > 0
            assert len(held.calls) == 1, "a post that may have been done was sent again"
            # Its trouble is its own.
            assert door.ask("PUT", "/v2/queues/orders", project).status == 204
            assert door.ask("PUT", "/v2/queues/orders", other).status == 201


def test_limit_7_redirects_are_passed_on_and_not_followed(door: Door, stage: Stage) -> None:
    """Limit 7: backend redirects are followed."""
    name, host = stage()
    project = door.tenant(pinned=name)
    assert door.ask("PUT", "/v1/queues/orders", project).status == 201
    location = f"{host.url}/v1/queues/orders/stats"
    redirect = raw_answer(301, [("Location", location), ("Content-Length", "5")], b"moved")
    with host.script("GET", "/v1/queues/orders/stats", redirect):
        answer = door.ask("GET", "/v1/queues/orders/stats", project)
        assert host.count("GET", "/v1/queues/orders/stats", project) == 1
    assert (answer.status, answer.header("Location"), answer.body) == (301, location, b"moved")


def test_limit_7_encoded_bodies_are_passed_on_as_they_are(door: Door, stage: Stage) -> None:
    """Limit 7: backend content encodings are decoded while their header is passed on."""
    name, host = stage()
    project = door.tenant(pinned=name)
    assert door.ask("PUT", "/v1/queues/orders", project).status == 201
    document = b'{"messages": {"free": 0, "claimed": 0, "total": 0}}'
    packed = gzip.compress(document * 20)
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
        ("Content-Length", str(len(packed))),
    ]
    with host.script("GET", "/v1/queues/orders/stats", raw_answer(200, headers, packed)):
        answer = door.ask("GET", "/v1/queues/orders/stats", project, **{"Accept-Encoding": "gzip"})
    assert answer.body == packed
    assert answer.header("Content-Encoding") == "gzip"
    assert answer.header("Content-Length") == str(len(packed))
    assert host.calls[-1].headers["accept-encoding"] == "gzip"


def test_limit_7_headers_of_one_hop_stay_there(door: Door, stage: Stage) -> None:
    """Limit 7: hop-by-hop headers, Host and Content-Length are copied as they are."""
    name, host = stage()
    project = door.tenant(pinned=name)
    assert door.ask("PUT", "/v1/queues/orders", project).status == 201
    of_one_hop = {
        "Connection": "keep-alive, X-Named",
        "Keep-Alive": "timeout=99",
        "Proxy-Authorization": "Basic eA==",
        "Proxy-Connection": "keep-alive",
        "TE": "trailers",
        "Trailer": "X-Late",
        "Upgrade": "websocket",
        "X-Named": "in Connection",
    }
    kept = {"X-Kept": "yes", "User-Agent": "a test", "X-Auth-Token": "token", "Accept": "application/json"}
    answered = [
        ("Connection", "X-Other"),
        ("Keep-Alive", "timeout=99"),
        ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "websocket"),
        ("X-Other", "in Connection"),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "X-Late"),
        ("X-Kept", "yes"),
        ("Cache-Control", "no-store"),
    ]
    chunked = raw_answer(200, answered, b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Late: trailer\r\n\r\n")
    with host.script("PUT", "/v1/queues/orders/metadata", chunked):
        body = b'{"a": 1}'
        sent = {**request_headers(project, {}), **of_one_hop, **kept}
        answer = exchange(door.proxy.public_address, "PUT", "/v1/queues/orders/metadata", sent.items(), body)
        call = host.calls[-1]
        # A chunked request: partitions ignore such bodies, so it must arrive with its length.
        chunks = b'3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n'
        with socket.create_connection(door.proxy.public_address, timeout=TIMEOUT_SECONDS) as connection:
            lines = [f"{n}: {v}" for n, v in {**request_headers(project, {}), "Transfer-Encoding": "chunked"}.items()]
            head = "\r\n".join(["PUT /v1/queues/orders/metadata HTTP/1.1", "Host: front-door", *lines, "", ""])
            connection.sendall(head.encode() + chunks)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        second = host.calls[-1]
    assert call.method == "PUT"
    for lost in of_one_hop:
        assert lost.lower() not in call.headers
    for header, value in kept.items():
        assert call.headers[header.lower()] == value
    assert call.headers["host"] == f"127.0.0.1:{host.port}"
    assert re.fullmatch(r"1\.1 marconi-proxy-[0-9a-f]{16}", call.headers["via"])
    for got in (call, second):
        assert (got.headers["content-length"], got.body) == (str(len(body)), body)
        assert "transfer-encoding" not in got.headers
    assert (answer.status, answer.body) == (200, b"hello world")
    for lost in ("Keep-Alive", "Proxy-Authenticate", "Upgrade", "X-Other", "Trailer", "X-Late"):
        assert answer.header(lost) is None
    assert (answer.header("X-Kept"), answer.header("Cache-Control")) == ("yes", "no-store")


def test_limit_7_answers_are_passed_on_while_they_come(door: Door, stage: Stage) -> None:
    """Limit 7: whole responses are buffered."""
    name, host = stage()
    project = door.tenant(pinned=name)
    assert door.ask("PUT", "/v1/queues/orders", project).status == 201
    first, rest = b"f" * 100_000, b"r" * 100_000
    first_came = threading.Event()

    def in_two_parts(call: Call) -> Iterator[bytes]:
        yield raw_answer(200, [("Content-Length", str(len(first) + len(rest)))], first)
        assert first_came.wait(PATIENCE), "the second part would have come before the first was passed on"
        yield rest

    with (
        host.script("GET", "/v1/queues/orders/messages", in_two_parts),
        socket.create_connection(door.proxy.public_address, timeout=TIMEOUT_SECONDS) as connection,
    ):
        lines = [f"{n}: {v}" for n, v in request_headers(project, {}).items()]
        head = "\r\n".join(["GET /v1/queues/orders/messages HTTP/1.1", "Host: front-door", *lines, "", ""])
        connection.sendall(head.encode())
        received = b""
        while not received.endswith(first):
            received += connection.recv(65536)
        first_came.set()
        while not received.endswith(rest):
            received += connection.recv(65536)
    assert received.partition(b"\r\n\r\n")[2] == first + rest


@pytest.mark.parametrize("status", [218, 299, 418, 451, 507, 599])
def test_limit_8_an_unknown_status_is_passed_on(status: int, door: Door, stage: Stage) -> None:
    """Limit 8: an unknown backend status code is a 500."""
    name, host = stage()
    project = door.tenant(pinned=name)
    assert door.ask("PUT", "/v2/queues/orders", project).status == 201
    strange = raw_answer(status, [("Content-Length", "7"), ("X-Kept", "yes")], b"strange")
    with host.script("GET", "/v2/queues/orders/stats", strange), host.script("POST", ".*/messages", strange):
        answers = [
            door.ask("GET", "/v2/queues/orders/stats", project),
            door.ask("POST", "/v2/queues/orders/messages", project, {"messages": [{"body": 1}]}),
        ]
    for answer in answers:
        assert (answer.status, answer.header("X-Kept"), answer.body) == (status, "yes", b"strange")
    assert host.count("POST", "/v2/queues/orders/messages", project) == 1, "a post was sent twice"


def message(number: int = 1) -> dict[str, Any]:
    return {"ttl": 300, "body": number}


_M, _C = "50b68a50d6f5b8c8a7c62b01", "51db7067821e727dc24df754"
_CLAIM = {"ttl": 100, "grace": 100}
_PATCH = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}
# API section 8.4: (method, path below the queue, body, answer of v1, answer of v1.1 and v2). None: no such route.
# An answer is a status, with what must be in the document or b"" for no body.
UNPLACED: list[tuple[str, str, Any, Any, Any]] = [
    ("GET", "", None, (404, b""), (200, {})),
    ("HEAD", "", None, (404, b""), (405, b"")),
    ("GET", "/stats", None, (404, None), (200, {"messages": {"free": 0, "claimed": 0, "total": 0}})),
    ("GET", "/messages", None, (204, b""), (200, {"messages": [], "links": []})),
    ("GET", f"/messages?ids={_M}", None, (204, b""), (404, None)),
    ("GET", f"/messages/{_M}", None, (404, None), (404, None)),
    ("GET", f"/claims/{_C}", None, (404, None), (404, None)),
    ("PATCH", f"/claims/{_C}", _CLAIM, (404, None), (404, None)),
    ("DELETE", f"/messages/{_M}", None, (204, b""), (204, b"")),
    ("DELETE", f"/messages?ids={_M}", None, (204, b""), (204, b"")),
    ("DELETE", f"/claims/{_C}", None, (204, b""), (204, b"")),
    ("DELETE", "/messages?pop=1", None, None, (200, {"messages": []})),
    ("POST", "/claims", _CLAIM, (204, b""), (204, b"")),
    ("GET", "/metadata", None, (404, None), None),
    ("PUT", "/metadata", {"a": 1}, (404, None), None),
    ("POST", "/messages", [message()], (404, None), None),
    ("DELETE", "", None, (204, b""), (204, b"")),
    # Validation comes first.
    ("GET", "/messages?limit=0", None, (400, None), (400, None)),
    ("GET", "/messages?limit=999", None, (400, None), (400, None)),
    ("POST", "/claims", [], (400, None), (400, None)),
]
UNPLACED_V2: list[tuple[str, str, Any, Any]] = [
    ("PATCH", "", [{"op": "add", "path": "/metadata/a", "value": 1}], (404, None)),
    ("POST", "/purge", {"resource_types": ["messages"]}, (204, b"")),
    ("GET", "/subscriptions", None, (200, {"subscriptions": []})),
    ("GET", f"/subscriptions/{_M}", None, (404, None)),
    ("PATCH", f"/subscriptions/{_M}", {"ttl": 100}, (404, None)),
    ("DELETE", f"/subscriptions/{_M}", None, (204, b"")),
]


def _unplaced() -> Iterator[Any]:
    for method, below, body, first, later in UNPLACED:
        for version, expected in (("v1", first), ("v1.1", later), ("v2", later)):
            if expected is not None:
                yield pytest.param(version, method, below, body, expected, id=f"{version} {method} {below or 'queue'}")
    for method, below, body, expected in UNPLACED_V2:
        yield pytest.param("v2", method, below, body, expected, id=f"v2 {method} {below or 'queue'}")


@pytest.mark.parametrize(("version", "method", "below", "body", "expected"), [*_unplaced()])
def test_limit_9_unplaced_queues_answer_as_the_api_says(
    version: str, method: str, below: str, body: Any, expected: tuple[int, Any], front_door16: MarconiProxy
) -> None:
    """Limit 9: unplaced queues are uniformly 404, unlike the API (8.4)."""
    door = Door(front_door16)
    project = f"project-{uuid.uuid4().hex[:8]}"
    path = f"/{version}/queues/nowhere{below}"
    answer = door.ask(
        method, path, project, body, **(_PATCH if (version, method, below) == ("v2", "PATCH", "") else {})
    )
    status, content = expected
    assert answer.status == status, answer
    if isinstance(content, bytes):
        assert answer.body == content
    elif content is not None:
        document = json.loads(answer.body)
        assert {member: document[member] for member in content} == content
    # Nothing of that placed it.
    assert door.placement(project, "nowhere") is None
    assert door.listed(project, version) == []


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
def test_limit_9_names_locations_and_empty_projects(version: str, front_door16: MarconiProxy) -> None:
    """Limit 9: invalid names are 404 instead of 400, PUT of an existing queue lacks Location, empty X-Project-Id is
    treated as none when cataloguing."""
    door = Door(front_door16)
    project = f"project-{uuid.uuid4().hex[:8]}"
    path = f"/{version}/queues/orders"
    for status in (201, 204, 204):
        answer = door.ask("PUT", path, project)
        assert (answer.status, answer.header("Location"), answer.body) == (status, path, b"")
    for name in ("i" * 65, "@$@%5Eqw", "%E9%98%9F%E5%88%97"):
        assert door.ask("PUT", f"/{version}/queues/{name}", project).status == 400
        assert door.ask("GET", f"/{version}/queues/{name}/stats", project).status == 400
    for method, target in (("PUT", path), ("GET", f"{path}/stats"), ("GET", f"/{version}/queues"), ("DELETE", path)):
        assert door.ask(method, target, "").status == 400, (method, target)
    assert door.placement(None, "orders") is None or version == "v1"
    assert door.listed(project, version) == ["orders"]


def test_limit_10_three_projects_that_look_like_none_are_three_namespaces(
    front_door16: MarconiProxy, zaqar16: Zaqar
) -> None:
    """Limit 10: project _ is both "no project" and a legal project id."""
    door = Door(front_door16)
    queue = f"queue-{uuid.uuid4().hex[:8]}"
    projects = ("_", "-", None)
    for number, project in enumerate(projects, 1):
        # Each finds nothing of the others'.
        assert door.ask("GET", f"/v1/queues/{queue}", project).status == 404
        assert door.ask("PUT", f"/v1/queues/{queue}", project).status == 201
        posted = door.ask("POST", f"/v1/queues/{queue}/messages", project, [message(number)])
        assert posted.status == 201
    for number, project in enumerate(projects, 1):
        listed = door.ask("GET", f"/v1/queues/{queue}/messages?echo=true", project)
        assert [m["body"] for m in json.loads(listed.body)["messages"]] == [number]
        assert queue in door.listed(project, "v1")
        placement = door.placement(project, queue)
        assert placement is not None
        assert placement["project"] == project
    assert door.ask("DELETE", f"/v1/queues/{queue}", "_").status == 204
    assert statuses(door.ask("GET", f"/v1/queues/{queue}", project) for project in projects) == [404, 204, 204]
    headers = request_headers("_", {}).items()
    assert exchange(zaqar16.address, "GET", f"/v1/queues/{queue}", headers).status == 404
    for project in ("-", None):
        assert door.ask("DELETE", f"/v1/queues/{queue}", project).status == 204


def test_limit_11_a_changed_weight_decides_the_next_placement(door: Door, stage: Stage) -> None:
    """Limit 11: build the weight table once per partition change instead of per queue creation."""
    partitions = dict(stage() for _ in range(2))
    project = door.tenant(spread=2)

    def made(client: Client, number: int) -> list[str]:
        queues = [uuid.uuid4().hex for _ in range(number)]
        for queue in queues:
            assert client.ask("PUT", f"/v2/queues/{queue}", project).status == 201
        return queues

    for full, empty in (list(partitions), list(partitions)[::-1]):
        door.change(full, weight=100)
        door.change(empty, weight=0)
        for client in clients_of(door):
            until(
                lambda client=client, host=partitions[full]: all(
                    host.store.has(project, queue) for queue in made(client, 5)
                ),
                "the worker places by the new weight",
            )
        for client in clients_of(door):
            for queue in made(client, 10):
                assert door.home(project, queue) == full


def test_limit_11_a_detailed_page_asks_its_partitions_all_at_once(
    door: Door, stage: Stage, together: ThreadPoolExecutor
) -> None:
    """Limit 11: replace the catalogue listing by concurrent backend listings with a merge. Names come from the catalog;
    metadata is asked of the partitions at the same time, and a page that cannot be whole is refused."""
    partitions = dict(stage() for _ in range(2))
    project = door.tenant(spread=2)
    queues = [f"queue-{number}" for number in range(8)]
    for number, queue in enumerate(queues):
        assert door.ask("PUT", f"/v2/queues/{queue}", project, {"number": number}).status == 201
    there = Counter(door.home(project, queue) for queue in queues)
    assert there.keys() == partitions.keys()
    with ExitStack() as stack:
        held = [stack.enter_context(host.hold("GET", "/v2/queues")) for host in partitions.values()]
        page = together.submit(door.ask, "GET", "/v2/queues?detailed=true&with_count=true", project)
        for calls in held:
            calls.wait()
    document = json.loads(page.result().body)
    assert [(entry["name"], entry["metadata"]["number"]) for entry in document["queues"]] == [
        (queue, number) for number, queue in enumerate(queues)
    ]
    assert document["count"] == 8
    name, dead = next(iter(partitions.items()))
    dead.refuse()
    refused = door.ask("GET", "/v2/queues?detailed=true", project)
    assert refused.status == 503
    assert name.encode() not in refused.body
    assert door.listed(project) == queues


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
def test_limit_12_every_version_is_served_as_it_is(version: str, front_door16: MarconiProxy) -> None:
    """Limit 12: only v1: no lazy creation, no pop, nothing of v2. API section 7, row by row."""
    door = Door(front_door16)
    project = f"project-{uuid.uuid4().hex[:8]}"
    first = version == "v1"
    path = f"/{version}/queues/lazy"

    def ask(method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        answer = door.ask(method, target, project, body, **headers)
        return answer.status, json.loads(answer.body) if answer.body else None

    messages = [message(number) for number in range(5)]
    post = messages if first else {"messages": messages}
    assert ask("GET", f"/{version}/queues") == ((204, None) if first else (200, {"queues": [], "links": []}))
    # Lazy creation.
    status, document = ask("POST", f"{path}/messages", post)
    assert status == (404 if first else 201)
    assert (door.state(project, "lazy") == "open") == (not first)
    if first:
        assert ask("PUT", path)[0] == 201
        assert ask("POST", f"{path}/messages", post)[0] == 201
    else:
        assert len(document["resources"]) == 5
        assert ask("PUT", path)[0] == 204
    assert door.listed(project, version) == ["lazy"]
    # The queue itself.
    assert ask("GET", path)[0] == (204 if first else 200)
    assert ask("HEAD", path)[0] == (204 if first else 405)
    assert ask("GET", f"{path}/metadata")[0] == (200 if first else 404)
    assert ask("GET", f"{path}/stats")[1]["messages"]["total"] == 5
    assert ask("GET", f"/{version}/{'health' if first else 'ping'}")[0] == 204
    # Messages and claims.
    _, document = ask("GET", f"{path}/messages?echo=true")
    assert [one["body"] for one in document["messages"]] == list(range(5))
    assert all(("id" in one) == (not first) for one in document["messages"])
    status, document = ask("POST", f"{path}/claims?limit=2", {"ttl": 300, "grace": 300})
    claimed = document if first else document["messages"]
    assert (status, [one["body"] for one in claimed]) == (201, [0, 1])
    for one in claimed:
        assert ask("DELETE", one["href"])[0] == 204
    # Pop.
    status, document = ask("DELETE", f"{path}/messages?pop=2")
    if first:
        assert status == 400
        assert ask("GET", f"{path}/stats")[1]["messages"]["total"] == 3
    else:
        assert (status, [one["body"] for one in document["messages"]]) == (200, [2, 3])
        assert ask("GET", f"{path}/stats")[1]["messages"]["total"] == 1
    # The calls of v2 alone.
    later = version == "v2"
    patch = [{"op": "add", "path": "/metadata/colour", "value": "red"}]
    status, document = ask("PATCH", path, patch, **_PATCH)
    assert status == (200 if later else 405)
    assert not later or (document["colour"], document["_default_message_ttl"]) == ("red", 3600)
    assert ask("POST", f"{path}/purge", {"resource_types": ["messages"]})[0] == (204 if later else 404)
    assert ask("GET", f"{path}/subscriptions")[0] == (200 if later else 404)
    assert ask("POST", f"{path}/share", {"paths": ["messages"]})[0] == (200 if later else 404)
    assert ask("DELETE", path)[0] == 204
    assert door.placement(project, "lazy") is None
    assert ask("GET", path)[0] == (404 if first else 200)


def test_limit_12_a_subscription_and_a_bad_post_create_queues_in_v2(front_door16: MarconiProxy) -> None:
    """Limit 12: no lazy creation. API section 6.11: in v2 a subscription creates its queue; 4.6: so does a post that is
    then refused for its body."""
    door = Door(front_door16)
    project = f"project-{uuid.uuid4().hex[:8]}"
    subscription = {"subscriber": "http://127.0.0.1:9/", "ttl": 300}
    assert door.ask("POST", "/v2/queues/subscribed/subscriptions", project, subscription).status == 201
    assert door.ask("POST", "/v2/queues/refused/messages", project, {"messages": "none"}).status == 400
    assert door.ask("POST", "/v1.1/queues/refused-first/messages", project, {"messages": "none"}).status == 400
    assert door.listed(project) == ["refused", "subscribed"]
    assert door.state(project, "refused") == door.state(project, "subscribed") == "open"
    assert door.placement(project, "refused-first") is None


def test_limit_12_versions_are_those_of_the_partitions(door: Door, stage: Stage) -> None:
    """Limit 12: only v1. A version that no partition speaks is not served, and a queue is placed only on a partition
    that speaks the version of its call."""
    old, _ = stage(api_versions=["v1", "v2"])
    new, new_host = stage(api_versions=["v2"])
    project = door.tenant(spread=2)
    for number in range(8):
        assert door.ask("PUT", f"/v1/queues/queue-{number}", project).status == 201
        assert door.home(project, f"queue-{number}") == old
    assert not any(owner == project for owner, _ in new_host.store.queues)
    assert door.ask("PUT", "/v1.1/queues/orders", project).status == 404
    assert door.placement(project, "orders") is None
    # So many that it is no chance if all are in one place.
    for number in range(40):
        assert door.ask("PUT", f"/v2/queues/later-{number}", project).status == 201
    assert {door.home(project, f"later-{number}") for number in range(40)} == {old, new}


# -- the fake ----------------------------------------------------------------------------------------------------------


def _contract(version: str) -> list[tuple[str, str, Any]]:
    """Calls that a scripted partition must answer as Zaqar does, below /{version}."""
    messages = [message(number) for number in range(3)]
    post = messages if version == "v1" else {"messages": messages}
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/queues", None),
        ("GET", "/queues/a", None),
        ("GET", "/queues/a/stats", None),
        ("GET", "/queues/a/messages", None),
        ("DELETE", "/queues/a", None),
        ("PUT", "/queues/b", None),
        ("PUT", "/queues/b", None),
        ("POST", "/queues/a/messages", post),
        ("POST", "/queues/b/messages", post),
        ("GET", "/queues/a", None),
        ("GET", "/queues/b/stats", None),
        ("GET", "/queues/b/messages?echo=true&limit=2", None),
        ("GET", "/queues?limit=1", None),
        ("GET", "/queues?limit=5&marker=a", None),
        ("GET", "/queues?marker=b", None),
        ("HEAD", "/queues/b", None),
    ]
    if version == "v1":
        calls += [
            ("GET", "/queues/b/metadata", None),
            ("PUT", "/queues/b/metadata", {"colour": "red"}),
            ("GET", "/queues/b/metadata", None),
            ("PUT", "/queues/c/metadata", {"colour": "red"}),
            ("GET", "/health", None),
        ]
    else:
        calls += [
            ("PUT", "/queues/c", {"colour": "red"}),
            ("GET", "/queues/c", None),
            ("DELETE", "/queues/b/messages?pop=2", None),
            ("DELETE", "/queues/b/messages?pop=2", None),
            ("GET", "/ping", None),
        ]
    if version == "v2":
        calls += [
            ("PATCH", "/queues/c", [{"op": "add", "path": "/metadata/colour", "value": "blue"}]),
            ("PATCH", "/queues/none", [{"op": "add", "path": "/metadata/colour", "value": "blue"}]),
            ("GET", "/queues/c", None),
        ]
    return [*calls, ("DELETE", "/queues/b", None), ("GET", "/queues/b", None), ("GET", "/queues/b/stats", None)]


@pytest.mark.parametrize("version", ["v1", "v1.1", "v2"])
def test_the_scripted_partition_answers_as_zaqar(version: str, zaqar16: Zaqar) -> None:
    """Not an item: what the tests above rest on. Statuses, Location and documents but for ids, ages and titles."""
    project = f"project-{uuid.uuid4().hex[:8]}"

    def shape(answer: Answer) -> tuple[int, bool, Any]:
        document = json.loads(answer.body) if answer.body and answer.status < 400 else None
        return answer.status, answer.header("Location") is not None, _shape(document)

    with FakePartition(Store()) as fake:
        for method, below, body in _contract(version):
            headers = [*request_headers(project, _PATCH if method == "PATCH" else {}).items()]
            data = None if body is None else json.dumps(body).encode()
            answers = [
                exchange(address, method, f"/{version}{below}", headers, data)
                for address in (fake.address, zaqar16.address)
            ]
            assert shape(answers[0]) == shape(answers[1]), (method, below, answers)


def _shape(document: Any, member: str = "") -> Any:
    """Return the parts of a document to compare: no values that the store draws, and of links only their presence."""
    if isinstance(document, dict):
        left_out = {"claim_id", "claim_count", "oldest", "newest"}
        return {name: _shape(value, name) for name, value in document.items() if name not in left_out}
    if isinstance(document, list):
        return [_shape(value, member) for value in document]
    return "..." if member in ("id", "href", "age", "resources") else document
