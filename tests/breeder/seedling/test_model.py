"""The training forward pass gives the numbers of transformers, and threads change nothing but rounding."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from breeder.seedling import attention
from breeder.seedling.attention import Attention, document_starts, masked, streamed, written_out
from breeder.seedling.batches import Batch, BatchSource, attention_mask
from breeder.seedling.families import draw_example
from breeder.seedling.forward import hidden_states
from breeder.seedling.model import Hardware, build_model, judge, set_gradients
from breeder.seedling.packing import FreshExamples
from breeder.seedling.recipe import Phase, SeedlingShape
from breeder.seedling.vocabulary import prompt_text, train_tokenizer


def cpu(threads: int) -> Hardware:
    return Hardware(torch.device("cpu"), bf16=False, threads=threads)


_SHAPE = SeedlingShape(hidden_size=32, layers=2, heads=4, kv_heads=2, head_size=16, intermediate_size=64)


@pytest.fixture(scope="module")
def source() -> BatchSource:
    rng = Random(1)
    tokenizer = train_tokenizer((prompt_text(draw_example(rng)) for _ in range(100)), 320)
    return BatchSource(FreshExamples(tokenizer), 320, np.arange(2000, dtype=np.uint16) % 300, 1)


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
        alone = set_gradients(model, batch, cpu(1), pool)
        shared = set_gradients(model, batch, cpu(2), pool)
    assert shared == pytest.approx(alone, rel=1e-3)
    assert shared == pytest.approx(judge(model, batch, cpu(1)).loss.item(), rel=1e-3)


def per_document(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: torch.Tensor, longest: int
) -> torch.Tensor:
    """What a flash kernel computes, one document after the other."""
    bounds = starts.tolist()
    assert max(end - start for start, end in itertools.pairwise(bounds)) == longest
    mixed = [
        torch.nn.functional.scaled_dot_product_attention(
            *(part[start:end].transpose(0, 1) for part in (query, key, value)), is_causal=True, enable_gqa=True
        ).transpose(0, 1)
        for start, end in itertools.pairwise(bounds)
    ]
    return torch.cat(mixed)


@pytest.mark.parametrize("form", [masked, lambda batch: streamed(batch, per_document)])
def test_the_forms_of_attention_for_a_gpu_give_the_numbers_of_the_one_for_the_cpu(
    model: LlamaForCausalLM, batch: Batch, form: Callable[[Batch], Attention]
) -> None:
    def loss_of(attention: Attention) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        hidden = hidden_states(model, batch, attention)[batch.documents > 0]
        return hidden, torch.autograd.grad(hidden.square().mean(), list(model.parameters()))

    expected, expected_gradients = loss_of(written_out(batch))
    found, gradients = loss_of(form(batch))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-6, rtol=1e-3)


def test_documents_start_where_their_number_changes_and_at_each_row() -> None:
    documents = torch.tensor([[1, 1, 2, 0], [1, 1, 1, 1], [1, 2, 3, 3]])
    nothing = torch.zeros_like(documents)
    starts = document_starts(Batch(nothing, documents, nothing, nothing.bool()))
    assert starts.tolist() == [0, 2, 3, 4, 8, 9, 10, 12]
    assert starts.dtype == torch.int32


def test_the_flash_kernel_takes_the_shapes_and_types_that_it_is_given(batch: Batch) -> None:
    query, key, value = (torch.randn(4, heads, 128, 16, device="meta", requires_grad=True) for heads in (4, 2, 2))

    def kernel(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: torch.Tensor, longest: int
    ) -> torch.Tensor:
        assert query.is_contiguous() and starts.dtype == torch.int32
        return attention._flash(*(part.to("meta") for part in (query, key, value, starts)), longest)

    mixed = streamed(batch, kernel)(query, key, value.bfloat16())
    gradients = torch.autograd.grad(mixed.sum(), (query, key, value))
    assert (query.shape, torch.bfloat16) == (mixed.shape, mixed.dtype)
    assert [gradient.shape for gradient in gradients] == [query.shape, key.shape, value.shape]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("bf16", [False, True])
def test_a_gpu_gives_the_loss_and_gradients_of_the_cpu(model: LlamaForCausalLM, batch: Batch, bf16: bool) -> None:
    there = copy.deepcopy(model).to("cuda")
    with ThreadPoolExecutor(1) as pool:
        expected = set_gradients(model, batch, cpu(1), pool)
        found = set_gradients(there, batch, Hardware(torch.device("cuda"), bf16, 1, 2), pool)
    assert found == pytest.approx(expected, rel=2e-2 if bf16 else 1e-4)
    for ours, theirs in zip(model.parameters(), there.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad.cpu(), ours.grad, atol=2e-3 if bf16 else 1e-5, rtol=5e-2)


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
