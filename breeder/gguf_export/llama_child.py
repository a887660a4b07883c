"""Runs llama.cpp in a process of its own, because its assertions abort; run as a file, imports nothing of ours.

`quantize SRC DST FTYPE` | `tokenize GGUF` (JSON strings in, JSON lists of ids out) | `logits GGUF [ADAPTER]` (JSON
ids in, float32 rows out). Any refusal ends with status 1 and llama.cpp's reason on standard error.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Final, cast

import llama_cpp
import numpy as np
from numpy.typing import NDArray

_ERROR_LEVEL: Final = 4
"""As ggml numbers it; llama-cpp-python 0.3.36 still has the old numbers and would show debugging instead."""


def _show_errors(level: int, text: bytes, _data: object) -> None:
    if level == _ERROR_LEVEL:
        sys.stderr.write(text.decode(errors="replace"))


_ERRORS_ONLY: Final = llama_cpp.llama_log_callback(_show_errors)


def quantize(source: str, target: str, ftype: int) -> None:
    """Write a quantized copy of a GGUF file."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = ftype
    _need(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)) == 0, "not quantized")


def tokenize(gguf: str, texts: list[str]) -> list[list[int]]:
    """Return the ids of each text, with the tokens that the vocabulary asks to put around it."""
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    vocab = llama_cpp.llama_model_get_vocab(_load(gguf, params))
    return [_ids(vocab, text.encode()) for text in texts]


def logits(gguf: str, adapter: str | None, tokens: list[int]) -> NDArray[np.float32]:
    """Return one row of logits for each token, computed with a float32 cache and without flash attention."""
    model = _load(gguf, llama_cpp.llama_model_default_params())
    vocabulary_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    _need(all(0 <= token < vocabulary_size for token in tokens), f"a token lies outside of {vocabulary_size}")
    context = llama_cpp.llama_init_from_model(model, _exact_params(len(tokens)))
    _need(context, "no context")
    if adapter is not None:
        _attach(context, llama_cpp.llama_adapter_lora_init(model, adapter.encode()))
    _need(llama_cpp.llama_decode(context, _batch(tokens)) == 0, "not decoded")
    rows = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), (len(tokens), vocabulary_size))
    return rows.copy()


def _load(gguf: str, params: llama_cpp.llama_model_params) -> llama_cpp.llama_model_p:
    model = llama_cpp.llama_model_load_from_file(gguf.encode(), params)
    _need(model, f"{gguf} was not loaded")
    return cast("llama_cpp.llama_model_p", model)


def _ids(vocab: llama_cpp.llama_vocab_p, text: bytes) -> list[int]:
    # A byte is a token at most, and bos and eos come on top.
    ids = (llama_cpp.llama_token * (len(text) + 2))()
    count = llama_cpp.llama_tokenize(vocab, text, len(text), ids, len(ids), True, True)
    _need(count >= 0, f"not tokenized: {text!r}")
    return list(ids[:count])


def _exact_params(tokens: int) -> llama_cpp.llama_context_params:
    params: llama_cpp.llama_context_params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = tokens
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return params


def _attach(context: llama_cpp.llama_context_p, adapter: llama_cpp.llama_adapter_lora_p) -> None:
    _need(adapter, "the adapter was not loaded")
    adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)  # type: ignore[misc] # declared c_void_p, is a pointer
    _need(
        llama_cpp.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0)) == 0, "adapter not attached"
    )


def _batch(tokens: list[int]) -> llama_cpp.llama_batch:
    batch: llama_cpp.llama_batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, 1, 0, 1
        batch.pos[i] = i  # type: ignore[call-overload] # declared an array of arrays, holds numbers
    return batch


def _need(condition: object, refusal: str) -> None:
    """Exit where llama.cpp refused; its null pointers are objects, so this looks at their truth."""
    if not condition:
        sys.exit(refusal)


def main(command: str, *arguments: str) -> None:
    """Carry out one command."""
    # An abort would otherwise start a debugger and hang where there is one.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    llama_cpp.llama_log_set(_ERRORS_ONLY, None)
    if command == "quantize":
        source, target, ftype = arguments
        quantize(source, target, int(ftype))
    elif command == "tokenize":
        sys.stdout.write(json.dumps(tokenize(arguments[0], json.load(sys.stdin))))
    else:
        gguf, *adapter = arguments
        sys.stdout.buffer.write(logits(gguf, adapter[0] if adapter else None, json.load(sys.stdin)).tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
