"""Whether a prompt is like those of a workflow: all that is constant in them is in it, and its rest is no stranger.

A prompt is the set of its hashed character 5-grams, those of the system text apart from those of the user's. Each
template of a workflow has a centroid of what varies and a threshold, calibrated on prompts that the centroid was not
made of; `breeder.templates` makes them. Pure; numpy only.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from registry.errors import ArtifactError
from registry.prompting import Prompt

Marks: TypeAlias = NDArray[np.bool_]
Ids: TypeAlias = NDArray[np.uint16]
Floats: TypeAlias = NDArray[np.float32]
_Codes: TypeAlias = NDArray[np.uint64]

FEATURES: Final = "characters-5, version 1"
"""What `marks` computes; a likeness holds for no other."""
BUCKETS: Final = 1 << 15
"""Marks of each part of a prompt: the system text's come first, then the user's."""
RANKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)

_SIZE = 5
_HEAD, _TAIL = 1_536, 512
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_ZERO, _NINE = ord("0"), ord("9")


def marks(prompt: Prompt) -> Marks:
    """Return which n-grams a prompt has, with each number folded to one digit.

    Of a long text only beginning and end are looked at, so that the time is bounded.
    """
    present = np.zeros(2 * BUCKETS, np.bool_)
    present[text_ids(prompt.system)] = True
    present[BUCKETS + text_ids(prompt.user)] = True
    return present


def text_ids(text: str) -> NDArray[np.intp]:
    """Return the bucket of every n-gram of one text; texts shorter than an n-gram have none."""
    seen = text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\x00{text[-_TAIL:]}"
    codes = np.frombuffer(f"\x02{seen}\x03".encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    digits = (codes >= _ZERO) & (codes <= _NINE)
    kept = np.ones(len(codes), np.bool_)
    kept[1:] = ~(digits[1:] & digits[:-1])
    folded: _Codes = np.where(digits, _ZERO, codes)[kept].astype(np.uint64)
    count = max(len(folded) - _SIZE + 1, 0)
    hashes = folded[:count]
    for place in range(1, _SIZE):
        hashes = hashes * _BASE + folded[place : place + count]
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _MIX
    return (hashes >> np.uint64(49)).astype(np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Centroid:
    """What usually varies in one part of a template's prompts; `weights` have length 1.

    `levels` are the similarities at `RANKS` of the calibration prompts; the first is the threshold.
    """

    ids: Ids
    weights: Floats
    levels: tuple[float, ...]

    def similarity(self, rest: Marks) -> float:
        """Return the cosine between what varies in a prompt's part and the centroid; 1 where nothing does."""
        count = np.count_nonzero(rest)
        return float(self.weights[rest[self.ids]].sum() / np.sqrt(count)) if count else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """One template of a workflow: the marks that all its prompts have, and the centroids of system and user text."""

    constants: Ids
    system: Centroid
    user: Centroid

    def similarities(self, present: Marks) -> tuple[float, float]:
        """Return how alike the varying parts of a prompt are, in [0, 1], system text first."""
        rest = present.copy()
        rest[self.constants] = False
        return self.system.similarity(rest[:BUCKETS]), self.user.similarity(rest[BUCKETS:])

    def score(self, present: Marks) -> float | None:
        """Return how surely a prompt with all constants belongs here, None where it is outside the distribution.

        0.5 is as unusual as the template's own prompts get, towards 1 as usual as the most usual of them.
        """
        ranks = []
        for centroid, similarity in zip((self.system, self.user), self.similarities(present), strict=True):
            if similarity < centroid.levels[0]:
                return None
            ranks.append(float(np.interp(similarity, centroid.levels, RANKS)))
        return 0.5 + 0.49 * min(ranks)


class Likenesses:
    """The templates of all workflows, looked through at once."""

    def __init__(self, by_workflow: Mapping[str, Sequence[Likeness]]) -> None:
        self._templates = [(name, one) for name, each in by_workflow.items() for one in each if len(one.constants)]
        constants = [one.constants for _, one in self._templates]
        self._constants = np.concatenate(constants).astype(np.intp) if constants else np.empty(0, np.intp)
        self._starts = np.cumsum([0, *map(len, constants)])[:-1]

    def match(self, prompt: Prompt) -> tuple[str, float] | None:
        """Return the one workflow that a prompt is like, and how surely; None for none, and where two would take it."""
        if not self._templates:
            return None
        present = marks(prompt)
        whole = np.logical_and.reduceat(present[self._constants], self._starts)
        found: dict[str, float] = {}
        for place in np.flatnonzero(whole):
            name, likeness = self._templates[place]
            score = likeness.score(present)
            if score is not None:
                found[name] = max(score, found.get(name, 0.0))
        return found.popitem() if len(found) == 1 else None


def write_likeness(templates: Sequence[Likeness]) -> str:
    """Return a workflow's templates as the registry keeps them, empty for none."""
    if not templates:
        return ""
    told = [
        {"constants": _text(one.constants, "<u2"), "system": _told(one.system), "user": _told(one.user)}
        for one in templates
    ]
    return orjson.dumps({"features": FEATURES, "templates": told}).decode()


def read_likeness(text: str) -> list[Likeness]:
    """Return the templates in a text of the registry; none where it is empty, or of other features.

    Raises:
        ArtifactError: the text is not what `write_likeness` wrote.

    """
    try:
        record = orjson.loads(text) if text else {}
        if record.get("features") != FEATURES:
            return []
        return [
            Likeness(_ids(one["constants"]), _centroid(one["system"]), _centroid(one["user"]))
            for one in record["templates"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"a workflow's likeness cannot be read: {error!r}; breed the workflow again") from error


def _told(centroid: Centroid) -> dict[str, object]:
    return {
        "ids": _text(centroid.ids, "<u2"),
        "weights": _text(centroid.weights, "<f2"),
        "levels": centroid.levels,
    }


def _centroid(told: Mapping[str, str | list[float]]) -> Centroid:
    levels = told["levels"]
    if len(levels) != len(RANKS):
        raise ValueError(f"{len(levels)} levels")
    weights = np.frombuffer(_bytes(told["weights"]), np.dtype("<f2")).astype(np.float32)
    return Centroid(_ids(told["ids"]), weights, tuple(map(float, levels)))


def _ids(text: object) -> Ids:
    return np.frombuffer(_bytes(text), np.dtype("<u2")).astype(np.uint16)


def _bytes(text: object) -> bytes:
    return base64.b64decode(str(text), validate=True)


def _text(array: NDArray[np.generic], kind: str) -> str:
    return base64.b64encode(array.astype(kind).tobytes()).decode()
