"""`ledger forget|sweep` as a person, or a timer, uses them: asked, shown, never echoed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from breeder.cli import app
from registry.entities import Interaction
from registry.errors import ModelBreederError
from router.cli.frame import exit_code_of
from tests.breeder.homes import SECRET, WORKFLOW, files_with, opened_home, record
from tests.breeder.makers import interaction

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Called:
    returncode: int
    stdout: str
    stderr: str


def call(home: Path, *arguments: str, stdin: str = "") -> Called:
    """Run a command in this process, with its errors as `run` tells them."""
    done = CliRunner().invoke(app, ["--home", str(home), "ledger", *arguments], input=stdin)
    if isinstance(done.exception, ModelBreederError):
        return Called(exit_code_of(done.exception), done.stdout, f"{done.stderr}{done.exception}\n")
    return Called(done.exit_code, done.stdout, done.stderr)


def call_alone(home: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    command = [sys.executable, "-P", "-m", "breeder.cli", "--home", str(home), "ledger", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=ROOT)


def made(number: int, age_days: float, session: str, text: str) -> Interaction:
    at = datetime.now(UTC) - timedelta(days=age_days)
    one = interaction(number, text)
    assert one.outcome is not None
    envelope = replace(one.intent.envelope, session=session, workflow=WORKFLOW)
    intent, outcome = replace(one.intent, at_utc=at, envelope=envelope), replace(one.outcome, at_utc=at)
    return replace(one, intent=intent, outcome=outcome)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with opened_home(tmp_path) as deps:
        record(
            deps,
            [made(1, 400, "s1", f"about {SECRET}"), made(2, 40, "s1", "the weather"), made(3, 1, "s2", "the harbour")],
        )
    return tmp_path


def erased(home: Path) -> list[str]:
    listed = json.loads(call(home, "ls", "--json").stdout)
    return sorted(one["interaction"] for one in listed if one["erased"])


def test_without_a_terminal_it_wants_to_be_told_that_it_is_meant(home: Path) -> None:
    result = call(home, "forget", "i00001")
    assert (result.returncode, "give --yes" in result.stderr) == (2, True)
    assert erased(home) == []


def test_a_dry_run_shows_what_would_go_and_erases_nothing(home: Path) -> None:
    result = call(home, "forget", "--session", "s1", "--dry-run")
    assert "interactions\t2\ti00001, i00002" in result.stdout.splitlines()
    assert (result.returncode, erased(home)) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        (("i00001",), ["i00001"]),
        (("i00002", "i00003"), ["i00002", "i00003"]),
        (("--session", "s1"), ["i00001", "i00002"]),
        (("--client", "local", "--older-than", "30"), ["i00001", "i00002"]),
        (("--workflow", WORKFLOW, "--before", f"{datetime.now(UTC) - timedelta(days=50):%Y-%m-%d}"), ["i00001"]),
        (("--session", "nobody"), []),
        (("--older-than", "9999999"), []),
    ],
)
def test_what_is_meant_is_erased_and_shown_as_erased(home: Path, arguments: tuple[str, ...], gone: list[str]) -> None:
    result = call(home, "forget", *arguments, "--yes", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["plan"]["interactions"] == gone
    assert (told["done"]["contents"] if told["done"] else 0) == 2 * len(gone)
    assert erased(home) == gone
    assert call(home, "verify").stdout == f"6 events of 1 writers, {2 * len(gone)} erased: intact\n"


@pytest.mark.parametrize("source", ["-", "file"])
def test_a_value_is_never_an_argument_and_never_told(home: Path, tmp_path: Path, source: str) -> None:
    file = tmp_path.parent / f"{tmp_path.name}-values"
    file.write_text(f"\n  {SECRET.lower()}  \n")
    where, given = ("-", file.read_text()) if source == "-" else (str(file), "")
    result = call_alone(home, "forget", "--matching", where, "--yes", stdin=given)
    assert (result.returncode, erased(home)) == (0, ["i00001"])
    assert SECRET.lower() not in (result.stdout + result.stderr).lower()
    assert files_with(home, SECRET) == []


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        ((), "", "say what to forget"),
        (("--matching", SECRET), "", "one value a line, or - for standard input"),
        (("--matching", "-"), "ab\n", "at least 3 characters"),
        (("--matching", "-"), "\n", "at least 3 characters"),
        (("--before", "2026-01-01", "--older-than", "3"), "", "give one of them"),
        (("i0000",), "", "begins several ids"),
    ],
)
def test_a_users_mistake_is_one_line_that_echoes_no_value(
    home: Path, arguments: tuple[str, ...], stdin: str, told: str
) -> None:
    result = call(home, "forget", *arguments, "--yes", stdin=stdin)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert told in result.stderr
    assert SECRET not in result.stderr
    assert erased(home) == []


def test_an_id_that_nobody_has_is_not_found(home: Path) -> None:
    assert call(home, "forget", "zzz", "--yes").returncode == 3


def test_a_sweep_erases_what_the_settings_keep_no_longer_and_says_so(home: Path) -> None:
    assert json.loads(call(home, "sweep", "--json").stdout)["done"] is None
    (home / "modelbreeder.toml").write_text("[ledger.retention]\ndefault_days = 365\nclasses = { public = 100 }\n")
    dry = json.loads(call(home, "sweep", "--dry-run", "--json").stdout)
    assert (dry["plan"]["interactions"], dry["done"], erased(home)) == (["i00001"], None, [])
    assert call(home, "sweep").returncode == 0
    assert (erased(home), files_with(home, SECRET)) == (["i00001"], [])


def test_a_shown_interaction_that_was_erased_says_so(home: Path) -> None:
    call(home, "forget", "i00001", "--yes")
    shown = json.loads(call(home, "show", "i00001", "--json").stdout)
    assert (shown["erased"], shown["intent"]["request_received"]) == (True, None)
    assert "ok (erased)" in call(home, "ls").stdout
