"""`seedling train` as a user meets it: mistakes in one line, and a run that kill -9 does not harm."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from breeder.cli import app
from breeder.seedling.pretrain import raise_seedling
from breeder.seedling.recipe import load_recipe
from router.cli.frame import run

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "data" / "seedling"
TINY = """
steps = 30
warmup_steps = 2
checkpoint_minutes = 0
export_minutes = 60
score_minutes = 60
score_examples = 1
device = "cpu"
[shape]
hidden_size = 32
layers = 1
heads = 2
kv_heads = 1
head_size = 16
intermediate_size = 64
[tokenizer]
vocabulary_size = 320
examples = 100
[[phases]]
until = 1.0
rows = 2
length = 96
repeat_share = 0.3
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def called(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Exit code and standard error of a command that fails."""
    with pytest.raises(SystemExit) as ended:
        run(app, ["seedling", "train", *map(str, arguments)])
    return int(ended.value.code or 0), capsys.readouterr().err


def test_a_wrong_recipe_is_one_line(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text("stepz = 1\n" + TINY)
    code, told = called(capsys, "--recipe", recipe, "--out", tmp_path / "out")
    assert (code, told) == (
        2, f"modelbreeder: {recipe}: stepz: Extra inputs are not permitted (value: 1)\n",
    )  # fmt: skip
    code, told = called(capsys, "--recipe", tmp_path / "none.toml", "--out", tmp_path / "out")
    assert (code, told.count("\n"), "none.toml cannot be read" in told) == (3, 1, True)


def test_a_start_that_does_not_fit_is_one_line(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = called(capsys, "--recipe", recipe, "--out", tmp_path / "out", "--start", SHIPPED)
    assert (code, told.count("\n")) == (2, 1)
    assert "hidden_size 256, not 32" in told
    assert "vocabulary_size 4096, not 320" in told
    (tmp_path / "empty").mkdir()
    code, told = called(capsys, "--recipe", recipe, "--out", tmp_path / "out", "--start", tmp_path / "empty")
    assert (code, told.count("\n"), "is no exported seedling" in told) == (3, 1, True)


def test_a_start_with_damaged_weights_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = shutil.copytree(SHIPPED, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"cut off")
    short = tmp_path / "short.toml"
    short.write_text("steps = 1\n[shape]\nkv_heads = 4\n[tokenizer]\nvocabulary_size = 4096\n")
    code, told = called(capsys, "--recipe", short, "--out", tmp_path / "out", "--start", damaged)
    assert code == 1
    assert f"modelbreeder: the weights of {damaged} cannot be loaded" in told.splitlines()[-1]


def test_an_out_that_cannot_be_written_is_one_line(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in (recipe, recipe / "below"):
        code, told = called(capsys, "--recipe", recipe, "--out", out)
        assert (code, told.count("\n"), "cannot be written" in told) == (2, 1, True)


def test_a_missing_gpu_is_one_line(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    recipe.write_text(TINY.replace('"cpu"', '"cuda"'))
    code, told = called(capsys, "--recipe", recipe, "--out", tmp_path / "out")
    assert (code, told.count("\n"), "torch sees no GPU" in told) == (2, 1, True)


def begin(recipe: Path, out: Path, home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "breeder.cli", "--home", str(home), "seedling", "train"]
    command += ["--recipe", str(recipe), "--out", str(out)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kill_after(child: subprocess.Popen[str], out: Path, step: int) -> None:
    """Kill -9 once the checkpoint of a step, or of a later one, is begun; the one before it is whole by then."""
    works = out.with_name(f"{out.name}.work")
    while child.poll() is None:
        if any(int(path.name[5:]) >= step for path in works.glob("*/step-*")):
            child.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    told = child.communicate()
    assert child.returncode == -signal.SIGKILL, told


def test_a_run_killed_at_a_random_step_goes_on_to_the_same_weights_in_the_same_mlflow_run(
    recipe: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    step, out, home = random.randint(2, 25), tmp_path / "seedling", tmp_path / "home"
    kill_after(begin(recipe, out, home), out, step)
    assert not out.exists()
    child = begin(recipe, out, home)
    printed, told = child.communicate()
    assert child.returncode == 0, told
    assert "going on from step" in told
    assert f"--set base.model={out}" in printed

    whole = raise_seedling(load_recipe(recipe), tmp_path / "whole")
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole.folder, out))
    assert all(torch.equal(value, found[name]) for name, value in expected.items()), f"killed after step {step}"

    client = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db")
    (tracked,) = client.search_runs(["1"])
    assert (tracked.info.status, tracked.data.params["shape.hidden_size"]) == ("FINISHED", "32")
    assert [point.step for point in client.get_metric_history(tracked.info.run_id, "loss")][-1] == 30
