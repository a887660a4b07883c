"""Which of llama.cpp's built-in pre-tokenizers splits text exactly as a tokenizers pipeline does. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from registry.errors import ExportError

_HEAD: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_TAIL: Final = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_DIGIT_RUNS: Final[Mapping[str, str]] = {r"\p{N}{1,3}": "llama-bpe", r"\p{N}": "qwen2"}
_WITH_REGEX: Final = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_WITHOUT_REGEX: Final = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
_DIGITS: Final = {"type": "Digits", "individual_digits": True}


def recognised(pre_tokenizer: Mapping[str, object] | None) -> str:
    """Return the `tokenizer.ggml.pre` value of a pre-tokenizer, given as in tokenizer.json.

    Raises:
        ExportError: none splits alike; a wrong one is silent, and changes ids in a third of varied texts.

    """
    steps = _steps(pre_tokenizer or {})
    for name, known in _known().items():
        if steps == known:
            return name
    raise ExportError(
        f"pre-tokenizer {json.dumps(pre_tokenizer)} is not one that llama.cpp has;"
        f" choose a base whose tokenizer splits text like {sorted(_known())}, without add_prefix_space"
    )


def merges_are_ignored(pre: str) -> bool:
    """Return whether llama.cpp takes a word that is a token before it tries any merge."""
    return pre == "llama-bpe"


def _known() -> dict[str, list[dict[str, object]]]:
    splits = {name: _HEAD + digits + _TAIL for digits, name in _DIGIT_RUNS.items()}
    return {
        "gpt-2": [_WITH_REGEX],
        "smollm": [_DIGITS, _WITH_REGEX],
        **{name: [_split(pattern), _WITHOUT_REGEX] for name, pattern in splits.items()},
    }


def _split(pattern: str) -> dict[str, object]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _steps(pre_tokenizer: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the flat list of steps; trim_offsets goes, because it changes character offsets only."""
    nested = pre_tokenizer.get("pretokenizers")
    if isinstance(nested, list):
        return [step for inner in nested for step in _steps(inner)]
    return [{key: value for key, value in pre_tokenizer.items() if key != "trim_offsets"}]
