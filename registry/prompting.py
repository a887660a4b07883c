"""What a specialist sees of a prompt, in one place: router, trainer and evaluation all call this, so they agree.

A specialist serves single turns of text. The constant part of its workflow's prompts is trimmed away, because it
is in the weights; few-shot specialists see their examples as earlier turns.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.entities import PromptTrim

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One turn: the system text (empty where there is none) and the user's text."""

    system: str
    user: str


def text_of(content: object) -> str | None:
    """Return the text of an OpenAI message content, string or text parts; None if any part is not text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return None
    texts = [part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in content]
    return "".join(t for t in texts if isinstance(t, str)) if all(isinstance(t, str) for t in texts) else None


def prompt_of(messages: object) -> Prompt | None:
    """Return the single turn in OpenAI messages, or None where they hold anything else."""
    if not isinstance(messages, Sequence) or not all(isinstance(m, Mapping) for m in messages):
        return None
    roles = [m.get("role") for m in messages]
    texts = [text_of(m.get("content")) for m in messages]
    leading = roles[:-1]
    if not roles or roles[-1] != "user" or any(role not in ("system", "developer") for role in leading):
        return None
    if any(text is None for text in texts):
        return None
    return Prompt("\n".join(t for t in texts[:-1] if t), texts[-1] or "")


def fingerprint(prompt: Prompt) -> str:
    """Return a digest of a prompt's template: its system text and first line, with numbers folded.

    A prompt of one line has no constant part to recognise, so it stands for itself alone.
    """
    first_line = prompt.user.split("\n", 1)[0]
    template = _DIGITS.sub("0", f"{prompt.system}\x00{first_line}")
    return hashlib.sha256(template.encode()).hexdigest()[:32]


def fits(prompt: Prompt, trim: PromptTrim) -> bool:
    """Say whether a prompt has the constant parts that a specialist was trained without."""
    if trim.system is not None and prompt.system != trim.system:
        return False
    long_enough = len(prompt.user) >= len(trim.prefix) + len(trim.suffix)
    return long_enough and prompt.user.startswith(trim.prefix) and prompt.user.endswith(trim.suffix)


def trimmed(prompt: Prompt, trim: PromptTrim) -> Prompt:
    """Return the varying part of a prompt that `fits` the trim."""
    user = prompt.user[len(trim.prefix) : len(prompt.user) - len(trim.suffix)]
    return Prompt(prompt.system if trim.system is None else "", user)


def chat_messages(prompt: Prompt, trim: PromptTrim, examples: Sequence[tuple[str, str]] = ()) -> list[dict[str, str]]:
    """Return the chat that a specialist is trained on and served: system, examples, the trimmed prompt.

    `examples` are (trimmed user text, answer) pairs. Texts are in Unicode's normal form C: some bases' tokenizers
    (Qwen's) ask for it and llama.cpp does not do it.
    """
    seen = trimmed(prompt, trim)
    system = [{"role": "system", "content": seen.system}] if seen.system else []
    shots = [
        {"role": role, "content": text}
        for pair in examples
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    turns = [*system, *shots, {"role": "user", "content": seen.user}]
    return [{"role": turn["role"], "content": unicodedata.normalize("NFC", turn["content"])} for turn in turns]
