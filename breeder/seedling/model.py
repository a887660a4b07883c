"""The Llama model of a seedling and its loss on a batch."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import NamedTuple

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from breeder.seedling.batches import Batch, split_rows
from breeder.seedling.forward import hidden_states
from breeder.seedling.recipe import SeedlingShape


class Verdict(NamedTuple):
    """The mean loss of a batch, and for each row whether every answer token was the most likely one."""

    loss: torch.Tensor
    right: torch.Tensor


def build_model(shape: SeedlingShape, vocabulary: int, seed: int) -> LlamaForCausalLM:
    """A freshly initialised model; the same seed gives the same weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        max_position_embeddings=shape.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
        use_cache=False,
    )
    return LlamaForCausalLM(config)


def _logits(model: LlamaForCausalLM, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets at the positions that bear loss."""
    hidden = hidden_states(model, batch)
    wanted = batch.loss[:, 1:]
    return functional.linear(hidden[:, :-1][wanted], model.lm_head.weight), batch.ids[:, 1:][wanted]


def part_gradients(model: LlamaForCausalLM, part: Batch, total: int) -> tuple[float, tuple[torch.Tensor, ...]]:
    """Share of the mean loss of a batch that these rows bear, and its gradients; safe in several threads at once."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, targets = _logits(model, part)
    loss = functional.cross_entropy(logits.float(), targets, reduction="sum") / total
    return float(loss.detach()), torch.autograd.grad(loss, list(model.parameters()))


def set_gradients(model: LlamaForCausalLM, batch: Batch, pool: Executor, parts: int) -> float:
    """Fill the gradients of the mean loss, the rows shared out over threads; returns the loss.

    One thread per part with one barrier per step holds its speed on a shared machine, where threads inside each
    operation wait for each other all the time.
    """
    total = max(1, int(batch.loss[:, 1:].sum()))
    shares = [split_rows(batch, part, parts) for part in range(parts)]
    done = list(pool.map(lambda part: part_gradients(model, part, total), shares))
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.stack([grads[number] for _, grads in done]).sum(0)
    return sum(loss for loss, _ in done)


@torch.no_grad()
def judge(model: LlamaForCausalLM, batch: Batch) -> Verdict:
    """Loss, and exactness of each row; greedy decoding is exact where every answer id is the most likely one."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, targets = _logits(model, batch)
    rows = torch.nonzero(batch.loss[:, 1:])[:, 0]
    right = torch.ones(batch.ids.shape[0], dtype=torch.bool)
    right[rows[logits.argmax(-1) != targets]] = False
    return Verdict(functional.cross_entropy(logits.float(), targets), right)
