"""What an answer may be: a GBNF grammar over one vocabulary, followed token by token through llama.cpp's sampler.

llama.cpp aborts on a token that its grammar does not take, so only what `allows` or `best` returned may be accepted.
"""

from __future__ import annotations

import ctypes
import re
import weakref
from collections.abc import Callable

import numpy as np
from llama_cpp import llama_cpp as lib
from numpy.typing import NDArray

from registry.errors import EngineError
from router.engine.protocol import MAX_GRAMMAR_RULES, EngineRequestError, RefusalKind

LIKELY = 64
"""Candidates that are looked at before the whole vocabulary, whose check costs as much as decoding on a tiny base."""

MAX_NESTING = 100

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_OPAQUE = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|#[^\n]*', re.DOTALL)


class Grammar:
    """The state of one answer under a grammar; used for one answer, on one thread at a time."""

    def __init__(self, vocabulary: lib.llama_vocab_p, text: str, usable: Callable[[int], bool]) -> None:
        """Parse a grammar with rule `root`: 0.1 ms for 200 labels, so it is done afresh for every answer.

        `usable` says whether a token adds text or ends the answer. llama.cpp would also take a control token where the
        grammar takes the token's name as text.

        Raises:
            EngineRequestError: the grammar does not parse, or nests in a way that llama.cpp does not survive.
        """
        flaw = _flaw(text)
        sampler = None if flaw else lib.llama_sampler_init_grammar(vocabulary, text.encode(), b"root")
        if not sampler:
            why = flaw or "llama.cpp cannot parse it"
            raise EngineRequestError(
                RefusalKind.GRAMMAR, f"the grammar of {len(text):,} characters cannot be used: {why}; mine it again"
            )
        self._sampler = sampler
        self._usable = usable
        # The top token is checked for every token of an answer, so what llama.cpp wants for it is made once.
        self._top = lib.llama_token_data()
        self._top_alone = lib.llama_token_data_array(ctypes.pointer(self._top), 1, -1, False)
        # An answer may be given up anywhere between admission and its last token, so nobody could free it by hand.
        weakref.finalize(self, lib.llama_sampler_free, sampler).atexit = False

    def best(self, scores: NDArray[np.float32], top: int) -> int:
        """Return the allowed token of the highest score; `top` is the highest of all, scores are (vocabulary,).

        Raises:
            EngineError: no token of the vocabulary can go on from here.
        """
        if self.allows(top):
            return top
        likely = np.argpartition(scores, -LIKELY)[-LIKELY:] if scores.size > LIKELY else np.arange(0)
        for tokens in (likely, np.arange(scores.size)):
            found = self._best_of(tokens, scores)
            if found is not None:
                return found
        raise EngineError("no token of the base's vocabulary continues this answer within its grammar; mine it again")

    def allows(self, token: int) -> bool:
        """Say whether a token may come next."""
        self._top.id = token  # type: ignore[assignment]  # ctypes takes a plain int
        self._top.logit = 0.0
        lib.llama_sampler_apply(self._sampler, ctypes.byref(self._top_alone))
        return bool(self._top.logit == 0.0) and self._usable(token)

    def accept(self, token: int) -> None:
        """Go on by an allowed token that does not end the answer."""
        lib.llama_sampler_accept(self._sampler, token)

    def _best_of(self, tokens: NDArray[np.int64], scores: NDArray[np.float32]) -> int | None:
        candidates = np.zeros(tokens.size, _CANDIDATE)
        candidates["id"] = tokens
        data = ctypes.cast(candidates.ctypes.data, ctypes.POINTER(lib.llama_token_data))
        # What the grammar does not take gets a logit of minus infinity.
        lib.llama_sampler_apply(self._sampler, ctypes.byref(lib.llama_token_data_array(data, tokens.size, -1, False)))
        left = tokens[candidates["logit"] == 0.0]
        for token in left[np.argsort(-scores[left])]:
            if self._usable(int(token)):
                return int(token)
        return None


def _flaw(text: str) -> str:
    """Return what llama.cpp's parser would not survive, empty where there is nothing."""
    bare = _OPAQUE.sub("", text)
    depth = deepest = 0
    for bracket in re.findall(r"[()]", bare):
        depth += 1 if bracket == "(" else -1
        deepest = max(deepest, depth)
    if not text.strip() or "\0" in text:
        return "it is blank or has a NUL"
    if "{" in bare:
        # {3,1} was seen to parse for ever.
        return "it counts repetitions by {m,n}"
    if deepest > MAX_NESTING:
        return f"its brackets nest {deepest} deep, at most {MAX_NESTING} are read"
    if bare.count("::=") > MAX_GRAMMAR_RULES:
        return f"it has {bare.count('::='):,} rules, at most {MAX_GRAMMAR_RULES:,} are read"
    return ""
