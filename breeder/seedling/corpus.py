"""Plain text for the seedling: reads public shards of the data folder and keeps their ids in a memory-mapped file.

Nothing of the data folder but `corpus/` is ever opened.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from tokenizers import Tokenizer

from breeder.seedling.recipe import ALL_SHARDS
from breeder.seedling.vocabulary import END
from registry.errors import DataError

_SUFFIX = ".jsonl.gz"
_PIECE = 4000
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Shards:
    """The files that plain text comes from; `note` says in one line what is not there."""

    paths: tuple[Path, ...] = ()
    note: str | None = None


def find_shards(data: Path | None, names: Sequence[str]) -> Shards:
    """Look for the named shards below `corpus/` of the data folder, `*` for all.

    Raises:
        DataError: a shard is a link to a file elsewhere.
    """
    if not names:
        return Shards()
    if data is None:
        return Shards(note="MODELBREEDER_DATA names no folder: no plain text, rows of it hold generated tasks instead")
    corpus = data / "corpus"
    there = {path.name.removesuffix(_SUFFIX): path for path in sorted(corpus.glob(f"*{_SUFFIX}"))}
    if not there:
        return Shards(note=f"{corpus} has no *{_SUFFIX}: no plain text, rows of it hold generated tasks instead")
    named = [name for name in names if name != ALL_SHARDS]
    chosen = dict.fromkeys([*named, *there] if ALL_SHARDS in names else named)
    paths = tuple(there[name] for name in chosen if name in there)
    for path in paths:
        if path.resolve().parent != corpus.resolve():
            raise DataError(f"{path} is a link to {path.resolve()}: text comes from corpus/ alone; copy the file there")
    missing = [name for name in chosen if name not in there]
    return Shards(paths, f"{corpus} lacks {', '.join(missing)}: left out" if missing else None)


def text_pieces(shards: Shards, limit_bytes: int) -> Iterator[tuple[str, str]]:
    """Name of shard and opening of document, the shards in turn, until the limit.

    Raises:
        DataError: a shard is damaged.
    """
    taken = 0
    for turn in zip_longest(*(_shard_pieces(path) for path in shards.paths)):
        for path, piece in zip(shards.paths, turn, strict=True):
            if piece is None:
                continue
            taken += len(piece.encode())
            if taken > limit_bytes:
                return
            yield path.name.removesuffix(_SUFFIX), piece


def _shard_pieces(path: Path) -> Iterator[str]:
    number = 0
    try:
        with gzip.open(path) as lines:
            for number, line in enumerate(lines, 1):
                yield _opening(path, number, line)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}, line {number + 1}: cannot be read ({error}); fetch the shard again") from error


def _opening(path: Path, number: int, line: bytes) -> str:
    try:
        return str(orjson.loads(line)["text"])[:_PIECE]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f'{path}, line {number}: not {{"text": ...}} but {line[:60]!r}; mend or remove the line'
        ) from error


def encode_text(tokenizer: Tokenizer, pieces: Iterable[str], path: Path) -> NDArray[np.uint16]:
    """Encode the pieces once into a uint16 file beside the checkpoints, and map it."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        with partial.open("wb") as out:
            batch: list[str] = []
            for piece in pieces:
                batch.append(piece + END)
                if len(batch) == _BATCH:
                    out.write(_ids(tokenizer, batch))
                    batch = []
            out.write(_ids(tokenizer, batch))
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    return map_ids(path)


def map_ids(path: Path) -> NDArray[np.uint16]:
    """Map a file of ids; an empty file cannot be mapped."""
    return np.memmap(path, dtype=np.uint16, mode="r") if path.stat().st_size else np.zeros(0, dtype=np.uint16)


def _ids(tokenizer: Tokenizer, texts: list[str]) -> bytes:
    return b"".join(np.asarray(of.ids, dtype=np.uint16).tobytes() for of in tokenizer.encode_batch(texts))
