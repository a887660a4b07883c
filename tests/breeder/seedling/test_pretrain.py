"""A tiny pretraining run learns, exports a loadable folder, and resumes after an interruption to the same result."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from breeder.seedling.pretrain import Progress, Seedling, raise_seedling
from breeder.seedling.recipe import Phase, SeedlingRecipe, SeedlingShape, TokenizerRecipe
from registry.errors import DataError

_TINY = SeedlingRecipe(
    minutes=None,
    steps=6,
    warmup_steps=2,
    shape=SeedlingShape(hidden_size=32, layers=1, heads=2, kv_heads=1, head_size=16, intermediate_size=64),
    tokenizer=TokenizerRecipe(vocabulary_size=320, examples=100),
    phases=(Phase(until=0.4, rows=2, length=64, repeat_share=1.0), Phase(until=1.0, rows=2, length=96)),
    checkpoint_minutes=0.0,
    export_minutes=0.0,
    score_minutes=0.0,
    score_examples=1,
    threads=1,
    device="cpu",
)


class _StopError(Exception):
    """Stands for an interruption."""


def _stop_after(step: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.step == step:
            raise _StopError

    return stop


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Seedling:
    return raise_seedling(_TINY, tmp_path_factory.mktemp("whole") / "seedling")


def test_the_export_loads_and_answers(whole: Seedling) -> None:
    model = AutoModelForCausalLM.from_pretrained(whole.folder)
    tokenizer = AutoTokenizer.from_pretrained(whole.folder)
    messages = [{"role": "user", "content": "hello"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert torch.float16 == load_file(whole.folder / "model.safetensors")["model.norm.weight"].dtype
    assert answer.shape[1] > prompt["input_ids"].shape[1]


def test_the_export_tells_how_it_was_made(whole: Seedling) -> None:
    told = json.loads((whole.folder / "recipe.json").read_text())
    assert SeedlingRecipe.model_validate(told["recipe"]) == _TINY
    assert (6, whole.tokens) == (told["step"], told["tokens"])


def assert_same(one: Seedling, other: Seedling) -> None:
    expected, found = (load_file(made.folder / "model.safetensors") for made in (one, other))
    assert one.tokens == other.tokens
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.mark.parametrize("more", [{}, {"optimizer": "muon", "threads": 2}, {"packed_examples": 100}])
def test_an_interrupted_run_reaches_the_same_weights(tmp_path: Path, more: dict[str, object]) -> None:
    recipe, out = _TINY.model_copy(update=more), tmp_path / "seedling"
    with pytest.raises(_StopError):
        raise_seedling(recipe, out, on_progress=_stop_after(4))
    assert_same(raise_seedling(recipe, tmp_path / "whole"), raise_seedling(recipe, out))


def test_a_finished_run_repeated_says_the_same(whole: Seedling) -> None:
    assert raise_seedling(_TINY, whole.folder).loss == whole.loss


def test_a_seedling_is_trained_further(whole: Seedling, tmp_path: Path) -> None:
    more = raise_seedling(_TINY.model_copy(update={"seed": 2}), tmp_path / "seedling", start=whole.folder)
    tokenizers = [(folder / "tokenizer.json").read_bytes() for folder in (whole.folder, more.folder)]
    assert tokenizers[0] == tokenizers[1]
    assert more.tokens > whole.tokens


def test_a_seedling_is_trained_further_in_its_own_folder_although_interrupted(whole: Seedling, tmp_path: Path) -> None:
    ours, more = shutil.copytree(whole.folder, tmp_path / "ours"), _TINY.model_copy(update={"seed": 2})
    with pytest.raises(_StopError):
        raise_seedling(more, ours, start=ours, on_progress=_stop_after(4))
    assert_same(
        raise_seedling(more, tmp_path / "elsewhere", start=whole.folder), raise_seedling(more, ours, start=ours)
    )


def test_the_shipped_seedling_is_trained_further(tmp_path: Path) -> None:
    shipped = SeedlingShape(kv_heads=4), TokenizerRecipe(vocabulary_size=4096)
    phases = (Phase(until=1.0, rows=2, length=64),)
    recipe = SeedlingRecipe(
        steps=1, phases=phases, score_examples=1, device="cpu", shape=shipped[0], tokenizer=shipped[1]
    )
    made = raise_seedling(recipe, tmp_path / "seedling", start=Path(__file__).parents[3] / "data" / "seedling")
    assert made.loss < 5.0, "that of an untrained one is 8.3"


def test_fp32_is_an_option_where_the_processor_has_bf16(whole: Seedling, tmp_path: Path) -> None:
    plain = raise_seedling(_TINY.model_copy(update={"precision": "fp32"}), tmp_path / "plain")
    assert plain.loss == pytest.approx(whole.loss, rel=0.01)


def test_training_that_diverges_is_told(tmp_path: Path) -> None:
    wild = _TINY.model_copy(update={"learning_rate": 1e30, "steps": 12})
    with pytest.raises(DataError, match="diverged: loss nan at step"):
        raise_seedling(wild, tmp_path / "wild")


def test_examples_are_packed_where_the_system_does_not_say_which_processors_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    recipe = _TINY.model_copy(update={"packed_examples": 100, "steps": 1})
    assert raise_seedling(recipe, tmp_path / "seedling").step == 1


def test_progress_tells_the_share_done_and_the_time_left(tmp_path: Path) -> None:
    seconds, told = itertools.count(), list[Progress]()
    raise_seedling(_TINY, tmp_path / "seedling", on_progress=told.append, clock=lambda: float(next(seconds)))
    middle = told[2]
    assert (middle.step, middle.share) == (3, 0.5)
    assert middle.left_s == pytest.approx(3.0)
    assert middle.rate == pytest.approx(3e-3 * 0.5 / 0.65)
    assert (told[-1].share, told[-1].left_s, told[-1].tokens_per_s) == (1.0, 0.0, None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_same_recipe_runs_and_goes_on_on_a_gpu(whole: Seedling, tmp_path: Path, optimizer: str) -> None:
    recipe = _TINY.model_copy(update={"device": "cuda", "optimizer": optimizer, "micro_rows": 1})
    with pytest.raises(_StopError):
        raise_seedling(recipe, tmp_path / "seedling", on_progress=_stop_after(4))
    made = raise_seedling(recipe, tmp_path / "seedling")
    assert made.step == 6
    assert made.loss == pytest.approx(whole.loss, rel=0.1)


def test_damaged_checkpoints_of_later_steps_do_not_push_out_the_new_ones(tmp_path: Path) -> None:
    out = tmp_path / "seedling"
    with pytest.raises(_StopError):
        raise_seedling(_TINY, out, on_progress=_stop_after(1))
    (work,) = tmp_path.glob("seedling.work/*")
    for later in ("step-00000008", "step-00000009"):
        (work / later).mkdir()
    with pytest.raises(_StopError):
        raise_seedling(_TINY, out, on_progress=_stop_after(3))
    assert sorted(path.name for path in work.glob("step-*")) == ["step-00000001", "step-00000002"]


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    out = tmp_path / "seedling"
    with pytest.raises(_StopError):
        raise_seedling(_TINY, out, on_progress=_stop_after(4))
    newest = max(tmp_path.glob("seedling.work/*/step-*"))
    (newest / "model.safetensors").write_bytes(b"cut off")
    assert raise_seedling(_TINY, out).step == 6
