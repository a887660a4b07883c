"""The Llama model of a seedling and its loss on a batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from breeder.seedling.batches import Batch, on_device, split_rows
from breeder.seedling.forward import hidden_states
from breeder.seedling.recipe import SeedlingRecipe, SeedlingShape
from breeder.training import has_bf16
from registry.errors import ConfigError


class Verdict(NamedTuple):
    """The mean loss of a batch, and for each row whether every answer token was the most likely one."""

    loss: torch.Tensor
    right: torch.Tensor


@dataclass(frozen=True, slots=True)
class Hardware:
    """What computes, whether in bf16, and how many threads or, on a GPU, rows share a batch."""

    device: torch.device
    bf16: bool
    threads: int
    micro_rows: int | None = None

    @classmethod
    def of(cls, recipe: SeedlingRecipe) -> Self:
        """Choose by the recipe and by what this machine has.

        Raises:
            ConfigError: the recipe wants a GPU and torch sees none.
        """
        seen = torch.cuda.is_available()
        if recipe.device == "cuda" and not seen:
            raise ConfigError('device = "cuda", but torch sees no GPU; install its CUDA build, or use device = "auto"')
        cuda = seen and recipe.device != "cpu"
        bf16 = has_bf16(cuda=cuda) if recipe.precision == "auto" else recipe.precision == "bf16"
        return cls(torch.device("cuda" if cuda else "cpu"), bf16, 1 if cuda else recipe.threads, recipe.micro_rows)

    def parts(self, batch: Batch) -> list[Batch]:
        """The batch in the parts that are computed by themselves, on the device."""
        rows = len(batch.ids)
        count = min(self.threads, rows) if self.device.type == "cpu" else -(-rows // (self.micro_rows or rows))
        return [on_device(split_rows(batch, part, count), self.device) for part in range(count)]

    def autocast(self) -> torch.autocast:
        """Compute in bf16 while the block runs, where chosen."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)


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


def part_gradients(
    model: LlamaForCausalLM, part: Batch, hardware: Hardware, total: int
) -> tuple[float, tuple[torch.Tensor, ...]]:
    """Share of the mean loss of a batch that these rows bear, and its gradients; safe in several threads at once."""
    with hardware.autocast():
        logits, targets = _logits(model, part)
    loss = functional.cross_entropy(logits.float(), targets, reduction="sum") / total
    return float(loss.detach()), torch.autograd.grad(loss, list(model.parameters()))


def set_gradients(model: LlamaForCausalLM, batch: Batch, hardware: Hardware, pool: ThreadPoolExecutor) -> float:
    """Fill the gradients of the mean loss, the rows in parts; returns the loss.

    One thread per part with one barrier per step holds its speed on a shared machine, where threads inside each
    operation wait for each other all the time. A GPU takes its parts one after the other.

    Raises:
        ConfigError: the rows do not fit into the GPU's memory.
    """
    total = max(1, int(batch.loss[:, 1:].sum()))
    try:
        done = list(pool.map(lambda part: part_gradients(model, part, hardware, total), hardware.parts(batch)))
    except torch.OutOfMemoryError as error:
        rows = min(len(batch.ids), hardware.micro_rows or len(batch.ids))
        raise ConfigError(f"{rows} rows do not fit into the GPU's memory; set micro_rows to fewer") from error
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.stack([grads[number] for _, grads in done]).sum(0)
    return sum(loss for loss, _ in done)


@torch.no_grad()
def judge(model: LlamaForCausalLM, batch: Batch, hardware: Hardware) -> Verdict:
    """Loss, and exactness of each row; greedy decoding is exact where every answer id is the most likely one."""
    batch = on_device(batch, hardware.device)
    with hardware.autocast():
        logits, targets = _logits(model, batch)
    rows = torch.nonzero(batch.loss[:, 1:])[:, 0]
    right = torch.ones(len(batch.ids), dtype=torch.bool, device=hardware.device)
    right[rows[logits.argmax(-1) != targets]] = False
    return Verdict(functional.cross_entropy(logits.float(), targets), right)
