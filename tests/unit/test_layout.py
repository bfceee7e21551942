"""The unit tests mirror the code: ``catalog/unchanged.py`` has its test in ``tests/unit/catalog/test_unchanged.py``.

The test of a package as a whole stands beside its directory: that of ``catalog/model`` in
``tests/unit/catalog/test_model.py``.
``ELSEWHERE`` lists every module of the product without a test of its own, with the tests that cover it. The modules of
``bench`` print figures and assert nothing, so they need no test.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = Path(__file__).parent
PRODUCT = ("catalog", "marconi_proxy", "partition", "serving")
MIRRORED = (*PRODUCT, "bench")

# The tests directly in tests/unit: those of the repository as a whole.
REPOSITORY = {
    "test_admin_api_document.py",
    "test_architecture.py",
    "test_citations.py",
    "test_class_names.py",
    "test_contract_targets.py",
    "test_generated_documents.py",
    "test_layout.py",
    "test_no_wall_clock.py",
    "test_project_files.py",
    "test_prose.py",
}

VALUES = "values and errors; the tests of the modules that use them"
ENTRY = "the entry point of python -m"
WIRING = "puts parts together"

# By package: its modules without a test of their own, and the reason: a test, or one of the classes above.
ELSEWHERE: dict[str, tuple[tuple[str, str], ...]] = {
    "catalog": (
        ("errors", VALUES),
        ("uri", "tests/unit/catalog/test_factory.py"),
    ),
    "catalog/backup": (("exporter lines reader shapes", "tests/unit/catalog/test_backup.py"),),
    "catalog/interface": (
        ("backups", "abstract; tests/contract/test_catalog_backup.py"),
        ("lock", "abstract; tests/contract/test_catalog_locks.py"),
        ("members tenants", "abstract; tests/contract/test_catalog_tenants_members.py"),
        ("moves plans", "abstract; tests/contract/test_catalog_moves.py"),
        ("partitions", "abstract; tests/contract/test_catalog_partitions.py"),
        ("placements", "abstract; tests/contract/test_catalog_placements.py"),
        ("statistics", "abstract; tests/contract/test_catalog_statistics.py"),
    ),
    "catalog/model": (
        (
            "audit backup_value change field held_writes member move partition placement plan progress tenant",
            "tests/unit/catalog/test_model.py",
        ),
    ),
    "catalog/mongodb": (
        ("backups", "tests/contract/test_catalog_backup.py"),
        ("documents store", "tests/contract/test_catalog_mongodb.py"),
        ("driver schema", "tests/contract/test_catalog_upgrade.py"),
        ("feed mark", "tests/contract/test_catalog_feed.py"),
        ("lock", "tests/contract/test_catalog_locks.py"),
        ("members tenants", "tests/contract/test_catalog_tenants_members.py"),
        ("moves plans", "tests/contract/test_catalog_moves.py"),
        ("partitions", "tests/contract/test_catalog_partitions.py"),
        ("placements", "tests/contract/test_catalog_placements.py"),
        ("statistics", "tests/contract/test_catalog_statistics.py"),
    ),
    "catalog/sqlite": (
        ("backups", "tests/contract/test_catalog_backup.py"),
        ("changes connection_thread file touches translation", "tests/contract/test_catalog_sqlite.py"),
        ("driver schema", "tests/contract/test_catalog_upgrade.py"),
        ("feed", "tests/contract/test_catalog_feed.py"),
        ("lock", "tests/contract/test_catalog_locks.py"),
        ("members tenants", "tests/contract/test_catalog_tenants_members.py"),
        ("moves plans", "tests/contract/test_catalog_moves.py"),
        ("partitions", "tests/contract/test_catalog_partitions.py"),
        ("placements", "tests/contract/test_catalog_placements.py"),
        ("statistics", "tests/contract/test_catalog_statistics.py"),
    ),
    "marconi_proxy": (
        ("__main__", ENTRY),
        ("clock", "tests/unit/marconi_proxy/statistics/test_poller.py"),
        ("exits", VALUES),
        ("mover_daemon", f"{WIRING}; tests/wire/test_mover.py"),
    ),
    "marconi_proxy/admin": (
        ("body query routes policy", "tests/unit/marconi_proxy/admin/test_application.py"),
        ("move_decisions move_json", "tests/unit/marconi_proxy/admin/test_moves.py"),
        ("partition_json pins", "tests/unit/marconi_proxy/admin/test_partitions.py"),
        ("plan_json", "tests/unit/marconi_proxy/admin/test_plans.py"),
    ),
    "marconi_proxy/admin_client": (("client pages", "tests/unit/marconi_proxy/test_cli.py"),),
    "marconi_proxy/adoption": (
        ("entries", "tests/unit/marconi_proxy/adoption/test_plan_file.py"),
        (
            "chain_adopter outcome placements presence single_adopter survey",
            "tests/unit/marconi_proxy/adoption/test_adopter.py",
        ),
    ),
    "marconi_proxy/audit": (
        ("kinds observation", "tests/unit/marconi_proxy/audit/test_findings.py"),
        ("factory inspector repair", "tests/unit/marconi_proxy/audit/test_round.py"),
    ),
    "marconi_proxy/cli": (
        ("adoption", "tests/wire/test_adoption_commands.py"),
        ("bars", "tests/unit/marconi_proxy/cli/test_watch.py"),
        ("bulk_moves move_export plan_files plan_options plans", "tests/unit/marconi_proxy/cli/test_moves.py"),
        ("config main", "tests/unit/marconi_proxy/cli/test_commands.py"),
        ("counts", "tests/unit/marconi_proxy/cli/test_catalog.py"),
        ("configuration formatters members partitions placements tenants verb", "tests/unit/marconi_proxy/test_cli.py"),
        ("mover", "tests/wire/test_mover.py"),
        ("quickstart", "tests/wire/test_quickstart.py"),
        ("serve", "tests/wire/test_serving.py"),
        ("statistics", "tests/unit/marconi_proxy/admin/test_statistics.py"),
    ),
    "marconi_proxy/front_door": (
        ("call call_service readiness settings worker", "tests/unit/marconi_proxy/front_door/test_application.py"),
        ("local pages", "tests/contract/test_listing_paging.py"),
        ("creation deletion placement_watch placer", "tests/unit/marconi_proxy/front_door/test_lifecycle.py"),
    ),
    "marconi_proxy/front_door/chain": (
        ("broadcast claims dispatch merge segment_client", "tests/unit/marconi_proxy/front_door/test_chain.py"),
    ),
    "marconi_proxy/metrics": (("exposition names samples", "tests/unit/marconi_proxy/test_metrics.py"),),
    "marconi_proxy/moving": (("factory", f"{WIRING}; tests/wire/test_mover.py"),),
    "marconi_proxy/moving/execution": (
        (
            "disposal driven_move older_segments preparation seal_round",
            "tests/unit/marconi_proxy/moving/execution/test_move_executor.py",
        ),
    ),
    "marconi_proxy/moving/execution/steps": (
        ("dry", "tests/unit/marconi_proxy/moving/test_rehearsal.py"),
        ("interface", "abstract; tests/contract/test_moving_steps.py"),
        ("real", "tests/contract/test_moving_steps.py"),
    ),
    "marconi_proxy/moving/orders": (("direction", "tests/unit/marconi_proxy/moving/orders/test_order.py"),),
    "marconi_proxy/moving/plans": (
        ("draft homes layout preconditions selection", "tests/unit/marconi_proxy/moving/plans/test_planner.py"),
        ("survey", "tests/unit/marconi_proxy/admin/test_plans.py"),
    ),
    "marconi_proxy/option_table": (
        ("background forwarding listeners moving", "tests/unit/test_generated_documents.py"),
    ),
    "marconi_proxy/partition_client": (
        ("discovery", "tests/unit/marconi_proxy/admin/test_prober.py"),
        ("queue_calls", "tests/contract/test_moving_steps.py"),
    ),
    "marconi_proxy/quickstart": (
        ("children embedded session tour", "tests/wire/test_quickstart.py"),
        ("errors", VALUES),
        ("live_move", "tests/unit/marconi_proxy/quickstart/test_traffic.py"),
    ),
    "marconi_proxy/routing": (("answer_text", "tests/unit/marconi_proxy/routing/test_translation.py"),),
    "marconi_proxy/serving": (
        ("errors", VALUES),
        ("listener server", "tests/wire/test_serving.py"),
    ),
    "marconi_proxy/statistics": (("factory", f"{WIRING}; tests/contract/test_statistics.py"),),
    "marconi_proxy/upstream": (
        ("connection", "tests/faults/test_connection.py"),
        ("errors limits", VALUES),
        ("exchange", "tests/faults/test_exchange.py"),
        ("pool", "tests/faults/test_pool.py"),
    ),
    "partition": (("__main__", ENTRY), ("errors", VALUES)),
    "partition/admin": (("application", "tests/unit/partition/admin/test_inventory.py"),),
    "partition/api": (
        (
            "answer application call claims dialects home message_text messages node refusals routes"
            " service share stats subscriptions",
            "tests/unit/partition/test_api.py and tests/wire/contract",
        ),
    ),
    "partition/model": (
        ("attributes clock identifier limits message queue", "tests/unit/partition/test_model.py"),
        ("subscription", VALUES),
    ),
    "partition/serving": (
        ("cli lifespan option_table options readiness", "tests/unit/partition/test_serving.py"),
        ("errors", VALUES),
        ("listener server", "tests/wire/test_partition_node.py"),
    ),
    "partition/storage": (
        ("interface", "abstract; tests/contract/test_partition_storage.py"),
        ("opening uri", "tests/unit/partition/test_serving.py"),
    ),
    "partition/storage/mongodb": (
        ("checking coalescer documents driver numbers schema store", "tests/contract/test_partition_mongodb.py"),
        ("marks", "tests/contract/test_partition_fences.py"),
        (
            "burial claims messages pages posting queues stats subscriptions sweeping taking",
            "tests/contract/test_partition_storage.py",
        ),
    ),
    "partition/storage/sqlite": (
        (
            "checking connection_thread driver room schema tidying translation turn",
            "tests/contract/test_partition_sqlite.py",
        ),
        ("marks", "tests/contract/test_partition_fences.py"),
        ("claims messages queues stats subscriptions sweeping", "tests/contract/test_partition_storage.py"),
    ),
    "partition/validation": (
        (
            "claim_body headers json_document message_post metadata metadata_patch query queue subscription_body",
            "tests/unit/partition/test_validation.py",
        ),
    ),
    "serving": (
        ("buffered_request", "tests/unit/serving/test_connection.py"),
        ("limits", VALUES),
    ),
}


def modules() -> set[Path]:
    """Return the modules of the product, without the files that make its packages."""
    return {
        path.relative_to(ROOT)
        for package in PRODUCT
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }


def listed() -> list[Path]:
    return [
        Path(package) / f"{name}.py"
        for package, rows in ELSEWHERE.items()
        for names, _ in rows
        for name in names.split()
    ]


def own_test(module: Path) -> Path:
    return UNIT / module.with_name(f"test_{module.name}")


def subject_exists(test: Path) -> bool:
    """Return whether the module or package exists that a unit test is named after."""
    subject = ROOT / test.relative_to(UNIT).with_name(test.stem.removeprefix("test_"))
    return subject.with_suffix(".py").is_file() or (subject / "__init__.py").is_file()


def test_every_unit_test_is_named_after_a_module_or_package() -> None:
    tests = [path for folder in MIRRORED for path in sorted((UNIT / folder).rglob("test_*.py"))]
    assert [str(test.relative_to(UNIT)) for test in tests if not subject_exists(test)] == []


def test_every_other_unit_test_is_one_of_the_repository() -> None:
    tests = {str(path.relative_to(UNIT)) for path in UNIT.rglob("test_*.py")}
    assert {test for test in tests if test.partition("/")[0] not in MIRRORED} == REPOSITORY


def test_every_module_has_a_test_or_a_reason() -> None:
    untested = {module for module in modules() if not own_test(module).is_file()}
    assert sorted(map(str, untested.difference(listed()))) == []


def test_every_listed_module_exists_once_and_has_no_test() -> None:
    names = listed()
    assert sorted(map(str, set(names) - modules())) == []
    assert len(names) == len(set(names))
    assert [str(name) for name in names if own_test(name).is_file()] == []


@pytest.mark.parametrize("reason", sorted({reason for rows in ELSEWHERE.values() for _, reason in rows}))
def test_every_test_that_a_reason_names_exists(reason: str) -> None:
    assert [word for word in reason.split() if word.startswith("tests/") and not (ROOT / word).exists()] == []
