"""Task families on real text: gaps, headings, kinds of text, spans, typing errors, numbers, lines, names, commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeAlias

from breeder.seedling.passages import Passages
from breeder.seedling.rules import Pair, Rule

Reading: TypeAlias = Callable[[Random, Passages], Rule]

_WORD = re.compile(r"[A-Za-z]{4,}")
_NUMBER = re.compile(r"\d+")
_SPAN = re.compile(r"`([^`\n]{2,40})`|\"([^\"\n]{3,60})\"|\(([^()\n]{3,50})\)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_JOINTS = {", ": "with commas", "\n": "one a line", "; ": "with semicolons"}


def _listed(rng: Random, options: Sequence[str], joints: Sequence[str] = (", ", " | ", " / ", "\n- ", "; ")) -> str:
    return rng.choice(joints).join(rng.sample(options, len(options)))


def _word_of(rng: Random, passages: Passages) -> str:
    words = _WORD.findall(passages.sentence(rng))
    return rng.choice(words) if words else "other"


def _among(rng: Random, wanted: str, count: int, draw: Callable[[], str]) -> str:
    """List an option among up to `count - 1` others."""
    others = {draw() for _ in range(count)} - {wanted}
    return _listed(rng, [wanted, *sorted(others)][:count])


def gap(rng: Random, passages: Passages) -> Rule:
    """Fill the gap of a sentence with one of the listed words."""
    mark, count = rng.choice(["___", "[...]", "<gap>", "_"]), rng.randint(2, 6)
    asks = ["Fill the gap {} with one of the listed words", "Which of the words belongs at {}?",
            "Choose the missing word for {}", "Pick the word that fits {}"]  # fmt: skip

    def draw(rng: Random) -> Pair:
        sentence = passages.sentence(rng, 40)
        wanted = rng.choice(_WORD.findall(sentence) or [sentence])
        given = re.sub(rf"\b{re.escape(wanted)}\b", lambda _: mark, sentence, count=1)
        return f"{given}\n{_among(rng, wanted, count, lambda: _word_of(rng, passages))}", wanted

    return Rule(rng.choice(asks).format(mark), draw)


def heading(rng: Random, passages: Passages) -> Rule:
    """Choose the heading that a paragraph stands under."""
    asks = ["Choose the heading of this text", "Which title fits?", "Pick the section that the text belongs to",
            "Which of the topics is it about?"]  # fmt: skip
    count = rng.randint(2, 5)

    def draw(rng: Random) -> Pair:
        wanted, text = rng.choice(passages.headings)
        options = _among(rng, wanted, count, lambda: rng.choice(passages.headings)[0])
        return f"{text[: rng.randint(60, 240)].strip()}\n{options}", wanted

    return Rule(rng.choice(asks), draw)


def kind_of_text(rng: Random, passages: Passages) -> Rule:
    """Say from which of the listed shards a text is, by the shard's name or a part of it."""
    kinds = sorted(passages.pieces)
    shards = rng.sample(kinds, rng.randint(min(2, len(kinds)), min(5, len(kinds))))
    names = {shard: rng.choice([shard, shard.replace("_", " "), shard.replace("_", "-").upper()]) for shard in shards}
    listed = _listed(rng, sorted(names.values()), (", ", " | ", " / ", " or "))
    asks = ["Classify the text: {}", "Which kind of text is it: {}?", "Labels: {}. Pick one", "Is it {}?"]

    def draw(rng: Random) -> Pair:
        shard = rng.choice(shards)
        return passages.snippet(rng, shard), names[shard]

    return Rule(rng.choice(asks).format(listed), draw, examples_suffice=False)


def span(rng: Random, passages: Passages) -> Rule:
    """Copy what stands in quotes, brackets or backticks."""
    asks = ["Copy what is quoted or in brackets", "Extract the marked phrase", "Which phrase is set apart?",
            "Give the text inside the quotes, backticks or brackets"]  # fmt: skip

    def draw(rng: Random) -> Pair:
        sentence = passages.sentence_with(rng, _SPAN, 'he said "yes, of course" and left')
        found = _SPAN.search(sentence)
        return sentence, next(group for group in found.groups() if group) if found else sentence

    return Rule(rng.choice(asks), draw)


def typing_errors(rng: Random, passages: Passages) -> Rule:
    """Put a mistyped sentence right."""
    asks = ["Correct the typing errors", "Fix the spelling", "Write the sentence without its mistakes",
            "Repair the text"]  # fmt: skip

    def draw(rng: Random) -> Pair:
        wanted = passages.sentence(rng, 20, 80)
        return _mistyped(rng, wanted), wanted

    return Rule(rng.choice(asks), draw)


def _mistyped(rng: Random, text: str) -> str:
    letters = list(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(letters) - 1)
        slips = {
            "swap": (letters[at + 1], letters[at]),
            "drop": ("", letters[at + 1]),
            "double": (letters[at] + rng.choice(_LETTERS), letters[at + 1]),
            "wrong": (rng.choice(_LETTERS), letters[at + 1]),
        }
        letters[at], letters[at + 1] = slips[rng.choice(list(slips))]
    return "".join(letters)


