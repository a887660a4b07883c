"""llama.cpp through llama-cpp-python's low-level bindings: one base, one context, one sequence.

Every argument is checked by the callers in `admission` and `fit` first: a failed GGML_ASSERT ends the process. Not
thread-safe but for `tokenize`, `piece` and `grammar`, which only read the vocabulary.
"""

from __future__ import annotations

import ctypes
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import llama_cpp
import numpy as np
from llama_cpp import llama_cpp as lib
from numpy.typing import NDArray

from registry.errors import EngineError
from router.engine.grammar import Grammar
from router.engine.protocol import EngineFileError

Logits: TypeAlias = NDArray[np.float32]

BATCH = 128
"""Tokens in one llama_decode. Prompts are always cut at multiples of it, so that a reused prefix was computed in the
very batches in which a fresh prompt would be, and gives the same bits."""

_LOG_ERROR = 4
_DECODE_ABORTED = 2


@lib.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes prototype
def _print_errors(level: int, text: bytes, _data: object) -> None:
    # llama.cpp calls this until the process ends, so it must never be collected.
    if level == _LOG_ERROR:
        sys.stderr.write(text.decode(errors="replace"))


class DecodeAbortedError(Exception):
    """The caller asked to stop in the middle of a prompt."""


class Llama:
    """A loaded base with its context, its batch, and the adapters loaded so far (least recently used leave)."""

    def __init__(self, base: Path, *, threads: int, context: int, max_adapters: int = 32) -> None:
        """Load a base whose header was checked; `context` is cut to what the base was trained for.

        Raises:
            EngineFileError: llama.cpp cannot load the file.
        """
        lib.llama_log_set(_print_errors, None)
        lib.llama_backend_init()
        self._model = lib.llama_model_load_from_file(str(base).encode(), lib.llama_model_default_params())
        if not self._model:
            raise EngineFileError(f"{base} was refused by llama.cpp {_version()}; export it for this version")
        self.context = min(context, lib.llama_model_n_ctx_train(self._model) or context)
        self._context = lib.llama_init_from_model(self._model, _context_params(threads, self.context))
        if not self._context:
            raise EngineError(f"no memory for {self.context:,} tokens of context on {base}; lower local.context")
        self._vocabulary = lib.llama_model_get_vocab(self._model)
        self.vocabulary = lib.llama_vocab_n_tokens(self._vocabulary)
        self._memory = lib.llama_get_memory(self._context)
        self._batch = _Batch()
        self._pieces: dict[int, bytes] = {}
        self._max_adapters = max_adapters
        self._adapters: OrderedDict[str, lib.llama_adapter_lora_p] = OrderedDict()
        self._never_abort = lib.ggml_abort_callback()

    def close(self) -> None:
        """Free the context, the base and its adapters."""
        lib.llama_free(self._context)
        lib.llama_model_free(self._model)
        lib.llama_batch_free(self._batch.batch)

    @property
    def build(self) -> str:
        """The libraries that decode, as recorded beside every evaluation."""
        return f"llama-cpp-python {llama_cpp.__version__}, llama.cpp {_version()}"

    @cached_property
    def adds_bos(self) -> bool:
        """Whether the vocabulary wants its first token put before every text."""
        return bool(lib.llama_vocab_get_add_bos(self._vocabulary))

    def is_end(self, token: int) -> bool:
        """Say whether a token ends an answer."""
        return bool(lib.llama_vocab_is_eog(self._vocabulary, token))

    def special_text(self, name: str) -> str:
        """Return the text of the `bos` or `eos` token, empty where there is none."""
        token = {"bos": lib.llama_vocab_bos, "eos": lib.llama_vocab_eos}[name](self._vocabulary)
        return lib.llama_vocab_get_text(self._vocabulary, token).decode() if token >= 0 else ""

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        """Return token ids; the text of special tokens becomes those tokens."""
        data = text.encode()
        room = len(data) + 2
        tokens = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocabulary, data, len(data), tokens, room, add_special, True)
        if count < 0:
            raise EngineError(f"a text of {len(data):,} bytes needs {-count:,} tokens, more than it has bytes")
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token, none for special ones."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._spell(token)
        return known

    def _spell(self, token: int) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = lib.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, False)
            if size >= 0:
                return buffer.raw[:size]
            room = -size

    def grammar(self, text: str) -> Grammar:
        """Return a grammar at its start; raises as `Grammar` does."""
        return Grammar(self._vocabulary, text, lambda token: self.is_end(token) or bool(self.piece(token)))

    def load_adapter(self, key: str, path: Path) -> None:
        """Attach the adapter known as `key`, loading it on first use. The memory must be cleared after.

        Raises:
            EngineFileError: llama.cpp cannot load the file.
        """
        adapter = self._adapters.get(key)
        if adapter is None:
            adapter = lib.llama_adapter_lora_init(self._model, str(path).encode())
            if not adapter:
                raise EngineFileError(f"{path} was refused by llama.cpp {_version()}; export it for this version")
            self._adapters[key] = adapter
        self._adapters.move_to_end(key)
        self._attach([adapter])
        while len(self._adapters) > self._max_adapters:
            _, oldest = self._adapters.popitem(last=False)
            lib.llama_adapter_lora_free(oldest)

    def detach(self) -> None:
        """Go back to the bare base. The memory must be cleared after."""
        self._attach([])

    def _attach(self, adapters: Sequence[lib.llama_adapter_lora_p]) -> None:
        # The bindings declare handles as c_void_p, but return pointers to it.
        pointers = (lib.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)  # type: ignore[misc]
        scales = (ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
        code = lib.llama_set_adapters_lora(self._context, pointers, len(adapters), scales)
        if code:
            raise EngineError(f"llama_set_adapters_lora returned {code}; restart the engine")

    def keep(self, count: int) -> int:
        """Forget all but the first `count` tokens of the sequence; return how many could be kept."""
        if count and lib.llama_memory_seq_rm(self._memory, 0, count, -1):
            return count
        lib.llama_memory_clear(self._memory, False)
        return 0

    def wipe(self) -> None:
        """Forget everything and zero the memory, so that no NaN of a broken adapter stays in masked cells."""
        lib.llama_memory_clear(self._memory, True)

    def read(self, tokens: Sequence[int], start: int, *, outputs: slice) -> Logits:
        """Decode up to BATCH tokens at position `start`; return the logits (n, vocabulary) of those in `outputs`.

        The result is a view that the next call overwrites.

        Raises:
            DecodeAbortedError: `abortable` said stop.
            EngineError: llama.cpp failed.
        """
        wanted = self._batch.fill(tokens, start, outputs)
        return self._decode(wanted)

    def step(self, token: int, position: int) -> Logits:
        """Decode one token; return its logits (vocabulary,), a view as in `read`."""
        self._batch.fill_one(token, position)
        logits: Logits = self._decode(1)[0]
        return logits

    def _decode(self, wanted: int) -> Logits:
        code = lib.llama_decode(self._context, self._batch.batch)
        if code == _DECODE_ABORTED:
            raise DecodeAbortedError
        if code:
            count = self._batch.batch.n_tokens
            raise EngineError(f"llama_decode returned {code} on {count} tokens; restart the engine")
        if not wanted:
            return np.empty((0, self.vocabulary), np.float32)
        logits: Logits = np.ctypeslib.as_array(lib.llama_get_logits(self._context), (wanted, self.vocabulary))
        return logits

    @contextmanager
    def abortable(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """Let `read` raise DecodeAbortedError as soon as `should_stop` says so.

        The callback runs at every node of the graph, a tenth of a tiny base's decoding time, so only prompts use it.
        """
        callback = lib.ggml_abort_callback(lambda _: should_stop())
        lib.llama_set_abort_callback(self._context, callback, None)
        try:
            yield
        finally:
            lib.llama_set_abort_callback(self._context, self._never_abort, None)


class _Batch:
    """One llama_batch of a single sequence, filled through numpy views."""

    def __init__(self) -> None:
        self.batch = lib.llama_batch_init(BATCH, 0, 1)
        self._tokens = np.ctypeslib.as_array(self.batch.token, (BATCH,))
        self._positions = np.ctypeslib.as_array(self.batch.pos, (BATCH,))
        self._outputs = np.ctypeslib.as_array(self.batch.logits, (BATCH,))
        np.ctypeslib.as_array(self.batch.n_seq_id, (BATCH,))[:] = 1
        for i in range(BATCH):
            self.batch.seq_id[i][0] = 0

    def fill(self, tokens: Sequence[int], start: int, outputs: slice) -> int:
        """Set tokens, positions and output flags; return how many outputs were asked for."""
        count = len(tokens)
        self.batch.n_tokens = count
        self._tokens[:count] = tokens
        self._positions[:count] = range(start, start + count)
        self._outputs[:count] = 0
        self._outputs[:count][outputs] = 1
        return int(self._outputs[:count].sum())

    def fill_one(self, token: int, position: int) -> None:
        """Do the same for one token with its output, in a tenth of the time."""
        self.batch.n_tokens = 1
        self._tokens[0], self._positions[0], self._outputs[0] = token, position, 1


def _context_params(threads: int, context: int) -> lib.llama_context_params:
    params: lib.llama_context_params = lib.llama_context_default_params()
    params.n_ctx = context
    params.n_batch = params.n_ubatch = BATCH
    params.n_threads = params.n_threads_batch = threads
    return params


def _version() -> str:
    return str(lib.llama_version(), "ascii")
