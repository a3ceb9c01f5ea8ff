"""The house keeps its order: no circle of imports, every return typed, no long function, nothing flat at its root."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GROUND = {"documents", "domain", "errors", "foreign", "paths", "scratch"}


def _house():
    spec = importlib.util.spec_from_file_location("house", ROOT / "benchmarks" / "house.py")
    house = sys.modules["house"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    return house


def test_no_module_imports_itself_in_a_circle_every_return_is_typed_and_no_function_is_long():
    figures = _house().figures(ROOT)
    assert figures["modules on a circle of imports"] == "0"
    assert figures["returns with a type"] == "100.0%"
    assert int(figures["longest function, code lines"]) <= 40
    assert float(figures["functions of at most 20 code lines"].rstrip("%")) >= 95


def test_only_the_ground_lies_flat_at_the_root_of_the_orchestrator():
    assert {path.stem for path in (ROOT / "orchestrator").glob("*.py")} - {"__init__"} == GROUND
