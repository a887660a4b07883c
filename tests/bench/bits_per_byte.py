"""`python -m tests.bench.bits_per_byte FOLDER…`: how well seedlings know the answers of 800 fresh examples.

In bits per byte of the answers and their end mark, which compares vocabularies; no example of the corpus is among them.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from random import Random

import torch
from transformers import LlamaForCausalLM

from breeder.seedling.exactness import one_per_row
from breeder.seedling.families import draw_example
from breeder.seedling.model import Hardware, judge
from breeder.seedling.vocabulary import encode_examples, load_tokenizer

_EXAMPLES = 800
_ROWS = 32


def bits_per_byte(folder: Path) -> float:
    """Return the bits that a seedling needs for a byte of a fresh answer."""
    rng = Random("evalset")
    examples = [draw_example(rng) for _ in range(_EXAMPLES)]
    pieces = sorted(encode_examples(load_tokenizer(folder), examples), key=lambda piece: len(piece[0]))
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    hardware = Hardware(torch.device("cpu"), bf16=False, threads=1)
    nats = 0.0
    for start in range(0, len(pieces), _ROWS):
        batch = one_per_row(pieces[start : start + _ROWS])
        nats += float(judge(model, batch, hardware).loss) * int(batch.loss[:, 1:].sum())
    return nats / math.log(2) / sum(len(example.answer.encode()) + 1 for example in examples)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(f"{name}: {bits_per_byte(Path(name)):.3f}\n")
