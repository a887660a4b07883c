"""Random requests and the answers that they get, each by its number: the same number is the same case, anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.faults.answers import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Answer, Call, Cutter, frames, whole
from tests.faults.reading import request
from tests.faults.scene import MODELS, PAIRS

SECRET, PLACEHOLDER = "bob@example.org", "PIIEMAIL1@masked.invalid"
TOOLS = ("find", "get_weather", "f")
_WORDS = (
    "the", "a b", "naïve", "日本語", "😀👩‍👩‍👧", "line\nbreak", "tab\t", 'quo"te', "back\\slash", "\u2028", "{", "}",
    "[1]", "data: x", "\x7f", "\x85", "e\u0301", "\u202ertl", "null", "</s>", "event: y", ": z", "\\u0041",
    "\r\n", PLACEHOLDER,
)  # fmt: skip
_NUMBERS = (0, -1, 7, 2**53, -(2**63), 2**63 - 1, 0.5, -1e-7, 1e300)


@dataclass(frozen=True, slots=True)
class Case:
    """One request of a client, and what the upstream that it reaches says."""

    number: int
    client: str
    upstream: str
    stream: bool
    reasoning: bool
    wants_json: bool
    masked: bool
    crlf: bool
    cut: int | None
    """The byte of the stream before which it ends, None where it is whole."""
    answer: Answer

    @property
    def body(self) -> bytes:
        """What the client sends; the cloud knows the case by its number."""
        asked = f"case {self.number}." + (f" Write to {SECRET}." if self.masked else "")
        tools = TOOLS if self.answer.calls else ()
        more = {"reasoning": self.reasoning, "json": self.wants_json}
        return request(self.client, MODELS[self.upstream], asked, stream=self.stream, tools=tools, **more)

    @property
    def said(self) -> list[bytes]:
        """What the upstream sends, in the pieces in which it arrives."""
        cutter = Cutter(self.number)
        if not self.stream:
            return cutter.bytes(whole(self.upstream, self.answer))
        raw = b"".join(frames(self.upstream, self.answer, cutter))
        raw = raw.replace(b"\n", b"\r\n") if self.crlf else raw
        return cutter.bytes(raw if self.cut is None else raw[: self.cut % len(raw)])

    @property
    def expected(self) -> Answer:
        """What the client is to understand."""
        shown = self.answer.replacing(PLACEHOLDER, SECRET) if self.masked else self.answer
        hides = self.client == MESSAGES and self.upstream != MESSAGES and not self.reasoning
        return replace(shown, reasoning="") if hides else shown


def case(number: int) -> Case:
    """Return the case of a number."""
    random = Random(f"case {number}")
    client, upstream = random.choice(PAIRS)
    answer = _answer(random, only_text=client == COMPLETIONS)
    wants_json = client != COMPLETIONS and not answer.calls and random.random() < 0.2
    if wants_json:
        answer = replace(answer, text=_arguments(random), finish="stop")
    if upstream in (CHAT, COMPLETIONS) and random.random() < 0.2:
        answer = replace(answer, counts=None)
    stream = random.random() < 0.7
    return Case(
        number,
        client,
        upstream,
        stream,
        reasoning=bool(answer.reasoning) and random.random() < 0.7,
        wants_json=wants_json,
        masked=random.random() < 0.4,
        crlf=random.random() < 0.1,
        cut=random.randrange(1 << 30) if stream and random.random() < 0.15 else None,
        answer=answer,
    )


def _answer(random: Random, *, only_text: bool) -> Answer:
    count = 0 if only_text else random.choice((0, 0, 1, 1, 2, 3))
    calls = tuple(
        Call(f"call_{place}_{random.randrange(1000)}", random.choice(TOOLS), _arguments(random, may_be_empty=True))
        for place in range(count)
    )
    reasoning = "" if only_text or random.random() < 0.6 else _text(random)
    text = "" if calls and random.random() < 0.5 else _text(random)
    finish = "tool_calls" if calls else random.choice(("stop", "stop", "length"))
    return Answer(text, reasoning, calls, finish, (random.randrange(1, 9999), random.randrange(1, 999)))


def _text(random: Random) -> str:
    return " ".join(random.choice(_WORDS) for _ in range(random.randint(1, 12)))


def _arguments(random: Random, *, may_be_empty: bool = False) -> str:
    """Return a JSON object as models write it: any white space, escapes or none."""
    if may_be_empty and random.random() < 0.15:
        return ""
    given = {f"{key} {_text(random)[:4]}": _value(random, 2) for key in range(random.randint(0, 4))}
    indent = random.choice((None, None, 2))
    return json.dumps(given, ensure_ascii=random.random() < 0.5, indent=indent)


def _value(random: Random, depth: int) -> Any:
    match random.randrange(7 if depth else 4):
        case 0:
            return random.choice((True, False, None))
        case 1:
            return random.choice(_NUMBERS)
        case 2 | 3:
            return _text(random)
        case 4 | 5:
            return [_value(random, depth - 1) for _ in range(random.randint(0, 3))]
        case _:
            return {f"k{place}": _value(random, depth - 1) for place in range(random.randint(0, 3))}


def same(case: Case, understood: Answer) -> bool:
    """Say whether a client understood what it was to understand."""
    heard, expected = understood, case.expected
    if expected.counts is None:
        # Some dialects cannot do without counts, and estimate them.
        heard = replace(heard, counts=None)
    as_values = not case.stream and MESSAGES in (case.client, case.upstream)
    if not same_calls(heard.calls, expected.calls, case.upstream, as_values=as_values):
        return False
    return replace(heard, calls=()) == replace(expected, calls=())


def same_calls(heard: Sequence[Call], said: Sequence[Call], upstream: str, *, as_values: bool) -> bool:
    """Say whether the calls are the same, in any order, as those of a stream may begin in any.

    A whole Anthropic message holds arguments as values, so that their text is nobody's own; and where none of its
    deltas say any, they are an empty object.
    """

    def plain(call: Call) -> Call:
        if as_values:
            return replace(call, arguments=json.dumps(json.loads(call.arguments or "{}"), sort_keys=True))
        return replace(call, arguments=call.arguments or "{}") if upstream == MESSAGES else call

    return sorted(map(plain, heard), key=str) == sorted(map(plain, said), key=str)


ALL_DIALECTS = (CHAT, MESSAGES, RESPONSES)
