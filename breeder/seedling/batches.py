"""Training batches, each a pure function of (seed, step): packed examples, repeated random tokens, plain text."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from breeder.seedling.packing import ExampleSource, Piece
from breeder.seedling.recipe import Phase
from breeder.seedling.vocabulary import SPECIALS

_DRAWN = 48


@dataclass(frozen=True, slots=True)
class Batch:
    """Ids (rows, length), the document number of each id, its position in the document, and which ids bear loss."""

    ids: torch.Tensor
    documents: torch.Tensor
    positions: torch.Tensor
    loss: torch.Tensor


def repeated_tokens(rng: Random, vocabulary: int, room: int) -> Piece:
    """Random ids that come again, bare or as an answer in the chat form; the loss is on the repetition."""
    first = len(SPECIALS)
    ids = [rng.randrange(first, vocabulary) for _ in range(rng.randint(4, max(4, min(60, room // 2 - 2))))]
    if rng.random() < 0.5:
        return ids * 2, len(ids) + 1
    return [3, *ids, 1, 4, *ids, 1], len(ids) + 3


class BatchSource:
    """Draws batches from examples and the text map; no state between batches."""

    def __init__(self, examples: ExampleSource, vocabulary: int, text: NDArray[np.uint16], seed: int) -> None:
        self._examples, self._vocabulary, self._text, self._seed = examples, vocabulary, text, seed

    def draw(self, step: int, phase: Phase) -> Batch:
        """The batch of a step."""
        rng = Random(f"{self._seed}:{step}")
        shape = (phase.rows, phase.length)
        ids, documents, positions = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        loss = np.zeros(shape, dtype=bool)
        waiting: list[Piece] = []
        for row in range(phase.rows):
            pieces = self._row(rng, phase, waiting)
            start = 0
            for number, (piece, quiet) in enumerate(pieces, start=1):
                stop = min(start + len(piece), phase.length)
                ids[row, start:stop] = piece[: stop - start]
                documents[row, start:stop] = number
                positions[row, start:stop] = np.arange(stop - start)
                loss[row, start + quiet : stop] = True
                start = stop
        return Batch(*(torch.from_numpy(array) for array in (ids, documents, positions, loss)))

    def _row(self, rng: Random, phase: Phase, waiting: list[Piece]) -> list[Piece]:
        roll = rng.random()
        if roll < phase.text_share and len(self._text) > phase.length:
            start = rng.randrange(len(self._text) - phase.length)
            return [(self._text[start : start + phase.length].tolist(), 1)]
        repeats = roll > 1 - phase.repeat_share
        pieces: list[Piece] = []
        room = phase.length
        while room > 12:
            if repeats:
                piece = repeated_tokens(rng, self._vocabulary, room)
            else:
                if not waiting:
                    drawn = self._examples.draw(rng, _DRAWN)
                    waiting.extend(piece for piece in drawn if len(piece[0]) <= phase.length)
                fitting = next((index for index, piece in enumerate(waiting) if len(piece[0]) <= room), None)
                if fitting is None:
                    break
                piece = waiting.pop(fitting)
            pieces.append(piece)
            room -= len(piece[0])
        return pieces


def attention_mask(batch: Batch) -> torch.Tensor:
    """True where a query may look: earlier ids of the same document (and itself, so that padding is defined)."""
    same = batch.documents[:, :, None] == batch.documents[:, None, :]
    return torch.tril(same)[:, None]


def split_rows(batch: Batch, part: int, parts: int) -> Batch:
    """Every `parts`-th row of a batch."""
    rows = slice(part, None, parts)
    return Batch(batch.ids[rows], batch.documents[rows], batch.positions[rows], batch.loss[rows])


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    return Batch(*(part.to(device) for part in (batch.ids, batch.documents, batch.positions, batch.loss)))
