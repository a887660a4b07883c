"""Training in parts: a batch is split by tokens, and the parts give the gradients of the whole."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from breeder.checkpoints import seal
from breeder.recipe import LoraPart, Recipe, TrainingPart
from breeder.shipped import shipped
from breeder.training import ChatExample, epochs_within, split_batch, train_adapter

PAD = 0


def padded(lengths: list[int]) -> dict[str, torch.Tensor]:
    """Return a right-padded batch whose row r holds r + 1 as often as it is long."""
    shape = (len(lengths), max(lengths))
    ids, mask = torch.full(shape, PAD), torch.zeros(shape, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = row + 1
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 200))
def test_the_parts_of_a_batch_hold_every_row_once_within_the_limit(lengths: list[int], limit: int) -> None:
    parts = split_batch(padded(lengths), limit)

    rows = [(int(ids[0]), int(mask.sum())) for part in parts for ids, mask in zip(*part.values(), strict=True)]
    assert sorted(rows) == [(row + 1, length) for row, length in enumerate(lengths)]
    assert all(part["input_ids"].numel() <= limit or len(part["input_ids"]) == 1 for part in parts)
    assert all(part["attention_mask"][0].all() for part in parts)


def test_a_training_in_parts_has_the_losses_of_one_in_whole_batches(tmp_path: Path) -> None:
    words = ["red", "green", "a longer answer than the others", "blue"]
    examples = [ChatExample(({"role": "user", "content": f"{word} {n}" * n},), word) for n in (1, 5) for word in words]

    def losses(tokens: int) -> tuple[tuple[int, float], ...]:
        training = TrainingPart(epochs=10, batch_size=8, precision="fp32", micro_batch_tokens=tokens)
        recipe = Recipe(name="parts", lora=LoraPart(rank=4, alpha=8), training=training)
        trained = train_adapter(
            shipped("data/seedling"), examples, recipe, tmp_path / str(tokens), lambda _: None, "key"
        )
        return trained.losses

    whole, parts = losses(100_000), losses(64)
    assert [step for step, _ in whole] == [10]
    assert [loss for _, loss in parts] == pytest.approx([loss for _, loss in whole], rel=1e-3)


@pytest.mark.parametrize(
    ("limit", "tokens", "epochs"), [(None, 10**9, 6.0), (600, 100, 6.0), (300, 100, 3.0), (50, 100, 0.5)]
)
def test_long_rows_are_passed_over_fewer_times(limit: int | None, tokens: int, epochs: float) -> None:
    assert epochs_within(TrainingPart(epochs=6, max_tokens=limit), tokens) == epochs


def test_a_limit_on_tokens_ends_a_training_early(tmp_path: Path) -> None:
    examples = [ChatExample(({"role": "user", "content": f"say {n}"},), "yes") for n in range(16)]
    steps = []
    for name, limit in (("all", None), ("some", 250)):
        training = TrainingPart(epochs=4, batch_size=4, precision="fp32", max_tokens=limit)
        recipe = Recipe(name=name, lora=LoraPart(rank=4, alpha=8), training=training)
        steps.append(
            train_adapter(shipped("data/seedling"), examples, recipe, tmp_path / name, lambda _: None, "key").steps
        )

    assert steps[0] == 16
    assert 0 < steps[1] < 16


def test_a_planted_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    """It has a manifest, as whole as one of ours, and what runs code once it is unpickled; but not the home's key."""
    planted, stolen = tmp_path / "checkpoints" / "checkpoint-2", tmp_path / "stolen"
    planted.mkdir(parents=True)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "training_args.bin"):
        (planted / name).write_bytes(pickle.dumps(Planted(stolen)))
    seal(planted, "another home's key")
    examples = [ChatExample(({"role": "user", "content": f"say {n}"},), "yes") for n in range(8)]
    training = TrainingPart(epochs=1, batch_size=4, precision="fp32")
    recipe = Recipe(name="planted", lora=LoraPart(rank=4, alpha=8), training=training)
    said: list[str] = []
    trained = train_adapter(shipped("data/seedling"), examples, recipe, tmp_path, said.append, "key")

    assert trained.steps == 2
    assert any(str(planted) in line for line in said)
    assert not any("going on" in line for line in said)
    assert not stolen.exists()


class Planted:
    """What writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._file,)
