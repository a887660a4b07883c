"""Turns a text into numbers: its words, word pairs and character n-grams, weighed by tf-idf. Pure; numpy only.

The breeder fits on these functions and the router serves with them, so that what is served is what was trained.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from registry.entities import PromptTrim
from registry.prompting import Prompt, trimmed

Ids: TypeAlias = NDArray[np.uint32]
Floats: TypeAlias = NDArray[np.float32]
Places: TypeAlias = NDArray[np.intp]
_Codes: TypeAlias = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_SPACE = ord(" ")
_BASE = np.uint64(0x9E3779B97F4A7C15)


class FeatureSettings(BaseModel):
    """Which features a text has; stored with a classifier, because it holds for no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most_words: int = Field(2, ge=1, le=3)
    """Words of the longest word n-gram."""
    fewest_characters: int = Field(2, ge=1, le=8)
    """Characters of the shortest character n-gram."""
    most_characters: int = Field(4, ge=1, le=8)
    """Characters of the longest; none spans words."""
    text_limit: int = Field(20_000, ge=1, le=1_000_000)
    """Characters that are looked at; the rest of a longer text is not."""

    @model_validator(mode="after")
    def _has_sizes(self) -> FeatureSettings:
        if self.fewest_characters > self.most_characters:
            raise ValueError(f"no n-gram has {self.fewest_characters} to {self.most_characters} characters")
        return self


@dataclass(frozen=True, slots=True)
class Bag:
    """The distinct features of one text, ascending, and one plus the logarithm of how often each occurs."""

    ids: Ids
    frequencies: Floats


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The features of one kind that a classifier knows, ascending, and the inverse document frequency of each."""

    ids: Ids
    rarities: Floats

    def weigh(self, bag: Bag) -> tuple[Places, Floats]:
        """Return the places of a text's known features in this vocabulary, and their tf-idf of Euclidean length 1."""
        places = np.searchsorted(self.ids, bag.ids)
        known = places < len(self.ids)
        known[known] = self.ids[places[known]] == bag.ids[known]
        weights = bag.frequencies[known] * self.rarities[places[known]]
        # Only the weights of a damaged file are so large; it then answers without confidence.
        with np.errstate(over="ignore"):
            length = np.sqrt(np.dot(weights, weights))
        return places[known], weights / length if length else weights


def seen(prompt: Prompt, trim: PromptTrim) -> Prompt:
    """Return what a simple rung sees of a prompt that fits the trim, in Unicode's normal form C."""
    left = trimmed(prompt, trim)
    return Prompt(unicodedata.normalize("NFC", left.system), unicodedata.normalize("NFC", left.user))


def bags(prompt: Prompt, settings: FeatureSettings) -> tuple[Bag, Bag]:
    """Return the word features and the character features of what is seen of a prompt."""
    text = f"{prompt.system}\n{prompt.user}"[: settings.text_limit].lower()
    words = np.fromiter(_word_ids(_WORD.findall(text), settings.most_words), np.uint32)
    return _bag([words]), _bag(list(_character_ids(text, settings)))


def _bag(ids: Sequence[Ids]) -> Bag:
    distinct, counts = np.unique(np.concatenate(ids), return_counts=True)
    return Bag(distinct, (1 + np.log(counts)).astype(np.float32))


def _word_ids(words: Sequence[str], most: int) -> Iterator[int]:
    for count in range(1, most + 1):
        for at in range(len(words) - count + 1):
            yield zlib.crc32(" ".join(words[at : at + count]).encode("utf-8", "surrogatepass"))


def _character_ids(text: str, settings: FeatureSettings) -> Iterator[Ids]:
    """Yield the ids of n-grams inside words, a space counting as part of the words on both of its sides.

    A rolling polynomial over code points, modulo 2**64: a few array operations however long the text is. Its leading
    coefficient is one, so that no n-gram can equal a shorter one behind NULs.
    """
    padded = f" {' '.join(text.split())} ".encode("utf-32-le", "surrogatepass")
    codes: _Codes = np.frombuffer(padded, np.dtype("<u4")).astype(np.uint64)
    spaces = np.concatenate([[0], np.cumsum(codes == _SPACE)])
    hashes = np.ones(len(codes) + 1, np.uint64)
    for size in range(1, min(settings.most_characters, len(codes)) + 1):
        count = len(codes) - size + 1
        hashes = hashes[:count] * _BASE + codes[size - 1 :]
        # No n-gram has a space inside, nor is one alone.
        inner = spaces[size - 1 : size - 1 + count] - spaces[1 : count + 1] if size > 1 else spaces[1:] - spaces[:-1]
        if size >= settings.fewest_characters:
            yield _mixed(hashes[inner == 0])
    yield np.empty(0, np.uint32)


def _mixed(hashes: _Codes) -> Ids:
    """Spread 64 bits over 32 (the finalizer of splitmix64)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (hashes >> np.uint64(32)).astype(np.uint32)
