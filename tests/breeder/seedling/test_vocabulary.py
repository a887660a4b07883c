"""The tokenizer reads back what it wrote and splits digits; the chat form is the training form."""

from __future__ import annotations

from random import Random

import pytest
from tokenizers import Tokenizer

from breeder.seedling.families import draw_example
from breeder.seedling.rules import Example
from breeder.seedling.vocabulary import SPECIALS, encode_examples, prompt_text, train_tokenizer, wrap_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    rng = Random(1)
    return train_tokenizer((prompt_text(draw_example(rng)) for _ in range(300)), 400)


def test_special_tokens_come_first(tokenizer: Tokenizer) -> None:
    assert list(range(5)) == [tokenizer.token_to_id(token) for token in SPECIALS]


@pytest.mark.parametrize(
    "text", ["plain words", "tabs\tand\n\nlines", "Grüße, 東京 €5", '{"a": [1, 2]}', "  two  spaces "]
)
def test_text_survives_the_round_trip(tokenizer: Tokenizer, text: str) -> None:
    assert text == tokenizer.decode(tokenizer.encode(text).ids)


def test_each_digit_is_a_token(tokenizer: Tokenizer) -> None:
    assert [*"20481"] == tokenizer.encode("20481").tokens


def test_the_chat_template_gives_the_training_form(tokenizer: Tokenizer) -> None:
    wrapped = wrap_tokenizer(tokenizer, 2048)
    example = Example("any", "Be brief.", "Say 12", "12")
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say 12"}]
    (ids, quiet), *_ = encode_examples(tokenizer, [example])
    shown = wrapped.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert prompt_text(example) == shown
    assert ids[:quiet] == wrapped(shown)["input_ids"]
    assert wrapped.eos_token_id == ids[-1]
