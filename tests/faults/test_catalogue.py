"""The table in README.md: every fault of the router has a line, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def lines() -> dict[str, str]:
    """Return the line of each fault."""
    table = (TESTS / "faults" / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| (R\d\d) \|(.*)$", table, re.MULTILINE))


@pytest.mark.parametrize("fault", [f"R{number:02}" for number in range(1, 28)])
def test_each_fault_is_held_by_tests_that_exist(fault: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", lines()[fault])

    assert named
    for file, name in named:
        assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_each_test_that_is_named_after_a_fault_is_in_the_table() -> None:
    found = {
        (str(file.relative_to(TESTS)), name, fault.upper())
        for file in [*(TESTS / "faults").glob("test_*.py"), *(TESTS / "router").rglob("test_*.py")]
        for name in re.findall(r"def (test_r\d\d\w+)\(", file.read_text(encoding="utf-8"))
        for fault in re.findall(r"r\d\d(?=_)", name)
    }

    table = lines()
    assert {one for one in found if f"`{one[0]}::{one[1]}`" not in table[one[2]]} == set()
