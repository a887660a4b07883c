"""Answers under a grammar: the model's own where it keeps to it, the nearest allowed where not, never an abort."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path

import numpy as np
import pytest

from registry.errors import EngineError

pytest.importorskip("llama_cpp")

from router.engine.decoding import Decoder, DecodeTask
from router.engine.grammar import LIKELY, MAX_NESTING
from router.engine.llama import Llama
from router.engine.process import EngineProcess
from router.engine.protocol import (
    MAX_GRAMMAR_CHARS,
    MAX_GRAMMAR_RULES,
    Done,
    EngineRequestError,
    FinishReason,
    GenerateRequest,
    Message,
    Piece,
    RefusalKind,
)
from tests.pico import SPECIALS, pico_tokenizer

PROMPT = tuple(3 + i % 300 for i in range(40))
ANYTHING = r"root ::= [^\x00]*"
LABELS = 'root ::= "card" | "card lost" | "cash" | "größe"'
OBJECT = r"""
root ::= "{\"name\":" string ",\"count\":" number "}"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\/bfnrt])* "\""
number ::= "0" | [1-9] [0-9]*
"""
END = pico_tokenizer().token_to_id("<|im_end|>")


@pytest.fixture(scope="module")
def llama(base: Path) -> Iterator[Llama]:
    with closing(Llama(base, threads=1, context=2048)) as loaded:
        yield loaded


def answer(
    llama: Llama,
    grammar: str,
    *,
    prompt: tuple[int, ...] = PROMPT,
    max_tokens: int = 40,
    temperature: float = 0.0,
    seed: int = 0,
    stop: str = "",
) -> tuple[str, list[float], Done]:
    """Return the text, the log-probability of each token, and the end."""
    parsed = llama.grammar(grammar) if grammar else None
    task = DecodeTask(prompt, None, max_tokens, temperature, (stop,) if stop else (), seed, parsed)
    *items, done = Decoder(llama).generate(task, lambda: False)
    pieces = [item for item in items if isinstance(item, Piece)]
    assert isinstance(done, Done)
    return "".join(piece.text for piece in pieces), [piece.logprob for piece in pieces], done


def test_a_grammar_that_takes_what_the_model_says_changes_nothing(llama: Llama) -> None:
    prompts = [(*PROMPT, token) for token in range(3, 160)]
    free = {prompt: answer(llama, "", prompt=prompt, max_tokens=4) for prompt in prompts}
    # Bytes that are no UTF-8 are the one thing that this grammar does not take.
    sound = {prompt: said for prompt, said in free.items() if "\ufffd" not in said[0]}
    assert len(sound) > 10
    assert {prompt: answer(llama, ANYTHING, prompt=prompt, max_tokens=4) for prompt in sound} == sound


@pytest.mark.parametrize("temperature", [0.0, 1.0, 50.0])
def test_a_random_model_can_only_say_a_label_and_then_end(llama: Llama, temperature: float) -> None:
    found = [answer(llama, LABELS, temperature=temperature, seed=seed) for seed in range(30)]
    texts = {text for text, _, _ in found}
    assert texts <= {"card", "card lost", "cash", "größe"}
    assert len(texts) > 1 or temperature == 0
    assert {done.finish_reason for _, _, done in found} == {FinishReason.STOP}


def test_a_random_model_can_only_say_objects_of_the_shape(llama: Llama) -> None:
    found = [answer(llama, OBJECT, temperature=20, seed=seed, max_tokens=400) for seed in range(20)]
    whole = [json.loads(text) for text, _, done in found if done.finish_reason is FinishReason.STOP]
    assert len(whole) > 10
    assert all(list(value) == ["name", "count"] and isinstance(value["count"], int) for value in whole)


def test_the_confidence_is_the_models_own_as_if_there_were_no_grammar(llama: Llama) -> None:
    forced = 'root ::= "the fox"'
    _, logprobs, done = answer(llama, forced)
    spelled = greedy_tokens(llama, forced)
    rows = Decoder(llama).logits([*PROMPT, *spelled[:-1]], None, every=True)[len(PROMPT) - 1 :].astype(np.float64)
    normal = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    expected = [normal[i, token] for i, token in enumerate(spelled)]
    assert logprobs == pytest.approx(expected, abs=1e-3)
    assert done.mean_logprob == pytest.approx(np.mean(expected), abs=1e-3)
    assert done.mean_logprob < answer(llama, "")[2].mean_logprob - 1


def greedy_tokens(llama: Llama, grammar: str) -> list[int]:
    """Return what is decoded under a grammar, found by trying every token against it at every step."""
    state, tokens = llama.grammar(grammar), list[int]()
    while not tokens or not llama.is_end(tokens[-1]):
        row = Decoder(llama).logits([*PROMPT, *tokens], None, every=False)[0]
        tokens.append(max((t for t in range(llama.vocabulary) if state.allows(t)), key=lambda t: row[t]))
        if not llama.is_end(tokens[-1]):
            state.accept(tokens[-1])
    return tokens


def test_the_best_allowed_token_is_found_among_the_likely_and_beyond(llama: Llama) -> None:
    digit = pico_tokenizer().token_to_id("7")
    for rank in (0, 1, LIKELY - 1, LIKELY, llama.vocabulary - 1):
        order = [token for token in range(llama.vocabulary) if token != digit]
        order.insert(rank, digit)
        scores = np.empty(llama.vocabulary, np.float32)
        scores[order] = -np.arange(llama.vocabulary)
        assert llama.grammar('root ::= "7"').best(scores, order[0]) == digit


def test_only_the_end_may_follow_a_whole_answer_and_never_comes_before(llama: Llama) -> None:
    state = llama.grammar('root ::= "7" "8"?')
    seven, eight = (pico_tokenizer().token_to_id(digit) for digit in "78")
    assert not state.allows(END)
    state.accept(seven)
    assert (state.allows(END), state.allows(eight), state.allows(seven)) == (True, True, False)
    state.accept(eight)
    assert [token for token in range(llama.vocabulary) if state.allows(token)] == [
        token for token in range(llama.vocabulary) if llama.is_end(token)
    ]


def test_a_control_token_is_no_text_although_its_name_is(llama: Llama) -> None:
    control = [token for token in map(pico_tokenizer().token_to_id, SPECIALS) if not llama.is_end(token)]
    assert control
    for grammar in (ANYTHING, 'root ::= "<|im_start|>"'):
        assert not any(llama.grammar(grammar).allows(token) for token in control)
    assert answer(llama, 'root ::= "<|im_start|>"')[0] == "<|im_start|>"


def test_stop_strings_and_the_token_limit_cut_as_ever(llama: Llama) -> None:
    cut, _, done = answer(llama, 'root ::= "the lazy dog"', max_tokens=2)
    assert "the lazy dog".startswith(cut)
    assert (done.finish_reason, done.completion_tokens) == (FinishReason.LENGTH, 2)
    text, _, done = answer(llama, 'root ::= "the lazy dog"', stop="zy")
    assert (text, done.finish_reason) == ("the la", FinishReason.STOP)


def test_a_grammar_that_nothing_satisfies_is_an_error_and_the_next_answer_is_sound(llama: Llama) -> None:
    with pytest.raises(EngineError, match="no token of the base's vocabulary"):
        answer(llama, "root ::= [z-a]")
    assert answer(llama, LABELS)[2].finish_reason is FinishReason.STOP


REFUSED = {
    "no root": 'other ::= "a"',
    "not closed": 'root ::= "a',
    "undefined": "root ::= other",
    "left recursion": 'root ::= root "a" | "b"',
    "no grammar": "card | cash",
    "escape": r'root ::= "\q"',
    "blank": " \n",
    "nul": 'root ::= "a" \0',
    "endless parse": 'root ::= "a"{3,1}',
    "nesting": "root ::= " + "(" * 200_000,
    "unbalanced": "root ::= )" * 3 + "(" * (MAX_NESTING + 2),
    "rules": "root ::= r0\n" + "\n".join(f"r{i} ::= r{i + 1}" for i in range(MAX_GRAMMAR_RULES)),
    "long": 'root ::= "' + "a" * MAX_GRAMMAR_CHARS + '"',
}


def with_engine(base: Path, folder: Path, scenario: Callable[[EngineProcess], Awaitable[object]]) -> None:
    async def run() -> None:
        async with EngineProcess(base, socket_dir=folder, threads=1, context=4096) as engine:
            await scenario(engine)

    asyncio.run(run())


def asking(grammar: str, max_tokens: int = 40) -> GenerateRequest:
    return GenerateRequest((Message("user", "hi"),), max_tokens, grammar=grammar)


async def said(engine: EngineProcess, request: GenerateRequest) -> str:
    return "".join([item.text async for item in engine.generate(request) if isinstance(item, Piece)])


def test_a_grammar_that_cannot_be_used_is_refused_and_the_engine_lives(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> None:
        pid = engine.pid
        for name, grammar in REFUSED.items():
            with pytest.raises(EngineRequestError) as caught:
                await said(engine, asking(grammar))
            expected = RefusalKind.INVALID if len(grammar) > MAX_GRAMMAR_CHARS else RefusalKind.GRAMMAR
            assert (name, caught.value.kind) == (name, expected)
            assert "grammar" in str(caught.value)
        assert await said(engine, asking('root ::= "still here"')) == "still here"
        assert engine.pid == pid

    with_engine(base, tmp_path, scenario)


def test_braces_and_brackets_within_text_are_no_structure(llama: Llama) -> None:
    text = r"""{3,1} ( # "\" ::= ["""
    literal = text.replace("\\", "\\\\").replace('"', '\\"')
    assert answer(llama, f'# (((\nroot ::= "{literal}" ["({{\\]]')[0][: len(text)] == text


def test_streams_with_different_grammars_do_not_mix(base: Path, tmp_path: Path) -> None:
    texts = [f"answer {number}" for number in range(8)]

    async def scenario(engine: EngineProcess) -> None:
        free = await said(engine, asking(""))
        for _ in range(3):
            found = await asyncio.gather(*(said(engine, asking(f'root ::= "{text}"')) for text in texts))
            assert found == texts
        assert await said(engine, asking("")) == free

    with_engine(base, tmp_path, scenario)


def test_hanging_up_under_a_grammar_frees_the_engine(slow_base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> None:
        async with aclosing(engine.generate(asking(ANYTHING, 4000))) as pieces:
            await anext(pieces)
        async with asyncio.timeout(5):
            assert await said(engine, asking('root ::= "free"')) == "free"

    with_engine(slow_base, tmp_path, scenario)
