"""Keeps the memory of a training near what it uses: freed buffers go back to the system."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_LARGE_BYTES = 4 << 20


def return_freed_memory() -> None:
    """Let glibc map large buffers one by one, and share one heap among threads; man 3 mallopt.

    Batches differ in length, so no freed buffer fits the next one and heaps only grow: pretraining the seedling came
    to 9 GB in ten minutes, against 2.6 GB so. Does nothing where the C library has no `mallopt`.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_THRESHOLD, _LARGE_BYTES)
        tune(_ARENA_MAX, 1)


def trim_heap() -> None:
    """Give the free pages of the heap back; man 3 malloc_trim. Does nothing where the C library has none.

    Buffers under 4 MB lie on the heap and leave holes there, as their sizes change from batch to batch.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
