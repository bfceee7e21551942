"""The inventory of a real node: on its own listener, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.partition import start_partition
from tests.wire.raw_http import exchange
from tests.wire.script import CLIENT


def test_the_inventory_is_on_a_listener_of_its_own(tmp_path: Path) -> None:
    node = start_partition(f"sqlite:///{tmp_path / 'messages.db'}", tmp_path, workers=2, inventory=True)
    try:
        for project in ("p", "q"):
            headers = {"Client-ID": CLIENT, "X-Project-Id": project}
            assert exchange(node.address, "PUT", "/v2/queues/orders", headers.items(), b"").status == 201
        assert node.inventory is not None
        parts = urlsplit(node.inventory)
        assert parts.hostname is not None
        assert parts.port is not None
        address = (parts.hostname, parts.port)
        answer = exchange(address, "GET", "/v1/inventory", [])
        assert json.loads(answer.body)["queues"] == [
            {"project": "p", "queue": "orders"},
            {"project": "q", "queue": "orders"},
        ]
        assert exchange(node.address, "GET", "/v1/inventory", []).status == 404
        assert exchange(address, "GET", "/v2/queues", headers.items()).status == 404
    finally:
        node.process.stop()
