"""The table of faults: its rows name tests that exist, the docs show all of them, and it counts right."""

import ast
import sys
from pathlib import Path

import pytest

from tests.fuzz import table
from tests.fuzz.faults import FAULT_KINDS, FAULTS, Fault

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "robustness.md"
NAMED = [test for fault in FAULTS for test in fault.tests]
OUTCOMES = [table.Outcome("tests/a.py::test_b[1]", True, 1), table.Outcome("tests/a.py::test_c", False, 20)]


@pytest.mark.parametrize("name", NAMED)
def test_a_row_names_tests_that_exist(name: str) -> None:
    file, _, prefix = name.partition("::")
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    tests = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert any(test.startswith(prefix or "test_") for test in tests)


def test_every_kind_is_tried() -> None:
    assert {fault.kind for fault in FAULTS} == set(FAULT_KINDS)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_document_shows_every_row(fault: Fault) -> None:
    assert f"| {fault.kind} | {fault.tried} | " in DOCUMENT.read_text("utf-8")


def test_what_tests_tried_is_added_up() -> None:
    assert table.counted(Fault("A1", "x", ("a.py",)), OUTCOMES) == (21, 1)
    assert table.counted(Fault("A1", "x", ("a.py::test_b",)), OUTCOMES) == (1, 0)
    with pytest.raises(SystemExit, match=r"tests/gone.py"):
        table.counted(Fault("A1", "x", ("gone.py",)), OUTCOMES)


def test_a_kind_is_run_and_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["kinds", "A4"])
    monkeypatch.setattr(table, "FAULTS", [Fault("A4", "x", ("model/test_errors.py::test_what_the_system",))])
    assert table.main() == 0
    rows = capsys.readouterr().out.splitlines()
    assert "| A4 | x | 6 | 0 |" in rows
    assert rows[-1] == f"| A4 | {FAULT_KINDS['A4']} | 6 |"
