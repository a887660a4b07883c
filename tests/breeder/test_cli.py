import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from breeder.cli import app
from breeder.rehearsal.staging import clear_rehearsal
from registry.catalog import Catalog
from registry.database import open_database
from registry.entities import Specialist, SpecialistKind, Workflow
from registry.errors import DataError, NotFoundError
from registry.home import Home
from registry.ids import new_id
from registry.ledger import Ledger
from tests.breeder.makers import START, interaction


def call(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "breeder.cli", "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("breed", "nothing"), 3, "the ledger has no interaction of workflow 'nothing'"),
        (("mine", "nothing"), 3, "the ledger has no interaction of workflow 'nothing'"),
        (("specialists", "show", "nobody@1"), 3, "nobody@1"),
        (("promote", "nobody@1", "--reason", "x"), 3, "nobody@1"),
        (("rollback", "nothing", "--reason", "x", "--dry-run"), 3, "no champion came before"),
        (("breed", "w", "--recipe", "sedling"), 3, "no recipe 'sedling'; known: debug"),
        (("breed", "w", "--set", "lora.rank=none"), 2, "lora.rank"),
        (("recipes", "show", "nope.toml"), 3, "no recipe"),
        (("rehearse", "missing.jsonl"), 3, "missing.jsonl is not there"),
    ],
)
def test_a_users_mistake_is_one_line_and_a_documented_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
):
    result = call(tmp_path, *arguments)
    assert result.returncode == code, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert told in result.stderr


_READING = [
    ("explain",),
    ("run",),
    ("spec",),
    ("redact",),
    ("feedback", "x", "--correct"),
    ("policy", "check"),
    ("policy", "replay"),
    ("trust",),
    ("recipes", "check"),
    ("recipes", "show"),
    ("mine", "desk", "--recipe"),
    ("breed", "desk", "--recipe"),
    ("rehearse",),
    ("ledger", "forget", "--matching"),
]


@pytest.mark.parametrize("command", _READING, ids=" ".join)
def test_a_file_that_is_not_there_is_not_found_whoever_reads_it(tmp_path: Path, command: tuple[str, ...]):
    done = CliRunner().invoke(app, ["--home", str(tmp_path), *command, str(tmp_path / "missing.txt")])
    assert isinstance(done.exception, NotFoundError), done.output


@pytest.mark.parametrize("command", [("run",), ("redact",), ("rehearse",), ("ledger", "forget", "--matching")])
def test_what_is_no_file_is_there_and_cannot_be_read(tmp_path: Path, command: tuple[str, ...]):
    done = CliRunner().invoke(app, ["--home", str(tmp_path), *command, str(tmp_path)])
    assert isinstance(done.exception, DataError), done.output


def test_a_rehearsal_does_not_touch_a_folder_that_no_rehearsal_made(tmp_path: Path):
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "precious").write_text("mine")
    result = call(tmp_path, "demo")
    assert (result.returncode, "was not made by a rehearsal" in result.stderr) == (5, True)
    assert (tmp_path / "mlruns" / "precious").read_text() == "mine"


def test_a_rehearsal_leaves_a_backup_that_it_did_not_make(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ledger.db.bak").write_text("mine")
    clear_rehearsal(Home.at(tmp_path))
    assert (tmp_path / "data" / "ledger.db.bak").read_text() == "mine"


@pytest.mark.parametrize("command", [("demo",), ("specialists", "ls"), ("rollback", "w", "--reason", "x")])
def test_a_home_that_is_a_file_is_one_line(tmp_path: Path, command: tuple[str, ...]):
    (tmp_path / "file").write_text("")
    result = call(tmp_path / "file", *command)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr


def test_empty_registries_list_nothing_and_shipped_recipes_hold(tmp_path: Path):
    assert json.loads(call(tmp_path, "specialists", "ls", "--json").stdout) == []
    recipes = json.loads(call(tmp_path, "recipes", "ls", "--json").stdout)
    assert {"debug", "qwen3-0.6b-8gb", "seedling-lora"} <= {recipe["name"] for recipe in recipes}
    for recipe in recipes:
        assert call(tmp_path, "recipes", "check", recipe["name"]).returncode == 0


def test_show_names_the_grammar_of_a_specialist(tmp_path: Path):
    database = open_database(Home.at(tmp_path).database_url)
    catalog = Catalog(database)
    catalog.put_workflow(Workflow("desk", ("f",), "exact", START))
    for version, grammar in ((1, '# one of 2 labels\nroot ::= "water" | "power"\n'), (2, "")):
        catalog.add_specialist(Specialist("desk", version, SpecialistKind.LORA, "b" * 64, START, grammar=grammar))
    database.close()
    shown = [json.loads(call(tmp_path, "specialists", "show", f"desk@{version}").stdout) for version in (1, 2)]
    assert [one["grammar"] for one in shown] == ["one of 2 labels", "none"]
    assert shown[0]["specialist"]["grammar"].startswith("# one of 2 labels\nroot ::=")


def test_a_dry_run_counts_the_cloud_calls_for_the_tasks_of_the_table_too(tmp_path: Path):
    database = open_database(Home.at(tmp_path).database_url)
    ledger = Ledger(database, "test", new_id)
    for number in range(64):
        asked = interaction(number, f"thing {number % 20 if number < 60 else 'often'}")
        assert asked.outcome is not None
        ledger.append(asked.intent, asked.outcome)
    database.close()
    plan = ("--set", "data.minimum_rows=10", "--set", "evaluation.cloud_samples=2")
    table, later = (
        json.loads(call(tmp_path, "breed", "w", "--dry-run", *plan, "--rung", rung).stdout)
        for rung in ("table", "linear")
    )

    assert later["cloud_calls"] == 2 * (later["rows"]["calibration"] + later["rows"]["holdout"])
    assert table["cloud_calls"] == later["cloud_calls"] + 2 * 3


def test_help_is_light(tmp_path: Path):
    heavy = "'torch','transformers','mlflow','pydantic','sqlalchemy','numpy'"
    script = f"import sys, breeder.cli; print([m for m in ({heavy}) if m in sys.modules])"
    told = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
