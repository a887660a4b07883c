"""Pieces of real text that reading tasks are drawn from, by the kind of text; held in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

_SENTENCE = re.compile(r"[^.!?\n]{8,}[.!?]?")
_HEADING = re.compile(
    r"^(?:#{1,4} +(\S[^\n]{2,48})|(\S[^\n]{2,48})\n[=\-~]{3,})\n+"  # marked or underlined
    r"([^\n#=\-`|][^\n]{40,}(?:\n[^\n#=\-`|][^\n]+)*)",  # and a paragraph of prose
    re.MULTILINE,
)
_COMMAND = re.compile(r"^- ([^\n]{8,90}):\n\n`([^`\n]{3,90})`$", re.MULTILINE)
_HOLE = re.compile(r"\{\{(?:\[[^|\]]*\|([^\]]*)\]|([^}]*))\}\}")
_WINDOW = 400
_TRIES = 40
_PLAIN = "the quick brown fox jumps over the lazy dog"


@dataclass(frozen=True, slots=True)
class Passages:
    """Pieces of text by shard; pairs of heading and paragraph, of description and shell command found in them."""

    pieces: Mapping[str, tuple[str, ...]]
    headings: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, pieces: Iterable[tuple[str, str]]) -> Passages:
        """Collect (shard, text) pairs; nothing in them can be taken for a special token."""
        by_shard: dict[str, list[str]] = {}
        for shard, text in pieces:
            by_shard.setdefault(shard, []).append(text.replace("<|", "<").replace("|>", ">"))
        texts = [text for of in by_shard.values() for text in of]
        return cls(
            {shard: tuple(of) for shard, of in by_shard.items()},
            tuple(pair for text in texts for pair in _headings(text)),
            tuple(pair for text in texts for pair in _commands(text)),
        )

    def snippet(self, rng: Random, shard: str, most: int = 240) -> str:
        """Return a stretch of a shard's text of at most so many characters, from the start of a line where it can."""
        text = rng.choice(self.pieces[shard])
        start = rng.randrange(max(1, len(text) - most))
        line = text.find("\n", start, start + most) + 1
        return text[line or start :][: rng.randint(most // 3, most)].strip() or text[:most].strip() or _PLAIN

    def sentence(self, rng: Random, least: int = 20, most: int = 140) -> str:
        """Return one sentence or line within the length, a plain one where the text has none."""
        for _ in range(_TRIES):
            text = rng.choice(self.pieces[rng.choice(list(self.pieces))])
            start = rng.randrange(max(1, len(text) - _WINDOW))
            # The window cuts the first and the last one.
            found = [each.group().strip() for each in _SENTENCE.finditer(text, start, start + _WINDOW)][1:-1]
            fitting = [each for each in found if least <= len(each) <= most]
            if fitting:
                return rng.choice(fitting)
        return _PLAIN

    def sentence_with(self, rng: Random, wanted: re.Pattern[str], otherwise: str) -> str:
        """Return a sentence in which the pattern is found, `otherwise` where none turns up."""
        drawn = (self.sentence(rng, 15, 160) for _ in range(_TRIES))
        return next((sentence for sentence in drawn if wanted.search(sentence)), otherwise)


def _headings(text: str) -> Iterator[tuple[str, str]]:
    for match in _HEADING.finditer(text):
        yield (match.group(1) or match.group(2)).strip(" #*`"), " ".join(match.group(3).split())


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for match in _COMMAND.finditer(text):
        yield match.group(1), _HOLE.sub(lambda hole: hole.group(1) or hole.group(2), match.group(2))
