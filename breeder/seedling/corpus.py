"""Plain text for the seedling: reads public shards of the data folder and keeps their ids in a memory-mapped file."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from breeder.seedling.vocabulary import END

_PIECE = 4000
_BATCH = 256


def _shard_pieces(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            yield text[:_PIECE]


def text_pieces(data: Path | None, shards: tuple[str, ...], limit_bytes: int) -> Iterator[str]:
    """Openings of documents, the shards in turn, until the limit; nothing without a data folder."""
    paths = [data / "corpus" / f"{shard}.jsonl.gz" for shard in shards] if data else []
    taken = 0
    for round_ in zip_longest(*(_shard_pieces(path) for path in paths if path.exists())):
        for piece in round_:
            if piece is None:
                continue
            taken += len(piece.encode())
            if taken > limit_bytes:
                return
            yield piece


def encode_text(tokenizer: Tokenizer, pieces: Iterator[str], path: Path) -> NDArray[np.uint16]:
    """Encode the pieces once into a uint16 file beside the checkpoints, and map it."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        with partial.open("wb") as out:
            batch: list[str] = []
            for piece in pieces:
                batch.append(piece)
                if len(batch) == _BATCH:
                    _write(tokenizer, batch, out.fileno())
                    batch = []
            _write(tokenizer, batch, out.fileno())
        partial.replace(path)
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=np.uint16)
    return np.memmap(path, dtype=np.uint16, mode="r")


def _write(tokenizer: Tokenizer, batch: list[str], handle: int) -> None:
    for encoding in tokenizer.encode_batch([text + END for text in batch]):
        os.write(handle, np.asarray(encoding.ids, dtype=np.uint16).tobytes())
