"""Estimates of token counts without a tokenizer, by what characters a text is made of. Pure.

The weights were fitted on OpenAI's o200k_base. Mean absolute error there, and of four characters a token, by kind:
English prose and code 5 to 15 % (10 to 14 %), logs, CSV, hex and UUIDs 6 to 10 % (41 to 61 %), base64 18 % (63 %),
JSON 22 % (35 %), and on short samples Chinese, Japanese, Korean 3 % (50 to 63 %), ten other languages 12 % (18 %).
Other vocabularies need more: the seedling's small one a third more for English, far more for other scripts.
"""

from __future__ import annotations

import math
from typing import Final

from registry.entities import Json
from router.redaction.opaque import is_opaque

IMAGE_TOKENS: Final = 1_600
"""What a picture counts, and a file or sound: about the most that Anthropic (width x height / 750, scaled down to 1.15
megapixels) and OpenAI (85 + 170 for each tile of 512 x 512, eight at most) document for one of common size."""
_LONG: Final = 1 << 14
"""Characters from which on a text is judged by samples."""
_SAMPLES: Final = 16
_SAMPLE: Final = 1 << 10

_LOWER: Final = 0.25
_OTHER_ASCII: Final = 0.36
# Kinds of UTF-8 bytes that begin a character, and the tokens of one such character.
_KINDS: Final = (
    (bytes(range(0x30, 0x3A)), 0.82),  # digits
    (bytes(range(0x41, 0x5B)), 0.8),  # capitals, which base64 and names in code are full of
    (b"\n", 0.9),
    (bytes(range(0x80, 0xC0)), 0.0),  # what goes on with a character
    (bytes(range(0xC2, 0xE0)), 0.33),  # Latin with accents, Greek, Cyrillic, Hebrew, Arabic
    (b"\xe0", 0.32),  # India, Thailand
    (b"\xea\xeb\xec\xed", 0.65),  # Hangul
    (bytes([*range(0xE1, 0xEA), 0xEE, 0xEF]), 0.66),  # Han, kana
    (bytes(range(0xF0, 0xF8)), 2.3),  # emoji
)
_PLAIN: Final = bytes(range(0x61, 0x7B)) + b" "


def estimate_tokens(value: Json) -> int:
    """Estimate the tokens of all text in a value, and of the pictures, files and sounds among content parts."""
    return math.ceil(round(_tokens(value), 6))


def _tokens(value: Json) -> float:
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, list):
        return sum(map(_tokens, value))
    if isinstance(value, dict):
        return IMAGE_TOKENS if is_opaque(value) else sum(map(_tokens, value.values()))
    return 0.0


def _of_text(text: str) -> float:
    if len(text) <= _LONG:
        return _of_bytes(text.encode(errors="replace"))
    step = (len(text) - _SAMPLE) // (_SAMPLES - 1)
    sampled = "".join(text[at * step : at * step + _SAMPLE] for at in range(_SAMPLES))
    return _of_bytes(sampled.encode(errors="replace")) * len(text) / len(sampled)


def _of_bytes(raw: bytes) -> float:
    """Weigh each kind of character; spaces belong to the words behind them."""
    rest = raw.translate(None, _PLAIN)
    tokens = (len(raw) - len(rest) - raw.count(b" ")) * _LOWER
    for kind, weight in _KINDS:
        if not rest:
            break
        left = rest.translate(None, kind)
        tokens += (len(rest) - len(left)) * weight
        rest = left
    return tokens + len(rest) * _OTHER_ASCII
