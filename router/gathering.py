"""Groups prompts by the template that they were made from, and names the groups by their constant words. Pure.

A template is told by its system text and by one line, sentence or nothing of the user's text, numbers folded: the
first of these that recurs. Of the system text only sentences count that recur: no date, no user's name. Miners of log
templates such as Drain3 begin by splitting on the number of words, which in prompts is that of the payload.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from registry.prompting import Prompt
from router.likeness import BUCKETS, text_ids

LEAST_PROMPTS: Final = 10
"""Different prompts that make a template."""

_DIGITS = re.compile(r"\d+")
_SENTENCE = re.compile(r"[^\n]{11,}?[:.?!>](?=\s)")
_PIECE = re.compile(r"\n+|(?<=[.?!])\s+")
_WORD = re.compile(r"[^\W\d_]+")
_LEAST_LINE, _LEAST_WORDS, _LEAST_SYSTEM = 12, 2, 40
_AKIN, _ALIKE = 0.5, 0.6
_MOST_FAMILIES = 64
_SHARE = 0.1
_NAME_WORDS = 3
_FILLERS: Final = frozenset(
    _WORD.findall(
        """
        a above all an and any are as assistant at be below by can could does each every exactly expert following for
        from given has helpful how i if in into is it its me my of on one only or our please should some task text that
        the their them then there these they this those to us use user was we what when where which will with would you
        your
        """
    )
)


@dataclass(frozen=True, slots=True)
class Template:
    """What some prompts share, and their places among the prompts that were looked through."""

    system: str
    line: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Templates that differ in little: a workflow that nobody has named yet."""

    name: str
    """Suggested; unique among the candidates."""
    line: str
    """The constant text of its most frequent template."""
    places: tuple[int, ...] = field(repr=False)


def templates(prompts: Sequence[Prompt], least: int = LEAST_PROMPTS, share: float = _SHARE) -> list[Template]:
    """Return what recurs among prompts; a prompt is in one template at most.

    Args:
        prompts: in any order.
        least: different prompts that a template has.
        share: of the prompts with a similar system text, that have a sentence which tells templates apart.

    """
    folded = [_DIGITS.sub("0", prompt.system) for prompt in prompts]
    skeletons = _skeletons(Counter(folded), least, share)
    left: Collection[int] = range(len(prompts))
    found: list[Template] = []
    for reading in (_first_line, _first_sentence, _last_line, _nothing):
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place in left:
            system, line = skeletons[folded[place]], reading(prompts[place].user)
            if line or (line is not None and len(system) >= _LEAST_SYSTEM):
                groups[system, line].append(place)
        recurring = [
            Template(*key, tuple(places)) for key, places in groups.items() if _distinct(prompts, places) >= least
        ]
        found += recurring
        left = set(left) - {place for one in recurring for place in one.places}
    return found


def candidates(prompts: Sequence[Prompt], least: int = LEAST_PROMPTS) -> list[Candidate]:
    """Return what recurs among prompts as workflows to be, the most frequent first."""
    groups = _merged(templates(prompts, least))
    groups.sort(key=lambda group: (-sum(len(one.places) for one in group), group[0].system, group[0].line))
    found: dict[str, Candidate] = {}
    for group in groups:
        name = unused(_suggested(group), found)
        places = sorted(place for one in group for place in one.places)
        found[name] = Candidate(name, group[0].line or group[0].system, tuple(places))
    return list(found.values())


def unused(name: str, taken: Collection[str]) -> str:
    """Return a name, with a number behind it where it is taken."""
    if name not in taken:
        return name
    return next(f"{name}-{number}" for number in range(2, len(taken) + 3) if f"{name}-{number}" not in taken)


def _distinct(prompts: Sequence[Prompt], places: Sequence[int]) -> int:
    return len({prompts[place] for place in places})


def _first_line(user: str) -> str | None:
    """Return the first line where more follows: a prompt of one line has no part that is known to be constant."""
    line, separator, rest = user.partition("\n")
    return _telling(line) if separator and rest.strip() else None


def _first_sentence(user: str) -> str | None:
    opening = _SENTENCE.match(user)
    return _telling(opening.group()) if opening and user[opening.end() :].strip() else None


def _last_line(user: str) -> str | None:
    rest, separator, line = user.rstrip().rpartition("\n")
    return _telling(line) if separator and rest.strip() else None


def _nothing(_: str) -> str:
    """Stand for a user's text that is payload alone."""
    return ""


def _telling(line: str) -> str | None:
    """Return a line with its numbers folded, None for one too short to be an instruction."""
    long_enough = len(line) >= _LEAST_LINE and len(_WORD.findall(line)) >= _LEAST_WORDS
    return _DIGITS.sub("0", line) if long_enough else None


def _skeletons(systems: Mapping[str, int], least: int, share: float) -> dict[str, str]:
    """Return each system text without the sentences that are rare among its like: dates, names, retrieved text."""
    met, families = _Met(_MOST_FAMILIES), defaultdict[int, list[str]](list)
    for system in sorted(systems, key=lambda text: (-systems[text], text)):
        families[met.place(system, _AKIN)].append(system)
    found: dict[str, str] = {}
    for family in families.values():
        counts = Counter[str]()
        for system in family:
            counts.update(dict.fromkeys(_PIECE.split(system), systems[system]))
        floor = max(least, share * sum(systems[system] for system in family))
        for system in family:
            found[system] = "\n".join(piece for piece in _PIECE.split(system) if counts[piece] >= floor)
    return found


def _merged(found: Sequence[Template]) -> list[list[Template]]:
    """Return templates that differ in little together, the most frequent of each group first."""
    met, groups = _Met(len(found)), list[list[Template]]()
    for one in sorted(found, key=lambda each: (-len(each.places), each.system, each.line)):
        place = met.place(f"{one.system}\n{one.line}", _ALIKE)
        if place == len(groups):
            groups.append([])
        groups[place].append(one)
    return groups


class _Met:
    """Texts that were met, as sets of n-grams, the first of each that differ in little."""

    def __init__(self, most: int) -> None:
        self._sets = np.zeros((most, BUCKETS), np.bool_)
        self._sizes = np.zeros(most, np.intp)
        self._count = 0

    def place(self, text: str, alike: float) -> int:
        """Return the place of the first text that shares so much, else its own behind the others; -1 for no room."""
        ids = np.unique(text_ids(text))
        common = self._sets[: self._count, ids].sum(axis=1)
        either = self._sizes[: self._count] + len(ids) - common
        near = np.flatnonzero(common >= alike * np.maximum(either, 1))
        if len(near):
            return int(near[0])
        if self._count == len(self._sets):
            return -1
        self._sets[self._count, ids], self._sizes[self._count] = True, len(ids)
        self._count += 1
        return self._count - 1


def _suggested(group: Sequence[Template]) -> str:
    """Return the first telling words that all templates of a group share, as a name."""
    texts = [one.line or one.system for one in group]
    shared = set.intersection(*({word.lower() for word in _WORD.findall(text)} for text in texts))
    words = [word for word in map(str.lower, _WORD.findall(texts[0])) if word in shared and word not in _FILLERS]
    latin = [word for word in dict.fromkeys(words) if word.isascii() and len(word) > 1 and not word.startswith("pii")]
    return "-".join(latin[:_NAME_WORDS])[:60] or "unnamed"
