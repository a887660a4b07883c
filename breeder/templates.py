"""Find the constant part of a workflow's prompts, and the fingerprints that the router will know them by. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from registry.entities import PromptTrim
from registry.prompting import Prompt, fingerprint

_MINIMUM_SHARE = 0.01
_MINIMUM_ROWS = 5
_MOST_FINGERPRINTS = 64


def constant_trim(prompts: Sequence[Prompt]) -> PromptTrim:
    """Return what all prompts share: the system text, and the user text's beginning and end.

    Both are cut back to a white-space boundary, so that no word of the varying part loses letters.
    """
    users = [prompt.user for prompt in prompts]
    prefix = _to_boundary(_common_start(users))
    tails = [user[len(prefix) :][::-1] for user in users]
    suffix = _to_boundary(_common_start(tails))[::-1]
    systems = {prompt.system for prompt in prompts}
    return PromptTrim(system=systems.pop() if len(systems) == 1 else None, prefix=prefix, suffix=suffix)


def known_fingerprints(prompts: Sequence[Prompt]) -> tuple[str, ...]:
    """Return the template fingerprints that recur among the prompts, most frequent first."""
    counts = Counter(fingerprint(prompt) for prompt in prompts)
    floor = max(_MINIMUM_ROWS, _MINIMUM_SHARE * len(prompts))
    return tuple(digest for digest, n in counts.most_common(_MOST_FINGERPRINTS) if n >= floor)


def _common_start(texts: Sequence[str]) -> str:
    """Return what all texts begin with: the first and last in order differ where any two do."""
    first, last = min(texts), max(texts)
    same = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:same]


def _to_boundary(text: str) -> str:
    """Return the text up to and including its last white space; all of it when there is none to lose."""
    cut = max(text.rfind(" "), text.rfind("\n"))
    return text[: cut + 1]
