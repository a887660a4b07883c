"""A draft as a dense specification: what a local model is asked for, what of its answer stands, how it reads. Pure.

Of what the model says about the draft only that stands which the draft bears out: its own quotes and names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson

from registry.entities import Json
from router.chat import JsonObject
from router.draft_names import Name, names_in, undefined_names
from router.envelope import estimate_tokens

_SECTIONS = {
    "inputs": "Inputs",
    "outputs": "Outputs",
    "constraints": "Constraints",
    "acceptance": "Acceptance",
    "open_questions": "Open questions",
}
_SHORTEST_QUOTE = 3
INSTRUCTION = """Turn the user's draft into a dense specification that another model will carry out. Keep every fact,
number, name and condition, in the draft's own words for them; leave out greetings, repetition and talk. Add nothing.
goal: one or two sentences. inputs, outputs, constraints: one fact each. acceptance: checks from the draft that tell
whether it is done. open_questions: what must be answered first. contradictions: pairs of places that cannot both hold,
each quoted letter by letter from the draft, and why. undefined_names: names that the draft uses and never explains.
Lists may be empty. Write in the language of the draft."""


def _strings() -> Json:
    return {"type": "array", "items": {"type": "string"}}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def answer_schema() -> Json:
    """Return the JSON schema of the answer that is asked for."""
    pair = _object(first={"type": "string"}, second={"type": "string"}, why={"type": "string"})
    return _object(
        goal={"type": "string"},
        **{section: _strings() for section in _SECTIONS},
        contradictions={"type": "array", "items": pair},
        undefined_names=_strings(),
    )


def request_for(draft: str) -> JsonObject:
    """Return the chat request that makes a specification of a draft, for the local lane."""
    wanted: Json = {"name": "specification", "strict": True, "schema": answer_schema()}
    return {
        "model": "local",
        "messages": [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": draft}],
        "response_format": {"type": "json_schema", "json_schema": wanted},
        "temperature": 0,
    }


def repair_request(request: JsonObject, answer: str, flaw: str) -> JsonObject:
    """Return the request that asks once more, after an answer that was not as asked for."""
    turns = request["messages"]
    assert isinstance(turns, list)
    said = f"That is not as asked for: {flaw}. Give the whole specification again, as one JSON object."
    again: list[Json] = [{"role": "assistant", "content": answer}, {"role": "user", "content": said}]
    return {**request, "messages": [*turns, *again]}


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of a draft, and the line, from 1, where it begins."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two places of a draft that cannot both hold."""

    first: Quote
    second: Quote
    why: str


@dataclass(frozen=True, slots=True)
class Specification:
    """A specification for a person to check; tokens are estimates."""

    goal: str
    sections: dict[str, tuple[str, ...]]
    contradictions: tuple[Contradiction, ...]
    undefined_names: tuple[Name, ...]
    unfounded: int
    """How many contradictions and names the model told of that are not in the draft, and so were dropped."""
    lost_names: tuple[str, ...]
    """Names of the draft that the specification does not have."""
    new_names: tuple[str, ...]
    """Names of the specification that the draft does not have."""
    tokens_before: int
    tokens_after: int

    @property
    def text(self) -> str:
        """The specification as Markdown, to be edited and sent."""
        found = [f"# Goal\n\n{self.goal}"]
        found += [_listed(title, self.sections[section]) for section, title in _SECTIONS.items()]
        return "\n\n".join(found) + "\n"

    @property
    def review(self) -> str:
        """What the person should look at, as Markdown; empty where there is nothing."""
        pairs = [
            f'line {one.first.line} "{one.first.text}" against line {one.second.line} "{one.second.text}": {one.why}'
            for one in self.contradictions
        ]
        names = [f"`{one.text}` (line {', '.join(map(str, one.lines))})" for one in self.undefined_names]
        found = {
            "Contradictions": pairs,
            "Undefined names": names,
            "Names of the draft that are not in the specification": [f"`{name}`" for name in self.lost_names],
            "Names of the specification that are not in the draft": [f"`{name}`" for name in self.new_names],
        }
        return "\n\n".join(_listed(title, lines) for title, lines in found.items() if lines)


def specification_of(draft: str, answer: str) -> Specification:
    """Return the specification that a model's answer makes of a draft; the answer is JSON of the schema."""
    said = orjson.loads(answer)
    sections = {section: tuple(_lines(said[section])) for section in _SECTIONS}
    pairs = [_contradiction(draft, one) for one in said["contradictions"]]
    own = undefined_names(draft)
    told = [_told(draft, name) for name in said["undefined_names"] if name not in {one.text for one in own}]
    made = Specification(
        goal=" ".join(said["goal"].split()),
        sections=sections,
        contradictions=tuple(pair for pair in pairs if pair),
        undefined_names=(*own, *(name for name in told if name)),
        unfounded=pairs.count(None) + told.count(None),
        lost_names=(),
        new_names=(),
        tokens_before=estimate_tokens(draft),
        tokens_after=0,
    )
    return _compared(draft, made)


def _compared(draft: str, made: Specification) -> Specification:
    """Return a specification with what its text has more and less than the draft."""
    text = made.text
    return replace(
        made,
        lost_names=tuple(name.text for name in names_in(draft) if name.text not in text),
        new_names=tuple(name.text for name in names_in(text) if name.text not in draft),
        tokens_after=estimate_tokens(text),
    )


def _contradiction(draft: str, said: dict[str, str]) -> Contradiction | None:
    """Return a contradiction whose two quotes are different places of the draft, None for any other."""
    first, second = _quote(draft, said["first"]), _quote(draft, said["second"])
    if first is None or second is None or first == second:
        return None
    return Contradiction(first, second, " ".join(said["why"].split()))


def _quote(draft: str, said: str) -> Quote | None:
    """Return where the draft says something, letter by letter but for white space; None where it does not."""
    words = said.strip().strip("\"'“”").split()
    if sum(map(len, words)) < _SHORTEST_QUOTE:
        return None
    found = re.search(r"\s+".join(map(re.escape, words)), draft)
    return Quote(" ".join(words), draft.count("\n", 0, found.start()) + 1) if found else None


def _told(draft: str, said: str) -> Name | None:
    """Return a name that a model found undefined, with its lines; None where the draft does not have it."""
    name = said.strip("` \t\n").removesuffix("()")
    exact = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    lines = tuple(number for number, line in enumerate(draft.split("\n"), 1) if name and exact.search(line))
    return Name(name, lines) if lines else None


def _lines(items: Iterable[str]) -> list[str]:
    return [line for item in items if (line := " ".join(item.split()).removeprefix("- "))]


def _listed(title: str, lines: Sequence[str]) -> str:
    shown = "\n".join(f"- {line}" for line in lines) or "none"
    return f"## {title}\n\n{shown}"
