"""Sampling, prefix reuse and adapters against llama.cpp itself, in this process: every input here is sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from registry.errors import EngineError

pytest.importorskip("llama_cpp")

from router.engine.decoding import AdapterFile, Decoder, DecodeTask, choose
from router.engine.llama import BATCH, Llama, Logits
from router.engine.protocol import Done, FinishReason, Piece
from tests.pico import write_pico_adapter

LONG = tuple(3 + i % 300 for i in range(3 * BATCH + 20))


class CountingLlama(Llama):
    """The real one, which also counts the prompt tokens that it decodes."""

    prompt_tokens = 0

    @override
    def read(self, tokens: Sequence[int], start: int, *, outputs: slice) -> Logits:
        self.prompt_tokens += len(tokens)
        return super().read(tokens, start, outputs=outputs)


Load = Callable[..., CountingLlama]


@pytest.fixture
def load() -> Iterator[Load]:
    """Load bases, and free them when the test ends."""
    with ExitStack() as loaded:

        def load(base: Path, *, max_adapters: int = 32) -> CountingLlama:
            llama = CountingLlama(base, threads=1, context=2048, max_adapters=max_adapters)
            return loaded.enter_context(closing(llama))

        yield load


def task(prompt: tuple[int, ...], *, adapter: Path | None = None, max_tokens: int = 8) -> DecodeTask:
    file = AdapterFile(adapter, str(adapter)) if adapter else None
    return DecodeTask(prompt, file, max_tokens, 0.0, (), 0)


def answer(decoder: Decoder, task: DecodeTask) -> list[Piece | Done]:
    return list(decoder.generate(task, lambda: False))


def test_greedy_takes_the_likeliest_token_with_its_log_probability() -> None:
    logits = np.log(np.array([0.2, 0.5, 0.3], np.float32)) + 7
    token, logprob = choose(logits, 0.0, np.random.default_rng(0))
    assert token == 1
    assert logprob == pytest.approx(np.log(0.5), abs=1e-6)


def test_sampling_follows_the_probabilities_at_the_temperature() -> None:
    logits = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    rng = np.random.default_rng(0)
    for temperature, expected in [(1.0, [0.2, 0.5, 0.3]), (0.5, [0.04 / 0.38, 0.25 / 0.38, 0.09 / 0.38])]:
        drawn = [choose(logits, temperature, rng) for _ in range(4000)]
        shares = np.bincount([token for token, _ in drawn], minlength=3) / 4000
        assert shares == pytest.approx(expected, abs=0.03)
        assert {round(logprob, 3) for _, logprob in drawn} == {-1.609, -0.693, -1.204}


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_logits_that_are_no_numbers_are_an_error(broken: float) -> None:
    with pytest.raises(EngineError, match="not finite"):
        choose(np.array([0, broken, 1], np.float32), 0.0, np.random.default_rng(0))


@pytest.mark.parametrize(("agreeing", "kept"), [(2 * BATCH + 5, 2), (BATCH + 5, 1), (5, 0)])
def test_a_known_prefix_is_not_decoded_again_and_gives_the_same_bits(
    load: Load, base: Path, agreeing: int, kept: int
) -> None:
    other = LONG[:agreeing] + (9,) * (len(LONG) - agreeing)
    expected = answer(Decoder(load(base)), task(other))
    llama = load(base)
    decoder = Decoder(llama)
    answer(decoder, task(LONG))
    decoded_before = llama.prompt_tokens
    assert answer(decoder, task(other)) == expected
    assert llama.prompt_tokens - decoded_before == len(other) - kept * BATCH


@pytest.mark.parametrize("length", [BATCH - 1, BATCH, BATCH + 1, 2 * BATCH])
def test_a_repeated_prompt_gives_the_same_bits_at_every_edge_of_a_batch(load: Load, base: Path, length: int) -> None:
    llama = load(base)
    decoder = Decoder(llama)
    first, second = answer(decoder, task(LONG[:length])), answer(decoder, task(LONG[:length]))
    assert first == second
    assert llama.prompt_tokens == 2 * length - (length - 1) // BATCH * BATCH


def test_nothing_is_reused_across_adapters(load: Load, base: Path, adapters: list[Path]) -> None:
    choices = [None, *adapters]
    expected = [answer(Decoder(load(base)), task(LONG, adapter=adapter)) for adapter in choices]
    assert len({str(pieces) for pieces in expected}) == 3
    decoder = Decoder(load(base))
    for index in (0, 1, 2, 1, 0, 2, 0):
        assert answer(decoder, task(LONG, adapter=choices[index])) == expected[index]


def test_the_least_recently_used_adapter_leaves_and_comes_back(
    load: Load, base: Path, adapters: list[Path], tmp_path: Path
) -> None:
    three = [*adapters, write_pico_adapter(tmp_path / "third.gguf", seed=3)]
    expected = [answer(Decoder(load(base)), task(LONG[:9], adapter=adapter)) for adapter in three]
    llama = load(base, max_adapters=2)
    decoder = Decoder(llama)
    held = {0: [0], 1: [0, 1], 2: [1, 0], 3: [0, 2], 4: [2, 1]}
    for turn, index in enumerate((0, 1, 0, 2, 1)):
        assert answer(decoder, task(LONG[:9], adapter=three[index])) == expected[index]
        assert list(llama._adapters) == [str(three[kept]) for kept in held[turn]]


def test_an_abort_within_the_prompt_leaves_no_trace(load: Load, base: Path) -> None:
    expected = answer(Decoder(load(base)), task(LONG))
    decoder = Decoder(load(base))
    asked = iter(range(10**9))
    (done,) = decoder.generate(task(LONG), lambda: next(asked) > 60)
    assert isinstance(done, Done)
    assert done.finish_reason is FinishReason.CANCELLED
    assert done.completion_tokens == 0
    assert answer(decoder, task(LONG)) == expected


def test_logits_do_not_disturb_the_next_answer(load: Load, base: Path, adapters: list[Path]) -> None:
    expected = answer(Decoder(load(base)), task(LONG))
    decoder = Decoder(load(base))
    answer(decoder, task(LONG))
    every = decoder.logits(LONG[:200], AdapterFile(adapters[0], "a"), every=True)
    last = decoder.logits(LONG[:200], AdapterFile(adapters[0], "a"), every=False)
    assert every.shape == (200, 320)
    assert np.allclose(every[-1:], last, atol=1e-4)
    assert answer(decoder, task(LONG)) == expected
