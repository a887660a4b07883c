"""Causal attention within each document of a packed batch, in the form that suits the device.

All three give the same numbers. On the CPU it is written out: the fused kernel is slow with a document mask at 256
tokens. On a GPU that computes in bf16, flash attention over the stream of documents does no work across them; the
flash kernel of `scaled_dot_product_attention` takes no mask, so other GPUs use its memory-efficient one with a mask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import torch
from torch.nn import functional

from breeder.seedling.batches import Batch, attention_mask

Attention: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Query (rows, heads, length, size), key and value (rows, key heads, length, size) to mixed values, as the query."""
Kernel: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Query, key and value (tokens, heads, size), the document starts (documents + 1) and the longest document."""


def attention_for(batch: Batch) -> Attention:
    """The form for the batch's device and the autocast in force."""
    device = batch.ids.device.type
    if device == "cpu":
        return written_out(batch)
    return streamed(batch, _flash) if torch.is_autocast_enabled(device) else masked(batch)


def written_out(batch: Batch) -> Attention:
    """Two products and a softmax; the queries of one key head are stacked along the length."""
    bias = torch.where(attention_mask(batch), 0.0, -1e9)

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        rows, heads, length, size = query.shape
        groups = key.shape[1]
        scores = (query * size**-0.5).reshape(rows, groups, -1, size) @ key.transpose(2, 3)
        weights = torch.softmax(scores.view(rows, heads, length, length).float() + bias, dim=-1)
        return (weights.view(rows, groups, -1, length) @ value).view(rows, heads, length, size)

    return attend


def masked(batch: Batch) -> Attention:
    """Torch's fused attention with a document mask; the memory-efficient kernel wants as many key heads as queries."""
    mask = attention_mask(batch)

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        shared = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(shared, dim=1) for part in (key.to(value.dtype), value))
        return functional.scaled_dot_product_attention(query.to(value.dtype), key, value, attn_mask=mask)

    return attend


def streamed(batch: Batch, kernel: Kernel) -> Attention:
    """All rows as one stream of documents; padding is a document like any other."""
    starts = document_starts(batch)
    longest = int(starts.diff().max())

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        rows, heads, length, size = query.shape
        streams = [
            part.transpose(1, 2).reshape(rows * length, -1, size).to(value.dtype) for part in (query, key, value)
        ]
        mixed = kernel(streams[0], streams[1], streams[2], starts, longest)
        return mixed.view(rows, length, heads, size).transpose(1, 2)

    return attend


def document_starts(batch: Batch) -> torch.Tensor:
    """Where each document begins in the stream of all rows, and last the number of tokens; int32."""
    begins = torch.ones_like(batch.documents, dtype=torch.bool)
    begins[:, 1:] = batch.documents[:, 1:] != batch.documents[:, :-1]
    return functional.pad(begins.flatten().nonzero()[:, 0], (0, 1), value=begins.numel()).int()


def _flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: torch.Tensor, longest: int
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    causal = (-1, 0)
    mixed = varlen_attn(query, key, value, starts, starts, longest, longest, window_size=causal, enable_gqa=True)
    return cast("torch.Tensor", mixed)
