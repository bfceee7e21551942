"""A class name stands for one thing in a product, so that a name in a message or a traceback leads to one class.

``marconi_proxy`` with ``catalog`` is one product, and ``partition`` is the other. They share no code, so each may have
a class of a name that the other has too, like ``QueueKey`` or ``StartError``.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCTS = {"proxy": ("marconi_proxy", "catalog"), "partition": ("partition",)}


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_class_name_is_defined_once_in_a_product(product: str) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for package in PRODUCTS[product]:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert len(places) > 50
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
