"""A tiny pretraining run learns, exports a loadable folder, and resumes after an interruption to the same result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from breeder.seedling.pretrain import Progress, Seedling, raise_seedling
from breeder.seedling.recipe import Phase, SeedlingRecipe, SeedlingShape, TokenizerRecipe, load_recipe

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


def test_an_interrupted_run_reaches_the_same_weights(whole: Seedling, tmp_path: Path) -> None:
    out = tmp_path / "seedling"
    with pytest.raises(_StopError):
        raise_seedling(_TINY, out, on_progress=_stop_after(4))
    resumed = raise_seedling(_TINY, out)
    expected, found = load_file(whole.folder / "model.safetensors"), load_file(out / "model.safetensors")
    assert whole.tokens == resumed.tokens
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_a_seedling_is_trained_further(whole: Seedling, tmp_path: Path) -> None:
    more = raise_seedling(_TINY.model_copy(update={"seed": 2}), tmp_path / "seedling", start=whole.folder)
    tokenizers = [(folder / "tokenizer.json").read_bytes() for folder in (whole.folder, more.folder)]
    assert tokenizers[0] == tokenizers[1]
    assert more.tokens > whole.tokens


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    out = tmp_path / "seedling"
    with pytest.raises(_StopError):
        raise_seedling(_TINY, out, on_progress=_stop_after(4))
    newest = max(tmp_path.glob("seedling.work/*/step-*"))
    (newest / "model.safetensors").write_bytes(b"cut off")
    assert raise_seedling(_TINY, out).step == 6


def test_the_shipped_recipe_is_valid() -> None:
    recipe = load_recipe(Path(__file__).parents[3] / "recipes" / "seedling.toml")
    assert recipe.tokenizer.vocabulary_size == 1024
    assert recipe.phases[-1].until == 1.0


def test_a_recipe_with_two_schedules_is_refused() -> None:
    with pytest.raises(ValueError, match="exactly one of minutes"):
        SeedlingRecipe(minutes=1.0, steps=5)
