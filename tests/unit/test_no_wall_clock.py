"""Wall clocks decide nothing: they may step, and those of two machines differ.

Two rules over the catalog and the product, each with a list of the places that it does not hold for, and why. A place
that is new is on neither list, and fails here: either what it does goes by a monotonic clock (``catalog.unchanged``,
``Clock.monotonic``), or it is listed with its reason.

1. A wall clock is read only where its time is written down or shown.
2. Nothing that was read of one is subtracted or compared, nor is a time that was written down (``TIMES``).

The partition is left out: by its API messages and claims live for times that its store's clock measures.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("catalog", "marconi_proxy", "serving")

# Functions of the standard library that read a wall clock, and what statements of the stores spell it.
FUNCTIONS = frozenset(
    f"{module}.{name}"
    for module, names in {
        "time": ("time", "time_ns", "localtime", "gmtime", "ctime", "asctime"),
        "datetime": ("now", "utcnow", "today"),
        "date": ("today",),
    }.items()
    for name in names
)
STATEMENTS = ("'now'", "$$NOW", "$currentDate", "CURRENT_TIME", "CURRENT_DATE", "unixepoch(")
# The members of values, and of facts, that are times of a wall clock.
TIMES = frozenset(
    {
        "at",
        "checked",
        "created",
        "done_at",
        "due",
        "ended",
        "last_at",
        "looked_at",
        "renewed",
        "sealed_at",
        "since",
        "switched_at",
    }
)
# Objects that read one by being called, for they were given ``time.time``: by module, as they are called there.
CLOCKS = {
    "marconi_proxy/admin/audit.py": "self._clock",
    "marconi_proxy/admin/move_decisions.py": "self._clock",
    "marconi_proxy/admin/moves.py": "self._clock",
    "marconi_proxy/admin/plans.py": "self._clock",
    "marconi_proxy/admin/prober.py": "self._now",
    "marconi_proxy/admin/statistics.py": "self._clock",
    "marconi_proxy/front_door/creation.py": "self._wall",
    "marconi_proxy/front_door/deletion.py": "self._wall",
    "marconi_proxy/front_door/placer.py": "self._clock",
    "marconi_proxy/front_door/seals.py": "self._clock",
    "marconi_proxy/moving/plans/executor.py": "self._clock self.clock",
}


# 1. Where a wall clock is read, by module, and what becomes of what it shows.
READ = {
    "catalog/mongodb/backups.py": ({"MongoDBBackups.begin_load"}, "when a load began, for the message that refuses"),
    "catalog/mongodb/feed.py": ({"position_of"}, "the time of a timestamp of the store's log: none is read"),
    "catalog/mongodb/members.py": (
        {""},
        "Member.renewed, for people; as a part of the stamp it is compared for equality",
    ),
    "catalog/mongodb/schema.py": ({"ping"}, "written, and never read"),
    "catalog/sqlite/backups.py": ({"SQLiteBackups._begin"}, "when a load began, for the message that refuses"),
    "catalog/sqlite/members.py": (
        {"SQLiteMembers.register", "SQLiteMembers.renew"},
        "Member.renewed, for people; as a part of the stamp it is compared for equality",
    ),
    "catalog/sqlite/schema.py": ({"ping"}, "written, and never read"),
    "marconi_proxy/admin/application.py": ({"build"}, "given to what shows ages"),
    "marconi_proxy/admin/audit.py": ({"AuditResource.show"}, "an age that is shown"),
    "marconi_proxy/admin/move_decisions.py": ({"MoveDecisions._entry"}, "written into records"),
    "marconi_proxy/admin/moves.py": (
        {f"MovesResource.{name}" for name in ("__init__", "_decide", "_ids", "_parsed", "list", "order", "show")},
        "written into records and ids, and shown",
    ),
    "marconi_proxy/admin/plans.py": (
        {"PlansResource.__init__", "PlansResource._shown", "PlansResource.make"},
        "written into plans and ids; which moves' pauses are shown",
    ),
    "marconi_proxy/admin/prober.py": ({"Prober.__init__", "Prober._ask"}, "when a host was probed, which is shown"),
    "marconi_proxy/admin/statistics.py": ({"StatisticsResource._age"}, "an age that is shown"),
    "marconi_proxy/adoption/chain_adopter.py": (
        {"ChainAdopter._preceded", "ChainAdopter._record"},
        "written into placements and moves",
    ),
    "marconi_proxy/adoption/placements.py": ({"PlanPlacements.new"}, "written into placements"),
    "marconi_proxy/adoption/single_adopter.py": ({"SingleAdopter._settled"}, "written into placements"),
    "marconi_proxy/audit/auditor.py": ({"Auditor._round"}, "written into the result of a round"),
    "marconi_proxy/audit/inspector.py": ({"Inspector.inspect"}, "findings, which people read"),
    "marconi_proxy/audit/repair.py": (
        {"Repair._finish", "Repair._give_a_move"},
        "written into placements and moves",
    ),
    "marconi_proxy/audit/round.py": ({"AuditRound.run"}, "findings, which people read"),
    "marconi_proxy/cli/adoption.py": ({"CatalogAdoptPlan._survey"}, "written into a plan's file"),
    "marconi_proxy/cli/catalog.py": ({"_export", "_import"}, "written into a backup, and into what is loaded"),
    "marconi_proxy/front_door/worker.py": ({"Worker.start"}, "given to Seals, which writes it into placements"),
    "marconi_proxy/front_door/creation.py": ({"Creation._begin", "Creation._open"}, "written into placements"),
    "marconi_proxy/front_door/deletion.py": (
        {"Deletion._revert", "Deletion.delete", "Deletion.finish"},
        "written into placements",
    ),
    "marconi_proxy/front_door/lifecycle.py": ({"Lifecycle.__init__"}, "given to what writes it into placements"),
    "marconi_proxy/front_door/placer.py": (
        {"Placer.follow_source", "Placer.insert_at", "Placer.remove"},
        "written into placements",
    ),
    "marconi_proxy/front_door/seals.py": ({"Seals._abort"}, "written into placements"),
    "marconi_proxy/clock.py": ({"SystemClock.now"}, "the clock itself"),
    "marconi_proxy/mover_daemon.py": ({"PlanRunner.__init__"}, "windows of plans, which operators write by the wall"),
    "marconi_proxy/moving/execution/driven_move.py": (
        {f"DrivenMove.{name}" for name in ("_failed", "abort", "enter")},
        "written into placements and moves",
    ),
    "marconi_proxy/moving/execution/move_executor.py": (
        {f"MoveExecutor.{name}" for name in ("_clean", "_drain", "_linger", "_step", "_undo")},
        "written into placements and moves",
    ),
    "marconi_proxy/moving/execution/preparation.py": ({"Preparation.choose"}, "of a placement that is not stored"),
    "marconi_proxy/moving/execution/seal_round.py": (
        {"SealRound._put_seal", "SealRound._switch"},
        "written into placements",
    ),
    "marconi_proxy/moving/execution/steps/real.py": (
        {"RealSteps.look"},
        "until when messages are claimed, which is shown",
    ),
    "marconi_proxy/moving/retention.py": ({"Retention.round"}, "how long records are kept, besides their number"),
    "marconi_proxy/moving/plans/executor.py": (
        {"_Turn._decide", "_Turn._insert", "_Turn._rehome"},
        "windows of plans, which operators write by the wall; written into placements and moves",
    ),
    "marconi_proxy/statistics/poller.py": ({"Poller.poll"}, "how old messages are, which is shown"),
    "marconi_proxy/statistics/collector.py": ({"Collector._walk"}, "written into statistics and the walk"),
    "serving/server.py": ({"Server.date_line"}, "the Date header, and when its second ends"),
}
# 2. Where such a time is compared or subtracted, and what by it is not decided.
COMPARED = {
    "marconi_proxy/admin/audit.py": ({"AuditResource.show"}, "an age that is shown"),
    "marconi_proxy/admin/move_json.py": ({"waits"}, "words that are shown"),
    "marconi_proxy/admin/statistics.py": ({"StatisticsResource._age"}, "an age that is shown"),
    "marconi_proxy/background.py": ({"Singleton.visit"}, "the mark of a completion: compared for equality only"),
    "marconi_proxy/audit/findings.py": (
        {"_is_old", "written_until"},
        "findings, with [audit] clocks to spare; no repair goes by them alone",
    ),
    "marconi_proxy/audit/inspector.py": ({"Inspector._takes_dead_letters"}, "whether a finding is worth a question"),
    "marconi_proxy/partition_client/queue_calls.py": (
        {"QueueCalls._claim_ends", "QueueCalls.look"},
        "until when messages are claimed, which is shown",
    ),
    "marconi_proxy/moving/retention.py": (
        {"Retention.round", "Retention._remove_moves", "Retention._remove_plans"},
        "how long records are kept, besides their number",
    ),
    "marconi_proxy/moving/plans/executor.py": ({"_Turn._decide"}, "``ended`` is a number of moves there"),
    "marconi_proxy/moving/plans/names.py": ({"since"}, "the moves whose pauses are shown"),
    "marconi_proxy/statistics/poller.py": ({"_counts_of"}, "how old messages are, which is shown"),
    "marconi_proxy/statistics/collector.py": (
        {"Collector._walk"},
        "whether a walk is under way; and ``since`` is a name there",
    ),
    "serving/server.py": (
        {"Server.date_line"},
        "the second that the Date header shows; the loop's clock says when it is over",
    ),
}
# Modules in which ``now``, ``at``, ``due`` and so on are of a monotonic clock, or no times.
MONOTONIC = {
    "catalog/model/progress.py",
    "catalog/unchanged.py",
    "marconi_proxy/audit/round.py",
    "marconi_proxy/cli/moves.py",
    "marconi_proxy/cli/watch.py",
    "marconi_proxy/front_door/write_holds.py",
    "marconi_proxy/moving/execution/seal_round.py",
    "marconi_proxy/fencing/fence.py",
    "marconi_proxy/upstream/balance.py",
    "serving/deadlines.py",
}


class Places(ast.NodeVisitor):
    """The places of one module that read a wall clock, and that compare what it shows, as ``module:function``."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.read: set[str] = set()
        self.compared: set[str] = set()
        self._module = module
        self._clocks = CLOCKS.get(module, "").split()
        self._within: list[str] = []
        self._times: list[set[str]] = [set()]
        self.visit(tree)

    @property
    def _place(self) -> str:
        return f"{self._module}:{'.'.join(self._within)}"

    def _enter(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._within.append(node.name)
        self._times.append({"now"} if not isinstance(node, ast.ClassDef) and "now" in _parameters(node) else set())
        # To a fixed point would be more than there is: no time is handed on through two names.
        for assignment in ast.walk(node) if not isinstance(node, ast.ClassDef) else ():
            if isinstance(assignment, ast.Assign) and self._reads(assignment.value):
                self._times[-1] |= {target.id for target in assignment.targets if isinstance(target, ast.Name)}
        self.generic_visit(node)
        self._times.pop()
        self._within.pop()

    def _reads(self, node: ast.AST) -> bool:
        return any(self._is_reading(one) for one in ast.walk(node))

    def _is_reading(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            return called in self._clocks or called.endswith("clock.now")
        if isinstance(node, ast.Attribute):
            return ".".join(ast.unparse(node).split(".")[-2:]) in FUNCTIONS
        return isinstance(node, ast.Constant) and isinstance(node.value, str) and _spells(node.value)

    def _is_time(self, node: ast.AST) -> bool:
        """Return whether an operand is, or is made of, a time of a wall clock."""
        for one in ast.walk(node):
            if isinstance(one, ast.Attribute) and one.attr in TIMES:
                return True
            if isinstance(one, ast.Name) and any(one.id in names for names in self._times):
                return True
            if isinstance(one, ast.Constant) and one.value in TIMES:
                return True
        return self._reads(node)

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            self._enter(node)
            return
        if self._is_reading(node):
            self.read.add(self._place)
        operands: list[ast.expr] = []
        if isinstance(node, ast.Compare) and not all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            operands = [node.left, node.right]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("max", "min"):
            operands = node.args
        if any(self._is_time(operand) for operand in operands):
            self.compared.add(self._place)
        super().visit(node)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]


def _spells(text: str) -> bool:
    return any(word in text for word in STATEMENTS)


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


@cache
def found() -> tuple[set[str], set[str]]:
    read: set[str] = set()
    compared: set[str] = set()
    for path in modules():
        places = Places(str(path.relative_to(ROOT)), ast.parse(path.read_text()))
        read |= places.read
        compared |= places.compared
    return read, compared


def test_a_wall_clock_is_read_only_where_its_time_is_written_down_or_shown() -> None:
    read, _ = found()
    listed = {f"{module}:{name}" for module, (names, _) in READ.items() for name in names}
    assert read - listed == set(), "use a monotonic clock, or give the reason"
    assert listed - read == set(), "these read none any more"


def test_what_a_wall_clock_showed_is_compared_with_nothing() -> None:
    _, compared = found()
    listed = {f"{module}:{name}" for module, (names, _) in COMPARED.items() for name in names}
    modules = {place.partition(":")[0] for place in compared}
    assert modules >= MONOTONIC, "these compare nothing any more"
    compared = {place for place in compared if place.partition(":")[0] not in MONOTONIC}
    assert compared - listed == set(), "count on a monotonic clock (catalog.unchanged), or give the reason"
    assert listed - compared == set(), "these compare nothing any more"


def places(source: str, module: str = "m.py") -> tuple[set[str], set[str]]:
    found = Places(module, ast.parse(source))
    return found.read, found.compared


@pytest.mark.parametrize(
    "body",
    [
        "return time.time() - then",
        "return then > time.time()",
        "now = self._clock.now()\n    return now - then",
        "now = clock.now()\n    return then <= now",
        "return datetime.datetime.now(UTC) < then",
        "return max(0.0, self.clock.now() - then)",
        "return placement.since + 5.0 < then",
        "return then - member.renewed",
        "return last.at >= stop.at",
        "return move.due - then > 0",
        "return move.progress.switched_at < then",
        "return max(move.created, then)",
    ],
)
def test_a_comparison_is_found(body: str) -> None:
    _, compared = places(f"def f(then):\n    {body}\n")
    assert compared == {"m.py:f"}


@pytest.mark.parametrize(
    "body",
    [
        "return self._clock.monotonic() - then",
        "return self._watched.now() - then",
        "return walk.ended is None",
        "entry = LogEntry(self._clock.now(), state)\n    return entry",
        "return replace(placement, since=self._clock.now())",
        "return placement.epoch - then",
    ],
)
def test_what_is_none_is_not_found(body: str) -> None:
    assert places(f"def f(then):\n    {body}\n")[1] == set()


@pytest.mark.parametrize(
    "reading",
    [
        "time.time()",
        "Thing(clock=time.time)",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
        "self._clock.now()",
        "execute(\"UPDATE t SET at = julianday('now')\")",
        "update({'$currentDate': {'at': True}})",
        "[{'$set': {'at': '$$NOW'}}]",
    ],
)
def test_a_reading_is_found(reading: str) -> None:
    assert places(f"class C:\n    def f(self):\n        return {reading}\n")[0] == {"m.py:C.f"}


def test_a_clock_that_was_given_is_read_by_a_call() -> None:
    source = "class C:\n    def f(self, then):\n        return self._clock() - then\n"
    assert places(source) == (set(), set())
    assert places(source, "marconi_proxy/admin/audit.py") == ({"marconi_proxy/admin/audit.py:C.f"},) * 2


@pytest.mark.parametrize("module", sorted({*CLOCKS, *READ, *COMPARED, *MONOTONIC}))
def test_every_module_on_a_list_is_there(module: str) -> None:
    assert (ROOT / module).is_file()
