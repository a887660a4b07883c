"""Model names that are nearly the name of a place of ours: taken for a vendor's, they would leave. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher

_PLACES = ("auto", "local", "cloud")
_OURS = ("modelbreeder", "workflow")
_HERE = frozenset({"private", "onprem", "onpremise", "onpremises", "selfhost", "selfhosted", "noop", "embedded"})
_SIGNS = re.compile(r"[\W_]+")
_PARTS = re.compile(r"([^/:]*)([/:]?)(.*)", re.DOTALL)
_ALIKE = 0.8
_MISSING = 2
_MOST_CHARS = 200
"""Of a name that is looked at: the time grows with its length."""


def meant_here(model: str, private: Collection[str], base: str) -> str | None:
    """Return the name of a place of ours for one that can mean nothing but the user's own machines, None for others.

    Args:
        model: the name as the client sent it, which no upstream lists.
        private: the names of the private upstreams.
        base: the configured local base.

    """
    name = model[:_MOST_CHARS]
    plain = _letters(name)
    if plain.startswith("local") or plain in _HERE or plain in {_letters(one) for one in private}:
        return "local"
    if _family(name) in (_family(base), _family(base.rpartition("/")[2])):
        return "local"
    for upstream in private:
        if said := re.fullmatch(rf"{re.escape(upstream)}[-_. ]+(.+)", name, re.IGNORECASE):
            return f"{upstream}/{said[1]}"
    return None


def meant_by(model: str, upstreams: Collection[str], vendors: Collection[str]) -> str | None:
    """Return the name that was probably meant by one that nobody has, None for a vendor's.

    Args:
        model: the name as the client sent it, which no upstream lists.
        upstreams: the names of the configured ones.
        vendors: what stands before the slash in the names of known vendors' models.

    """
    parts = _PARTS.match(model[:_MOST_CHARS])
    assert parts is not None, "the pattern matches any text"
    head, sign, rest = parts.groups()
    if not sign:
        plain = _letters(head)
        alone = next((one for one in upstreams if _letters(one) == plain), None)
        return f"{alone}/MODEL" if alone else "cloud" if plain == "cloudescalation" else _nearest(head, _PLACES)
    if sign == "/" and head in vendors:
        return None
    # A colon parts the names of many vendors' models: llama3:8b is no slip, with whatever upstream is called llama.
    alike = _is_slip_of if sign == "/" else _is_same
    for upstream in upstreams:
        if alike(head, upstream):
            return f"{upstream}/{rest}"
    ours = "workflow" if _is_same(head, "wf") else _nearest(head, (*_PLACES, *_OURS))
    if ours == "workflow":
        return f"workflow:{rest}"
    return _nearest(rest, _PLACES) or rest or "auto" if ours == "modelbreeder" else ours


def _letters(name: str) -> str:
    """Return a name without signs and letter case."""
    return _SIGNS.sub("", unicodedata.normalize("NFKC", name)).casefold()


def _family(model: str) -> str:
    """Return what all sizes of a model are called, as qwen3 of qwen3:8b; the slash stays, as a vendor's is another."""
    return "/".join(map(_letters, model.partition(":")[0].split("/")))


def _nearest(word: str, known: Iterable[str]) -> str | None:
    return next((one for one in known if _ratio(word, one) >= _ALIKE), None)


def _is_slip_of(word: str, name: str) -> bool:
    """Say whether a word is a name with a letter or two amiss; vendors' names may go on where an upstream's ends."""
    one, other = word.casefold(), name.casefold()
    goes_on = abs(len(one) - len(other)) > 1 and (one.startswith(other) or other.startswith(one))
    return not goes_on and _ratio(word, name) >= _ALIKE


def _is_same(word: str, name: str) -> bool:
    return word.casefold() == name.casefold()


def _ratio(word: str, name: str) -> float:
    one, other = word.strip().casefold(), name.casefold()
    # Nearly all names are so unlike ours that the exact look, at 20 us, can be spared.
    if abs(len(one) - len(other)) > max(len(other) // 3, 1) or len({*other}.difference(one)) > _MISSING:
        return 0.0
    return 1.0 if sorted(one) == sorted(other) else SequenceMatcher(None, one, other).ratio()
