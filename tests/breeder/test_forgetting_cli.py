"""`ledger forget|sweep` as a person, or a timer, uses them: asked, shown, never echoed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from breeder.cli import app
from breeder.deps import open_deps
from breeder.run_folder import exclusive
from registry.entities import Interaction
from registry.errors import ModelBreederError
from registry.home import Home
from registry.settings import load_settings
from router.cli.frame import exit_code_of
from tests.breeder.homes import SECRET, WORKFLOW, files_with, opened_home, record
from tests.breeder.makers import interaction
from tests.router.making import run, task, world


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
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


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
        (("--session", "", "--client", "local"), []),
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
    ("arguments", "stdin", "code", "told"),
    [
        ((), "", 2, "--before, --older-than or --matching"),
        (("--matching", SECRET), "", 3, "one value a line, or - for standard input; there is no such file"),
        (("--matching", "/"), "", 1, "what was given cannot be read as that"),
        (("--matching", "-"), "first\n\nab\n", 1, "at least 3 characters, one a line; line 3 is shorter"),
        (("--matching", "-"), "\n", 1, "at least 3 characters, one a line; it has none"),
        (("--before", "2026-01-01", "--older-than", "3"), "", 2, "give one of them"),
        (("i0000",), "", 2, "begins several ids"),
    ],
)
def test_a_users_mistake_is_one_line_that_echoes_no_value(
    home: Path, arguments: tuple[str, ...], stdin: str, code: int, told: str
) -> None:
    result = call(home, "forget", *arguments, "--yes", stdin=stdin)
    assert (result.returncode, result.stderr.count("\n")) == (code, 1), result.stderr
    assert told in result.stderr
    assert SECRET not in result.stderr
    assert erased(home) == []


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--yes",)])
def test_where_nothing_is_selected_one_line_says_so(home: Path, more: tuple[str, ...]) -> None:
    result = call(home, "forget", "--session", "nobody", *more)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"no interaction in {home}/data/ledger.db is selected, so there is nothing to forget\n"


def test_a_home_without_a_ledger_is_told_and_not_made(tmp_path: Path) -> None:
    result = call(tmp_path / "typo", "forget", "--session", "s1", "--yes")
    assert (result.returncode, "there is no ledger" in result.stderr) == (3, True)
    assert not (tmp_path / "typo").exists()


def test_where_nothing_is_to_be_swept_one_line_says_why(home: Path) -> None:
    told = ", and no copy is left of what was erased\n"
    assert call(home, "sweep").stdout == f"[ledger.retention] keeps everything{told}"
    (home / "modelbreeder.toml").write_text("[ledger.retention]\ndefault_days = 9999\n")
    assert call(home, "sweep").stdout == f"nothing is too old{told}"


def test_a_value_that_is_masked_before_it_is_recorded_is_told_by_its_line_and_looked_for_all_the_same(
    home: Path,
) -> None:
    mail, older = "alice@example.org", "carol@example.org"
    with opened_home(home) as deps:
        record(deps, [made(4, 1, "s2", f"written to {older} before there was masking")])
    result = call(home, "forget", "--matching", "-", "--dry-run", "--json", stdin=f"{mail}\n\n{SECRET}\n{older}\n")
    told = json.loads(result.stdout)
    assert told["plan"]["interactions"] == ["i00001", "i00004"]
    (note,) = told["notes"]
    assert note.startswith("lines 1, 4 are masked before anything is recorded: the ledger never held")
    assert "--session, --client" in note
    assert not any(value in result.stdout + result.stderr for value in (mail, older, SECRET))


def test_which_values_are_masked_is_no_reason_not_to_forget(home: Path) -> None:
    (home / "modelbreeder.toml").write_text('[redaction]\nner_model = "/nowhere"\n')
    result = call(home, "forget", "--matching", "-", "--yes", stdin=SECRET)
    assert (result.returncode, erased(home)) == (0, ["i00001"])
    assert "cannot be told" in result.stderr


@pytest.mark.parametrize("rules_by_now", ["", "[redaction]\noff = ['PIIEMAIL']\n"])
def test_a_session_that_is_named_by_what_was_masked_is_found_by_its_name(tmp_path: Path, rules_by_now: str) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            await made.ask(task("hello"), {"X-ModelBreeder-Session": "ann.example77@corp-y.io"})

    run(scene())
    (tmp_path / "modelbreeder.toml").write_text(rules_by_now)
    told = json.loads(call(tmp_path, "forget", "--session", "ann.example77@corp-y.io", "--dry-run", "--json").stdout)
    assert len(told["plan"]["interactions"]) == 1


def test_a_value_that_is_found_nowhere_may_have_been_masked_by_its_place(home: Path) -> None:
    result = call(home, "forget", "--matching", "-", stdin="correct horse\n")
    assert (result.returncode, result.stderr.count("\n")) == (0, 1)
    assert "such as a password, is not found so; choose interactions by --session" in result.stderr


def test_an_encrypted_ledger_is_forgotten_from_and_swept_as_a_plain_one(tmp_path: Path) -> None:
    pytest.importorskip("sqlcipher3", reason="SQLCipher, the [encrypt] extra, is not installed")
    home, key = tmp_path / "home", tmp_path / "keys" / "key"
    home.mkdir(mode=0o700)
    key.parent.mkdir(mode=0o700)
    retention = "[ledger.retention]\ndefault_days = 365\n"
    (home / "modelbreeder.toml").write_text(f'[ledger]\nencryption = "file"\nkey_file = "{key}"\n{retention}')
    assert call(home, "encrypt").returncode == 0
    with open_deps(Home.at(home), load_settings(home / "modelbreeder.toml"), home, lambda line: None) as deps:
        record(deps, [made(1, 400, "s1", "an old one"), made(2, 1, "s1", f"about {SECRET}"), made(3, 1, "s2", "none")])
    assert call(home, "forget", "--matching", "-", "--yes", stdin=SECRET).returncode == 0
    assert erased(home) == ["i00002"]
    assert call(home, "sweep").returncode == 0
    assert erased(home) == ["i00001", "i00002"]
    assert call(home, "verify").stdout == "6 events of 1 writers, 4 erased: intact\n"


def test_while_one_of_its_workflows_is_bred_what_is_left_is_told_and_finished_by_a_sweep(home: Path) -> None:
    with exclusive(Home.at(home).runs, WORKFLOW):
        for command in (("forget", "i00001", "--yes"), ("sweep",)):
            result = call(home, *command)
            assert result.returncode == 4
            assert "the ledger's contents are erased, and copies and specialists are left" in result.stderr
            assert f"process {os.getpid()} since" in result.stderr
            assert "`modelbreeder ledger sweep`, which finishes this" in result.stderr
        assert erased(home) == ["i00001"]
        other = call(home, "forget", "--session", "nobody")
        assert (other.returncode, "is not finished yet: workflow" in other.stderr) == (0, True)
    result = call(home, "sweep")
    assert (result.returncode, "first finished 1 earlier" in result.stderr) == (0, True)


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
