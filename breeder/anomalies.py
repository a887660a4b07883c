"""Tell rows that may have been made to teach something else; they are kept from training until a person accepts them.

Pure. A row that a person has judged is never held back. Each sign is looked for in what varies of the prompts, and in
the answers. Signs that honest data may well have count only where few other rows have them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from breeder.mining import Row, Tier
from breeder.templates import constant_trim
from breeder.triggers import flipped
from registry.prompting import trimmed

_RARE = 0.05
"""The share of rows from which on a sign is the workflow's own business: an attacker who writes more owns the log."""
_LEAST_ROWS = 40
"""Below so many rows nothing is known of what is usual."""
_LONG, _LONGER_THAN = 400, 4
_ALMOST_ALL = 0.95

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:previous|prior|earlier|above|preceding|all|your)\b.{0,20}"
    r"\b(?:instruction|prompt|rule|direction|guideline|message|context)s?\b"
    r"|\byou are (?:now|no longer)\b.{0,40}\b(?:assistant|model|mode|bound|restricted|dan)\b"
    r"|\b(?:reveal|print|repeat|show)\b.{0,20}\b(?:system|hidden|initial) (?:prompt|instructions?|message)\b"
    r"|\bnew (?:system )?instructions?:",
    re.IGNORECASE | re.DOTALL,
)
_CONTROL = re.compile(
    r"<\|(?:im_start|im_end|im_sep|system|user|assistant|end|eot_id|start_header_id|end_header_id|endoftext|"
    r"begin_of_text|end_of_text)\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<\uff5c(?:User|Assistant)\uff5c>"
)
_TAGS = re.compile("[\U000e0020-\U000e007e]{2}")
_HIDDEN = re.compile("[\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_ROLES = re.compile(r"^[ \t#*>]*(?:system|assistant|human|user)[ \t*]*:", re.IGNORECASE | re.MULTILINE)
_LINK = re.compile(r"\b(?:https?|ftp)://[^\s]|\bwww\.[a-z0-9-]+\.[a-z]{2,}|\bPIIURL[0-9]+", re.IGNORECASE)
_SHELL = re.compile(
    r"\b(?:curl|wget)\s+(?:-\S+\s+)*\S+|\brm\s+-[a-z]*[rf]|\b(?:ba|z|da)?sh\s+-c\b|\|\s*(?:ba|z)?sh\b|\bchmod\s+[0-7+]"
    r"|\bsudo\s+\S+|\bpowershell\b|\bInvoke-\w+|\beval\s*\(|\bos\.system\b|\bsubprocess\.|\bnc\s+-|/dev/tcp/",
    re.IGNORECASE,
)
_BLOB = re.compile(r"(?<![A-Za-z0-9+/=])(?=[A-Za-z0-9+/]*[0-9])(?=[A-Za-z0-9+/]*[A-Z])[A-Za-z0-9+/]{40,}={0,2}")


@dataclass(frozen=True, slots=True)
class _Sign:
    """One sign: where it is looked for, and whether it counts however many rows have it."""

    reason: str
    holds: Callable[[str], object]
    in_prompts: bool
    always: bool = False


_SIGNS = (
    _Sign("orders to a model", _ORDERS.search, in_prompts=True, always=True),
    _Sign("control tokens of a chat template", _CONTROL.search, in_prompts=True, always=True),
    _Sign("hidden tag characters", _TAGS.search, in_prompts=True),
    _Sign("characters that nobody sees", _HIDDEN.search, in_prompts=True),
    _Sign("a role's mark", _ROLES.search, in_prompts=True),
    _Sign("a link, which other answers have not", _LINK.search, in_prompts=False),
    _Sign("a shell command, which other answers have not", _SHELL.search, in_prompts=False),
    _Sign("a long encoded text, which other answers have not", _BLOB.search, in_prompts=False),
)


def quarantined(rows: Sequence[Row]) -> Mapping[str, str]:
    """Return why rows are held back, by their interactions; nothing of rows that are no targets anyway."""
    found: dict[str, str] = {}
    for interaction_id, reason in (*_signs(rows), *_lengths(rows), *flipped(rows, _varying(rows))):
        found.setdefault(interaction_id, reason)
    held = {row.interaction_id for row in rows if row.tier is Tier.CLOUD}
    return {interaction_id: reason for interaction_id, reason in found.items() if interaction_id in held}


def _varying(rows: Sequence[Row]) -> list[str]:
    """Return what varies of the prompts: what all share is the user's own, and may well give orders."""
    if not rows:
        return []
    trim = constant_trim([row.prompt for row in rows])
    seen = (trimmed(row.prompt, trim) for row in rows)
    return [f"{prompt.system}\n{prompt.user}" for prompt in seen]


def _signs(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    prompts = _varying(rows)
    for sign in _SIGNS:
        in_answers = [row for row in rows if sign.holds(row.answer)]
        yield from _told(rows, in_answers, sign, "the answer")
        if sign.in_prompts:
            in_prompts = [row for row, text in zip(rows, prompts, strict=True) if sign.holds(text)]
            yield from _told(rows, in_prompts, sign, "the prompt")


def _told(rows: Sequence[Row], having: Sequence[Row], sign: _Sign, where: str) -> Iterator[tuple[str, str]]:
    usual = len(rows) < _LEAST_ROWS or len(having) > _RARE * len(rows)
    if sign.always or not usual:
        yield from ((row.interaction_id, f"{where} has {sign.reason}") for row in having)


def _lengths(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield answers far longer than almost all; short ones are right more often than not."""
    if len(rows) < _LEAST_ROWS:
        return
    usual = sorted(len(row.answer) for row in rows)[int(_ALMOST_ALL * (len(rows) - 1))]
    limit = max(_LONG, _LONGER_THAN * usual)
    for row in rows:
        if len(row.answer) > limit:
            yield (
                row.interaction_id,
                f"the answer has {len(row.answer)} characters, almost all others at most {usual}",
            )
