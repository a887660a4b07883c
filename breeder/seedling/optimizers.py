"""The optimizers of a pretraining run, moved as one: AdamW, or Muon on the inner matrices and AdamW on the rest."""

from __future__ import annotations

from concurrent.futures import Executor

import torch
from transformers import LlamaForCausalLM

from breeder.seedling.recipe import SeedlingRecipe

_PEAK = "peak"


class Optimizers:
    """Owns the optimizer states of one model. Muon's matrices are dealt out, so that threads share its work."""

    def __init__(self, model: LlamaForCausalLM, recipe: SeedlingRecipe, shares: int) -> None:
        vectors = [value for value in model.parameters() if value.ndim == 1]
        matrices = [value for value in model.parameters() if value.ndim > 1]
        inner: list[torch.nn.Parameter] = []
        if recipe.optimizer == "muon":
            # The output head is tied to the embedding, so all other matrices are inner ones.
            inner = [value for value in matrices if value is not model.lm_head.weight]
            matrices = [model.lm_head.weight]
        groups = [
            {"params": matrices, "weight_decay": recipe.weight_decay, _PEAK: recipe.learning_rate},
            {"params": vectors, "weight_decay": 0.0, _PEAK: recipe.learning_rate},
        ]
        self._all: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)]
        self._all += [_muon(dealt, recipe) for dealt in (inner[share::shares] for share in range(shares)) if dealt]

    def step(self, rate_share: float, pool: Executor) -> None:
        """Move the parameters by their gradients, at this share of the peak learning rates."""
        for optimizer in self._all:
            for group in optimizer.param_groups:
                group["lr"] = group[_PEAK] * rate_share
        list(pool.map(lambda optimizer: optimizer.step(), self._all))

    def tensors(self) -> dict[str, torch.Tensor]:
        """All state as a flat mapping, keyed by optimizer, parameter number and name."""
        return {
            f"{place}.{number}.{name}": value.contiguous()
            for place, optimizer in enumerate(self._all)
            for number, of in optimizer.state_dict()["state"].items()
            for name, value in of.items()
        }

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put back what `tensors` gave."""
        states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in self._all]
        for flat, value in tensors.items():
            place, number, name = flat.split(".", 2)
            states[int(place)].setdefault(int(number), {})[name] = value
        for optimizer, state in zip(self._all, states, strict=True):
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _muon(matrices: list[torch.nn.Parameter], recipe: SeedlingRecipe) -> torch.optim.Muon:
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay, _PEAK: recipe.muon_learning_rate}]
    return torch.optim.Muon(groups, adjust_lr_fn="match_rms_adamw")
