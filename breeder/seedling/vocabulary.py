"""The seedling's tokenizer and chat form: training, and turning one example into ids with the loss mask."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from breeder.seedling.rules import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD: Final = "<|pad|>"
END: Final = "<|end|>"
ROLES: Final = ("system", "user", "assistant")
SPECIALS: Final = (PAD, END, *(f"<|{role}|>" for role in ROLES))
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Byte-level BPE with single digits: the `smollm` pre-tokenizer of llama.cpp."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer, max_positions: int) -> PreTrainedTokenizerFast:
    """The transformers form, with the chat template."""
    from transformers import PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[f"<|{role}|>" for role in ROLES],
        model_max_length=max_positions,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json` of a folder."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def prompt_text(example: Example) -> str:
    """The chat form up to and including the assistant mark."""
    system = f"<|system|>{example.system}{END}" if example.system is not None else ""
    return f"{system}<|user|>{example.user}{END}<|assistant|>"


def encode_examples(tokenizer: Tokenizer, examples: list[Example]) -> list[tuple[list[int], int]]:
    """Ids of each example with the count of its prompt ids, which bear no loss."""
    prompts = tokenizer.encode_batch([prompt_text(example) for example in examples])
    answers = tokenizer.encode_batch([example.answer + END for example in examples])
    return [(p.ids + a.ids, len(p.ids)) for p, a in zip(prompts, answers, strict=True)]
