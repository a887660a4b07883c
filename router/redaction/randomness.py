"""Tells what was drawn at random from what somebody wrote: words, identifiers, examples.

A string is judged by its neighbouring characters. Two letters that often follow each other in English and in code speak
for a word, rare ones and changes between letters and digits for chance.
"""

from __future__ import annotations

import re
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final

# Row: first letter, column: second. log2 of how much more often the pair occurs in the words of licences, documentation
# and the Python library than by chance, plus 5, cut to 1..9.
_PAIRS: Final = (
    "56763462625877161878544452", "63535221542633531443512142", "73547327516643832647532141",
    "64358432722533631454522231", "74786653423768465988355752", "52345631711523621544512131",
    "42227245511434421553421112", "62227212512332621435311131", "65766562223769762677251515",
    "31113111212111321121311111", "26232511413221413242213121", "73458322812733741355532162",
    "75238222612453671254511141", "73777573624435642378552131", "45673552415678661866656422",
    "72447324612622652756523151", "11111111112111112221611111", "73559452714565741677543251",
    "52638346714543663378623251", "73549427813543751776534263", "56545441511667361666211211",
    "62217211511132321121111111", "51235214511314421442122211", "32534312411231251225111331",
    "22324212311334351245122232", "31115112411121311111111123",
)  # fmt: skip
_AS_CHANCE: Final = 5
_MIXING: Final = 2.0  # bits for a letter beside a digit
_HUMP: Final = 1.0  # bits for a capital behind a small letter
_COUNTING: Final = 0.5  # bits for a digit beside a digit

_FILLER: Final = re.compile(
    r"example(?:key)?|placeholder|redacted|dummy|changeme|not-?a-?real|your[-_]|[x*#.]{4,}|…|x{3,}-x{3,}|<|1234567890123[0-9]*|(?:1234-){2,}|\[[A-Z_]{3,}\]|\{\{|\$\{",
    re.IGNORECASE,
)
_FILLED: Final = 0.2  # the share of a value that says so; real keys may hold a short word by chance
_REPEATED: Final = re.compile(r"(.{1,4}?)\1{3,}")


def _table() -> dict[tuple[str, str], float]:
    table = {(a, b): _COUNTING for a in digits for b in digits}
    for a in digits:
        for b in ascii_lowercase + ascii_uppercase:
            table[a, b] = table[b, a] = _MIXING
    for a, row in zip(ascii_lowercase, _PAIRS, strict=True):
        for b, common in zip(ascii_lowercase, row, strict=True):
            bits = float(_AS_CHANCE - int(common))
            table[a, b] = table[a.upper(), b] = table[a.upper(), b.upper()] = bits
            table[a, b.upper()] = _HUMP
    return table


_BITS: Final = _table()


def surprise(text: str) -> float:
    """Return how many bits speak for chance: near -2 a character for words, +1 to +2 for random ones."""
    bits = _BITS.get
    return sum([bits(pair, 0.0) for pair in pairwise(text)])


def is_random(text: str, per_character: float = 0.5) -> bool:
    """Tell whether a text of ten characters or so was drawn at random, and is not an example of something random."""
    return surprise(text) >= per_character * len(text) and not is_filler(text)


def is_named_filler(text: str) -> bool:
    """Tell whether a value says that it only stands for one: `xxxx`, `AKIA...EXAMPLE`, `your-key`."""
    return sum([len(said) for said in _FILLER.findall(text)]) >= _FILLED * len(text)


def is_filler(text: str, series: float = 0.9) -> bool:
    """Tell whether a value only stands for one: by what it says, as one piece again and again, as a series.

    `series` is the share of characters that follow each other as in `abc` and `123` from which on it is one.
    """
    if is_named_filler(text):
        return True
    low = text.lower()
    if is_repeated(low) or rising(low) > series:
        return True
    again = _REPEATED.search(low)
    return again is not None and len(again[0]) > len(low) / 2


def is_repeated(text: str) -> bool:
    """Tell whether more than half of the characters are the one before them again, in either case."""
    low = text.lower()
    return sum([a == b for a, b in pairwise(low)]) > 0.55 * max(1, len(low) - 1)


def rising(text: str) -> float:
    """Return the share of neighbours that follow each other as in `abc` and `890`."""
    return sum([ord(b) - ord(a) == 1 or a + b == "90" for a, b in pairwise(text)]) / max(1, len(text) - 1)
