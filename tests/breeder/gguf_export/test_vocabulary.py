"""Tokenizers: the same ids on both sides, the right keys in the file, and a clear error for what would differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from gguf import GGUFReader, TokenType

from breeder.gguf_export import export_base, token_mismatches
from breeder.gguf_export.vocabulary import read_vocabulary
from tests.breeder.gguf_export.folders import Change, refusal, with_json
from tests.breeder.gguf_export.texts import varied_texts
from tests.pico_hf import ADDED, BOS, CHAT_TEMPLATE, END, PAD, VOCABULARY_ROWS, pico_llama

PRE_TOKENIZERS = ("gpt-2", "smollm", "llama-bpe", "qwen2")


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
@pytest.mark.parametrize("bos", [False, True])
def test_varied_texts_tokenize_alike(tmp_path: Path, pre: str, *, bos: bool) -> None:
    folder = pico_llama(tmp_path / "model", pre=pre, bos=bos)
    base = export_base(folder, tmp_path / "base.gguf")
    texts = varied_texts()
    assert len(set(texts)) >= 200
    assert token_mismatches(folder, base.path, texts) == []


def test_wrong_pre_tokenizer_shows_in_the_varied_texts(tmp_path: Path) -> None:
    folder = pico_llama(tmp_path / "model", pre="qwen2")
    base = export_base(folder, tmp_path / "base.gguf")
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(base.path.read_bytes().replace(b"qwen2", b"gpt-2"))
    found = token_mismatches(folder, wrong, varied_texts())
    assert len(found) > 40
    assert found[0].expected != found[0].actual


def test_keys_hold_ids_types_and_template(llama_dir: Path, tmp_path: Path) -> None:
    fields = GGUFReader(export_base(llama_dir, tmp_path / "base.gguf").path).fields
    found: Mapping[str, object] = {
        key.removeprefix("tokenizer."): fields[key].contents()
        for key in fields
        if key.startswith("tokenizer.") and not key.endswith((".tokens", ".token_type", ".merges"))
    }
    assert found == {
        "ggml.model": "gpt2",
        "ggml.pre": "smollm",
        "ggml.bos_token_id": 1,
        "ggml.eos_token_id": 2,
        "ggml.padding_token_id": 0,
        "ggml.add_bos_token": False,
        "ggml.add_eos_token": False,
        "chat_template": CHAT_TEMPLATE,
    }


def test_types_tell_special_added_and_padding_tokens(llama_dir: Path) -> None:
    vocabulary = read_vocabulary(llama_dir, VOCABULARY_ROWS)
    types = dict(zip(vocabulary.tokens, vocabulary.types, strict=True))
    assert len(types) == VOCABULARY_ROWS
    assert [types[token] for token in (PAD, BOS, END)] == [TokenType.CONTROL] * 3
    assert types[ADDED] is TokenType.USER_DEFINED
    assert types[f"[PAD{VOCABULARY_ROWS - 1}]"] is TokenType.UNUSED
    assert types["Ġthe"] is TokenType.NORMAL


def test_without_bos_the_end_token_stands_for_it(llama_dir: Path, tmp_path: Path) -> None:
    folder = with_json(llama_dir, tmp_path / "copy", "tokenizer_config.json", lambda c: c.pop("bos_token"))
    vocabulary = read_vocabulary(folder, VOCABULARY_ROWS)
    assert (vocabulary.bos, vocabulary.eos, vocabulary.add_bos) == (2, 2, False)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.update(normalizer={"type": "NFKC"}), '"NFKC"'),
        (lambda t: t["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True), "add_prefix_space"),
        (lambda t: t["pre_tokenizer"].update(type="Metaspace", replacement="▁", prepend_scheme="always"), "Metaspace"),
        (lambda t: t.update(pre_tokenizer=None), "pre-tokenizer null"),
        (lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(individual_digits=False), "individual_digits"),
        (lambda t: t["added_tokens"][3].update(lstrip=True), f"'{ADDED}' with lstrip"),
        (lambda t: t["added_tokens"][3].update(rstrip=True), f"'{ADDED}' with rstrip"),
        (lambda t: t["added_tokens"][3].update(single_word=True), f"'{ADDED}' with single_word"),
        (lambda t: t["model"].update(byte_fallback=True), "byte_fallback"),
        (lambda t: t["model"].update(ignore_merges=True), "ignore_merges"),
        (lambda t: t["model"].update(merges=[]), "merges"),
        (lambda t: t.update(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}), "no plain BPE"),
        (lambda t: t["model"]["vocab"].update({"[PAD1020]": 1010}), "'[PAD1020]' twice"),
        (lambda t: t["model"]["vocab"].update({"far": 9999}), "'far' with id 9999"),
    ],
)
def test_tokenizer_without_faithful_form_is_refused(
    llama_dir: Path, tmp_path: Path, change: Change, named: str
) -> None:
    folder = with_json(llama_dir, tmp_path / "copy", "tokenizer.json", change)
    out = tmp_path / "out.gguf"
    assert named in refusal(out, lambda: export_base(folder, out))


def test_tokenizer_that_adds_other_tokens_is_refused(llama_dir: Path, tmp_path: Path) -> None:
    single = [{"SpecialToken": {"id": PAD, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    special = {PAD: {"id": PAD, "ids": [0], "tokens": [PAD]}}
    template = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special}
    folder = with_json(llama_dir, tmp_path / "copy", "tokenizer.json", lambda t: t.update(post_processor=template))
    out = tmp_path / "out.gguf"
    assert "other tokens around it" in refusal(out, lambda: export_base(folder, out))


def test_tokenizer_without_end_token_is_refused(llama_dir: Path, tmp_path: Path) -> None:
    folder = with_json(llama_dir, tmp_path / "copy", "tokenizer_config.json", lambda c: c.pop("eos_token"))
    out = tmp_path / "out.gguf"
    assert "eos_token" in refusal(out, lambda: export_base(folder, out))


def test_folder_without_tokenizer_is_refused(llama_dir: Path, tmp_path: Path) -> None:
    folder = with_json(llama_dir, tmp_path / "copy", "config.json", lambda _: None)
    (folder / "tokenizer.json").unlink()
    out = tmp_path / "out.gguf"
    assert "tokenizer.json" in refusal(out, lambda: export_base(folder, out))
