from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import LlamaForCausalLM

from breeder.seedling.model import build_model
from breeder.seedling.optimizers import Optimizers
from breeder.seedling.recipe import SeedlingRecipe, SeedlingShape

SHAPE = SeedlingShape(hidden_size=32, layers=1, heads=2, kv_heads=1, head_size=16, intermediate_size=64)


def stepped(recipe: SeedlingRecipe, *, shares: int = 1, steps: int = 1, rate_share: float = 1.0) -> LlamaForCausalLM:
    model = build_model(SHAPE, 320, 1)
    drive(model, Optimizers(model, recipe, shares), range(steps), rate_share)
    return model


def drive(model: LlamaForCausalLM, optimizers: Optimizers, seeds: range, rate_share: float = 1.0) -> None:
    with ThreadPoolExecutor(2) as pool:
        for seed in seeds:
            source = torch.Generator().manual_seed(seed)
            for value in model.parameters():
                value.grad = torch.randn(value.shape, generator=source)
            optimizers.step(rate_share, pool)


def moved(recipe: SeedlingRecipe, rate_share: float = 1.0) -> dict[str, float]:
    before = build_model(SHAPE, 320, 1).state_dict()
    after = stepped(recipe, rate_share=rate_share).state_dict()
    return {name: (after[name] - before[name]).square().mean().sqrt().item() for name in before}


def test_muon_moves_the_inner_matrices_and_adamw_the_embedding_and_the_vectors() -> None:
    still = moved(SeedlingRecipe(optimizer="muon", muon_learning_rate=1e-12, learning_rate=1e-3, weight_decay=0.0))
    names = {name for name, distance in still.items() if distance > 1e-6}
    assert names == {name for name in still if "norm" in name or "embed" in name or "lm_head" in name}


def test_the_updates_of_muon_have_a_fifth_of_the_size_of_adamws_first_ones_whatever_the_shape() -> None:
    recipe = SeedlingRecipe(learning_rate=1e-3, muon_learning_rate=1e-3, weight_decay=0.0)
    muon, adamw = moved(recipe.model_copy(update={"optimizer": "muon"})), moved(recipe)
    for part in ("self_attn.k_proj", "mlp.up_proj", "mlp.down_proj"):
        name = f"model.layers.0.{part}.weight"
        assert (adamw[name], muon[name]) == pytest.approx((1e-3, 2e-4), rel=0.2)
    assert muon["model.norm.weight"] == adamw["model.norm.weight"]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_schedule_drives_all(optimizer: str) -> None:
    recipe = SeedlingRecipe.model_validate({"optimizer": optimizer, "weight_decay": 0.0})
    whole, half = moved(recipe), moved(recipe, rate_share=0.5)
    assert half == pytest.approx({name: distance / 2 for name, distance in whole.items()}, rel=0.01)


def test_shares_of_muon_change_nothing() -> None:
    recipe = SeedlingRecipe(optimizer="muon")
    alone, shared = (stepped(recipe, shares=shares, steps=3).state_dict() for shares in (1, 3))
    assert all(torch.equal(value, shared[name]) for name, value in alone.items())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_kept_state_goes_on_as_if_nothing_had_happened(optimizer: str) -> None:
    recipe = SeedlingRecipe.model_validate({"optimizer": optimizer})
    expected = stepped(recipe, shares=2, steps=4)
    model = build_model(SHAPE, 320, 1)
    first, second = (Optimizers(model, recipe, 2) for _ in range(2))
    drive(model, first, range(2))
    second.load(first.tensors())
    drive(model, second, range(2, 4))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in expected.state_dict().items())
