"""The catalog's values: what they accept, what they refuse, and that JSON keeps them whole."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import (
    LockHeld,
    LockLost,
    MoveConflict,
    MoveUnderWay,
    PartitionConflict,
    PartitionInUse,
    PlacementConflict,
    PlanConflict,
)
from catalog.model import (
    API_VERSIONS,
    FINISHED_STATES,
    LISTED_STATES,
    MAX_LOG,
    MAX_PLANNED_MOVES,
    MAX_WEIGHT,
    TOPIC_PREFIX,
    UNPROMISED_LEASE,
    Change,
    ChangeSubject,
    Ending,
    HeldWrites,
    Holder,
    LogEntry,
    Member,
    Move,
    MoveOutcome,
    MovePlan,
    MoveState,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    PlannedMove,
    PlanState,
    Progress,
    QueueKey,
    Seal,
    Segment,
    Tenant,
    WholePlan,
    check_host,
)
from catalog.model.move import UNPROMISED_HOLD
from catalog.mongodb.documents import id_range, placement_id, placement_key

SEGMENT = Segment(0, "p1", "orders")
SEAL = Seal("project", "orders", "b" * 16, 7)
PLACEMENT = Placement("project", "orders", 1, PlacementState.OPEN, (SEGMENT,))
PARTITION = Partition("p1", ("http://10.0.0.1:8888",))
MOVE = Move("m-1", "project", "orders", "p1", "p2")
ENTRY = LogEntry(1.5, MoveState.ARMED, "every worker is capable", (("acks", 4),))
PLANNED = PlannedMove("project", "orders", "p1", "p2", "plan-1", 0, "b", (0, 1))
WHOLE = WholePlan(
    MovePlan("plan-1", "drain p1", budgets={"at_once": 2}),
    (PLANNED, PlannedMove("", "~t", "p1", "p3", "plan-1", 1, "c", (0, 1))),
)
PLAN = WHOLE.plan
DEEP: dict[str, Any] = {}
for _ in range(20):
    DEEP = {"a": DEEP}

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
names = texts.filter(bool)
tokens = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
segments = st.builds(Segment, st.integers(0, 2**31), names, names, st.booleans())
placements = st.builds(
    Placement,
    texts,
    names,
    st.integers(1, 2**62),
    st.sampled_from(PlacementState),
    st.lists(segments, min_size=1, max_size=4).map(tuple),
    base=st.integers(0, 2**31),
    since=st.floats(allow_nan=False, allow_infinity=False),
    group=st.none() | names,
    incarnation=st.just("") | tokens,
    move=st.none() | tokens,
)
keys = st.builds(QueueKey, texts, names)


@given(placements)
def test_placements_survive_json(placement: Placement) -> None:
    assert Placement.from_json(json.loads(json.dumps(placement.to_json()))) == placement


def test_placements_of_schema_version_1_have_no_token_and_no_move() -> None:
    document = PLACEMENT.to_json()
    del document["born"], document["move"]
    assert Placement.from_json(document) == PLACEMENT
    assert (PLACEMENT.incarnation, PLACEMENT.move) == ("", None)


def test_members_of_schema_version_1_promise_nothing() -> None:
    document = {"id": "host/1/boot", "applied": 5, "synced": True}
    assert Member.from_json(document) == Member("host/1/boot", applied=5, synced=True)
    assert Member("host/1/boot").lease == 0


def test_members_of_schema_version_3_acknowledge_no_seal() -> None:
    document = {
        "id": "host/1/boot",
        "applied": 5,
        "synced": True,
        "acked": 5,
        "capabilities": ["chains-1"],
        "lease": 30.0,
        "holds": {"m-1": {"held": 3, "refused": 0, "longest_ms": 12}},
    }
    read = Member.from_json(document)
    assert read == Member("host/1/boot", applied=5, synced=True, capabilities=("chains-1",), lease=30.0)
    assert (read.beat, read.acks) == (0, frozenset())


def test_holders_of_schema_version_3_promise_nothing_that_is_known() -> None:
    holder = Holder.from_json({"name": "host/1/boot", "token": 7, "until": 1700000000.5})
    assert holder == Holder("host/1/boot", 7)
    assert holder.patience == UNPROMISED_HOLD
    assert Holder("host/1/boot", 7, 3, 15.0).patience == 15.0


@pytest.mark.parametrize(
    "value",
    [
        PARTITION,
        Partition(
            "p", ("https://h",), 0, "eu", ("b", "a"), PartitionState.DRAINED, ("v2", "v1"), True, "http://h:1", 9
        ),
        Tenant(""),
        Tenant("project", 1000, "p1"),
        Member("host/1/boot", 2**62, 2**62, True),
        Member("host/1/boot", 3, 7, True, frozenset({SEAL, SEAL._replace(project="")}), ("chains-2",), 30.0, 5),
        SEAL,
        SEAL._replace(project=""),
        HeldWrites("host/1/boot", 3, 1, 250),
        MOVE,
        replace(
            MOVE,
            project="",
            log=(LogEntry(1.5, MoveState.ARMED, "why", (("acks", 4), ("who", "x"))),),
            certificate={"a": [1, 2.5, None, {"b": True}]},
            group=("m-3", "m-2"),
            holder=Holder("host/1/boot", 7, 3, 15.0),
        ),
        PLAN,
        replace(PLAN, state=PlanState.RUNNING, version=3, progress=Progress(2, (5,), (5,), note="a note")),
        PLANNED,
        replace(PLANNED, group=None, ending=Ending(0, MoveOutcome.FAILED, "why", 3.5)),
    ],
)
def test_values_survive_json(value: Any) -> None:
    again = type(value).from_json(json.loads(json.dumps(value.to_json())))
    assert again == value
    assert again.to_json() == value.to_json()


def test_no_project_is_null_in_json_and_collides_with_nothing() -> None:
    placement = replace(PLACEMENT, project="")
    assert placement.to_json()["project"] is None
    assert Placement.from_json(placement.to_json()).key == QueueKey("", "orders")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"queue": ""}, "queue"),
        ({"queue": "a\0b"}, "queue"),
        ({"queue": 7}, "queue"),
        ({"project": "a\0b"}, "project"),
        ({"project": "\udcff"}, "project"),
        ({"project": None}, "project"),
        ({"epoch": 0}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"epoch": "2"}, "epoch"),
        ({"segments": ()}, "segments"),
        ({"base": None}, "base"),
        ({"since": float("nan")}, "since"),
        ({"since": "now"}, "since"),
        ({"group": "a\0b"}, "group"),
        ({"incarnation": None}, "born"),
        ({"incarnation": "a b"}, "born"),
        ({"incarnation": "x" * 65}, "born"),
        ({"move": ""}, "move"),
        ({"move": "a/b"}, "move"),
    ],
)
def test_placements_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(PLACEMENT, **changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n": -1}, "n"),
        ({"n": True}, "n"),
        ({"partition": ""}, "partition"),
        ({"backend_name": None}, "physical"),
        ({"sealed": 1}, "sealed"),
    ],
)
def test_segments_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(SEGMENT, **changes)


def test_writes_go_to_the_last_segment() -> None:
    chain = (Segment(0, "p1", "orders", sealed=True), Segment(1, "p2", "orders"))
    assert replace(PLACEMENT, segments=chain).partition == "p2"


def test_listed_are_the_states_in_which_users_can_use_the_queue() -> None:
    assert {PlacementState.OPEN, PlacementState.SEALING} == LISTED_STATES


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://h", "http://h"),
        ("http://H:8888/", "http://h:8888"),
        ("https://10.0.0.1:1", "https://10.0.0.1:1"),
        ("http://[::1]:8888", "http://[::1]:8888"),
    ],
)
def test_hosts(url: str, host: str) -> None:
    assert check_host(url) == host


@pytest.mark.parametrize(
    "url",
    [
        *("", "h", "h:8888", "ftp://h", "http://", "http:///x", "http://h/v1", "http://h?", "http://h#", "http://[::1"),
        *("http://h:0", "http://h:x", "http://h:65536", "http://h ", "http://h\n", "http://\xe9", 7),
    ],
)
def test_bad_hosts(url: Any) -> None:
    with pytest.raises(ValueError, match=r"^hosts: "):
        check_host(url)


def test_a_host_with_a_password_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="user or password") as refused:
        check_host("http://user:hunter2@h")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "-p"}, "name"),
        ({"name": "p/1"}, "name"),
        ({"name": "p" * 65}, "name"),
        ({"hosts": ()}, "hosts"),
        ({"hosts": ("http://h", "http://H/")}, "hosts"),
        ({"weight": -1}, "weight"),
        ({"weight": MAX_WEIGHT + 1}, "weight"),
        ({"weight": True}, "weight"),
        ({"weight": 1.5}, "weight"),
        ({"region": ""}, "region"),
        ({"labels": ("",)}, "labels"),
        ({"api_versions": ("v3",)}, "api_versions"),
    ],
)
def test_partitions_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(PARTITION, **changes)


def test_partitions_are_brought_into_one_form() -> None:
    partition = replace(PARTITION, hosts=("http://B/", "http://a"), labels=("b", "a", "b"), api_versions=("v2", "v1"))
    assert partition.hosts == ("http://b", "http://a")
    assert partition.labels == ("a", "b")
    assert partition.api_versions == ("v1", "v2")
    assert replace(PARTITION, api_versions=API_VERSIONS[::-1]).api_versions == API_VERSIONS


def test_the_version_is_no_part_of_a_partition_s_content() -> None:
    assert replace(PARTITION, version=2) == PARTITION


@pytest.mark.parametrize("spread", [0, 1001, True, "2", 1.0])
def test_tenants_refuse(spread: Any) -> None:
    with pytest.raises(ValueError, match=r"^spread: "):
        Tenant("project", spread=spread)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"applied": -1}, "applied"),
        ({"applied": True}, "applied"),
        ({"beat": -1}, "beat"),
        ({"beat": 1.5}, "beat"),
        ({"late_writes": -1}, "late_writes"),
        ({"renewed": float("inf")}, "renewed"),
        ({"synced": 1}, "synced"),
        ({"capabilities": ("Chains",)}, "capabilities"),
        ({"capabilities": ("",)}, "capabilities"),
        ({"capabilities": (7,)}, "capabilities"),
        ({"lease": -1.0}, "lease"),
        ({"lease": float("inf")}, "lease"),
        ({"lease": "30"}, "lease"),
    ],
)
def test_members_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(Member("host/1/boot"), **changes)


def test_capabilities_are_brought_into_one_form() -> None:
    assert Member("m", capabilities=("b", "a", "b")).capabilities == ("a", "b")


@pytest.mark.parametrize(("lease", "patience"), [(30.0, 30.0), (0.0, UNPROMISED_LEASE)])
def test_how_long_a_silent_member_counts(lease: float, patience: float) -> None:
    assert Member("m", lease=lease).patience == patience


def test_what_the_store_sets_is_no_part_of_a_member() -> None:
    """The stamp is compared by those that watch it, and the time is for people to read."""
    member = Member("m", 3, lease=30.0)
    read = Member.from_json(member.to_json(), renewed=1700000000.5, stamp="3")
    assert read == member
    assert (read.renewed, read.stamp) == (1700000000.5, "3")
    assert read.to_json() == member.to_json()


# -- seals -------------------------------------------------------------------------------------------------------------


def test_a_placement_has_a_seal_while_it_is_sealed() -> None:
    sealed = replace(PLACEMENT, state=PlacementState.SEALING, epoch=5, incarnation="b" * 16)
    assert sealed.seal == Seal(sealed.project, sealed.queue, "b" * 16, 5)
    assert sealed.seal.key == sealed.key
    assert replace(sealed, state=PlacementState.OPEN).seal is None
    assert replace(sealed, epoch=7).seal != sealed.seal


@pytest.mark.parametrize(
    ("change", "seal"),
    [
        (Change(9, ChangeSubject.PLACEMENT, ("p", "q"), 5, "b" * 16, True), Seal("p", "q", "b" * 16, 5)),
        (Change(9, ChangeSubject.PLACEMENT, ("p", "q"), 5, "b" * 16, False), None),
        (Change(9, ChangeSubject.PLACEMENT, ("p", "q")), None),
        (Change(9, ChangeSubject.PLACEMENT, ("p", "q"), 5, None, True), None),
    ],
    ids=["sealed", "open", "removed", "of a release before"],
)
def test_a_change_says_which_seal_it_was(change: Change, seal: Seal | None) -> None:
    assert change.seal == seal


@pytest.mark.parametrize("field", ["held", "refused", "longest_ms"])
@pytest.mark.parametrize("value", [-1, 1.5, "3", True])
def test_held_writes_refuse(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        HeldWrites("host/1/boot", **{field: value})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "-x"}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": 7}, "id"),
        ({"project": "a\0b"}, "project"),
        ({"queue": ""}, "queue"),
        ({"queue": "\ud800"}, "queue"),
        ({"source": ""}, "source"),
        ({"target": "p/2"}, "target"),
        ({"target": "p1"}, "target"),
        ({"version": 0}, "version"),
        ({"version": 2**63}, "version"),
        ({"attempt": -1}, "attempt"),
        ({"created": float("nan")}, "created"),
        ({"log": (ENTRY,) * (MAX_LOG + 1)}, "log"),
        ({"max_pause_ms": -1}, "max_pause_ms"),
        ({"pause_ms": "1"}, "pause_ms"),
        ({"pause_ms": float("inf")}, "pause_ms"),
        ({"certificate": [1]}, "certificate"),
        ({"certificate": {"a": {1}}}, "certificate"),
        ({"certificate": {"a": float("nan")}}, "certificate"),
        ({"certificate": {"a": 2**63}}, "certificate"),
        ({"certificate": {"a": ["\udcff"]}}, "certificate"),
        ({"certificate": {"$a": 1}}, "certificate"),
        ({"certificate": {"a.b": 1}}, "certificate"),
        ({"certificate": {"": 1}}, "certificate"),
        ({"certificate": {"a\0": 1}}, "certificate"),
        ({"certificate": {7: 1}}, "certificate"),
        ({"certificate": DEEP}, "certificate"),
        ({"plan": ""}, "plan"),
        ({"group": ("m 1",)}, "group"),
        ({"incarnation": "a b"}, "born"),
        ({"destination": "elsewhere"}, "toward"),
        ({"tail": -1}, "tail"),
        ({"backend_name": ""}, "physical"),
        ({"due": float("inf")}, "due"),
        ({"facts": [1]}, "facts"),
    ],
)
def test_moves_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(MOVE, **changes)


def test_a_move_goes_to_its_target_unless_it_is_said_that_it_goes_back() -> None:
    assert MOVE.destination == MOVE.target
    assert replace(MOVE, destination=MOVE.source).destination == MOVE.source


def test_a_move_is_the_same_whoever_holds_it() -> None:
    held = replace(MOVE, holder=Holder("host/1/boot", 7, 3, 15.0))
    assert held == MOVE
    assert held.to_json()["holder"] == {"name": "host/1/boot", "token": 7, "beat": 3, "seconds": 15.0}
    assert Move.from_json(held.to_json()).holder == held.holder


def test_a_certificate_is_a_copy() -> None:
    given: dict[str, Any] = {"checks": (1, 2)}
    move = replace(MOVE, certificate=given)
    given["checks"] = ()
    assert move.certificate == {"checks": [1, 2]}


def test_what_a_move_entered_is_in_its_log_which_is_bounded() -> None:
    move = MOVE
    for n in range(MAX_LOG + 5):
        move = move.entered(replace(ENTRY, at=float(n), state=MoveState.ARMED))
    assert (move.state, move.version) == (MoveState.ARMED, MAX_LOG + 6)
    assert [entry.at for entry in move.log] == [float(n) for n in range(5, MAX_LOG + 5)]


def test_a_finished_move_has_ended() -> None:
    assert {state for state in MoveState if replace(MOVE, state=state).finished} == FINISHED_STATES


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"at": float("inf")}, "at"),
        ({"reason": None}, "reason"),
        ({"measures": (("state", 1),)}, "measures"),
        ({"measures": (("a", 1), ("a", 2))}, "measures"),
        ({"measures": (("a.b", 1),)}, "measures"),
        ({"measures": (("", 1),)}, "measures"),
        ({"measures": (("a", None),)}, "measures"),
        ({"measures": (("a", float("nan")),)}, "measures"),
    ],
)
def test_log_entries_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(ENTRY, **changes)


def test_whatever_an_error_says_can_be_logged() -> None:
    entry = LogEntry(1.0, MoveState.ARMED, "a\nb\0\ud800" + "x" * 300, (("b", 2), ("a", "\t!")))
    assert entry.reason == ("a b  " + "x" * 300)[:255]
    assert entry.measures == (("a", " !"), ("b", 2))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "a/b"}, "id"),
        ({"title": ""}, "title"),
        ({"version": 0}, "version"),
        ({"size": -1}, "size"),
        ({"created": None}, "created"),
        ({"budgets": []}, "budgets"),
        ({"preconditions": {"$": 1}}, "preconditions"),
    ],
    ids=str,
)
def test_plans_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(PLAN, **changes)


def many(number: int) -> tuple[PlannedMove, ...]:
    return tuple(replace(PLANNED, queue=str(n), number=n, group=None) for n in range(number))


@pytest.mark.parametrize(
    ("changes", "moves", "field"),
    [
        ({"title": "another"}, WHOLE.moves, "hash"),
        ({"hash": "0" * 64}, WHOLE.moves, "hash"),
        ({}, WHOLE.moves[:1], "hash"),
        ({}, (replace(PLANNED, incarnation="d"), WHOLE.moves[1]), "hash"),
        ({}, tuple(replace(move, group=None) for move in WHOLE.moves), "hash"),
        ({}, WHOLE.moves * 2, "moves"),
        ({}, WHOLE.moves[1:], "moves"),
        ({"id": "plan-2"}, WHOLE.moves, "moves"),
        ({"hash": ""}, many(MAX_PLANNED_MOVES + 1), "moves"),
    ],
    ids=str,
)
def test_whole_plans_refuse(changes: dict[str, Any], moves: tuple[PlannedMove, ...], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        WholePlan(replace(PLAN, **changes), moves)


def test_a_whole_plan_is_shown_and_read_again() -> None:
    document = json.loads(json.dumps(WHOLE.to_json()))
    assert WholePlan.from_json(document) == WHOLE
    assert document["moves"][1] == {"project": None, "queue": "~t", "source": "p1", "target": "p3"}
    assert document["preconditions"] == {"born": ["b", "c"], "groups": [[0, 1]]}
    assert WHOLE.plan.size == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"project": None}, "project"),
        ({"queue": ""}, "queue"),
        ({"source": "-"}, "source"),
        ({"target": ""}, "target"),
        ({"target": "p1"}, "target"),
        ({"plan": ""}, "plan"),
        ({"number": -1}, "number"),
        ({"incarnation": None}, "born"),
        ({"group": (1, 2)}, "group"),
        ({"ending": Ending(1, MoveOutcome.DONE)}, "ending"),
    ],
)
def test_planned_moves_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(PLANNED, **changes)


def test_the_hash_is_that_of_what_is_to_be_done() -> None:
    assert len(PLAN.hash) == 64
    for same in ({"version": 7}, {"state": PlanState.DONE}, {"progress": Progress(1)}, {"created": 9.0}):
        assert WholePlan(replace(PLAN, **same), WHOLE.moves).plan.hash == PLAN.hash
    fresh = replace(PLAN, hash="")
    changes: list[tuple[dict[str, Any], tuple[PlannedMove, ...]]] = [
        ({"title": "other"}, WHOLE.moves),
        ({"budgets": {}}, WHOLE.moves),
        ({"preconditions": {"a": 1}}, WHOLE.moves),
        ({}, many(2)),
    ]
    hashes = {WholePlan(replace(fresh, **change), moves).plan.hash for change, moves in changes}
    assert len(hashes | {PLAN.hash}) == len(changes) + 1
    one, other = ({"b": 1, "a": 2}, {"a": 2, "b": 1})
    assert (
        WholePlan(replace(fresh, budgets=one), WHOLE.moves).plan.hash
        == WholePlan(replace(fresh, budgets=other), WHOLE.moves).plan.hash
    )


def test_values_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PLACEMENT.epoch = 2  # type: ignore[misc]


def test_topics_sort_after_all_queues() -> None:
    legal = "".join(map(chr, range(0x2D, 0x7B)))
    assert all(letter < TOPIC_PREFIX for letter in legal)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PlacementConflict(None), "the placement no longer exists"),
        (PlacementConflict(PLACEMENT), "the stored placement is .*orders"),
        (PartitionConflict("p1", None), "no partition p1"),
        (PartitionConflict("p1", PARTITION), "p1 was changed"),
        (PartitionInUse("p1", 1), "p1 still has 1 placement$"),
        (PartitionInUse("p1", 2), "p1 still has 2 placements$"),
        (PartitionInUse("p1", 0, "m1"), "p1 is named by move m1, which is before its switch$"),
        (MoveConflict("m-1", None), "^no move m-1$"),
        (MoveConflict("m-1", MOVE), "m-1 was changed"),
        (MoveUnderWay(MOVE), "move m-1 to p2 is planned"),
        (LockHeld("move m-1", Holder("host/1/boot", 1)), "m-1 is held by host/1/boot"),
        (LockLost("move m-1", 7), "m-1 is not held under token 7 any more"),
        (PlanConflict("plan-1", None), "^no plan plan-1$"),
        (PlanConflict("plan-1", PLAN), "plan-1 was changed"),
    ],
)
def test_errors_say_what_happened(error: Exception, words: str) -> None:
    with pytest.raises(type(error), match=words):
        raise error


# -- how MongoDB spells keys ----------------------------------------------------------------------------------------


@given(keys, keys)
def test_ids_sort_as_keys_and_tell_them(one: QueueKey, other: QueueKey) -> None:
    assert (placement_id(one).encode() < placement_id(other).encode()) == (one < other)
    assert placement_key(placement_id(one)) == one


@given(keys, st.none() | texts, st.none() | keys)
def test_ranges_hold_what_is_asked_for(key: QueueKey, project: str | None, after: QueueKey | None) -> None:
    bounds = id_range(project, after)
    held = bounds["$gt"] < placement_id(key) < bounds.get("$lt", "\U0010ffff" * 2)
    assert held == ((project is None or key.project == project) and (after is None or key > after))


def test_an_id_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        placement_key("orders")


@pytest.mark.parametrize("text", ["", "\ud800", "a\0b", "a\nb", "x" * 256, 7], ids=ascii)
def test_texts_are_what_every_store_and_answer_can_hold(text: object) -> None:
    with pytest.raises(ValueError, match="region"):
        Partition("p", ("http://h",), region=text)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="labels"):
        Partition("p", ("http://h",), labels=(text,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pinned"):
        Tenant("project", pinned=text)  # type: ignore[arg-type]
