"""Varied strings on which tokenizers disagree easily; the same list each time."""

from __future__ import annotations

import random
from typing import Final

from tests.pico_hf import ADDED, BOS, END, PAD

_PIECES: Final = (
    *("hello", "World", "I'm", "I'M", "they'LL", "it\u2019s", "don't", "été", "e\u0301", "ß", "ﬁ", "ǅ"),
    *("привет", "你好", "日本語", "한국어", "שלום", "العربية", "हिन्दी", "\U0001d518\U0001d52b", "\ue000", "\U0001f9d1"),
    *("👍", "👨\u200d👩\u200d👧", "🇩🇪", "\u200b", "\u00a0", "\u3000", "\u2028", "\u0085", "\ufeff", "\u0300"),
    *(" ", "  ", "     ", "\n", "\r\n", "\t", "\n\n  ", "\x0b", "\x0c", "\x00", "\x1b", "\x7f"),
    *("0", "12", "345", "6789", "1234567890", "3.14", "1e-9", "\uff11\uff12", "٣٤", "½", "²", "Ⅷ", "५", "\u3007", "㊿"),
    *("def f(x):", "->", "==", "!!", "...", "__init__", "{}", "</div>", "//", "#", "$HOME", "a=b&c", "\\n"),
    *(PAD, BOS, END, ADDED, "<|end", "|>", "<|unknown|>", "note>", "[PAD1020]"),
)

_WHOLE: Final = (
    "",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "I'm sure they've said it's what we'll do; he'd DON'T.",
    "2024-11-05 17:03:59,123 ERROR worker[42]: 10.0.0.7:5432 reset after 3000 ms",
    '{"name": "Ada", "items": [1, 22, 333, 4444, 55555], "ok": true, "none": null}',
    "def read(path):\n    with open(path) as file:\n\t\treturn [line for line in file]\n\n\n",
    "SELECT * FROM orders WHERE total >= 100.50 AND name LIKE '%x%';",
    "https://example.org/a/b?q=1&r=%20#frag user@example.org +49 (30) 123-456",
    "name,age\r\nAda,36\r\nAlan,41\r\n",
    "   leading and trailing   ",
    "\n\n\nlines\n \n\t\n",
    "a" * 300,
    "1" * 100,
    " " * 70 + "x",
    f"{BOS}system text{END}{BOS}user text{END}",
    f" {ADDED} {ADDED}{ADDED}x{ADDED}",
)


def varied_texts(count: int = 300) -> list[str]:
    """Return whole sentences, and `count` random joins of difficult pieces."""
    chance = random.Random(5)
    joined = ["".join(chance.choices(_PIECES, k=chance.randint(1, 10))) for _ in range(count)]
    return [*_WHOLE, *_PIECES, *joined]
