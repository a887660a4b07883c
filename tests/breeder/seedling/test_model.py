"""The training forward pass gives the numbers of transformers, and threads change nothing but rounding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from breeder.seedling.batches import Batch, BatchSource, attention_mask
from breeder.seedling.families import draw_example
from breeder.seedling.forward import hidden_states
from breeder.seedling.model import build_model, judge, set_gradients
from breeder.seedling.recipe import Phase, SeedlingShape
from breeder.seedling.vocabulary import prompt_text, train_tokenizer

_SHAPE = SeedlingShape(hidden_size=32, layers=2, heads=4, kv_heads=2, head_size=16, intermediate_size=64)


@pytest.fixture(scope="module")
def source() -> BatchSource:
    rng = Random(1)
    tokenizer = train_tokenizer((prompt_text(draw_example(rng)) for _ in range(100)), 320)
    return BatchSource(tokenizer, np.arange(2000, dtype=np.uint16) % 300, 1)


@pytest.fixture(scope="module")
def batch(source: BatchSource) -> Batch:
    return source.draw(3, Phase(until=1.0, rows=4, length=128, text_share=0.2, repeat_share=0.2))


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return build_model(_SHAPE, 320, 1)


@torch.no_grad()
def test_the_forward_pass_is_that_of_transformers(model: LlamaForCausalLM, batch: Batch) -> None:
    theirs = model.model(
        input_ids=batch.ids, position_ids=batch.positions, attention_mask=attention_mask(batch)
    ).last_hidden_state
    used = batch.documents > 0
    torch.testing.assert_close(hidden_states(model, batch)[used], theirs[used], atol=1e-5, rtol=1e-4)


def test_threads_share_out_the_rows_of_one_loss(model: LlamaForCausalLM, batch: Batch) -> None:
    with ThreadPoolExecutor(2) as pool:
        alone = set_gradients(model, batch, pool, 1)
        shared = set_gradients(model, batch, pool, 2)
    assert shared == pytest.approx(alone, rel=1e-3)
    assert shared == pytest.approx(judge(model, batch).loss.item(), rel=1e-3)


def test_a_batch_depends_on_seed_and_step_alone(source: BatchSource, batch: Batch) -> None:
    phase = Phase(until=1.0, rows=4, length=128, text_share=0.2, repeat_share=0.2)
    assert torch.equal(batch.ids, source.draw(3, phase).ids)
    assert not torch.equal(batch.ids, source.draw(4, phase).ids)


def test_only_answers_bear_loss_in_task_rows(source: BatchSource) -> None:
    drawn = source.draw(1, Phase(until=1.0, rows=4, length=256))
    user, assistant = 3, 4
    assert not drawn.loss[drawn.ids == user].any()
    assert not drawn.loss[drawn.ids == assistant].any()
    assert drawn.loss.any()