def mask_numbers(rng: Random, passages: Passages) -> Rule:
    """Replace the numbers of a real line by a mark."""
    mark = rng.choice(["<*>", "<*>", "<NUM>", "#", "N"])
    asks = ["Replace every number by {}", "Mask the numbers as {}", "Write {} for each number"]

    def draw(rng: Random) -> Pair:
        sentence = passages.sentence_with(rng, _NUMBER, "page 12 of 40")
        return sentence, _NUMBER.sub(lambda _: mark, sentence)

    return Rule(rng.choice(asks).format(mark), draw)


def list_numbers(rng: Random, passages: Passages) -> Rule:
    """List the numbers of a real line."""
    joint = rng.choice(list(_JOINTS))
    asks = ["List the numbers {}", "Which numbers occur? Write them {}"]

    def draw(rng: Random) -> Pair:
        sentence = passages.sentence_with(rng, _NUMBER, "page 12 of 40")
        return sentence, joint.join(_NUMBER.findall(sentence))

    return Rule(rng.choice(asks).format(_JOINTS[joint]), draw)


def line_with(rng: Random, passages: Passages) -> Rule:
    """Give the listed line that holds a word, or its number."""
    by_number = rng.random() < 0.4
    asks = ["Copy the line that holds the word", "Which line mentions it? Copy the line"]
    if by_number:
        asks = ["Give the number of the line with the word", "Which line has the word? Answer with its number"]

    def draw(rng: Random) -> Pair:
        lines = [passages.sentence(rng, 15, 60) for _ in range(rng.randint(2, 4))]
        chosen = rng.randrange(len(lines))
        unique = [word for word in _WORD.findall(lines[chosen]) if sum(word in line for line in lines) == 1]
        if not unique:
            lines[chosen], unique = "a zebra crosses the road", ["zebra"]
        shown = [f"{number}. {line}" for number, line in enumerate(lines, 1)] if by_number else lines
        return "\n".join([*shown, f"word: {rng.choice(unique)}"]), str(chosen + 1) if by_number else lines[chosen]

    return Rule(rng.choice(asks), draw)


def edge_words(rng: Random, passages: Passages) -> Rule:
    """Keep the first or the last words of a sentence."""
    count, first = rng.randint(2, 5), rng.random() < 0.5
    asks = ["Give the {} {} words", "Keep only the {} {} words"]

    def draw(rng: Random) -> Pair:
        words = passages.sentence(rng, 30, 120).split()
        return " ".join(words), " ".join(words[:count] if first else words[-count:])

    return Rule(rng.choice(asks).format("first" if first else "last", count), draw)


def names_in(rng: Random, passages: Passages) -> Rule:
    """List the capitalised words inside a sentence."""
    joint = rng.choice(list(_JOINTS))
    asks = ["List the names in the text {}", "Extract the proper names {}", "Which names occur? Write them {}"]

    def draw(rng: Random) -> Pair:
        sentence = passages.sentence_with(rng, _NAME, "she met Anna in Paris")
        return sentence, joint.join(_NAME.findall(sentence))

    return Rule(rng.choice(asks).format(_JOINTS[joint]), draw)


def write_command(rng: Random, passages: Passages) -> Rule:
    """Write the shell command that is described."""
    return Rule(
        rng.choice(["Write the command line", "Give the shell command"]),
        lambda rng: rng.choice(passages.commands),
        examples_suffice=False,
    )


def choose_command(rng: Random, passages: Passages) -> Rule:
    """Choose the command for a description, or the description of a command."""
    asked, told = rng.choice([(0, 1), (1, 0)])
    asks = ["What does the command do? Choose", "Pick the description of the command"]
    if told:
        asks = ["Which command does it?", "Choose the command"]
    count = rng.randint(2, 4)

    def draw(rng: Random) -> Pair:
        pair = rng.choice(passages.commands)
        options = {pair[told], *(rng.choice(passages.commands)[told] for _ in range(count - 1))}
        return f"{pair[asked]}\n{_listed(rng, sorted(options), [chr(10)])}", pair[told]

    return Rule(rng.choice(asks), draw)


READINGS: Final[dict[str, tuple[Reading, float]]] = {
    "gap": (gap, 3.0),
    "heading": (heading, 2.0),
    "kind-of-text": (kind_of_text, 1.5),
    "span": (span, 1.0),
    "typing-errors": (typing_errors, 1.5),
    "mask-numbers": (mask_numbers, 0.8),
    "list-numbers": (list_numbers, 0.4),
    "line-with": (line_with, 1.0),
    "edge-words": (edge_words, 0.5),
    "names-in": (names_in, 0.6),
    "write-command": (write_command, 0.5),
    "choose-command": (choose_command, 1.0),
}
"""Each family with its share."""


def able(passages: Passages) -> dict[str, tuple[Reading, float]]:
    """Return the families that these passages have something for."""
    lacks = {"heading": not passages.headings, "write-command": not passages.commands}
    lacks |= {"choose-command": not passages.commands, "kind-of-text": len(passages.pieces) < 2}
    return {name: family for name, family in READINGS.items() if not lacks.get(name)}
