"""The table of faults is what the tests do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from fault_rows import DOCUMENT, PARTS, document

TESTS = Path(__file__).resolve().parents[1]
ROWS = [row for rows in PARTS.values() for row in rows]


def test_the_page_is_the_table():
    assert DOCUMENT.read_text() == document(), "run python test/support/fault_rows.py"


@pytest.mark.parametrize("row", [row for row in ROWS if row.test], ids=lambda row: row.fault)
def test_every_row_names_a_test_that_is_there(row):
    file, _, name = row.test.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_most_rows_are_closed():
    assert len([row for row in ROWS if not row.test]) <= 3
    assert len({row.fault for row in ROWS}) == len(ROWS) >= 60
