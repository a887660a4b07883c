"""Where batches take their examples from: generated as needed, or packed beforehand into a memory-mapped file.

A packed file is the same whatever the number of workers: each chunk of it has a random source of its own. The index
is written last, so a file without one is made again. Free of torch: workers start with this module.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import BinaryIO, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from typing_extensions import override

from breeder.progress import Paced, Report
from breeder.seedling.corpus import Shards, map_ids, text_pieces
from breeder.seedling.families import Tasks
from breeder.seedling.passages import Passages
from breeder.seedling.vocabulary import encode_examples, load_tokenizer

_CHUNK = 2000

Piece: TypeAlias = tuple[list[int], int]
"""Ids, and how many of them at the start bear no loss."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What text the reading tasks are drawn from, and their share of all examples."""

    shards: Shards = field(default_factory=Shards)
    limit_bytes: int = 0
    share: float = 0.0


@cache
def load_tasks(reading: Reading) -> Tasks:
    """Read the text once a process."""
    if not reading.shards.paths:
        return Tasks()
    return Tasks.reading(Passages.of(text_pieces(reading.shards, reading.limit_bytes)), reading.share)


class ExampleSource(Protocol):
    """Encoded examples of the task families."""

    def draw(self, rng: Random, count: int) -> list[Piece]:
        """Return `count` examples, determined by the random source."""


@dataclass(frozen=True, slots=True)
class FreshExamples(ExampleSource):
    """Generates each example when it is drawn."""

    tokenizer: Tokenizer
    tasks: Tasks = field(default_factory=Tasks)

    @override
    def draw(self, rng: Random, count: int) -> list[Piece]:
        return encode_examples(self.tokenizer, [self.tasks.draw(rng) for _ in range(count)])


@dataclass(frozen=True, slots=True)
class PackedExamples(ExampleSource):
    """Draws from a packed file, with replacement; each row of `bounds` is start, end and prompt length of one."""

    ids: NDArray[np.uint16]
    bounds: NDArray[np.int64]

    @override
    def draw(self, rng: Random, count: int) -> list[Piece]:
        chosen = (self.bounds[rng.randrange(len(self.bounds))].tolist() for _ in range(count))
        return [(self.ids[start:end].tolist(), quiet) for start, end, quiet in chosen]


@dataclass(frozen=True, slots=True)
class Packing:
    """What determines a packed file, and its chunks as (start, examples)."""

    work: Path
    seed: int
    count: int
    reading: Reading = field(default_factory=Reading)

    def chunks(self) -> list[tuple[int, int]]:
        """Start and size of each chunk."""
        return [(start, min(_CHUNK, self.count - start)) for start in range(0, self.count, _CHUNK)]


def pack_examples(packing: Packing, workers: int, report: Report) -> PackedExamples:
    """Generate the examples with the tokenizer of the work folder, or open what was packed there before."""
    work = packing.work
    ids, index = work / "examples.u16", work / "examples.npy"
    if not index.exists():
        partial_ids, partial_index = (path.with_name(path.name + ".partial") for path in (ids, index))
        with partial_ids.open("wb") as out, partial_index.open("wb") as index_out:
            np.save(index_out, _write_ids(out, packing, workers, report))
            for file in (out, index_out):
                file.flush()
                os.fsync(file.fileno())
        partial_ids.replace(ids)
        partial_index.replace(index)
    return PackedExamples(map_ids(ids), np.load(index, mmap_mode="r"))


def _write_ids(out: BinaryIO, packing: Packing, workers: int, report: Report) -> NDArray[np.int64]:
    """Write the ids of all chunks in order; returns the bounds."""
    paced, found = Paced(report), []
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _serve_parent)
    try:
        for ids, lengths in pool.map(partial(_encode_chunk, packing), packing.chunks()):
            out.write(ids)
            found.append(lengths)
            paced(f"packed {sum(map(len, found)):,} of {packing.count:,} examples")
    finally:
        pool.shutdown(cancel_futures=True)
    whole, quiet = np.concatenate(found).T
    ends = np.cumsum(whole)
    return np.stack([ends - whole, ends, quiet], axis=1)


def _encode_chunk(packing: Packing, chunk: tuple[int, int]) -> tuple[bytes, NDArray[np.int64]]:
    """Return the ids of one chunk, and of each example its length and that of its prompt."""
    start, count = chunk
    source = FreshExamples(load_tokenizer(packing.work), load_tasks(packing.reading))
    pieces = source.draw(Random(f"packed:{packing.seed}:{start}"), count)
    ids = np.concatenate([np.asarray(ids, dtype=np.uint16) for ids, _ in pieces])
    return ids.tobytes(), np.asarray([(len(ids), quiet) for ids, quiet in pieces], dtype=np.int64)


def _serve_parent() -> None:
    """Leave interrupts to the parent, and end with it: the pool's own pipe does not tell of a killed one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
