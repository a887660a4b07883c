"""The decoding loop: prompt, sampling, log-probabilities, stop; one answer at a time on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from registry.errors import EngineError
from router.engine.grammar import Grammar
from router.engine.llama import BATCH, DecodeAbortedError, Llama, Logits
from router.engine.protocol import Done, FinishReason, Piece
from router.engine.text import TextAssembler


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """A checked adapter; `key` changes with the file behind the path."""

    path: Path
    key: str


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """An admitted request: prompt and answer fit the context, every token id is in the vocabulary.

    A task is decoded once: its grammar moves on with the answer.
    """

    prompt: tuple[int, ...]
    adapter: AdapterFile | None
    max_tokens: int
    temperature: float
    stop: tuple[str, ...]
    seed: int
    grammar: Grammar | None = None


class Decoder:
    """Owns what the context remembers: which adapter is attached, and which whole batches of prompt it holds."""

    def __init__(self, llama: Llama) -> None:
        self._llama = llama
        self._adapter: str | None = None
        self._remembered: tuple[int, ...] = ()

    def generate(self, task: DecodeTask, cancelled: Callable[[], bool]) -> Iterator[Piece | Done]:
        """Yield a Piece for every token, then a Done; `cancelled` is asked between tokens and within the prompt.

        Raises:
            EngineError: llama.cpp failed or gave logits that are no numbers; the memory is clean again.
        """
        tally = _Tally()
        try:
            yield from self._pieces(task, cancelled, tally)
        except DecodeAbortedError:
            tally.reason = FinishReason.CANCELLED
        except EngineError:
            self._reset()
            raise
        yield tally.done(len(task.prompt))

    def logits(self, tokens: Sequence[int], adapter: AdapterFile | None, *, every: bool) -> Logits:
        """Return the logits at the last position, or at every one, of a sequence decoded afresh: (n, vocabulary)."""
        self._switch(adapter)
        self._reset()
        rows = []
        for start in range(0, len(tokens), BATCH):
            chunk = tokens[start : start + BATCH]
            rows.append(self._llama.read(chunk, start, outputs=slice(None if every else -1, None)).copy())
        return np.concatenate(rows if every else rows[-1:])

    def _pieces(self, task: DecodeTask, cancelled: Callable[[], bool], tally: _Tally) -> Iterator[Piece]:
        rng = np.random.default_rng(task.seed)
        text = TextAssembler(task.stop)
        if cancelled():
            raise DecodeAbortedError
        logits = self._read(task, cancelled)
        while True:
            token, logprob = choose(logits, task.temperature, rng, task.grammar)
            tally.add(logprob)
            ended = self._llama.is_end(token)
            if task.grammar and not ended:
                task.grammar.accept(token)
            last = ended or tally.count == task.max_tokens
            yield Piece(text.feed(b"" if ended else self._llama.piece(token), last=last), logprob)
            if ended or text.stopped:
                tally.reason = FinishReason.STOP
            if last or text.stopped:
                return
            if cancelled():
                raise DecodeAbortedError
            logits = self._llama.step(token, len(task.prompt) + tally.count - 1)

    def _read(self, task: DecodeTask, cancelled: Callable[[], bool]) -> Logits:
        """Decode what is new of the prompt; return the logits (vocabulary,) after its last token."""
        prompt = task.prompt
        self._switch(task.adapter)
        kept = self._llama.keep(_common_batches(self._remembered, prompt[:-1]))
        self._remembered = prompt[:kept]
        *whole, final = range(kept, len(prompt), BATCH)
        with self._llama.abortable(cancelled):
            for start in whole:
                self._llama.read(prompt[start : start + BATCH], start, outputs=slice(0))
            logits: Logits = self._llama.read(prompt[final:], final, outputs=slice(-1, None))[0]
        self._remembered = prompt[: len(prompt) // BATCH * BATCH]
        return logits

    def _switch(self, adapter: AdapterFile | None) -> None:
        key = adapter.key if adapter else None
        if key == self._adapter:
            return
        if adapter is None:
            self._llama.detach()
        else:
            self._llama.load_adapter(adapter.key, adapter.path)
        # Keys and values of another adapter would silently bend every answer.
        self._adapter, self._remembered = key, ()

    def _reset(self) -> None:
        self._remembered = ()
        self._llama.wipe()


class _Tally:
    """Counts tokens and sums their log-probabilities while an answer is made."""

    def __init__(self) -> None:
        self.count = 0
        self.reason = FinishReason.LENGTH
        self._total = 0.0

    def add(self, logprob: float) -> None:
        self.count += 1
        self._total += logprob

    def done(self, prompt_tokens: int) -> Done:
        mean = self._total / self.count if self.count else float("nan")
        return Done(self.reason, prompt_tokens, self.count, mean)


def choose(
    logits: Logits, temperature: float, rng: np.random.Generator, grammar: Grammar | None = None
) -> tuple[int, float]:
    """Pick a token (greedy at temperature 0, else Gumbel-max) among those that the grammar allows.

    Return it and its log-probability at temperature 1 among all tokens, as if there were no grammar.

    Raises:
        EngineError: the logits are not finite, or the grammar allows no token.
    """
    token = int(logits.argmax())
    shifted = scores = logits - logits[token]
    if temperature > 0:
        scores = shifted / temperature + rng.gumbel(size=shifted.size)
        token = int(scores.argmax())
    if grammar is not None:
        token = grammar.best(scores, token)
    logprob = float(shifted[token] - np.log(np.exp(shifted).sum()))
    if not isfinite(logprob):
        raise EngineError("the model gave logits that are not finite numbers; its file or adapter is broken")
    return token, logprob


def _common_batches(known: Sequence[int], prompt: Sequence[int]) -> int:
    """Return how many leading tokens agree, in whole batches."""
    whole = min(len(known), len(prompt)) // BATCH
    batches = (slice(i * BATCH, (i + 1) * BATCH) for i in range(whole))
    return next((batch.start for batch in batches if known[batch] != prompt[batch]), whole * BATCH)
