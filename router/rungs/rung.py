"""Simple rungs, ready to answer: a table of tasks seen before, a linear classifier. Pure; `loading` reads them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from registry.entities import SpecialistKind
from registry.prompting import Prompt
from router.rungs.features import FeatureSettings, Floats, Vocabulary, bags

BUILD: Final = "rungs-1"
"""What evaluations name as the engine of a simple rung; it changes with the features or the arithmetic."""
DIGEST_BYTES = 16
UNSEEN = -math.inf
"""The confidence of a table in a task that it does not know: below every threshold."""


@dataclass(frozen=True, slots=True)
class RungAnswer:
    """What a rung says, and the natural logarithm of how sure it is."""

    text: str
    confidence: float


class Rung(Protocol):
    """Answers what is seen of a prompt."""

    @property
    def kind(self) -> SpecialistKind:
        """Table or linear."""
        ...

    def answer(self, prompt: Prompt) -> RungAnswer:
        """Answer what `features.seen` gives of a prompt; confidence -inf is no answer."""
        ...


class TableRecord(BaseModel):
    """The record of a table: the distinct answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["table"] = "table"
    build: Literal["rungs-1"] = BUILD
    answers: tuple[str, ...] = Field(min_length=1)


class LinearRecord(BaseModel):
    """The record of a linear classifier: its labels, and how it reads texts and scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["linear"] = "linear"
    build: Literal["rungs-1"] = BUILD
    labels: tuple[str, ...] = Field(min_length=2)
    features: FeatureSettings
    temperature: float = Field(gt=0, allow_inf_nan=False)
    """Scores are divided by it, so that a confidence is what the label is worth on texts not trained on."""


@dataclass(frozen=True, slots=True)
class Table:
    """Gives the recorded answer to a task whose exact prompt was seen before; it holds digests of prompts only."""

    answers: tuple[str, ...]
    places: Mapping[bytes, int]

    @property
    def kind(self) -> SpecialistKind:
        """Table."""
        return SpecialistKind.TABLE

    def answer(self, prompt: Prompt) -> RungAnswer:
        """Return the recorded answer with confidence 0, or none with -inf."""
        place = self.places.get(prompt_digest(prompt))
        return RungAnswer("", UNSEEN) if place is None else RungAnswer(self.answers[place], 0.0)


@dataclass(frozen=True, slots=True)
class Linear:
    """Chooses one of its labels; weights are (features, labels), words before characters."""

    record: LinearRecord
    words: Vocabulary
    characters: Vocabulary
    weights: NDArray[np.float16]
    intercepts: Floats

    @property
    def kind(self) -> SpecialistKind:
        """Linear."""
        return SpecialistKind.LINEAR

    def answer(self, prompt: Prompt) -> RungAnswer:
        """Return the label with the highest score and the logarithm of its calibrated probability."""
        words, characters = bags(prompt, self.record.features)
        word_places, word_weights = self.words.weigh(words)
        character_places, character_weights = self.characters.weigh(characters)
        places = np.concatenate([word_places, character_places + len(self.words.ids)])
        scores = np.concatenate([word_weights, character_weights]) @ self.weights[places].astype(np.float32)
        chances = log_chances(scores + self.intercepts, self.record.temperature)
        top = int(chances.argmax())
        return RungAnswer(self.record.labels[top], float(chances[top]))


def log_chances(scores: Floats, temperature: float) -> NDArray[np.float64]:
    """Return the log-probability of each label from one-against-rest scores; the last axis is the labels'."""
    logistic = -np.logaddexp(0, -scores.astype(np.float64) / temperature)
    return np.asarray(logistic - np.logaddexp.reduce(logistic, axis=-1, keepdims=True))


def prompt_digest(prompt: Prompt) -> bytes:
    """Return what a table knows a prompt by."""
    text = f"{len(prompt.system)}\0{prompt.system}\0{prompt.user}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]
