"""Exact match of a seedling on fresh generated tasks, one number per family."""

from __future__ import annotations

from collections import Counter
from random import Random

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from breeder.seedling.batches import Batch
from breeder.seedling.families import FAMILIES, draw_example
from breeder.seedling.model import Hardware, judge
from breeder.seedling.packing import Piece
from breeder.seedling.vocabulary import encode_examples

_ROWS = 40


def one_per_row(pieces: list[Piece]) -> Batch:
    """A batch with one document per row, padded at the end."""
    shape = (len(pieces), max(len(ids) for ids, _ in pieces))
    ids, documents = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    loss = torch.zeros(shape, dtype=torch.bool)
    for row, (piece, quiet) in enumerate(pieces):
        ids[row, : len(piece)] = torch.tensor(piece)
        documents[row, : len(piece)] = 1
        loss[row, quiet : len(piece)] = True
    return Batch(ids, documents, torch.arange(shape[1]).expand(shape), loss)


def exact_by_family(
    model: LlamaForCausalLM, tokenizer: Tokenizer, hardware: Hardware, count: int, seed: int
) -> dict[str, float]:
    """Share of `count` fresh examples of each family that greedy decoding would answer exactly."""
    model.train(mode=False)
    rng = Random(f"exact:{seed}")
    names = [name for name in FAMILIES for _ in range(count)]
    pieces = encode_examples(tokenizer, [draw_example(rng, name) for name in names])
    order = sorted(range(len(pieces)), key=lambda index: len(pieces[index][0]))
    right: Counter[str] = Counter()
    for start in range(0, len(order), _ROWS):
        chosen = order[start : start + _ROWS]
        verdict = judge(model, one_per_row([pieces[index] for index in chosen]), hardware)
        right.update(names[index] for index, exact in zip(chosen, verdict.right.tolist(), strict=True) if exact)
    model.train()
    return {name: round(right[name] / count, 3) for name in FAMILIES}
