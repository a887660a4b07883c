"""A byte-level BPE tokenizer as GGUF keys; what llama.cpp would tokenize differently is refused, never approximated.

The tokenizer is read through PreTrainedTokenizerFast, which keeps tokenizer.json as it is. AutoTokenizer does not:
for model type qwen2 it puts Qwen2Tokenizer's own normalizer and regex in place of the file's (transformers 5.23).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gguf import GGUFWriter, TokenType
from pydantic import BaseModel, ConfigDict, ValidationError
from transformers import PreTrainedTokenizerFast

from breeder.gguf_export.pretokenizer import merges_are_ignored, recognised
from breeder.gguf_export.shape import read_json
from registry.errors import ExportError

_FIX: Final = "llama.cpp cannot do this; choose another base, or change its tokenizer.json before training"


class _AddedToken(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: bool


class _Bpe(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    dropout: float | None = None
    unk_token: str | None = None
    continuing_subword_prefix: str | None = None
    end_of_word_suffix: str | None = None
    fuse_unk: bool = False
    byte_fallback: bool = False
    ignore_merges: bool = False
    vocab: dict[str, int]
    merges: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokenizer keys of a GGUF file; `tokens` and `types` are indexed by token id."""

    pre: str
    tokens: tuple[str, ...]
    types: tuple[TokenType, ...]
    merges: tuple[str, ...]
    bos: int
    eos: int
    pad: int | None
    add_bos: bool
    add_eos: bool
    chat_template: str | None


def load_tokenizer(model_dir: Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a folder exactly as its tokenizer.json describes it."""
    read_json(model_dir / "tokenizer.json")
    try:
        tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(model_dir, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise ExportError(f"transformers cannot load the tokenizer of {model_dir}: {error}") from error
    return tokenizer


def read_vocabulary(model_dir: Path, size: int) -> Vocabulary:
    """Return the vocabulary of a folder, padded to the `size` rows of the embedding matrix.

    Raises:
        ExportError: the tokenizer has no faithful form.

    """
    tokenizer = load_tokenizer(model_dir)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    # llama.cpp normalizes nothing. NFC (Qwen's) is done by registry.prompting before either side sees a text.
    if state["normalizer"] not in (None, {"type": "NFC"}):
        raise ExportError(
            f"{model_dir} has normalizer {_brief(state['normalizer'])}: {_FIX} (null, with texts normalized)"
        )
    pre = recognised(state["pre_tokenizer"])
    model = _bpe(model_dir, state["model"], pre)
    added = [_AddedToken.model_validate(token) for token in state["added_tokens"]]
    tokens, types = _tokens(model_dir, model.vocab, added, size)
    bos, eos = _boundary_ids(model_dir, tokenizer)
    add_bos, add_eos = _added_around(model_dir, tokenizer, bos, eos)
    merges = tuple(f"{left} {right}" for left, right in model.merges)
    template = _chat_template(tokenizer.chat_template)
    return Vocabulary(pre, tokens, types, merges, bos, eos, tokenizer.pad_token_id, add_bos, add_eos, template)


def add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    """Put the tokenizer keys into a GGUF header."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    if vocabulary.pad is not None:
        writer.add_pad_token_id(vocabulary.pad)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)


def _bpe(model_dir: Path, state: object, pre: str) -> _Bpe:
    try:
        model = _Bpe.model_validate(state)
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in issue["loc"][:1]) for issue in error.errors()})
        raise ExportError(f"{model_dir} has no plain BPE tokenizer (fields {fields}): {_FIX}") from error
    for feature in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if getattr(model, feature):
            raise ExportError(f"{model_dir} has a BPE with {feature} {getattr(model, feature)!r}: {_FIX}")
    if model.ignore_merges is not merges_are_ignored(pre):
        raise ExportError(f"{model_dir} splits as {pre} but has ignore_merges {model.ignore_merges}: {_FIX}")
    if not model.merges:
        raise ExportError(f"{model_dir} has a BPE without merges: {_FIX}")
    return model


def _tokens(
    model_dir: Path, vocab: Mapping[str, int], added: Sequence[_AddedToken], size: int
) -> tuple[tuple[str, ...], tuple[TokenType, ...]]:
    """Return text and type of each id; ids that the tokenizer never gives are padding."""
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [TokenType.UNUSED] * size
    placed = [(i, text, TokenType.NORMAL) for text, i in vocab.items()]
    for token in added:
        for feature in ("lstrip", "rstrip", "single_word"):
            if getattr(token, feature):
                raise ExportError(f"{model_dir} has added token {token.content!r} with {feature}: {_FIX}")
        placed.append((token.id, token.content, TokenType.CONTROL if token.special else TokenType.USER_DEFINED))
    for i, text, kind in placed:
        if not 0 <= i < size:
            raise ExportError(f"{model_dir} has token {text!r} with id {i}, beyond the {size} rows of its embeddings")
        tokens[i], types[i] = text, kind
    repeated = [text for text, count in Counter(tokens).items() if count > 1]
    if repeated:
        raise ExportError(f"{model_dir} has token {repeated[0]!r} twice, padding included: {_FIX}")
    return tuple(tokens), tuple(types)


def _boundary_ids(model_dir: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[int, int]:
    """Return bos and eos; where there is no bos, eos stands for it, because llama.cpp assumes token 11 otherwise."""
    eos = tokenizer.eos_token_id
    if eos is None:
        raise ExportError(
            f"{model_dir} names no eos_token, so answers would never end; set it in tokenizer_config.json"
        )
    return eos if tokenizer.bos_token_id is None else tokenizer.bos_token_id, eos


def _added_around(model_dir: Path, tokenizer: PreTrainedTokenizerFast, bos: int, eos: int) -> tuple[bool, bool]:
    """Return whether encoding puts bos before and eos after a text, by trying it."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    for add_bos in (False, True):
        for add_eos in (False, True):
            if full == [bos] * add_bos + plain + [eos] * add_eos:
                return add_bos, add_eos
    raise ExportError(
        f"{model_dir} encodes 'a' as {full}, with other tokens around it than bos {bos} or eos {eos}: {_FIX}"
    )


def _chat_template(template: object) -> str | None:
    chosen = template.get("default") if isinstance(template, dict) else template
    return chosen if isinstance(chosen, str) else None


def _brief(state: Mapping[str, object]) -> str:
    return json.dumps(state)[:200]
